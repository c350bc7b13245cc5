"""The health scan: what it finds, what it does about it, and that it disturbs nobody."""

import contextlib
import errno
import functools
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from pyctl.errors import DmError
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile, pwrite
from tests.kernel.lib.dm import table
from tests.kernel.lib.faults import FaultyDevice, WeakDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.scanned import QuickWeak, Scanned
from tests.kernel.lib.setup import (
    Disks,
    QuickFaulty,
    disks,
    eio,
    failing_write,
    patient,
    pattern,
)

FULL = ("sequential", "staggered", "focused")
PAGE = 4096
REGION = 2048
PIECE = WeakDevice.PIECE
MAIN_MB = 16
# What a slow read takes: more than the 50 ms from which on it is a warning, and some more: dm-delay
# counts jiffies, which come late in an emulated guest whose processors wait for the host's.
SLOW_MS = 100
# The data area of a spare.
DATA_START = 10240


@dataclass
class Seeded:
    """A device over a disk with known faults. `data` is what it holds."""

    dm: Scanned
    main: NullBlk
    weak: WeakDevice
    spare: NullBlk
    data: bytes

    def is_whole(self, but: Iterable[int] = ()) -> None:
        """All sectors hold what they did, but for some, which are errors."""
        but = set(but)
        for start in range(0, self.main.sectors, REGION):
            bad = sorted(but & set(range(start, start + REGION)))
            position = start
            for sector in [*bad, start + REGION]:
                if sector > position:
                    there = self.dm.read(position, sector - position)
                    assert there == self.data[position * SECTOR : sector * SECTOR]
                if sector in but:
                    assert eio(self.dm, sector)
                position = sector + 1


@functools.cache
def numbered() -> bytes:
    """Data in which each sector is full of its own number."""
    return b"".join(
        seed.to_bytes(4, "little") * (SECTOR // 4) for seed in range(1, MAIN_MB * REGION + 1)
    )


@contextlib.contextmanager
def seeded(
    bad: Iterable[int] = (), slow: Iterable[int] = (), block: int = SECTOR, **opts: object
) -> Iterator[Seeded]:
    """A disk that holds data, and has bad sectors and slow pieces.

    A piece is moved block by block, and each takes SLOW_MS to read.
    """
    data = numbered()
    with (
        NullBlk(MAIN_MB, block) as main,
        NullBlk(12, block) as spare,
        QuickWeak(main) as weak,
        Scanned(weak, spare, opts=patient(**opts), sectors=main.sectors) as dm,
    ):
        pwrite(main, 0, data)
        weak.spoil(bad, slow, read_ms=SLOW_MS)
        yield Seeded(dm, main, weak, spare, data)


def faults(seed: int, bad: int, slow: int) -> tuple[set[int], set[int]]:
    """Bad sectors and slow pieces, no two in one chunk of the scan."""
    chunk = 4 * PIECE
    rng = random.Random(seed)
    chunks = rng.sample(range(MAIN_MB * REGION // chunk), bad + slow)
    return (
        {start * chunk + rng.randrange(chunk) for start in chunks[:bad]},
        {start * chunk + rng.randrange(4) * PIECE for start in chunks[bad:]},
    )


def regions_of(sectors: Iterable[int]) -> set[int]:
    """First sectors of the regions in which they lie."""
    return {sector // REGION * REGION for sector in sectors}


def unreadable(dm: Scanned, sector: int) -> bool:
    """Whether reading a sector fails, with what a medium error is or with EIO."""
    try:
        dm.read(sector)
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENODATA)
        return True
    return False


@contextlib.contextmanager
def later(hours: float) -> Iterator[None]:
    """The clock of the wall is set so much ahead, and back again."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + hours * 3600)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.time() - hours * 3600)


def reads_of(disk: BlockDevice) -> int:
    """Sectors that were ever read from a disk."""
    return int((disk.sysfs / "stat").read_text().split()[2])


# --- known traps -----------------------------------------------------------------------------


def test_trap_19_what_the_scan_cannot_read_stays_an_error_until_it_is_written(
    kernel_log: KernelLog,
) -> None:
    """A drive recovers later: then there is what it held, or an error, but nothing else.

    Mistake: write what was in the buffer of the failed read, so that the drive replaces the
    sector. Seen to fail with tests/mistakes/19_scan_writes_what_it_could_not_read.patch.
    """
    bad, count = 8192, 16
    held = pattern(64, seed=19)
    with (
        ScsiDebug(16, medium_error_start=bad, medium_error_count=count) as main,
        NullBlk(8) as spare,
    ):
        pwrite(main, bad - 16, held)
        with Scanned(main, spare, opts=patient(), sectors=main.sectors) as dm:
            main.set_opts(ScsiDebug.MEDIUM_ERROR)
            found = dm.whole_pass("sequential")
            assert (found["errors"], found["rescued"]) == (str(count), "0")
            assert [r.sector for r in dm.remaps()] == list(range(bad, bad + count))
            for _ in range(2):
                assert all(unreadable(dm, sector) for sector in range(bad, bad + count))
                assert dm.read(bad - 16, 16) == held[: 16 * SECTOR]
                # once more, with all that is known by now, and after a restart
                assert dm.whole_pass("focused")["errors"] == "0"
                dm.reassemble(patient())
            main.set_opts(0)
            for i in range(count):
                there = dm.read(bad + i)
                assert there == held[(16 + i) * SECTOR : (17 + i) * SECTOR]
            new = pattern(count, seed=20)
            dm.write(bad, new)
            assert dm.read(bad, count) == new
            assert not dm.remaps()
    assert any("can't be read: lost until it is written" in line for line in kernel_log.lines())


def test_trap_19_a_bad_sector_of_a_slow_piece_is_not_moved_with_it() -> None:
    slow = 5 * REGION + 3 * PIECE
    bad = slow + 5
    with seeded([bad], [slow], relocate="always") as it:
        # the first pass finds the sector, and only then the rest can be timed
        for _ in range(3):
            it.dm.whole_pass("sequential")
        moved = {r.sector for r in it.dm.remaps() if r.kind == "remap"}
        assert moved == set(range(slow, slow + PIECE)) - {bad}
        assert [r.sector for r in it.dm.remaps() if r.kind == "lost"] == [bad]
        it.is_whole(but=[bad])
        it.weak.heal()
        it.is_whole()


def test_trap_20_what_the_scan_moves_loses_no_write() -> None:
    """Writes to slow pieces go on while these are moved, each under way for a while."""
    sectors = range(7 * REGION, 7 * REGION + 4 * PIECE)
    slow = sectors[::PIECE]
    newest: dict[int, bytes] = {}
    stop = threading.Event()

    def seen_twice() -> bool:
        return (it.dm.count("pass"), it.dm.count("slow")) == (2, len(slow))

    def write(first: int) -> None:
        # it would not be known if others were there; moved is when the region has been read
        wait_until(seen_twice, "all of it is known to be slow", 60)
        with DirectFile(it.dm) as file:
            for number in range(1, 1 << 30):
                data = pattern(8, seed=number)
                file.pwrite(first * SECTOR, data)
                # at once: the next write would hide that this one went to the old place
                assert file.pread(first * SECTOR, len(data)) == data
                newest[first] = data
                if stop.is_set():
                    return

    # those who write have all of the disk's time, so the scan must not rest for them
    with seeded([], slow, PAGE, relocate="always", scan_share=100) as it:
        it.dm.whole_pass("sequential")
        # a copy that does not wait has read long before the write is there
        it.weak.spoil([], slow, read_ms=SLOW_MS, write_ms=3 * SLOW_MS)
        assert not it.dm.remaps()
        with contextlib.ExitStack() as stack:
            for first in sectors[::16]:
                stack.enter_context(Background(lambda first=first: write(first)))
            try:
                it.dm.whole_pass("sequential", timeout=90)
            finally:
                stop.set()
        assert it.dm.moved() == set(sectors)
        assert len(newest) == len(sectors) // 16
        for first, data in newest.items():
            assert it.dm.read(first, 8) == data


def test_trap_22_tables_are_reloaded_while_the_scan_runs(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=8192)) as dm:
        dm.message("scan", "start", "sequential")
        before = -1
        for _ in range(15):
            dm.reload(dm.target(patient(scan_rate=8192)))
            done = dm.count("done")
            assert done >= before
            before = done
        dm.message("set", "scan_rate", 0)
        dm.finish()


def test_trap_23_a_suspended_device_sees_nothing_of_the_scan(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=4096)) as dm:
        dm.message("scan", "start", "sequential")
        wait_until(lambda: dm.count("done") > 0, "the pass has begun")
        for noflush in (False, True):
            with dm.pause(noflush=noflush):
                before = reads_of(main), reads_of(spare)
                assert dm.scan()["state"] == "suspended"
                time.sleep(0.7)
                assert (reads_of(main), reads_of(spare)) == before
            assert dm.scan()["state"] == "running"
        dm.message("set", "scan_rate", 0)
        dm.finish()


def test_trap_23_a_suspend_does_not_wait_for_what_the_scan_tries_again(two: Disks) -> None:
    main, spare = two
    main.add_bad(2000, 40)
    with Scanned(main, spare, opts={"retries": 6, "backoff_ms": 10000}) as dm:
        dm.message("scan", "start", "sequential")
        wait_until(lambda: dm.stats()["slow_reads"], "the scan has met a bad sector")
        start = time.monotonic()
        dm.suspend()
        assert time.monotonic() - start < 8
        dm.message("set", "retries", 1)
        dm.message("set", "backoff_ms", 0)
        dm.resume()
        assert dm.finish()["state"] == "waiting"
        assert [r.sector for r in dm.remaps()] == list(range(2000, 2040))


# --- what it finds ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", FULL)
def test_one_pass_finds_all_bad_and_slow_places_and_moves_nothing(words: str) -> None:
    bad, slow = faults(seed=len(words), bad=10, slow=5)
    with seeded(bad, slow, relocate="always") as it:
        found = it.dm.whole_pass(words, timeout=90)
        assert found["errors"] == "10" and found["slow"] == "5", found
        assert (found["rescued"], found["relocated"]) == ("0", "0")
        assert {(r.sector, r.kind) for r in it.dm.remaps()} == {(s, "lost") for s in bad}
        noted = it.dm.regions()
        assert {sector for _, sector in noted} == regions_of(bad | slow)
        for (spare, sector), region in noted.items():
            assert spare == "-" and region["pass"] == 1 and region["marginal"] == 0
            assert region["errors"] == sum(sector <= s < sector + REGION for s in bad)
            assert region["slow"] == sum(sector <= s < sector + REGION for s in slow)
            assert region["health"] < 100
        assert int(found["health"]) < 100
        assert it.dm.stats()["scan_sectors"] >= it.main.sectors
        it.is_whole(but=bad)


def test_a_healthy_disk_has_nothing_to_tell(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(relocate="always")) as dm:
        for words in ((), *((word,) for word in FULL), ("random",)):
            found = dm.whole_pass(*words)
            for key in ("errors", "rescued", "blanks", "relocated", "candidates"):
                assert found[key] == "0", found
        assert found["health"] == "100"
        assert dm.status_fields().fields["scan"] == "100%"
        assert dm.stats()["scan_passes"] == 5
        assert not dm.remaps()


def test_a_random_pass_reads_a_sample(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        before = reads_of(main)
        found = dm.whole_pass("random")
        # 12 % of 16 regions, and of the 3 of the spare's data area
        assert int(found["total"]) == (2 + 1) * REGION
        assert reads_of(main) - before < 4 * REGION
        assert found["last"] == "0"


def test_what_can_be_read_again_is_moved_to_a_spare(two: Disks) -> None:
    """The first reads fail, a later one succeeds: as when a reader had met it."""
    main, spare = two
    data = pattern(8, seed=3)
    pwrite(main, 5000, data)
    with (
        QuickFaulty(main) as faulty,
        Scanned(faulty, spare, opts={"retries": 8, "backoff_ms": 50}) as dm,
    ):
        faulty.add_bad(5000, 8)
        dm.message("scan", "start", "sequential")
        wait_until(lambda: dm.stats()["retries"] >= 8, "the scan tries again")
        faulty.heal()
        found = dm.finish()
        assert (found["errors"], found["rescued"]) == ("0", "8")
        assert dm.remapped() == set(range(5000, 5008))
        assert dm.read(5000, 8) == data
        (noted,) = dm.regions().values()
        assert (noted["errors"], noted["retries"]) == (0, 8)


def test_a_region_that_lost_its_data_is_noted(two: Disks) -> None:
    main, spare = two
    pwrite(main, 4 * REGION, pattern(REGION, seed=1))
    pwrite(main, 6 * REGION, b"\xff" * REGION * SECTOR)
    with Scanned(main, spare, opts=patient()) as dm:
        assert dm.whole_pass("sequential")["blanks"] == "0"
        pwrite(main, 4 * REGION, bytes(REGION * SECTOR))
        assert dm.whole_pass("staggered")["blanks"] == "1"
        assert dm.regions()["-", 4 * REGION]["blanks"] == 1
        # that is said once, and forgotten
        assert dm.whole_pass("sequential")["blanks"] == "0"
        assert not dm.regions()


def test_blocks_of_a_spare_that_nobody_uses_are_set_aside(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        dm.message("remap", 100, 4)
        used = {r.spare_sector for r in dm.remaps()}
        bad = {DATA_START + 50, DATA_START + 51, DATA_START + REGION}
        assert not used & bad
        for sector in bad:
            spare.add_bad(sector)
        found = dm.whole_pass("sequential")
        assert found["errors"] == "3"
        assert dm.status_fields().fields["bad_spare_units"] == "3"
        assert {spare for spare, _ in dm.regions()} == {"0"}
        # and nothing is put there
        dm.message("remap", 1000, 200)
        assert not {r.spare_sector for r in dm.remaps()} & bad
        dm.reassemble(patient())
        assert dm.status_fields().fields["bad_spare_units"] == "3"
        assert dm.whole_pass("sequential")["errors"] == "0"


def test_a_spare_that_goes_bad_is_emptied(three: Disks) -> None:
    main, one, other = three
    with Scanned(main, one, other, opts=patient(spare_errors=4)) as dm:
        dm.message("set", "allocation", "first-fit")
        dm.write(300, pattern(6, seed=1))
        dm.message("remap", 300, 6)
        assert {r.spare for r in dm.remaps()} == {0}
        one.add_bad(DATA_START + 100, 4)
        dm.whole_pass("sequential")
        wait_until(lambda: dm.status_fields().fields["spares"] == "1/1", "it is out of the set")
        assert {r.spare for r in dm.remaps()} == {1}
        assert dm.read(300, 6) == pattern(6, seed=1)


def test_a_remapped_block_is_looked_at_on_its_spare(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        failing_write(main, dm, 700, pattern(4, seed=1))
        where = dm.remaps()[1].spare_sector
        spare.add_bad(where)
        assert dm.whole_pass("sequential")["errors"] == "1"
        assert [r.kind for r in dm.remaps()] == ["remap", "unknown", "remap", "remap"]
        assert eio(dm, 701)
        spare.remove_bad(where)
        assert eio(dm, 701)


def test_a_second_copy_that_cannot_be_read_is_made_anew() -> None:
    with disks(spares=3) as (main, *spares), Scanned(main, *spares, opts=patient()) as dm:
        dm.message("set", "redundancy", 2)
        dm.write(900, pattern(2, seed=1))
        dm.message("remap", 900, 2)
        wait_until(lambda: dm.status_fields().fields["below"] == "0", "both have two copies")
        first, second = dm.remaps()
        # the second copy of one, the first copy of the other
        spares[first.second].add_bad(first.second_sector)
        spares[second.spare].add_bad(second.spare_sector)
        found = dm.whole_pass("sequential")
        assert (found["errors"], int(found["rescued"])) == ("0", 2)
        wait_until(lambda: dm.status_fields().fields["below"] == "0", "they have them again")
        after = dm.remaps()
        assert after[0].second_sector != first.second_sector
        assert after[1].spare_sector != second.spare_sector
        assert dm.read(900, 2) == pattern(2, seed=1)


def test_a_dead_device_is_not_taken_for_bad_sectors(two: Disks) -> None:
    main, spare = two
    with (
        FaultyDevice(main) as faulty,
        Scanned(faulty, spare, opts=patient(scan_rate=8192)) as dm,
    ):
        dm.message("scan", "start", "sequential")
        wait_until(lambda: dm.count("done") > 0, "the pass has begun")
        faulty.fail()
        wait_until(lambda: dm.scan()["state"] == "paused", "it has noticed", 30)
        found = dm.scan()
        assert found["reason"] == "main-dead" and found["errors"] == "0"
        assert not dm.remaps()
        faulty.recover()
        dm.message("set", "breaker", "closed")
        dm.message("scan", "resume")
        dm.message("set", "scan_rate", 0)
        assert dm.finish()["errors"] == "0"


# --- what it moves ---------------------------------------------------------------------------


@pytest.mark.long
def test_what_is_slow_twice_is_moved_and_nothing_else() -> None:
    _, slow = faults(seed=8, bad=0, slow=2)
    with seeded([], slow, PAGE, relocate="always") as it:
        assert it.dm.whole_pass("staggered")["relocated"] == "0"
        found = it.dm.whole_pass("sequential", timeout=120)
        expected = {s for start in slow for s in range(start, start + PIECE)}
        assert found["relocated"] == str(len(expected) // 8)
        assert it.dm.moved() == expected
        assert all(not r.manual for r in it.dm.remaps())
        assert not it.dm.candidates()
        it.is_whole()
        # what is not on main any more is not slow there
        assert it.dm.whole_pass("sequential")["slow"] == "0"
        it.dm.reassemble(patient())
        it.is_whole()


def test_what_is_slow_once_is_forgotten() -> None:
    slow = 3 * REGION
    with seeded([], [slow], relocate="always") as it:
        assert it.dm.whole_pass("sequential")["slow"] == "1"
        it.weak.heal()
        assert it.dm.whole_pass("sequential")["slow"] == "0"
        it.weak.spoil([], [slow], read_ms=SLOW_MS)
        assert it.dm.whole_pass("sequential")["slow"] == "1"
        assert not it.dm.remaps()


@pytest.mark.parametrize("policy", ["off", "ask"])
def test_what_is_slow_is_listed_and_left_alone(policy: str) -> None:
    slow = [2 * REGION + 31 * PIECE, 9 * REGION, 9 * REGION + PIECE]
    with seeded([], slow, relocate=policy) as it:
        assert it.dm.candidates() == []
        it.dm.whole_pass("sequential")
        found = it.dm.whole_pass("focused")
        assert it.dm.candidates() == [(slow[0], PIECE), (slow[1], 2 * PIECE)]
        assert found["candidates"] == str(3 * PIECE)
        assert not it.dm.remaps()
        # what is slow is known after a restart; that it is so for long is not
        it.dm.reassemble(patient(relocate=policy))
        assert it.dm.candidates() == []
        it.dm.whole_pass("focused")
        assert it.dm.candidates() == [(slow[0], PIECE), (slow[1], 2 * PIECE)]


@pytest.mark.long
@pytest.mark.timeout(400)
def test_by_chance_some_are_moved_at_each_look() -> None:
    slow = [0, 4 * REGION]
    with seeded([], slow, PAGE, relocate="half") as it:
        it.dm.whole_pass("sequential")
        moved = []
        while len(it.dm.moved()) < len(slow) * PIECE and len(moved) < 40:
            it.dm.whole_pass("focused", timeout=120)
            moved.append(len(it.dm.moved()) // PIECE)
        # the last of 2 goes within 40 looks, but for one time in 10^11
        assert moved[-1] == len(slow)
        it.is_whole()


@pytest.mark.long
def test_what_is_slow_elsewhere_too_is_left_alone() -> None:
    # what a piece is compared with is the first of the region half the device away
    half = MAIN_MB // 2
    slow = [region * REGION for region in (0, 1, half, half + 1)]
    alone = 5 * REGION
    with seeded([], [*slow, alone], PAGE, relocate="always") as it:
        for _ in range(2):
            it.dm.whole_pass("sequential", timeout=90)
        assert it.dm.moved() == set(range(alone, alone + PIECE))


# --- how it behaves --------------------------------------------------------------------------


def test_orders(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=1024)) as dm:
        for order in ("stop", "pause", "resume"):
            with pytest.raises(DmError) as none:
                dm.message("scan", order)
            assert none.value.errno == errno.ENOENT
            assert dm.message("error") == "No scan is under way."
        dm.message("scan", "start", "sequential")
        with pytest.raises(DmError) as twice:
            dm.message("scan", "start")
        assert twice.value.errno == errno.EALREADY
        wait_until(lambda: dm.count("done") >= 2 * REGION, "it has begun", 30)
        assert "state=paused" in dm.message("scan", "pause")
        before = reads_of(main)
        time.sleep(0.5)
        assert reads_of(main) == before
        assert "state=running" in dm.message("scan", "resume")
        wait_until(lambda: reads_of(main) > before, "it goes on")
        assert dm.count("left") >= 0
        found = dm.message("scan", "stop")
        assert "state=waiting" in found and "percent=100" not in found
        before = reads_of(main)
        time.sleep(0.5)
        assert reads_of(main) == before
        # the next one is not due before its time
        assert dm.count("next") > time.time() + 20 * 3600


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("start", "everywhere"),
        ("status", "now"),
        ("regions", "x"),
        ("candidates", "-1"),
    ],
)
def test_wrong_orders_say_what_is_wrong(two: Disks, words: tuple[str, ...]) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        with pytest.raises(DmError) as wrong:
            dm.message("scan", *words)
        assert wrong.value.errno == errno.EINVAL
        assert dm.message("error").endswith(".")
        for key, value in (("scan_share", 0), ("scan_rate", -1), ("relocate", "never")):
            with pytest.raises(DmError):
                dm.message("set", key, value)
        assert dm.message("get", "relocate") == "relocate=ask"


def test_a_pass_goes_on_after_a_restart(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=2048)) as dm:
        dm.message("scan", "start", "staggered")
        wait_until(lambda: dm.count("percent") >= 30, "some of it is done", 60)
        dm.remove()
        state = Metadata(spare).state()
        assert state.scan.running and state.scan.pattern == 2 and state.scan.place > 0
        dm._initial = table(dm.target(patient(scan_rate=2048)))
        dm.__enter__()
        found = dm.scan()
        assert (found["state"], found["pattern"], found["pass"]) == ("running", "staggered", "1")
        assert int(found["percent"]) >= 30
        before = reads_of(main)
        dm.message("set", "scan_rate", 0)
        dm.finish()
        assert reads_of(main) - before < 13 * REGION


def test_a_pass_that_waits_does_so_after_a_restart(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=2048)) as dm:
        dm.message("scan", "start")
        dm.message("scan", "pause")
        dm.reassemble(patient())
        assert dm.scan()["state"] == "paused"
        dm.message("scan", "resume")
        dm.finish()


def test_removal_while_it_runs(two: Disks) -> None:
    main, spare = two
    for i in range(8):
        with Scanned(main, spare, opts=patient()) as dm:
            if dm.scan()["state"] == "waiting":
                dm.message("scan", "start", FULL[i % 3])
            time.sleep(0.02 * i)


def test_others_go_first(two: Disks) -> None:
    """While somebody reads, the scan has its share; when nobody does, it has all."""
    main, spare = two
    stop = threading.Event()

    def read() -> None:
        with DirectFile(dm) as file:
            while not stop.is_set():
                file.pread(0, 4096)

    with Scanned(main, spare, opts=patient()) as dm:
        with Background(read):
            try:
                time.sleep(0.3)
                dm.message("scan", "start", "sequential")
                time.sleep(2)
                busy = dm.stats()["scan_reads"]
            finally:
                stop.set()
        dm.finish()
        assert 0 < busy < dm.stats()["scan_reads"] / 2


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_pass_begins_by_itself_when_it_is_due(two: Disks) -> None:
    """A day later, as far as the clock of the wall can tell; not before the system has settled."""
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        first = dm.scan()
        assert (first["state"], first["last"], first["percent"]) == ("waiting", "0", "0")
        due = int(first["next"]) - time.time()
        assert 23.9 * 3600 < due < 24.1 * 3600
        with later(hours=25):
            assert dm.count("next") - time.time() < 21
            # a resume lets it look at the clock
            with dm.pause():
                pass
            assert dm.count("pass") == 0
            wait_until(lambda: dm.count("pass") == 1, "it has begun", 90)
            dm.finish()
            assert dm.count("next") - time.time() > 23.9 * 3600
            assert "minus_age=0" in dm.message("health")
        # the clock is set back: what is noted is of a time to come
        assert dm.count("next") - time.time() > 23.9 * 3600


def test_a_device_that_nobody_has_scanned_loses_points(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient()) as dm:
        for hours, minus in ((47, 0), (73, 1), (24 * 9, 7), (24 * 100, 10)):
            with later(hours=hours):
                terms = dict(line.split("=") for line in dm.message("health").splitlines())
                assert (terms["minus_age"], terms["health"]) == (str(minus), str(100 - minus))


def test_a_limit_of_the_rate_is_kept(two: Disks) -> None:
    main, spare = two
    with Scanned(main, spare, opts=patient(scan_rate=1024)) as dm:
        start = time.monotonic()
        dm.message("scan", "start", "sequential")
        time.sleep(3)
        sectors, seconds = dm.stats()["scan_sectors"], time.monotonic() - start
        # 1024 KiB/s, and five chunks at once at first
        assert sectors <= seconds * 2048 + 5 * 256
        # the first measurement has the burst in it
        wait_until(lambda: 0 < dm.count("rate") <= 1100, "the rate is what it may be", 20)
        assert dm.count("left") > 0
