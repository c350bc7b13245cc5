"""Suspend and removal: nobody waits for our pauses, and no request is forgotten."""

import random
import threading
import time

import pytest

from tests.kernel.lib.background import Background, in_flight
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice
from tests.kernel.lib.faults import Delay, FaultyDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import Disks, QuickRemap, eio, pattern

# One pause of 10 s. A suspend must not wait for it; 5 s is far from both in a slow guest.
LONG_PAUSE = {"retries": 1, "backoff_ms": 10000}
GUARD = 5


def _read_failed(dm: DmDevice, sector: int, results: list[bytes | int]) -> None:
    try:
        results.append(pread(dm, sector))
    except OSError as error:
        assert error.errno is not None
        results.append(error.errno)


def _waits_for_a_retry(dm: QuickRemap) -> bool:
    # The drain is the last thing before the pause.
    stats = dm.stats()
    return stats["slow_reads"] > 0 and stats["drains"] > 0


def test_trap_23_suspend_does_not_wait_for_a_retry(two: Disks) -> None:
    """A read that failed waits for its next attempt, and somebody suspends the device.

    Mistake: a pause that nothing ends. Seen to fail with
    tests/mistakes/23_deaf_backoff.patch.
    """
    main, spare = two
    main.add_bad(1000)
    results: list[bytes | int] = []
    with QuickRemap(main, spare, opts=LONG_PAUSE) as dm:
        with Background(lambda: _read_failed(dm, 1000, results)):
            wait_until(lambda: _waits_for_a_retry(dm), "the read waits for a retry")
            started = time.monotonic()
            dm.suspend()
            assert time.monotonic() - started < GUARD
            assert dm.suspended
        # What a suspend waits for has ended: this one with an error.
        assert results == [5]
        dm.resume()
        assert dm.status_fields().lost == 1
        main.remove_bad(1000)
        assert len(dm.read(1000)) == SECTOR


def test_trap_23_suspend_without_flush_gives_the_read_back(two: Disks) -> None:
    """The same with --noflush: the read goes on after the resume, when the disk may be better.

    Mistake: a pause that nothing ends. Seen to fail with
    tests/mistakes/23_deaf_backoff.patch.
    """
    main, spare = two
    pwrite(main, 1000, pattern(1, seed=1))
    main.add_bad(1000)
    results: list[bytes | int] = []
    with QuickRemap(main, spare, opts=LONG_PAUSE) as dm:
        with Background(lambda: _read_failed(dm, 1000, results)) as reader:
            wait_until(lambda: _waits_for_a_retry(dm), "the read waits for a retry")
            started = time.monotonic()
            dm.suspend(noflush=True)
            assert time.monotonic() - started < GUARD
            assert reader.running()
            main.remove_bad(1000)
            dm.resume()
        assert results == [pattern(1, seed=1)]
        status = dm.status_fields()
        assert (status.used, status.lost) == (0, 0)


def test_reload_gives_a_read_another_main(two: Disks) -> None:
    """The use of it: the device below is exchanged under a read that can't be answered."""
    main, spare = two
    pwrite(main, 1000, pattern(1, seed=1))
    results: list[bytes | int] = []
    with FaultyDevice(main) as below, QuickRemap(below, spare, opts=LONG_PAUSE) as dm:
        below.add_bad(1000)
        with Background(lambda: _read_failed(dm, 1000, results)):
            wait_until(lambda: _waits_for_a_retry(dm), "the read waits for a retry")
            dm.load(dm.target())
            dm.suspend(noflush=True)
            below.remove_bad(1000)
            dm.resume()
        assert results == [pattern(1, seed=1)]


def test_remove_does_not_wait_for_a_retry(two: Disks) -> None:
    """Removal needs the last user to go, and that one waits for its read."""
    main, spare = two
    main.add_bad(1000)
    results: list[bytes | int] = []
    with QuickRemap(main, spare, opts=LONG_PAUSE) as dm:
        with Background(lambda: _read_failed(dm, 1000, results)):
            wait_until(lambda: _waits_for_a_retry(dm), "the read waits for a retry")
            started = time.monotonic()
            run("dmsetup", "remove", "--force", dm.name)
            assert time.monotonic() - started < GUARD
        assert results == [5]


def test_suspend_ends_a_long_message_and_lets_parked_writes_go(two: Disks) -> None:
    """A message moves a large range; writes wait for a piece of it; somebody suspends."""
    main, spare = two
    run("modprobe", "dm-delay")
    data = pattern(8, seed=1)
    outcome: list[str] = []

    def move() -> None:
        try:
            dm.message("remap", 0, 4096)
        except Exception as error:  # noqa: BLE001 (any error will do)
            outcome.append(type(error).__name__)

    with (
        DmDevice(Delay(main, main.sectors, read_ms=0, write_ms=100)) as slow,
        QuickRemap(slow, spare) as dm,
    ):
        # The first write is under way to main, so the message has to drain it ...
        with Background(lambda: dm.write(0, pattern(8, seed=2))):
            wait_until(lambda: in_flight(dm), "a write is under way")
            with Background(move) as mover:
                wait_until(lambda: _holds(dm, mover), "the message is at work")
                # ... while this one meets the held range.
                with Background(lambda: dm.write(32, data)):
                    dm.suspend()
                    mover.join()
                    assert dm.suspended
                    dm.resume()
        assert outcome in ([], ["DmError"])
        assert dm.read(32, 8) == data
        assert dm.read(0, 8) == pattern(8, seed=2)
        with dm.pause():
            assert dm.suspended
        dm.reassemble()
        assert dm.read(32, 8) == data


def _holds(dm: QuickRemap, mover: Background) -> bool:
    return dm.status_fields().manual > 0 or mover.running()


def test_suspend_and_resume_under_writes_and_errors(two: Disks) -> None:
    main, spare = two
    stop = threading.Event()
    newest: dict[int, bytes] = {}

    def write() -> None:
        rng = random.Random(16)
        with DirectFile(dm) as file:
            number = 0
            while not stop.is_set():
                number += 1
                sector = rng.randrange(0, 2000)
                newest[sector] = pattern(1, seed=number)
                file.pwrite(sector * SECTOR, newest[sector])

    for sector in range(0, 2000, 8):
        main.add_bad(sector)
    with QuickRemap(main, spare) as dm:
        with Background(write) as writer:
            try:
                for number in range(20):
                    dm.suspend(noflush=number % 2 == 0)
                    dm.resume()
                    assert writer.running()
                wait_until(lambda: dm.status_fields().used > 3, "some writes have failed")
            finally:
                stop.set()
        for sector, data in newest.items():
            assert dm.read(sector) == data


def test_remove_under_load(two: Disks) -> None:
    """A device with users can't be removed; once they are gone it can, and nothing is lost."""
    main, spare = two
    main.add_bad(5)
    with QuickRemap(main, spare) as dm:
        with DirectFile(dm) as file:
            for number in range(20):
                file.pwrite(0, pattern(16, seed=number))
                with pytest.raises(CommandError):
                    run("dmsetup", "remove", dm.name)
        dm.remove()
        assert not dm.exists()
    with QuickRemap(main, spare) as dm:
        assert dm.read(0, 16) == pattern(16, seed=19)


def test_suspended_device_keeps_io_until_resume(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
        dm.suspend()
        with Background(lambda: dm.write(1000, pattern(1, seed=1))) as writer:
            assert writer.running()
            dm.resume()
        assert dm.read(1000) == pattern(1, seed=1)
        assert not eio(dm, 1000)
