"""Spares that join, leave, are emptied, fail and come back, seen through messages."""

import errno

import pytest

from pyctl.errors import DmError
from pyctl.format import SpareState
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.pool import attach, join, migrate_all, number_of, refusal, row, rows
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import (
    MAIN_MB,
    SPARE_MB,
    Disks,
    QuickFaulty,
    QuickRemap,
    disks,
    eio,
    failing_write,
    patient,
    pattern,
    refused,
)
from tests.kernel.lib.units import check_units, remap_units

# Units that are put on a spare, far apart, so that each is an entry of its own.
UNITS = range(100, 1100, 10)


def on_spares(dm: QuickRemap) -> dict[int, int]:
    """How many units are on which spare."""
    found: dict[int, int] = {}
    for remap in dm.remaps():
        if remap.spare is not None:
            found[remap.spare] = found.get(remap.spare, 0) + 1
    return found


def test_a_device_is_attached_joins_and_takes_data(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        remap_units(dm, UNITS[:50])
        attach(dm, spare, third)
        assert [(found.row, found.state) for found in rows(dm)] == [
            (0, "in-sync"),
            (None, "attached"),
        ]
        before = Metadata(third).image()
        assert not any(before)
        assert join(dm, third) == 1
        assert row(dm, 1).state == "in-sync" and row(dm, 1).used == 0
        assert join(dm, third) == 1
        dm.message("set", "allocation", "round-robin")
        remap_units(dm, UNITS[50:])
        assert on_spares(dm)[1] >= 24
        check_units(dm, UNITS)
        dm.reassemble()
        assert [found.state for found in rows(dm)] == ["in-sync", "in-sync"]
        check_units(dm, UNITS)
        assert Metadata(third).superblock().spares[1].state == SpareState.IN_SYNC


def test_a_spare_that_joined_knows_the_whole_table(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        remap_units(dm, UNITS)
        attach(dm, spare, third)
        join(dm, third)
        assert migrate_all(dm, 0) == len(UNITS)
        dm.message("spare", "drop", 0)
        attach(dm, third)
        dm.reassemble()
        check_units(dm, UNITS)


def test_the_history_is_on_a_spare_that_joined(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        attach(dm, spare, third)
        join(dm, third)
    assert [generation.reason.word for generation in Metadata(third).generations()] == [
        "created",
        "spare-added",
    ]


def test_a_device_with_other_data_joins_by_force_only(two: Disks, third: NullBlk) -> None:
    main, spare = two
    pwrite(third, 5000, pattern(1, 1))
    with QuickRemap(main, spare) as dm:
        attach(dm, spare, third)
        with refusal(errno.EEXIST, dm, "carries other data"):
            join(dm, third)
        assert join(dm, third, "force") == 1
        remap_units(dm, UNITS)
        dm.reassemble()
        check_units(dm, UNITS)


def test_only_what_is_in_the_table_joins(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        with refusal(errno.ENODEV, dm, "is not in the table"):
            join(dm, third)
        with refusal(errno.EINVAL, dm, "<major>:<minor>"):
            dm.message("spare", "join", "sdb")
        with refusal(errno.EINVAL, dm, "<major>:<minor>"):
            dm.message("spare", "join", number_of(third), "please")


def test_a_spare_of_another_set_does_not_join(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with NullBlk(MAIN_MB) as other:
        with QuickRemap(other, third):
            pass
        with QuickRemap(main, spare) as dm:
            attach(dm, spare, third)
            with refusal(errno.EEXIST, dm, "carries other data"):
                join(dm, third)


def test_eight_spares_and_no_more() -> None:
    with disks(spares=8) as (main, *spares), QuickRemap(main, spares[0]) as dm:
        for count in range(2, 9):
            attach(dm, *spares[:count])
            assert join(dm, spares[count - 1]) == count - 1
        remap_units(dm, UNITS)
        assert len(on_spares(dm)) == 8
        dm.reassemble()
        check_units(dm, UNITS)
        assert [found.state for found in rows(dm)] == ["in-sync"] * 8


def test_a_row_is_used_again(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        attach(dm, spare, third)
        join(dm, third)
        first = row(dm, 1).uuid
        dm.message("spare", "drop", 1)
        assert [found.row for found in rows(dm)] == [0, None]
        assert join(dm, third, "force") == 1
        assert row(dm, 1).uuid != first
        remap_units(dm, UNITS)
        dm.reassemble()
        check_units(dm, UNITS)


def test_a_drained_spare_gets_nothing(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        dm.message("spare", "drain", 0, "on")
        remap_units(dm, UNITS)
        assert set(on_spares(dm)) == {1}
        dm.reassemble()
        assert row(dm, 0).draining == 1
        dm.message("spare", "drain", 0, "off")
        dm.message("remap", 5000, 10)
        assert row(dm, 0).used > 0


def test_a_spare_is_emptied_and_leaves(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, UNITS)
        dm.message("remap", 8000, 3)
        main.add_bad(9000)
        dm.message("remap", 9000)
        with refusal(errno.EBUSY, dm, "are on spare 0"):
            dm.message("spare", "drop", 0)
        dm.message("spare", "drain", 0, "on")
        used = row(dm, 0).used
        assert used and migrate_all(dm, 0) == used
        assert row(dm, 0).used == 0 and row(dm, 0).free == row(dm, 0).usable
        assert dm.message("spare", "drop", 0) == "row=0 lost=0"
        assert dm.status_fields().fields["spares"] == "1/1"
        attach(dm, spares[1])
        check_units(dm, UNITS)
        dm.reassemble()
        check_units(dm, UNITS)
        # What had no data has none on another spare either.
        assert eio(dm, 9000)
        assert {found.row for found in rows(dm)} == {1}


def test_the_last_spare_stays(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm, refusal(errno.EBUSY, dm, "the last one"):
        dm.message("spare", "drop", 0)


@pytest.mark.parametrize("drained", [False, True])
def test_a_spare_that_turns_out_to_be_the_last_stays_as_it_is(two: Disks, drained: bool) -> None:
    """The other one is dead, and nobody has noticed: nothing is given up for a refusal."""
    main, spare = two
    with (
        NullBlk(SPARE_MB) as disk,
        QuickFaulty(disk) as dying,
        QuickRemap(main, spare, dying) as dm,
    ):
        remap_units(dm, UNITS)
        here = [remap.sector for remap in dm.remaps() if remap.spare == 0]
        assert here
        if drained:
            dm.message("spare", "drain", 0, "on")
        before = row(dm, 0)
        dying.fail()
        with refusal(errno.EBUSY, dm, "the last one"):
            dm.message("spare", "drop", 0, "lose")
        assert dm.status_fields().fields["spares"] == "1/2"
        assert row(dm, 0) == before
        check_units(dm, here)


def test_a_spare_that_left_is_not_let_in_again(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, UNITS)
        dm.message("spare", "drain", 0, "on")
        migrate_all(dm, 0)
        dm.message("spare", "drop", 0)
        attach(dm, spares[1])
        dm.remove()
    refused(kernel_log, QuickRemap(main, spares[0]), "no current spare|missing")


def test_units_that_are_given_up_are_errors_until_written(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, UNITS)
        gone = [remap.sector for remap in dm.remaps() if remap.spare == 0]
        assert gone
        assert dm.message("spare", "drop", 0, "lose") == f"row=0 lost={len(gone)}"
        attach(dm, spares[1])
        for _ in range(2):
            for unit in UNITS:
                assert eio(dm, unit) == (unit in gone), unit
            dm.reassemble()
        for unit in gone:
            dm.write(unit, pattern(1, unit))
        check_units(dm, UNITS)
        assert dm.status_fields().lost == 0


def test_units_without_a_place_stay_where_they_are(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        dm.message("spare", "drain", 1, "on")
        dm.message("remap", 0, row(dm, 0).usable)
        assert dm.message("spare", "drain", 1, "off")
        dm.message("remap", 10000, row(dm, 1).usable // 2)
        with refusal(errno.ENOSPC, dm, "No other spare has room"):
            migrate_all(dm, 0)
        assert row(dm, 1).free == 0 and row(dm, 0).used
        assert dm.message("verify").endswith("errors=0")


def test_what_can_not_be_read_stays_and_is_counted(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares, opts=patient()) as dm:
        remap_units(dm, UNITS)
        victim = next(remap for remap in dm.remaps() if remap.spare == 0)
        assert victim.spare_sector is not None
        spares[0].add_bad(victim.spare_sector)
        dm.message("spare", "drain", 0, "on")
        migrate_all(dm, 0)
        assert row(dm, 0).used == 1
        spares[0].remove_bad(victim.spare_sector)
        migrate_all(dm, 0)
        assert row(dm, 0).used == 0
        check_units(dm, UNITS)


def test_bad_units_are_not_inherited(three: Disks, third: NullBlk) -> None:
    main, *spares = three
    with QuickRemap(main, *spares, opts=patient()) as dm:
        dm.message("set", "allocation", "first-fit")
        spares[0].add_bad(10240, 7)
        remap_units(dm, UNITS[:10])
        assert row(dm, 0).bad == 7 and row(dm, 0).used == 10
        dm.message("spare", "drain", 0, "on")
        migrate_all(dm, 0)
        dm.message("spare", "drop", 0)
        assert dm.status_fields().fields["bad_spare_units"] == "0"
        attach(dm, spares[1], third)
        assert join(dm, third) == 0
        assert row(dm, 0).free == row(dm, 0).usable
        dm.reassemble()
        assert row(dm, 0).free == row(dm, 0).usable
        check_units(dm, UNITS[:10])


def test_a_spare_that_fails_too_often_is_emptied_by_itself(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares, opts=patient()) as dm:
        dm.message("set", "allocation", "first-fit")
        remap_units(dm, UNITS[:20])
        assert on_spares(dm) == {0: 20}
        dm.message("set", "spare_errors", 5)
        spares[0].add_bad(10240 + 20, 5)
        failing_write(main, dm, 5000, pattern(1, 5000))
        wait_until(lambda: {found.row for found in rows(dm)} == {1, None}, "the spare left")
        assert on_spares(dm) == {1: 21}
        check_units(dm, UNITS[:20])
        dm.reassemble()
        check_units(dm, UNITS[:20])


def test_a_spare_that_failed_comes_back_with_trust(three: Disks) -> None:
    main, first, second = three
    with FaultyDevice(second) as faulty, QuickRemap(main, first, faulty, opts=patient()) as dm:
        remap_units(dm, UNITS)
        with DirectFile(dm) as file:
            file.fsync()
        there = {remap.sector for remap in dm.remaps() if remap.spare == 1}
        faulty.fail()
        dm.message("remap", 5000)
        assert row(dm, 1).state == "failed"
        again = next(iter(there))
        dm.write(again, pattern(1, 7))
        assert all(eio(dm, unit) for unit in there - {again})
        faulty.recover()
        dm.reassemble(patient())
        with refusal(errno.EUCLEAN, dm, "has kept its power"):
            join(dm, faulty)
        assert join(dm, faulty, "trust") == 1
        dm.write(again, pattern(1, again))
        check_units(dm, UNITS)
        dm.reassemble(patient())
        assert [found.state for found in rows(dm)] == ["in-sync", "in-sync"]
        check_units(dm, UNITS)
        dm.message("remap", 9000, 20)
        assert dm.message("verify").endswith("errors=0")


def test_a_stale_spare_is_brought_up_to_date(three: Disks) -> None:
    main, first, second = three
    with QuickRemap(main, first, second) as dm:
        remap_units(dm, UNITS)
        dm.remove()
        with QuickRemap(main, first, opts={"degraded": "yes"}) as alone:
            there = {remap.sector for remap in alone.remaps() if remap.spare == 1}
            assert there and all(eio(alone, unit) for unit in there)
            new = next(iter(there))
            alone.write(new, pattern(1, 77))
            remap_units(alone, range(2000, 2100, 10))
        with QuickRemap(main, first, second) as dm:
            assert row(dm, 1).state == "missing"
            assert join(dm, second) == 1
            assert dm.read(new) == pattern(1, 77)
            dm.write(new, pattern(1, new))
            check_units(dm, UNITS)
            dm.reassemble()
            check_units(dm, UNITS)
            check_units(dm, range(2000, 2100, 10))
            assert dm.message("repair").endswith("repaired=0")


def test_a_spare_that_was_missing_at_the_start_joins_and_is_known_again(three: Disks) -> None:
    """The set has only its row, and must not make up a superblock from that."""
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, UNITS)
    for away in (1, 0):
        with QuickRemap(main, spares[1 - away], opts={"degraded": "yes"}) as dm:
            attach(dm, spares[1 - away], spares[away])
            assert join(dm, spares[away]) == away
            check_units(dm, UNITS)
        with QuickRemap(main, *spares) as dm:
            assert [found.state for found in rows(dm)] == ["in-sync", "in-sync"]
            check_units(dm, UNITS)


def test_a_spare_that_vanished_unnoticed_is_another_device_now(three: Disks) -> None:
    main, first, second = three
    with (
        DmDevice(Linear(second, second.sectors)) as old,
        DmDevice(Linear(second, second.sectors)) as new,
        QuickRemap(main, first, old) as dm,
    ):
        remap_units(dm, UNITS)
        attach(dm, first, new)
        assert [found.state for found in rows(dm)] == ["in-sync", "in-sync"]
        assert row(dm, 1).device == number_of(new)
        check_units(dm, UNITS)
        remap_units(dm, range(2000, 2100, 10))
        dm.reassemble()
        check_units(dm, range(2000, 2100, 10))
        dm.remove()


def test_a_spare_that_vanished_comes_back_with_its_data(three: Disks) -> None:
    """What was on a spare that answers nothing was called lost, and its units bad."""
    main, first, second = three
    with (
        DmDevice(Linear(second, second.sectors)) as new,
        FaultyDevice(second) as faulty,
        QuickRemap(main, first, faulty, opts=patient()) as dm,
    ):
        remap_units(dm, UNITS)
        with DirectFile(dm) as file:
            file.fsync()
        there = [remap.sector for remap in dm.remaps() if remap.spare == 1]
        faulty.fail()
        assert eio(dm, there[0])
        dm.write(there[1], pattern(1, 7))
        assert all(eio(dm, unit) for unit in there if unit != there[1])
        assert row(dm, 1).state == "failed" and row(dm, 1).bad == 0
        assert dm.status_fields().lost == 0
        attach(dm, first, new, opts=patient())
        assert join(dm, new) == 1
        assert dm.read(there[1]) == pattern(1, 7)
        dm.write(there[1], pattern(1, there[1]))
        check_units(dm, UNITS)
        dm.remove()


def test_a_spare_that_may_have_lost_writes_is_not_trusted(two: Disks) -> None:
    """It went with writes in its cache: the set fails at the next flush, and it stays out."""
    main, first = two
    with (
        NullBlk(SPARE_MB, cache_size=SPARE_MB) as second,
        FaultyDevice(second) as faulty,
        QuickRemap(main, first, faulty, opts=patient()) as dm,
    ):
        remap_units(dm, UNITS)
        there = next(remap.sector for remap in dm.remaps() if remap.spare == 1)
        faulty.fail()
        assert eio(dm, there)
        faulty.recover()
        with refusal(errno.EUCLEAN, dm, "its data can't be trusted"):
            join(dm, faulty, "trust")
        assert eio(dm, there)
        dm.remove()


def test_an_old_copy_of_a_spare_is_refused(three: Disks, kernel_log: KernelLog) -> None:
    main, first, second = three
    with QuickRemap(main, first, second) as dm, NullBlk(SPARE_MB) as copy:
        remap_units(dm, UNITS)
        pwrite(copy, 0, Metadata(second).image())
        dm.message("save")
        seen = len(kernel_log.lines())
        dm.spares = (first, copy)
        dm.load(dm.target())
        dm.suspend()
        with pytest.raises(DmError):
            dm.resume()
        assert "is an old copy of spare 1" in "\n".join(kernel_log.lines()[seen:])
        dm.spares = (first, second)
        dm.load(dm.target())
        dm.resume()
        check_units(dm, UNITS)


POLICIES = {
    "first-fit": [100, 0, 0],
    "round-robin": [34, 33, 33],
    "healthiest": [0, 0, 100],
    "tiered": [0, 100, 0],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_where_new_remaps_go(policy: str) -> None:
    with disks(spares=3) as (main, *spares), QuickRemap(main, *spares) as dm:
        for number, tier, health in ((0, 3, 50), (1, 1, 60), (2, 2, 90)):
            dm.message("spare", "tier", number, tier)
            dm.message("spare", "health", number, health)
        dm.message("set", "allocation", policy)
        remap_units(dm, UNITS)
        assert [row(dm, number).used for number in range(3)] == POLICIES[policy]
        dm.reassemble()
        assert dm.message("get", "allocation") == f"allocation={policy}"
        assert [row(dm, number).tier for number in range(3)] == [3, 1, 2]


def test_the_least_used_spare_is_the_default(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, UNITS)
        assert on_spares(dm) == {0: 50, 1: 50}


def test_a_full_tier_gives_way_to_the_next(two: Disks, third: NullBlk) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        attach(dm, spare, third)
        join(dm, third)
        dm.message("spare", "tier", 0, 1)
        dm.message("set", "allocation", "tiered")
        dm.message("remap", 0, row(dm, 1).usable)
        assert row(dm, 1).free == 0 and row(dm, 0).used == 0
        dm.message("remap", 10000)
        assert row(dm, 0).used == 1


BAD_WORDS = (
    ("spare", "frobnicate"),
    ("spare", "list", "0"),
    ("spare", "drain", "0"),
    ("spare", "drain", "0", "perhaps"),
    ("spare", "drain", "7", "on"),
    ("spare", "tier", "0", "16"),
    ("spare", "tier", "0", "-1"),
    ("spare", "health", "0", "101"),
    ("spare", "migrate", "0", "0", "1"),
    ("spare", "migrate", "0", "any", "0"),
    ("spare", "migrate", "0", "8", "1"),
    ("spare", "drop", "0", "please"),
    ("set", "allocation", "random"),
    ("set", "space_percent", "101"),
)


@pytest.mark.parametrize("words", BAD_WORDS, ids=" ".join)
def test_bad_words_change_nothing(three: Disks, words: tuple[str, ...]) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        before = dm.message("spare", "list"), dm.status_fields().fields
        with pytest.raises(DmError) as caught:
            dm.message(*words)
        assert caught.value.errno == errno.EINVAL
        assert dm.message("error").endswith(".")
        assert (dm.message("spare", "list"), dm.status_fields().fields) == before


def test_a_full_pool_is_a_clear_state(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with QuickRemap(main, spare, opts=patient()) as dm:
        usable = row(dm, 0).usable
        assert dm.status_fields().fields["space"] == "ok"
        assert dm.status_fields().fields["free"] == str(usable)
        dm.message("remap", 0, usable - 100)
        assert dm.status_fields().fields["space"] == "low"
        assert any("the spares fill up" in line for line in kernel_log.lines())
        dm.message("remap", usable - 100, 100)
        assert dm.status_fields().fields["space"] == "full"
        # Good blocks and those that have a place go on, and bad ones are errors.
        dm.write(20000, pattern(8, 1))
        dm.write(10, pattern(8, 2))
        main.add_bad(20001)
        with pytest.raises(OSError, match="Input/output"):
            dm.write(20000, pattern(8, 3))
        assert dm.read(20000, 1) == pattern(8, 3)[:SECTOR]
        assert dm.read(10, 8) == pattern(8, 2)
        # Room again: the bad block can be written.
        dm.message("unremap", 0, 8)
        dm.write(20000, pattern(8, 4))
        assert dm.read(20000, 8) == pattern(8, 4)
