"""Flushes: what an fsync has acknowledged is on the disks, or the fsync has failed. Trap 24."""

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.lib.blockdev import FAILS_COMMANDS, SECTOR, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import FaultyDevice, Flakey
from tests.kernel.lib.pool import join
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import QuickRemap, disks, failing_write, pattern

_FIBMAP = 1
_SYNCHRONIZE_CACHE = 0x35
# Blocks of the file system, in sectors.
_BLOCK = 8


class Unflushable(DmDevice):
    """A spare: between spoil() and mend() its writes and flushes fail, and it can be read."""

    def __init__(self, spare: NullBlk) -> None:
        self._good = Linear(spare, spare.sectors)
        self._bad = Flakey(spare, spare.sectors, features=("error_writes",))
        super().__init__(self._good)

    def spoil(self) -> None:
        """Take no more writes and flushes."""
        run("modprobe", "dm-flakey")
        self.reload(self._bad)

    def mend(self) -> None:
        """Work again."""
        self.reload(self._good)


def fails(action: Callable[..., object], *arguments: object) -> bool:
    """Whether it fails with EIO."""
    try:
        action(*arguments)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return True
    return False


def fsync(dm: DmDevice) -> None:
    """Flush a device."""
    with DirectFile(dm) as file:
        file.fsync()


def test_trap_24_flush_reaches_main_and_every_spare() -> None:
    """Data is on all of them, so an fsync is one flush of each, whatever is remapped.

    Seen to fail with tests/mistakes/24_spares_are_not_flushed.patch.
    """
    with (
        disks(spares=2, cache_size=1) as (main, *spares),
        QuickRemap(main, *spares) as dm,
        DirectFile(dm) as file,
    ):
        for sector in (None, 1000, 1001):
            if sector is not None:
                failing_write(main, dm, sector, pattern(1, seed=sector))
                file.pwrite(sector * SECTOR, pattern(1, seed=sector))
            before = [disk.flushes for disk in (main, *spares)]
            file.fsync()
            assert [disk.flushes for disk in (main, *spares)] == [n + 1 for n in before]
        assert {remap.spare for remap in dm.remaps()} == {0, 1}


def test_trap_24_failed_flush_of_a_spare_fails_fsync_and_all_writes_after_it() -> None:
    """What the spare has not flushed is lost, perhaps: nothing may build upon it.

    A later flush may well succeed: the spare has dropped what it could not write. So the set takes
    no more writes, until somebody has looked at it and activated it anew. Seen to fail with
    tests/mistakes/24_flush_error_is_dropped.patch.
    """
    with (
        disks(cache_size=1) as (main, spare),
        Unflushable(spare) as below,
        QuickRemap(main, below) as dm,
    ):
        failing_write(main, dm, 1000, pattern(1, seed=1))
        dm.write(1000, pattern(1, seed=2))
        dm.write(2000, pattern(1, seed=3))
        event = dm.event_nr
        below.spoil()
        assert fails(fsync, dm)
        below.mend()
        assert dm.status_fields().mode == "fail"
        wait_until(lambda: dm.event_nr > event, "an event")
        for _ in range(2):
            assert fails(fsync, dm)
            assert fails(dm.write, 1000, pattern(1, seed=4))
            assert fails(dm.write, 2000, pattern(1, seed=4))
            assert fails(dm.write, 2000, pattern(1, seed=4), os.RWF_DSYNC)
            assert dm.read(1000) == pattern(1, seed=2)
            assert dm.read(2000) == pattern(1, seed=3)
            # A reload is no new activation: the set stays.
            dm.reload(dm.target())
        dm.reassemble()
        assert dm.status_fields().mode == "rw"
        dm.write(2000, pattern(1, seed=5))
        fsync(dm)
        assert dm.read(1000) == pattern(1, seed=2)
        assert dm.read(2000) == pattern(1, seed=5)


def test_trap_24_commit_of_a_journal_fails_when_a_spare_was_not_flushed() -> None:
    """A journal's commit block goes out with PREFLUSH and FUA, as one request.

    The dm core flushes first and drops the error, then writes the block. ext4 would tell its fsync
    that all is well. Seen to fail with tests/mistakes/24_flush_error_is_dropped.patch.
    """
    run("modprobe", "ext4")
    with (
        disks(cache_size=1) as (main, spare),
        Unflushable(spare) as below,
        QuickRemap(main, below) as dm,
    ):
        run("mkfs.ext4", "-q", "-b", _BLOCK * SECTOR, "-J", "size=4", dm.path)
        run("mount", dm.path, "/mnt")
        try:
            path = Path("/mnt/file")
            path.write_bytes(pattern(_BLOCK, seed=1))
            with DirectFile(path) as file:
                file.fsync()
                sector = _first_block(file.fd) * _BLOCK
                assert dm.message("remap", sector, _BLOCK) == "remapped=8 lost=0 already=0"
                file.pwrite(0, pattern(_BLOCK, seed=2))
                os.utime(file.fd, (1, 1))
                below.spoil()
                assert fails(file.fsync)
                below.mend()
                assert dm.status_fields().mode == "fail"
                assert fails(file.fsync)
        finally:
            run("umount", "/mnt")


def _first_block(fd: int) -> int:
    (block,) = struct.unpack("i", fcntl.ioctl(fd, _FIBMAP, struct.pack("i", 0)))
    assert block > 0
    return int(block)


@pytest.mark.skipif(not FAILS_COMMANDS, reason="scsi_debug fails no single commands before 6.7")
def test_trap_24_scsi_disk_that_fails_to_synchronize_its_cache() -> None:
    """The same with a disk whose writes work: only its flush fails."""
    with (
        NullBlk(cache_size=1) as main,
        ScsiDebug(dev_size_mb=16) as spare,
        QuickRemap(main, spare) as dm,
        DirectFile(dm) as file,
    ):
        assert (spare.sysfs / "queue/write_cache").read_text().strip() == "write back"
        failing_write(main, dm, 1000, pattern(1, seed=1))
        file.pwrite(1000 * SECTOR, pattern(1, seed=2))
        file.fsync()
        spare.fail_command(_SYNCHRONIZE_CACHE, 0x3, 0xC, 0x0)
        file.pwrite(1000 * SECTOR, pattern(1, seed=3))
        assert fails(file.fsync)
        spare.allow_command(_SYNCHRONIZE_CACHE)
        assert fails(file.fsync)
        assert fails(file.pwrite, 2000 * SECTOR, pattern(1, seed=4))
        assert dm.status_fields().mode == "fail"


def test_trap_24_spare_that_dies_with_a_full_cache_fails_the_next_fsync() -> None:
    """It is out of use by then, which is no reason not to need its flush.

    Seen to fail with tests/mistakes/24_dead_spare_needs_no_flush.patch.
    """
    for flushed in (True, False):
        with (
            disks(spares=2, cache_size=1) as (main, *spares),
            Unflushable(spares[0]) as dying,
            QuickRemap(main, dying, spares[1]) as dm,
        ):
            sector = _sector_on_the_first_spare(main, dm)
            with DirectFile(dm) as file:
                file.pwrite(sector * SECTOR, pattern(1, seed=1))
                if flushed:
                    file.fsync()
                dying.spoil()
                failing_write(main, dm, 2000, pattern(1, seed=2))
                status = dm.status_fields()
                assert (status.fields["spares"], status.mode) == ("1/2", "rw")
                assert fails(dm.read, sector)
                if flushed:
                    file.fsync()
                    file.pwrite(3000 * SECTOR, pattern(1, seed=3))
                    assert dm.status_fields().mode == "rw"
                else:
                    assert fails(file.fsync)
                    assert fails(file.pwrite, 3000 * SECTOR, pattern(1, seed=3))
                    assert dm.status_fields().mode == "fail"
                assert dm.read(2000) == pattern(1, seed=2)


def test_a_spare_that_takes_no_writes_any_more_is_flushed_once_more() -> None:
    """What it took before is safe then, and no reason to fail the set.

    It was found by power cuts on a busy machine: most spares of theirs were lucky, and got a flush
    before the first write that failed.
    """
    with (
        disks(spares=2, cache_size=1) as (main, *spares),
        FaultyDevice(spares[0]) as dying,
        QuickRemap(main, dying, spares[1]) as dm,
        DirectFile(dm) as file,
    ):
        sector = _sector_on_the_first_spare(main, dm)
        file.pwrite(sector * SECTOR, pattern(1, seed=1))
        # The rest takes flushes.
        dying.add_bad(0, dying.length - _BLOCK)
        failing_write(main, dm, 2000, pattern(1, seed=2))
        assert dm.status_fields().fields["spares"] == "1/2"
        before = spares[0].flushes
        file.fsync()
        assert spares[0].flushes == before + 1
        # Nothing is written there any more.
        file.pwrite(3000 * SECTOR, pattern(1, seed=3))
        file.fsync()
        assert spares[0].flushes == before + 1
        assert dm.status_fields().mode == "rw"
        assert fails(dm.read, sector)
        dying.heal()
        assert join(dm, dying) == 0
        assert dm.read(sector) == pattern(1, seed=1)
        assert dm.read(2000) == pattern(1, seed=2)


def _sector_on_the_first_spare(main: NullBlk, dm: RemapDevice) -> int:
    """Write two sectors that fail; which is on the first of two spares?"""
    for sector in (1000, 1001):
        failing_write(main, dm, sector, pattern(1, seed=sector))
    (found,) = (remap.sector for remap in dm.remaps() if remap.spare == 0)
    return found


def test_fua_is_kept_on_the_way_to_the_spare() -> None:
    """Without FUA of its own a disk flushes its cache after such a write, and counts that."""
    with (
        NullBlk(cache_size=1) as main,
        NullBlk(size_mb=16, cache_size=1) as spare,
        QuickRemap(main, spare) as dm,
        DirectFile(dm) as file,
    ):
        main.add_bad(1000)
        file.pwrite(1000 * SECTOR, pattern(1, seed=1))
        before = spare.flushes
        file.pwrite(1000 * SECTOR, pattern(1, seed=2), os.RWF_DSYNC)
        assert spare.flushes > before
        before = main.flushes
        file.pwrite(2000 * SECTOR, pattern(1, seed=2), os.RWF_DSYNC)
        assert main.flushes > before
        # The redirect engine keeps it, too.
        main.add_bad(3000)
        before = main.flushes
        file.pwrite(2996 * SECTOR, pattern(8, seed=3), os.RWF_DSYNC)
        assert main.flushes > before
        assert dm.read(2996, 8) == pattern(8, seed=3)
