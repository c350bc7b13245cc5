"""Which spares are believed: missing, stale, started alone, failing."""

import errno

import pytest

from tests.kernel.lib.blockdev import FAILS_COMMANDS, SECTOR, ScsiDebug
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.faults import FaultyDevice, Flakey
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import (
    SPARE_MB,
    Disks,
    QuickRemap,
    eio,
    failing_write,
    patient,
    pattern,
    refused,
)

# SCSI: a command, and a sense key.
_READ_10 = 0x28
_ILLEGAL_REQUEST = 0x5


def test_trap_16_blocks_of_a_missing_spare_are_errors(three: Disks) -> None:
    """What was on a spare that is not there is nowhere: main holds what it was before.

    Mistake: read main instead. Seen to fail with tests/mistakes/16_stale_main_data.patch.
    """
    main, *spares = three
    sectors = range(1000, 1040, 10)
    pwrite(main, 0, b"stale..." * (2048 * SECTOR // 8))
    with QuickRemap(main, *spares) as dm:
        for sector in sectors:
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
        assert set(place.values()) == {0, 1}
    with QuickRemap(main, spares[0], opts={"degraded": "yes"}) as dm:
        assert dm.status_fields().fields["spares"] == "1/2"
        for sector in sectors:
            if place[sector] == 0:
                assert dm.read(sector) == pattern(1, seed=sector)
            else:
                assert eio(dm, sector)
        assert dm.read(1001) == b"stale..." * (SECTOR // 8)
        lost = next(sector for sector in sectors if place[sector] == 1)
        # Written anew, it is whole again, on the spare that is there.
        dm.write(lost, pattern(1, seed=1))
        assert dm.read(lost) == pattern(1, seed=1)


def test_missing_spare_needs_the_word_degraded(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
    images = [Metadata(spare).image() for spare in spares]
    refused(kernel_log, QuickRemap(main, spares[1]), "spare 0 .* missing|degraded")
    assert [Metadata(spare).image() for spare in spares] == images
    with QuickRemap(main, spares[1], opts={"degraded": "yes"}) as dm:
        assert dm.status_fields().used == 1


def test_trap_17_stale_spare_that_comes_back_is_not_used(three: Disks) -> None:
    """It missed remaps, and holds what was replaced since; main holds what was before that.

    Mistakes: use it as if it were in sync, and leave the number of events as it is, so that nobody
    knows which spare is newer. Seen to fail with tests/mistakes/17_stale_spare_is_used.patch and
    17_events_stand_still.patch.
    """
    main, *spares = three
    sectors = (1000, 1001, 1002, 1003)
    pwrite(main, 0, b"m" * (4096 * SECTOR))
    with QuickRemap(main, *spares) as dm:
        for sector in sectors:
            failing_write(main, dm, sector, pattern(1, seed=1))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
    for away in (1, 0):
        gone = [sector for sector in sectors if place[sector] == away]
        kept = [sector for sector in sectors if place[sector] == 1 - away]
        assert len(gone) == len(kept) == 2
        images = [Metadata(spare).image() for spare in spares]
        # Away: one of its sectors is written anew, the other is not, and another one is remapped.
        with QuickRemap(main, spares[1 - away], opts={"degraded": "yes"}) as dm:
            assert eio(dm, gone[0]) and eio(dm, gone[1])
            dm.write(gone[0], pattern(1, seed=2))
            dm.write(kept[0], pattern(1, seed=3))
            failing_write(main, dm, 2000, pattern(1, seed=4))
        stale = Metadata(spares[away]).image()
        for order in (spares, spares[::-1]):
            with QuickRemap(main, *order) as dm:
                for _ in range(2):
                    assert dm.status_fields().fields["spares"] == "1/2"
                    assert dm.read(gone[0]) == pattern(1, seed=2)
                    assert eio(dm, gone[1])
                    assert dm.read(kept[0]) == pattern(1, seed=3)
                    assert dm.read(kept[1]) == pattern(1, seed=1)
                    assert dm.read(2000) == pattern(1, seed=4)
                    dm.reload(dm.target())
                # It isn't written either.
                failing_write(main, dm, 3000, pattern(1, seed=5))
                used = {e.spare for e in dm.remaps() if e.sector != gone[1]}
                assert used == {1 - away}
            assert Metadata(spares[away]).image() == stale
        for spare, image in zip(spares, images, strict=True):
            pwrite(spare, 0, image)


def test_trap_17_spare_that_lost_its_cache_and_comes_back_is_not_read(three: Disks) -> None:
    """It acknowledged a write, died with it in its cache, and works again after a while.

    What it holds then was replaced by an acknowledged write, and is what nobody may see.
    """
    main, *disks_ = three
    run("modprobe", "dm-flakey")
    with FaultyDevice(disks_[0]) as dying, QuickRemap(main, dying, disks_[1]) as dm:
        for sector in (1000, 1001):
            failing_write(main, dm, sector, pattern(1, seed=1))
        (sector,) = (entry.sector for entry in dm.remaps() if entry.spare == 0)
        # A cache that will be lost: it takes writes and has none of them in the end.
        dying.reload(Flakey(disks_[0], disks_[0].sectors, features=("drop_writes",)))
        dm.write(sector, pattern(1, seed=2))
        dying.fail()
        failing_write(main, dm, 2000, pattern(1, seed=3))
        assert dm.status_fields().fields["spares"] == "1/2"
        dying.recover()
        for _ in range(2):
            assert eio(dm, sector)
            assert dm.read(2000) == pattern(1, seed=3)
            dm.reassemble()
        dm.write(sector, pattern(1, seed=4))
        assert dm.read(sector) == pattern(1, seed=4)


def test_spares_that_were_each_started_alone_are_refused_together(
    three: Disks, kernel_log: KernelLog
) -> None:
    """Each has remaps that the other does not know: serving either would be stale for some."""
    main, *spares = three
    with QuickRemap(main, *spares):
        pass
    for number, spare in enumerate(spares):
        with QuickRemap(main, spare, opts={"degraded": "yes"}) as dm:
            failing_write(main, dm, 1000 * (number + 1), pattern(1, seed=number))
    refused(kernel_log, QuickRemap(main, *spares), "each started without the other")
    refused(kernel_log, QuickRemap(main, *reversed(spares)), "each started without the other")
    with QuickRemap(main, spares[1]) as dm:
        assert dm.read(2000) == pattern(1, seed=1)


def test_every_spare_holds_the_whole_table(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        for sector in range(1000, 1008):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
    Metadata(spares[0]).wipe()
    refused(kernel_log, QuickRemap(main, *spares), "not one of this set")
    with QuickRemap(main, spares[1], opts={"degraded": "yes"}) as dm:
        assert {entry.sector: entry.spare for entry in dm.remaps()} == place
        for sector, spare in place.items():
            if spare == 1:
                assert dm.read(sector) == pattern(1, seed=sector)
            else:
                assert eio(dm, sector)


def test_spare_that_fails_while_running_is_taken_out(three: Disks) -> None:
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, QuickRemap(main, dying, disks_[1]) as dm:
        for sector in range(1000, 1004):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
        assert set(place.values()) == {0, 1}
        dying.fail()
        # The next commit finds out, whatever it is about.
        failing_write(main, dm, 2000, pattern(1, seed=2000))
        assert dm.status_fields().fields["spares"] == "1/2"
        assert dm.status_fields().mode == "rw"
        for sector, spare in place.items():
            if spare == 0:
                assert eio(dm, sector)
                dm.write(sector, pattern(1, seed=sector))
            assert dm.read(sector) == pattern(1, seed=sector)
        assert {entry.spare for entry in dm.remaps()} == {1}
        # The other one knows that it is stale, although it works again.
        dying.recover()
        dm.reassemble()
        assert dm.status_fields().fields["spares"] == "1/2"
        for sector in (*place, 2000):
            assert dm.read(sector) == pattern(1, seed=sector)


def test_without_any_spare_writes_fail_and_reads_go_on(two: Disks) -> None:
    main, spare = two
    with FaultyDevice(spare) as dying, QuickRemap(main, dying, opts=patient()) as dm:
        dm.write(0, pattern(8, seed=1))
        failing_write(main, dm, 1000, pattern(1, seed=2))
        event = dm.event_nr
        dying.fail()
        main.add_bad(2000)
        with pytest.raises(OSError):
            dm.write(2000, pattern(1, seed=3))
        wait_until(lambda: dm.event_nr > event, "an event")
        assert dm.status_fields().mode == "fail"
        assert dm.status_fields().fields["spares"] == "0/1"
        with pytest.raises(OSError):
            dm.write(0, pattern(8, seed=4))
        assert dm.read(0, 8) == pattern(8, seed=1)
        assert eio(dm, 1000)
        with dm.pause():
            assert dm.suspended
        dm.remove()
        assert not dm.exists()


@pytest.mark.skipif(not FAILS_COMMANDS, reason="scsi_debug fails no single commands before 6.7")
def test_read_of_a_spare_fails_as_a_bad_block_does(two: Disks) -> None:
    """Whatever its driver says: ENODEV would tell a file system that our whole device is gone.

    A disk that is pulled gives one error or another, as it happens. Here it is EREMOTEIO.
    """
    main, spare = two
    with (
        ScsiDebug(dev_size_mb=SPARE_MB) as other,
        QuickRemap(main, spare, other, opts=patient()) as dm,
    ):
        for sector in (1000, 1008):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.spare: entry.sector for entry in dm.remaps()}
        assert set(place) == {0, 1}
        other.fail_command(_READ_10, _ILLEGAL_REQUEST, 0x21, 0)
        with pytest.raises(OSError) as caught:
            pread(other, 0, 1)
        assert caught.value.errno == errno.EREMOTEIO
        assert eio(dm, place[1])
        assert dm.read(place[0]) == pattern(1, seed=place[0])
