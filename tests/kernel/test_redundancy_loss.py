"""Redundancy: spares that die, are unplugged, and come back. Row R32."""

import pytest

from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile, pwrite
from tests.kernel.lib.faults import FaultyDevice, Flakey, faulty
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.mortal import UNPLUGGED, Mortal
from tests.kernel.lib.pool import join
from tests.kernel.lib.redundancy import (
    SECTORS,
    below,
    copies,
    load,
    mirrored,
    same_everywhere,
    settled,
)
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import (
    Disks,
    QuickRemap,
    disks,
    eio,
    failing_write,
    patient,
    pattern,
)
from tests.kernel.lib.units import check_units, write_units


@pytest.mark.parametrize("first", [0, 1])
def test_one_of_two_spares_dies(three: Disks, first: int) -> None:
    """Nothing above sees it; what is left says that there is one copy."""
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        dying = spares[first]
        with load(dm, SECTORS):
            dying.fail()
            wait_until(lambda: dm.status_fields().fields["spares"] == "1/2", "it is seen")
            settled(dm, len(SECTORS))
        assert dm.status_fields().mode == "rw"
        assert {entry.spare for entry in dm.remaps()} == {1 - first}
        write_units(dm, SECTORS, seed=2)
        with DirectFile(dm) as file:
            file.fsync()
        # What it holds is old, whether or not it works again.
        dying.recover()
        dm.reassemble(patient())
        check_units(dm, SECTORS, seed=2)
        assert dm.message("get", "redundancy") == "redundancy=2"
        assert below(dm) == len(SECTORS)


def test_spares_die_one_after_the_other() -> None:
    """With a third one the redundancy is rebuilt by itself, so that the next may die as well."""
    with (
        disks(spares=3) as (main, *disks_),
        faulty(*disks_) as (a, b, c),
        mirrored(main, a, b, c, opts=patient()) as dm,
    ):
        with load(dm, SECTORS):
            a.fail()
            wait_until(lambda: dm.status_fields().fields["spares"] == "2/3", "it is seen")
            settled(dm)
            b.fail()
            wait_until(lambda: dm.status_fields().fields["spares"] == "1/3", "it is seen")
            settled(dm, len(SECTORS))
        write_units(dm, SECTORS, seed=3)
        check_units(dm, SECTORS, seed=3)
        assert dm.status_fields().mode == "rw"


def test_second_copy_that_became_the_first_leaves_no_entry(three: Disks) -> None:
    """No other spare has room for another one. Its old entry would take a place of the table."""
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, mirrored(main, dying, disks_[1], opts=patient()) as dm:
        assert {(entry.spare, entry.second) for entry in dm.remaps()} == {(0, 1)}
        dying.fail()
        # Nobody reads or writes: only the superblock tells.
        dm.message("spare", "drain", 0, "on")
        wait_until(lambda: not dm.stats()["mending"], "all is done that can be done")
        assert {(entry.spare, entry.second) for entry in dm.remaps()} == {(1, None)}
        assert dm.stats()["mirrors"] == 0


def test_dead_spare_is_noticed_by_a_read(three: Disks) -> None:
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, mirrored(main, dying, disks_[1], opts=patient()) as dm:
        dying.fail()
        check_units(dm, SECTORS)
        assert dm.status_fields().fields["spares"] == "1/2"
        # It isn't its blocks that are bad.
        assert dm.status_fields().fields["bad_spare_units"] == "0"
        settled(dm, len(SECTORS))


def test_cache_of_a_dying_spare_is_not_needed(three: Disks) -> None:
    """It acknowledged writes and lost them; the other one has flushed them."""
    run("modprobe", "dm-flakey")
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, mirrored(main, dying, disks_[1], opts=patient()) as dm:
        with DirectFile(dm) as file:
            file.fsync()
            dying.reload(Flakey(disks_[0], disks_[0].sectors, features=("drop_writes",)))
            write_units(dm, SECTORS, seed=2)
            dying.fail()
            # It is found out by a commit, whatever that is about.
            failing_write(main, dm, 5000, pattern(1, seed=1))
            assert dm.status_fields().fields["spares"] == "1/2"
            file.fsync()
        assert dm.status_fields().mode == "rw"
        assert dm.status_fields().fields["spares"] == "1/2"
        dying.recover()
        check_units(dm, SECTORS, seed=2)
        dm.reassemble(patient())
        check_units(dm, SECTORS, seed=2)


def test_flush_that_fails_costs_the_spare_and_nothing_else(three: Disks) -> None:
    """The other one has flushed the same."""
    run("modprobe", "dm-flakey")
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, mirrored(main, dying, disks_[1], opts=patient()) as dm:
        with DirectFile(dm) as file:
            file.fsync()
            write_units(dm, SECTORS, seed=2)
            dying.reload(Flakey(disks_[0], disks_[0].sectors, features=("error_writes",)))
            file.fsync()
            assert dm.status_fields().mode == "rw"
            write_units(dm, SECTORS, seed=3)
            file.fsync()
        assert dm.status_fields().mode == "rw"
        dying.recover()
        dm.reassemble(patient())
        check_units(dm, SECTORS, seed=3)


@pytest.mark.parametrize("mortal", UNPLUGGED)
def test_unplugged_spare_is_not_missed(two: Disks, mortal: Mortal) -> None:
    """The device itself is gone, with whatever error its driver gives then."""
    main, spare = two
    with mortal() as (other, unplug), mirrored(main, spare, other, opts=patient()) as dm:
        with load(dm, SECTORS):
            unplug()
            settled(dm, len(SECTORS))
        assert dm.status_fields().mode == "rw"
        write_units(dm, SECTORS, seed=2)
        check_units(dm, SECTORS, seed=2)


def test_copy_that_was_written_by_one_alone_is_not_served(three: Disks) -> None:
    """A spare goes, a block is written anew, the spare comes back in another start."""
    main, *spares = three
    for away in (0, 1):
        with mirrored(main, *spares):
            pass
        image = Metadata(spares[away]).image()
        with QuickRemap(main, spares[1 - away], opts={"degraded": "yes"}) as dm:
            check_units(dm, SECTORS)
            write_units(dm, SECTORS, seed=2)
        assert Metadata(spares[away]).image() == image
        for _ in range(2):
            with QuickRemap(main, *spares) as dm:
                assert dm.status_fields().fields["spares"] == "1/2"
                check_units(dm, SECTORS, seed=2)
        for spare in spares:
            pwrite(spare, 0, bytes(spare.sectors * SECTOR))


def test_spare_that_comes_back_gets_new_copies(three: Disks) -> None:
    """What it has is old: it was written on the other one alone."""
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, mirrored(main, dying, disks_[1], opts=patient()) as dm:
        with load(dm, SECTORS):
            dying.fail()
            settled(dm, len(SECTORS))
            dying.recover()
            join(dm, dying)
            settled(dm)
        write_units(dm, SECTORS, seed=6)
        same_everywhere(dm, (dying, disks_[1]))
        check_units(dm, SECTORS, seed=6)
        assert dm.status_fields().fields["spares"] == "2/2"


def test_copy_on_a_spare_that_answers_nothing_is_not_given_up(three: Disks) -> None:
    """The other one is on a bad sector: the unit is lost only until that spare is back."""
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        with DirectFile(dm) as file:
            file.fsync()
        (first, at), (second, _) = copies(dm, 3000)
        spares[first].add_bad(at)
        spares[second].fail()
        assert eio(dm, 3000)
        assert dm.status_fields().fields["spares"] == "1/2"
        assert dm.stats()["unknown"] == 0
        spares[second].recover()
        assert join(dm, spares[second]) == second
        settled(dm)
        check_units(dm, SECTORS)


def test_dropped_spare_loses_nothing_that_is_on_another(three: Disks) -> None:
    main, *disks_ = three
    with mirrored(main, *disks_) as dm:
        assert dm.message("spare", "drop", 0, "lose") == "row=0 lost=0"
        assert below(dm) == len(SECTORS)
        check_units(dm, SECTORS)
        dm.reassemble()
        check_units(dm, SECTORS)


def test_events_tell_of_lost_and_restored_redundancy() -> None:
    with (
        disks(spares=3) as (main, *disks_),
        FaultyDevice(disks_[0]) as dying,
        mirrored(main, dying, *disks_[1:], opts=patient()) as dm,
    ):
        event = dm.event_nr
        dying.fail()
        check_units(dm, SECTORS)
        settled(dm)
        assert dm.event_nr > event
