"""What can't be read is an error until it is written, whatever is done to it. Trap 19."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.ioctl import zero_out
from tests.kernel.lib.setup import QuickRemap, disks, failing_write, patient, pattern

# In units: what is moved, and what of it can't be read, across the border of what moves in one go.
COUNT = 130
BAD = range(62, 66)
FIRST_SECTOR = 4096


@dataclass(frozen=True)
class Ailing:
    """A main disk of which some units from FIRST_SECTOR on can't be read, until it is healed."""

    main: BlockDevice
    spare: BlockDevice
    unit: int  # in sectors
    spoil: Callable[[], object]
    heal: Callable[[], object]

    def sector(self, number: int) -> int:
        """Where a unit is."""
        return FIRST_SECTOR + number * self.unit

    def data(self, number: int) -> bytes:
        """What a unit held before it became unreadable."""
        return pattern(self.unit, seed=number)


@contextlib.contextmanager
def _null_blk(blocksize: int) -> Iterator[Ailing]:
    unit = blocksize // SECTOR
    where = FIRST_SECTOR + BAD.start * unit, len(BAD) * unit
    with disks(blocksize=blocksize) as (main, spare):
        yield Ailing(
            main, spare, unit, lambda: main.add_bad(*where), lambda: main.remove_bad(*where)
        )


@contextlib.contextmanager
def _scsi_debug(blocksize: int) -> Iterator[Ailing]:
    unit = blocksize // SECTOR
    bad = {
        "medium_error_start": FIRST_SECTOR // unit + BAD.start,
        "medium_error_count": len(BAD),
    }
    with (
        ScsiDebug(dev_size_mb=16, sector_size=blocksize, **bad) as main,
        NullBlk(8, blocksize) as spare,
    ):
        yield Ailing(
            main,
            spare,
            unit,
            lambda: main.set_opts(ScsiDebug.MEDIUM_ERROR),
            lambda: main.set_opts(0),
        )


@pytest.fixture(
    params=[(_null_blk, 512), (_null_blk, 4096), (_scsi_debug, 512), (_scsi_debug, 4096)]
)
def ailing(request: pytest.FixtureRequest) -> Iterator[Ailing]:
    """Units of 512 and 4096 bytes on disks that fail in one way and another."""
    make, blocksize = request.param
    with make(blocksize) as made:
        for number in range(COUNT):
            pwrite(made.main, made.sector(number), made.data(number))
        made.spoil()
        yield made


def _unreadable(dm: QuickRemap, sector: int, sectors: int) -> bool:
    """Whether neither a direct read nor one by the page cache gives anything."""
    for read in (_read_direct, _read_cached):
        try:
            read(dm, sector, sectors)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ENODATA):
                raise
        else:
            return False
    return True


def _read_direct(dm: QuickRemap, sector: int, sectors: int) -> None:
    pread(dm, sector, sectors)


def _read_cached(dm: QuickRemap, sector: int, sectors: int) -> None:
    fd = os.open(dm.path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(fd, sectors * SECTOR, sector * SECTOR)
    finally:
        os.close(fd)


def _check(dm: QuickRemap, ailing: Ailing, unreadable: range = BAD) -> None:
    """What can't be read gives errors, alone and amid others; all the rest is as it was."""
    for number in unreadable:
        assert _unreadable(dm, ailing.sector(number), ailing.unit)
    for first, last in ((0, unreadable.start), (unreadable.stop, COUNT)):
        data = b"".join(ailing.data(number) for number in range(first, last))
        assert pread(dm, ailing.sector(first), (last - first) * ailing.unit) == data
    with pytest.raises(OSError), DirectFile(dm) as file:
        file.pread(FIRST_SECTOR * SECTOR, COUNT * ailing.unit * SECTOR)


def test_trap_19_unreadable_sectors_stay_errors_wherever_they_are_moved(ailing: Ailing) -> None:
    """Moving a sector needs its data, and there is none: zeros would be invented.

    Mistake: copy the buffer of a read that failed. Seen to fail with
    tests/mistakes/19_failed_read_is_copied.patch.
    """
    area = FIRST_SECTOR, COUNT * ailing.unit
    good, bad = COUNT - len(BAD), len(BAD)
    with QuickRemap(ailing.main, ailing.spare, opts=patient()) as dm:
        assert dm.message("remap", *area) == f"remapped={COUNT} lost={bad} already=0"
        _check(dm, ailing)
        assert dm.message("verify", *area) == f"verified={COUNT} errors={bad}"
        assert dm.message("repair").endswith(" repaired=0")
        dm.message("restore")
        dm.message("save")
        dm.reload(dm.target(patient()))
        _check(dm, ailing)
        dm.reassemble(patient())
        _check(dm, ailing)
        # Back: main still can't read them.
        assert dm.message("clear") == f"cleared={good} kept=0 lost={bad}"
        _check(dm, ailing)
        dm.reassemble(patient())
        _check(dm, ailing)
        assert (dm.status_fields().used, dm.status_fields().lost) == (0, bad)
        # And forth again, now that they are known to be lost.
        assert dm.message("remap", *area) == f"remapped={COUNT} lost={bad} already=0"
        # Main is asked no more.
        ailing.heal()
        _check(dm, ailing)
        dm.reassemble(patient())
        _check(dm, ailing)
        assert dm.message("verify", *area) == f"verified={COUNT} errors={bad}"
        for number in BAD:
            dm.write(ailing.sector(number), ailing.data(number))
            if number + 1 in BAD:
                _check(dm, ailing, range(number + 1, BAD.stop))
        assert pread(dm, *area) == b"".join(map(ailing.data, range(COUNT)))
        assert dm.message("verify", *area) == f"verified={COUNT} errors=0"
        assert dm.status_fields().lost == 0
        assert dm.message("clear") == f"cleared={COUNT} kept=0 lost=0"
    assert pread(ailing.main, *area) == b"".join(map(ailing.data, range(COUNT)))


def test_trap_19_unreadable_sectors_that_were_read_stay_errors_when_moved(ailing: Ailing) -> None:
    """The same when they were found by reading: they are lost before somebody moves them."""
    with QuickRemap(ailing.main, ailing.spare, opts=patient()) as dm:
        _check(dm, ailing)
        assert dm.status_fields().lost == len(BAD)
        assert dm.message("remap", FIRST_SECTOR, COUNT * ailing.unit).endswith(
            f"lost={len(BAD)} already=0"
        )
        _check(dm, ailing)
        ailing.heal()
        _check(dm, ailing)
        # What main took when it was lost would be found there.
        assert dm.message("unremap", ailing.sector(0), BAD.start * ailing.unit).endswith("lost=0")
        _check(dm, ailing)


def test_trap_19_what_a_spare_has_lost_is_not_replaced_by_older_data_of_main() -> None:
    """Main holds what a sector was before it was remapped, and can be read well.

    Unmapping, moving, reloading: none may bring the old data back. Seen to fail with
    tests/mistakes/19_lost_forgets_that_main_is_old.patch.
    """
    old, new = pattern(1, seed=1), pattern(1, seed=2)
    with disks() as (main, spare), QuickRemap(main, spare, opts=patient()) as dm:
        pwrite(main, 1000, old)
        _lose_on_spare(main, spare, dm, 1000, new)
        for words in (("unremap", 1000), ("remap", 1000), ("clear",), ("unremap", 1000)):
            dm.message(*words)
            assert _unreadable(dm, 1000, 1), words
            dm.reassemble(patient())
            assert _unreadable(dm, 1000, 1), words
            assert dm.status_fields().lost == 1
        assert pread(main, 1000) == old
        dm.write(1000, new)
        assert dm.read(1000) == new
        assert dm.status_fields().lost == 0
        dm.reassemble()
        assert dm.read(1000) == new


def _lose_on_spare(main: NullBlk, spare: NullBlk, dm: QuickRemap, sector: int, data: bytes) -> None:
    """Write a sector to the spare, which can't read it and doesn't know it any more."""
    failing_write(main, dm, sector, data)
    (place,) = (remap.spare_sector for remap in dm.remaps() if remap.sector == sector)
    assert place is not None
    spare.add_bad(place)
    assert _unreadable(dm, sector, 1)
    spare.remove_bad(place)
    assert _unreadable(dm, sector, 1)


def test_what_heals_a_lost_sector_is_on_main_before_its_entry_goes() -> None:
    """Power could go in between, and main would show what it held before."""
    with (
        disks(cache_size=1) as (main, spare),
        QuickRemap(main, spare, opts=patient()) as dm,
    ):
        for sector in (1000, 1001):
            _lose_on_spare(main, spare, dm, sector, pattern(1, seed=2))
            assert dm.message("unremap", sector) == "unremapped=0 kept=0 lost=1"
        for sector, write, data in (
            (1000, lambda: dm.write(1000, pattern(1, seed=3)), pattern(1, seed=3)),
            (1001, lambda: zero_out(dm, 1001, 1), bytes(SECTOR)),
        ):
            before = main.flushes
            write()
            assert main.flushes > before
            assert dm.read(sector) == data
        assert dm.status_fields().lost == 0
