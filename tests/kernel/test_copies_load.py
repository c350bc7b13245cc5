"""Second copies of remaps, and a copy of main, under a load that verifies every block."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.kernel.lib.blockdev import BlockDevice, NullBlk
from tests.kernel.lib.directio import pread
from tests.kernel.lib.mortal import MORTALS, Mortal, answers_nothing
from tests.kernel.lib.pool import attach, number_of
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.redundancy import (
    below,
    free_units,
    lower_redundancy,
    raise_redundancy,
    same_everywhere,
    settled,
)
from tests.kernel.lib.replacement import NEW_MB, SLOW, Replacing, copying
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import Disks, QuickFaulty, QuickRemap, disks, patient
from tests.kernel.lib.under_load import (
    UnderLoad,
    everything_is_verified,
    everything_survives,
    parts,
    spread,
)
from tests.kernel.lib.verify import LOAD_SECTORS

pytestmark = pytest.mark.long

# Units that are remapped in each of the eight parts of the load's range.
UNITS = 16


def test_redundancy_is_raised_and_lowered_under_load(three: Disks, under_load: UnderLoad) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        spread(dm, UNITS)
        free = free_units(dm)
        with under_load(dm) as load:
            for _ in range(2):
                raise_redundancy(dm)
                assert dm.stats()["mirrors"] == 8 * UNITS
                load.work()
                lower_redundancy(dm)
                assert free_units(dm) == free
                load.work()
            raise_redundancy(dm)
        same_everywhere(dm, spares)
        everything_survives(dm, under_load)
        same_everywhere(dm, spares)


@pytest.mark.parametrize("mortal", MORTALS)
def test_one_of_two_copies_is_lost_under_load(
    three: Disks, mortal: Mortal, under_load: UnderLoad
) -> None:
    """Nobody above sees anything of it: no read may fail, no flush, and not once.

    With a third spare there are two copies of everything again, by itself.
    """
    main, *spares = three
    with mortal() as (dying, die), QuickRemap(main, dying, *spares, opts=patient()) as dm:
        dm.message("set", "redundancy", 2)
        spread(dm, UNITS)
        settled(dm)
        assert any(0 in (remap.spare, remap.second) for remap in dm.remaps())
        with under_load(dm) as load:
            die()
            wait_until(lambda: dm.status_fields().fields["spares"] == "2/3", "it is seen", 30)
            settled(dm)
            load.work(200)
            assert dm.message("spare", "drop", 0, "lose") == "row=0 lost=0"
            attach(dm, *spares, opts=patient())
            load.work()
        status = dm.status_fields()
        assert (status.mode, status.lost, below(dm)) == ("rw", 0, 0)
        assert {remap.spare for remap in dm.remaps()} == {1, 2}
        same_everywhere(dm, (dying, *spares))
        everything_survives(dm, under_load)


def test_main_is_copied_and_exchanged_under_load(under_load: UnderLoad) -> None:
    with copying(copy_rate=SLOW) as it:
        spread(it.dm, UNITS)
        with under_load(it.dm) as load:
            it.dm.message("copy", "start")
            it.wait_for(LOAD_SECTORS // 2)
            load.work()
            it.dm.message("set", "copy_rate", 0)
            it.wait("copied")
            load.work()
            it.replace()
            load.work()
            # Nobody asks the old main any more, for whatever.
            it.main.add_bad(0, it.main.sectors)
            assert it.dm.message("clear") == f"cleared={8 * UNITS} kept=0 lost=0"
            load.work()
        stats = it.dm.stats()
        assert stats["write_errors"] == stats["read_errors"] == 0
        everything_survives(it.dm, under_load)
        # Main is the whole disk again.
        it.dm.remove()
        with QuickRemap(it.new, it.spare, opts=patient(), sectors=it.main.sectors) as dm:
            assert pread(dm, 0, LOAD_SECTORS) == pread(it.new, 0, LOAD_SECTORS)


def test_pyctl_replaces_main_under_load(two: Disks, under_load: UnderLoad) -> None:
    """The whole command, as an administrator gives it."""
    main, spare = two
    with NullBlk(NEW_MB) as new, QuickRemap(main, spare, name="moving") as dm:
        spread(dm, UNITS)
        with under_load(dm) as load:
            done = pyctl("migrate-main", "moving", new.path)
            load.work()
        assert (done["moved"], done["kept"], done["lost"]) == (8 * UNITS, 0, 0)
        assert dm.status_fields().fields["main"] == number_of(new)
        assert not dm.remaps()


@contextlib.contextmanager
def copying_an_ailing_disk(*first: BlockDevice) -> Iterator[tuple[Replacing, QuickFaulty]]:
    """A set with these spares and two more whose main, a QuickFaulty, is to be replaced."""
    with (
        disks(spares=2) as (disk, *more),
        QuickFaulty(disk) as main,
        NullBlk(NEW_MB) as new,
        QuickRemap(
            main,
            *first,
            *more,
            opts={**patient(), "copy_to": new, "copy_rate": SLOW},
            sectors=disk.sectors,
        ) as dm,
    ):
        yield Replacing(dm, disk, more[0], new, new), main


def test_main_is_copied_while_redundancy_changes_under_load(under_load: UnderLoad) -> None:
    """And while main takes some writes no more: those go to two spares, and to the new disk."""
    with copying_an_ailing_disk() as (it, ailing):
        dm = it.dm
        spread(dm, UNITS)
        with under_load(dm) as load:
            dm.message("copy", "start")
            for start in parts(2):
                raise_redundancy(dm)
                ailing.add_bad(start + 512, 64, reads=False)
                load.work()
                settled(dm)
                lower_redundancy(dm)
            raise_redundancy(dm)
            dm.message("set", "copy_rate", 0)
            it.wait("copied")
            load.work()
            it.replace()
            load.work()
        assert dm.status_fields().auto > 0
        assert (dm.status_fields().lost, below(dm)) == (0, 0)
        same_everywhere(dm, dm.spares)
        with under_load(dm):
            assert dm.message("clear").endswith(" kept=0 lost=0")
        everything_survives(dm, under_load)


def test_main_is_copied_while_one_of_two_copies_is_lost_under_load(under_load: UnderLoad) -> None:
    with answers_nothing() as (dying, die), copying_an_ailing_disk(dying) as (it, _):
        dm = it.dm
        dm.message("set", "redundancy", 2)
        spread(dm, UNITS)
        settled(dm)
        with under_load(dm) as load:
            dm.message("copy", "start")
            it.wait_for(LOAD_SECTORS // 2)
            die()
            wait_until(lambda: dm.status_fields().fields["spares"] == "2/3", "it is seen", 30)
            settled(dm)
            it.wait("copied")
            it.replace()
            load.work()
        assert (dm.status_fields().mode, dm.status_fields().lost) == ("rw", 0)
        same_everywhere(dm, dm.spares)
        everything_is_verified(dm)
        assert dm.message("spare", "drop", 0) == "row=0 lost=0"
        attach(dm, *dm.spares[1:], opts=patient())
        everything_survives(dm, under_load)
