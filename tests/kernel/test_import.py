"""Lists of known bad blocks: the batch form of the message `remap`, and `pyctl import` over it."""

import contextlib
import errno
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.errors import DmError, ExitCode
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.retry import must_end, wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import Disks, QuickRemap, disks, pattern

NAME = "imported"
NODE = f"/dev/mapper/{NAME}"

# What one message may have, and what shares a commit.
PAIRS = 64
# Far apart, so that nothing is joined, and not in order.
SCATTERED = random.Random(36).sample(range(0, 32000, 100), PAIRS)
# Single sectors, a run, two that a block of badblocks joins, the first and the last of the disk.
BAD = [0, 77, 1000, *range(4096, 4111), 9998, 10000, 20001, 32767]


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    with contextlib.suppress(Exception):
        run("dmsetup", "remove", NAME)


def pairs(sectors: list[int], count: int = 1) -> list[int]:
    """The words of a batch."""
    return [word for sector in sectors for word in (sector, count)]


def refusal(dm: QuickRemap, *words: object) -> tuple[int | None, str]:
    """The error number of a `remap` that fails, and the kernel's sentence."""
    with pytest.raises(DmError) as caught:
        dm.message("remap", *words)
    return caught.value.errno, dm.message("error")


def test_scattered_units_share_one_drain_and_one_commit(two: Disks) -> None:
    main, spare = two
    pwrite(main, 0, pattern(main.sectors, seed=1))
    with QuickRemap(main, spare) as dm:
        before = dm.stats()
        answer = dm.message("remap", *pairs(SCATTERED))
        assert answer == f"remapped={PAIRS} lost=0 already=0"
        after = dm.stats()
        assert after["commits"] - before["commits"] == 1
        assert after["drains"] - before["drains"] == 1
        assert after["committed"] - before["committed"] == PAIRS
        assert dm.remapped() == set(SCATTERED)
        assert dm.message("remap", *pairs(SCATTERED)) == f"remapped=0 lost=0 already={PAIRS}"
        # One by one, each has its own.
        for sector in SCATTERED[:4]:
            dm.message("remap", sector + 1)
        alone = dm.stats()
        assert alone["commits"] - after["commits"] == 4
        assert dm.read(0, main.sectors) == pattern(main.sectors, seed=1)
        dm.reassemble()
        assert dm.remapped() == {*SCATTERED, *(sector + 1 for sector in SCATTERED[:4])}
        assert dm.read(0, main.sectors) == pattern(main.sectors, seed=1)


def test_a_batch_of_long_ranges_takes_64_units_at_a_time(two: Disks) -> None:
    main, spare = two
    pwrite(main, 0, pattern(main.sectors, seed=1))
    with QuickRemap(main, spare) as dm:
        before = dm.stats()
        answer = dm.message("remap", 100, 50, 3000, 50, 500, 92)
        assert answer == "remapped=192 lost=0 already=0"
        assert dm.stats()["commits"] - before["commits"] == 3
        assert dm.remapped() == {*range(100, 150), *range(500, 592), *range(3000, 3050)}
        assert dm.read(0, main.sectors) == pattern(main.sectors, seed=1)
        assert dm.message("unremap", 0, main.sectors) == "unremapped=192 kept=0 lost=0"
        assert pread(main, 0, main.sectors) == pattern(main.sectors, seed=1)


def test_ranges_that_overlap_are_joined(two: Disks) -> None:
    """Who held a range twice would wait for itself for ever."""
    main, spare = two
    with QuickRemap(main, spare) as dm:
        words = (40, 10, 10, 20, 45, 10, 10, 1, 30, 10, 54, 1, 12, 3)
        must_end(lambda: dm.message("remap", *words), "the batch")
        assert dm.remapped() == set(range(10, 55))
        assert dm.message("remap", 60, 1, 60, 1) == "remapped=1 lost=0 already=0"
    with disks(blocksize=4096) as (main, spare), QuickRemap(main, spare) as dm:
        words = (9, 1, 14, 1, 23, 2)
        assert dm.message("remap", *words) == "remapped=3 lost=0 already=0"
        assert dm.remapped() == {8, 16, 24}


def test_a_mistake_in_one_pair_changes_nothing(two: Disks) -> None:
    main, spare = two
    end = main.sectors
    with QuickRemap(main, spare) as dm:
        number, text = refusal(dm, 10, 1, 20, 1, end, 1, 30, 1)
        assert number == errno.ERANGE
        assert text == f"Pair 3: Sectors {end} to {end} are not on the device, which has {end}."
        number, text = refusal(dm, 10, 1, "twenty", 1)
        assert number == errno.EINVAL
        assert text.startswith("Pair 2: A sector and a count are decimal numbers")
        assert refusal(dm, 10, 1, 20, 0) == (
            errno.ERANGE,
            f"Pair 2: Sectors 20 to 19 are not on the device, which has {end}.",
        )
        assert refusal(dm, 10, 1, 20, -1)[1].startswith("Pair 2: ")
        number, text = refusal(dm, 10, 1, 20)
        assert number == errno.EINVAL
        assert text == "remap takes a sector, or pairs of a sector and a count, not 3 numbers."
        number, text = refusal(dm, *pairs(SCATTERED), 5, 1)
        assert number == errno.EINVAL
        assert "takes 1 to 128 arguments, not 130" in text
        assert dm.remaps() == []
        assert dm.stats()["drains"] == 0
        assert dm.message("remap", 10) == "remapped=1 lost=0 already=0"


def test_the_longest_message_has_the_largest_numbers() -> None:
    """64 pairs of 20 digits are taken apart and understood: the last is wrong."""
    with disks() as (main, spare), QuickRemap(main, spare) as dm:
        huge = 2**64 - 1
        words = [word for _ in range(PAIRS - 1) for word in ("0" * 15 + "12345", "1".zfill(20))]
        number, text = refusal(dm, *words, huge, huge)
        assert number == errno.ERANGE
        assert text.startswith(f"Pair 64: Sectors {huge} to ")


def test_what_cannot_be_read_is_lost_and_the_rest_moves(two: Disks) -> None:
    main, spare = two
    bad = sorted(SCATTERED)[7:10]
    for sector in bad:
        main.add_bad(sector)
    with QuickRemap(main, spare) as dm:
        assert dm.message("remap", *pairs(SCATTERED)) == f"remapped={PAIRS} lost=3 already=0"
        lost = {remap.sector for remap in dm.remaps() if remap.kind == "unknown"}
        assert lost == set(bad)


def test_trap_20_scattered_writes_wait_while_their_sectors_move(two: Disks) -> None:
    """Writes come after the copy of scattered sectors, but before main has lost them.

    Mistake: hold only the first range of many. Seen to fail with
    tests/mistakes/20_one_hold_of_many.patch.
    """
    main, spare = two
    run("modprobe", "dm-delay")
    sectors = [1000, 9000, 25000]
    with (
        DmDevice(Linear(spare, spare.sectors)) as below,
        QuickRemap(main, below) as dm,
    ):
        for sector in sectors:
            dm.write(sector, pattern(1, seed=sector))
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=300))
        with Background(lambda: dm.message("remap", *pairs(sectors))):
            wait_until(lambda: dm.stats()["commit_writes"], "the table is being written")
            for sector in reversed(sectors):
                dm.write(sector, pattern(1, seed=sector + 1))
        below.reload(Linear(spare, spare.sectors))
        assert dm.remapped() == set(sectors)
        for sector in sectors:
            assert dm.read(sector) == pattern(1, seed=sector + 1)
            assert pread(main, sector) == pattern(1, seed=sector)


def test_trap_20_batches_move_under_writes(two: Disks) -> None:
    """Every acknowledged write is found again, wherever its sector is then."""
    main, spare = two
    newest: dict[int, bytes] = {}
    stop = threading.Event()

    def write() -> None:
        rng = random.Random(22)
        with DirectFile(dm) as file:
            for number in range(1, 1 << 30):
                sector = rng.choice(SCATTERED) + rng.randrange(3)
                data = pattern(2, seed=number)
                file.pwrite(sector * SECTOR, data)
                newest[sector], newest[sector + 1] = data[:SECTOR], data[SECTOR:]
                if stop.is_set() and number > 100:
                    return

    rng = random.Random(23)
    with QuickRemap(main, spare) as dm:
        with Background(write) as writer:
            try:
                for _ in range(25):
                    chosen = rng.sample(SCATTERED, 40)
                    dm.message("remap", *pairs(chosen, rng.randint(1, 4)))
                    dm.message("unremap", 0, main.sectors)
                    assert writer.running()
            finally:
                stop.set()
        assert len(newest) > PAIRS
        stats = dm.stats()
        assert stats["manual_remaps"] > 1000 and stats["unremaps"] > 1000
        for sector, data in newest.items():
            assert dm.read(sector) == data
        dm.reassemble()
        for sector, data in newest.items():
            assert dm.read(sector) == data


def test_batches_that_want_the_same_ranges_do_not_wait_for_each_other(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        orders = [SCATTERED, SCATTERED[::-1], sorted(SCATTERED)]

        def again(sectors: list[int]) -> None:
            for _ in range(8):
                dm.message("remap", *pairs(sectors, 2))
                dm.message("unremap", 0, main.sectors)

        threads = [threading.Thread(target=again, args=(order,), daemon=True) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            must_end(thread.join, "the batches")
        dm.message("unremap", 0, main.sectors)
        assert dm.remaps() == []
        stats = dm.stats()
        assert stats["spare0_free"] == stats["spare0_usable"]


def write_everything(sectors: int) -> None:
    """All sectors of the device take a write, and no write error is seen below."""
    before = pyctl("status", NAME)
    data = pattern(sectors, seed=36)
    pwrite(NODE, 0, data)
    assert pread(NODE, 0, sectors) == data
    status = pyctl("status", NAME)
    assert status["write_errors"] == before["write_errors"] == 0
    assert status["auto_remaps"] == 0
    assert status["lost"] == 0
    assert pyctl("verify", NAME)["errors"] == 0


def pages(sectors: list[int]) -> list[int]:
    """All sectors of the pages that these are in.

    badblocks reads what is smaller than a page through the page cache: it finds whole pages.
    """
    return [s for page in sorted({s // 8 for s in sectors}) for s in range(page * 8, page * 8 + 8)]


@pytest.mark.parametrize("block", [512, 1024])
def test_what_badblocks_finds_is_imported(tmp_path: Path, block: int) -> None:
    found = tmp_path / "bad"
    with disks() as (main, spare):
        for sector in BAD:
            main.add_bad(sector)
        run("badblocks", "-b", block, "-o", found, main.path)
        assert found.read_text()
        expected = pages(BAD)
        pyctl("create", NAME, main.path, spare.path, "--retries", "0", "--backoff-ms", "0")
        words = [] if block == 1024 else ["--block-size", block]
        plan = pyctl("import", NAME, found, *words, "--dry-run")
        assert (plan["format"], plan["blocks"]) == ("badblocks", len(expected))
        assert pyctl("list", NAME) == []
        commits = pyctl("stats", NAME)["commits"]
        done = pyctl("import", NAME, found, *words, status=ExitCode.MEDIA)
        assert done["remapped"] == len(expected)
        assert done["lost"] == len(BAD)
        assert pyctl("stats", NAME)["commits"] == commits + 2
        assert [row["sector"] for row in pyctl("list", NAME)] == expected
        # What badblocks could not read beside the bad sectors is not lost.
        unknown = [row["sector"] for row in pyctl("list", NAME) if row["state"] == "unknown"]
        assert unknown == BAD
        write_everything(main.sectors)
        again = pyctl("import", NAME, found, *words)
        assert (again["remapped"], again["already"]) == (0, done["remapped"])


def test_a_map_of_ddrescue_is_imported(tmp_path: Path) -> None:
    mapped = tmp_path / "map"
    with disks() as (main, spare):
        for sector in BAD:
            main.add_bad(sector)
        run("ddrescue", "-q", "-d", "-b", 512, main.path, tmp_path / "copy", mapped)
        pyctl("create", NAME, main.path, spare.path, "--retries", "0", "--backoff-ms", "0")
        done = pyctl("import", NAME, mapped, status=ExitCode.MEDIA)
        assert done["format"] == "ddrescue"
        assert done["remapped"] == done["lost"] == len(BAD)
        assert {row["sector"] for row in pyctl("list", NAME)} == set(BAD)
        write_everything(main.sectors)


def test_a_list_of_the_whole_disk_is_imported_into_its_partition(tmp_path: Path) -> None:
    found = tmp_path / "bad"
    start, sectors = 2048, 16384
    with disks() as (main, spare):
        run("addpart", main.path, 1, start, sectors)
        part = Path(f"{main.path}p1")
        wait_until(part.exists, "the partition")
        inside, outside = [start, start + 500, start + sectors - 1], [5, start + sectors + 9]
        for sector in inside + outside:
            main.add_bad(sector)
        run("badblocks", "-b", 512, "-o", found, main.path)
        pyctl("create", NAME, part, spare.path, "--retries", "0", "--backoff-ms", "0")
        words = ("import", NAME, found, "--block-size", 512)
        told = pyctl(*words, status=ExitCode.USAGE)
        assert "are not on the device" in told and f"--of {main.path}" in told
        assert pyctl("list", NAME) == []
        done = pyctl(*words, "--of", main.path, status=ExitCode.MEDIA)
        assert (done["remapped"], done["lost"], done["offset"]) == (24, 3, start)
        assert done["elsewhere"] == 16
        expected = pages([sector - start for sector in inside])
        assert [row["sector"] for row in pyctl("list", NAME)] == expected
        write_everything(sectors)
        pyctl("remove", NAME)


@pytest.mark.parametrize("kind", ["ddrescue", "badblocks", "lba"])
def test_what_is_exported_is_imported_by_another_device(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "list"
    with disks() as (main, spare):
        pyctl("create", NAME, main.path, spare.path, "--retries", "0", "--backoff-ms", "0")
        main.add_bad(1000)
        for sector, count in ((1000, 2), (7, 1), (30000, 100)):
            status = ExitCode.MEDIA if sector == 1000 else ExitCode.OK
            pyctl("remap", NAME, sector, count, status=status)
        main.remove_bad(1000)
        pyctl("export", NAME, "--format", kind, "--output", file)
        rows = [row["sector"] for row in pyctl("list", NAME)]
        pyctl("remove", NAME, "--forget")
    with disks() as (main, spare):
        pyctl("create", NAME, main.path, spare.path)
        words = [] if kind == "ddrescue" else ["--block-size", 512]
        assert pyctl("import", NAME, file, *words)["remapped"] == len(rows) == 103
        assert [row["sector"] for row in pyctl("list", NAME)] == rows
        pyctl("remove", NAME)
