"""Moving sectors on request, while I/O runs."""

import errno
import random
import threading

import pytest

from pyctl.errors import DmError
from tests.kernel.lib.background import Background, in_flight
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.metadata import DATA_START
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import Disks, QuickRemap, disks, eio, patient, pattern


def sentence(dm: DmDevice, *words: object) -> tuple[int, str]:
    """The error number of a message that fails, and what the message "error" says then."""
    with pytest.raises(DmError) as caught:
        dm.message(*words)
    assert caught.value.errno is not None
    return caught.value.errno, dm.message("error")


def test_trap_20_relocation_keeps_a_write_that_is_in_flight(two: Disks) -> None:
    """A write is on its way to main when its sector is copied to a spare.

    Mistake: copy without waiting for it. Then it is acknowledged, and the older data is read from
    the spare. Seen to fail with tests/mistakes/20_no_drain.patch.
    """
    main, spare = two
    run("modprobe", "dm-delay")
    old, new = pattern(8, seed=1), pattern(8, seed=2)
    pwrite(main, 1000, old)
    with (
        DmDevice(Delay(main, main.sectors, read_ms=0, write_ms=300)) as slow,
        QuickRemap(slow, spare) as dm,
    ):
        with Background(lambda: dm.write(1000, new)):
            wait_until(lambda: in_flight(dm), "the write is under way")
            assert dm.message("remap", 1000, 8) == "remapped=8 lost=0 already=0"
        assert dm.read(1000, 8) == new
        assert pread(spare, DATA_START, 8) == new


def test_trap_20_unmapping_keeps_a_write_that_is_in_flight(two: Disks) -> None:
    """The same on the way back: the write is on its way to the spare."""
    main, spare = two
    run("modprobe", "dm-delay")
    new = pattern(8, seed=2)
    with (
        DmDevice(Linear(spare, spare.sectors)) as below,
        QuickRemap(main, below) as dm,
    ):
        dm.message("remap", 1000, 8)
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=300))
        with Background(lambda: dm.write(1000, new)):
            wait_until(lambda: in_flight(dm), "the write is under way")
            assert dm.message("unremap", 1000, 8) == "unremapped=8 kept=0 lost=0"
        below.reload(Linear(spare, spare.sectors))
        assert dm.read(1000, 8) == new
        assert pread(main, 1000, 8) == new


def test_trap_20_writes_wait_while_their_sector_moves(two: Disks) -> None:
    """A write comes after the copy, but before main has lost its sector.

    Mistake: let it go to main, where nobody will read it. Seen to fail with
    tests/mistakes/20_no_hold.patch.
    """
    main, spare = two
    run("modprobe", "dm-delay")
    new = pattern(1, seed=2)
    with (
        DmDevice(Linear(spare, spare.sectors)) as below,
        QuickRemap(main, below) as dm,
    ):
        dm.write(1000, pattern(1, seed=1))
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=300))
        with Background(lambda: dm.message("remap", 1000)):
            wait_until(lambda: dm.stats()["commit_writes"], "the table is being written")
            dm.write(1000, new)
        below.reload(Linear(spare, spare.sectors))
        assert dm.read(1000) == new
        assert pread(main, 1000) == pattern(1, seed=1)


def test_trap_20_sectors_move_to_and_fro_under_writes(two: Disks) -> None:
    """Every acknowledged write is found again, wherever its sector is then."""
    main, spare = two
    first, count = 1000, 64
    newest: dict[int, bytes] = {}
    stop = threading.Event()

    def write() -> None:
        rng = random.Random(20)
        with DirectFile(dm) as file:
            for number in range(1, 1 << 30):
                sector = rng.randrange(first, first + count)
                sectors = rng.randint(1, min(8, first + count - sector))
                data = pattern(sectors, seed=number)
                file.pwrite(sector * SECTOR, data)
                for i in range(sectors):
                    newest[sector + i] = data[i * SECTOR : (i + 1) * SECTOR]
                if stop.is_set() and number > 100:
                    return

    rng = random.Random(21)
    with QuickRemap(main, spare) as dm:
        with Background(write) as writer:
            try:
                for _ in range(60):
                    sector = rng.randrange(first, first + count)
                    sectors = rng.randint(1, first + count - sector)
                    dm.message(rng.choice(("remap", "unremap")), sector, sectors)
                    assert writer.running()
            finally:
                stop.set()
        assert len(newest) > count // 2
        stats = dm.stats()
        assert stats["manual_remaps"] > 0 and stats["unremaps"] > 0
        for sector, data in newest.items():
            assert dm.read(sector) == data
        dm.reassemble()
        for sector, data in newest.items():
            assert dm.read(sector) == data


def test_remap_moves_the_data(two: Disks) -> None:
    main, spare = two
    before, after = pattern(100, seed=1), pattern(100, seed=2)
    pwrite(main, 5000, before)
    with QuickRemap(main, spare) as dm:
        assert dm.message("remap", 5000, 100) == "remapped=100 lost=0 already=0"
        assert dm.message("remap", 4999, 2) == "remapped=1 lost=0 already=1"
        assert pread(spare, DATA_START, 100) == before
        assert dm.read(5000, 100) == before
        # Main isn't written any more.
        dm.write(5000, after)
        assert pread(main, 5000, 100) == before
        assert pread(spare, DATA_START, 100) == after
        status = dm.status_fields()
        assert (status.used, status.manual, status.auto) == (101, 101, 0)
        assert all(remap.manual for remap in dm.remaps())
        assert dm.message("verify") == "verified=101 errors=0"
        assert dm.message("verify", 5000, 10) == "verified=10 errors=0"
        assert dm.message("unremap", 5000, 50) == "unremapped=50 kept=0 lost=0"
        assert pread(main, 5000, 100) == after[: 50 * SECTOR] + before[50 * SECTOR :]
        assert dm.read(5000, 100) == after
        assert dm.message("unremap", 0, main.sectors) == "unremapped=51 kept=0 lost=0"
        assert dm.status_fields().used == 0
        assert pread(main, 5000, 100) == dm.read(5000, 100) == after
        # All spare units are free again.
        assert dm.stats()["spare0_free"] == dm.stats()["spare0_usable"]
        dm.reassemble()
        assert dm.remaps() == []
        assert dm.read(5000, 100) == after


def test_clear_moves_everything_back(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        for sector in (0, 1000, 32767):
            dm.message("remap", sector)
            dm.write(sector, pattern(1, seed=sector))
        assert dm.message("clear") == "cleared=3 kept=0 lost=0"
        assert dm.remaps() == []
    for sector in (0, 1000, 32767):
        assert pread(main, sector) == pattern(1, seed=sector)


def test_remapped_but_unreadable_is_an_error_until_written(two: Disks) -> None:
    main, spare = two
    pwrite(main, 1000, pattern(3, seed=1))
    main.add_bad(1001)
    with QuickRemap(main, spare, opts=patient()) as dm:
        assert dm.message("remap", 1000, 3) == "remapped=3 lost=1 already=0"
        main.remove_bad(1001)
        for _ in range(2):
            assert eio(dm, 1001)
            assert dm.read(1000) == pattern(3, seed=1)[:SECTOR]
            assert dm.message("verify") == "verified=3 errors=1"
            assert dm.status_fields().lost == 1
            dm.reassemble(opts=patient())
        dm.write(1001, pattern(1, seed=2))
        assert dm.read(1001) == pattern(1, seed=2)
        assert dm.status_fields().lost == 0
        dm.reassemble()
        assert dm.read(1001) == pattern(1, seed=2)
        assert dm.message("verify") == "verified=3 errors=0"


def test_unmapping_what_has_no_data_leaves_it_lost(two: Disks) -> None:
    main, spare = two
    main.add_bad(1000)
    with QuickRemap(main, spare, opts=patient()) as dm:
        dm.message("remap", 1000)
        assert dm.message("unremap", 1000) == "unremapped=0 kept=0 lost=1"
        assert [remap.kind for remap in dm.remaps()] == ["lost"]
        assert eio(dm, 1000)
        assert dm.message("unremap", 1000) == "unremapped=0 kept=1 lost=0"
        dm.reassemble(opts=patient())
        assert eio(dm, 1000)
        dm.write(1000, pattern(1, seed=1))
        assert dm.read(1000) == pattern(1, seed=1)
        assert [remap.kind for remap in dm.remaps()] == ["remap"]
        # A lost sector that main takes again needs no spare.
        main.remove_bad(1000)
        main.add_bad(2000)
        assert eio(dm, 2000)
        main.remove_bad(2000)
        dm.write(2000, pattern(1, seed=2))
        assert dm.read(2000) == pattern(1, seed=2)
        assert dm.remapped() == {1000}
        assert dm.status_fields().lost == 0


def test_what_main_does_not_take_stays_on_the_spare(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 3)
        dm.write(1000, pattern(3, seed=1))
        main.add_bad(1001)
        assert dm.message("unremap", 1000, 3) == "unremapped=2 kept=1 lost=0"
        assert dm.remapped() == {1001}
        assert dm.read(1000, 3) == pattern(3, seed=1)
        main.remove_bad(1001)
        assert dm.message("clear") == "cleared=1 kept=0 lost=0"
        assert dm.read(1000, 3) == pattern(3, seed=1)


def test_wrong_messages_say_what_is_wrong(two: Disks) -> None:
    main, spare = two
    last = main.sectors - 1
    with QuickRemap(main, spare) as dm:
        assert dm.message("ping") and dm.message("error") == "No message has failed."
        for command in ("remap", "unremap", "verify"):
            number, text = sentence(dm, command, main.sectors)
            assert number == errno.ERANGE
            assert text == f"Sectors 32768 to 32768 are not on the device, which has {last + 1}."
            assert sentence(dm, command, last, 2)[0] == errno.ERANGE
            assert sentence(dm, command, 0, 0)[0] == errno.ERANGE
            assert sentence(dm, command, 1, (1 << 64) - 1)[0] == errno.ERANGE
            number, text = sentence(dm, command, "ten")
            assert number == errno.EINVAL
            assert "decimal" in text
            assert sentence(dm, command, -1)[0] == errno.EINVAL
            assert sentence(dm, command, 1, 1 << 64)[0] == errno.EINVAL
            number, text = sentence(dm, command, 1, 2, 3)
            assert number == errno.EINVAL
            assert "not 3" in text
        number, text = sentence(dm, "explode")
        assert number == errno.EINVAL
        assert text == 'There is no message "explode"; "help" lists them.'
        assert "takes 0 to 0 arguments, not 1" in sentence(dm, "clear", "all")[1]
        assert "retries 0-16" in sentence(dm, "set", "retries", 99)[1]
        assert "backoff_ms" in sentence(dm, "get", "colour")[1]
        assert "only be set to closed" in sentence(dm, "set", "breaker", "open")[1]
        assert dm.remaps() == []
        dm.message("ping")
        assert dm.message("error") == "No message has failed."


def test_a_range_of_sectors_is_widened_to_units() -> None:
    with disks(blocksize=4096) as (main, spare), QuickRemap(main, spare) as dm:
        pwrite(main, 0, pattern(32, seed=1))
        assert dm.message("remap", 9, 8) == "remapped=2 lost=0 already=0"
        assert [(remap.sector, remap.sectors) for remap in dm.remaps()] == [(8, 8), (16, 8)]
        assert dm.read(0, 32) == pattern(32, seed=1)
        assert dm.message("unremap", 23, 1) == "unremapped=1 kept=0 lost=0"
        assert dm.remapped() == {8}


def test_spares_that_are_full_are_told(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        usable = dm.stats()["spare0_usable"]
        assert usable == spare.sectors - DATA_START
        number, text = sentence(dm, "remap", 0, usable + 1)
        assert number == errno.ENOSPC
        assert text.startswith(f"Sector {usable} can't be remapped: no spare unit")
        assert dm.status_fields().used == usable
        assert dm.message("verify") == f"verified={usable} errors=0"
        main.add_bad(20000)
        with pytest.raises(OSError):
            dm.write(20000, pattern(1, seed=1))
        assert dm.message("unremap", 0, 1) == "unremapped=1 kept=0 lost=0"
        dm.write(20000, pattern(1, seed=1))
        assert dm.read(20000) == pattern(1, seed=1)


def test_messages_while_suspended(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 2)
        with dm.pause():
            for command in ("remap", "unremap", "verify"):
                number, text = sentence(dm, command, 1000)
                assert number == errno.EAGAIN
                assert text == "The device is suspended; resume it and try again."
            assert sentence(dm, "clear")[0] == errno.EAGAIN
            assert dm.message("ping").startswith("pong dm-remap 4.0.0 set=")
            assert dm.remapped() == {1000, 1001}
            assert dm.status_fields().used == 2
        assert dm.message("clear") == "cleared=2 kept=0 lost=0"


def test_help_lists_all_messages(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        listed = {line.split(" - ")[0] for line in dm.message("help").splitlines()}
        known = "ping help status stats clear_stats health remap unremap verify clear save restore"
        assert listed >= set(f"{known} list scan get set error".split())
        assert dm.message("clear_stats") == "cleared"
        assert dm.message("set", "retries", 3) == "retries=3"
        assert dm.message("get", "retries") == "retries=3"
        assert dm.message("get", "breaker") == "breaker=closed"
        assert dm.message("health").startswith("health=100\n")
        assert dm.message("status").startswith("v4.0 0/")


def test_list_is_paged(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 0, 300)
        dm.message("remap", 32700, 5)
        assert dm.message("list", 0, 0) == "next=0"
        assert dm.message("list", 0, 2).splitlines()[-1] == "next=2"
        assert dm.message("list", 32704, 9).splitlines()[-1] == "end"
        assert dm.message("list", 32705, 9) == "end"
        assert dm.message("list", 1 << 63, 9) == "end"
        assert len(dm.remapped()) == 305


def test_list_from_beyond_the_end_is_empty() -> None:
    """With units of eight sectors, rounding the last numbers up would wrap around to 0."""
    with disks(blocksize=4096) as (main, spare), QuickRemap(main, spare) as dm:
        dm.message("remap", 0)
        for sector in (main.sectors, 2**64 - 1):
            assert dm.message("list", sector, 10) == "end"
