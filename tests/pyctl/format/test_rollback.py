from dataclasses import replace

import pytest

from pyctl.errors import MediaError, NotFoundError, RefusedError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    Reason,
    SpareState,
    State,
    check_set,
    differences,
    execute_rollback,
    plan_rollback,
    slot_sector,
    state_sector,
    take_survey,
)
from tests.pyctl.format.disks import (
    best_superblock,
    crashes,
    images,
    load,
    load_any_order,
    make,
    put,
    put_back,
    remap,
    table_alone,
    without,
    write_members,
)

TABLE = [(0, remap(5, 10300)), (1, remap(9, 10300, 1)), (2, remap(11, 10301, 1))]
IN_SYNC, MISSING, FAILED = SpareState.IN_SYNC, SpareState.MISSING, SpareState.FAILED


# Started without its last spare by mistake; meanwhile a unit of that spare was written.
def mistake(number=2, state=MISSING):
    disks, superblocks = make(number, TABLE)
    newest = without(disks, superblocks[0], 1, state)
    put([disk for disk in disks if disk is not disks[1]], newest, 1, remap(9, 10400))
    disks[0].log.clear()
    return disks, newest


def rollback(disks, number=1, **allowed):
    plan = plan_rollback(disks, number, **allowed)
    execute_rollback(plan)
    return plan


@pytest.mark.parametrize("number", [2, 3])
def test_a_spare_that_was_left_out_by_mistake_comes_back(number):
    disks, _ = mistake(number)
    table = load(disks)[1]
    assert table[0, 1] == remap(9, 10400)
    rollback(disks)
    assert load_any_order(disks) == ((IN_SYNC,) * number, table)
    # entries that still point to the spare are what they were when it was left out
    assert table[0, 2] == remap(11, 10301, 1)
    assert check_set(take_survey(disks)) == []
    # and each spare alone has all that is new
    assert [table_alone(disk) for disk in disks] == [table] * number


def test_a_rollback_is_a_generation_of_its_own():
    disks, newest = mistake()
    rollback(disks)
    survey = take_survey(disks)
    assert survey.reference.events == newest.events + 1
    one, two, three = survey.generations()
    assert [one.reason, two.reason, three.reason] == [
        Reason.CREATED,
        Reason.SPARE_MISSING,
        Reason.ROLLED_BACK,
    ]
    assert differences(None, one) == ["set with 2 spares"]
    assert differences(one, two)[0] == "spare 1 was left out: the set was started without it"
    assert "spare 1 is in sync again" in differences(two, three)
    # also on the one that knew nothing of the second
    assert len(take_survey(disks[1:2]).generations()) == 3


def test_a_plan_writes_nothing():
    disks, _ = mistake()
    before = images(disks)
    plan = plan_rollback(disks, 1)
    assert [spare.path for spare in plan.join] == ["/dev/s1"]
    assert plan.leaf_copies(plan.join[0]) == 635
    assert images(disks) == before


def test_the_identity_of_main_comes_back():
    disks, superblocks = make(2, TABLE)
    changed = replace(superblocks[0], identity="wwid=other")
    write_members(disks, changed, Reason.IDENTITY)
    rollback(disks)
    assert take_survey(disks).reference.identity == "wwid=x"
    assert load_any_order(disks)[0] == (IN_SYNC, IN_SYNC)


def test_a_rollback_that_is_cut_off_leaves_the_old_or_the_new():
    disks, _ = mistake(3)
    before, old = images(disks), load_any_order(disks)
    assert old[0] == (IN_SYNC, MISSING, IN_SYNC)
    rollback(disks)
    log, new = list(disks[0].log), ((IN_SYNC,) * 3, old[1])
    seen = []
    for count, how in crashes(disks, before, log):
        late = count > len(log) - 45
        if how == "torn" and not late and count % 5:
            continue
        result = load_any_order(disks) if late else load(disks)
        assert result in (old, new), (count, how, result)
        seen.append(result == new)
        if result == new:
            # in sync means that the others may die
            assert table_alone(disks[1]) == new[1], (count, how)
        if how == "written" and (late or count % 101 == 0):
            saved = images(disks)
            if result == old:
                rollback(disks)
            assert load_any_order(disks) == new, (count, how)
            put_back(disks, saved)
    assert seen[0] is False
    assert seen[-1] is True
    assert check_set(take_survey(disks)) == []


def test_a_spare_that_lived_on_alone_is_refused():
    disks, superblocks = make(2, TABLE)
    without(disks, superblocks[0], 1)
    without(disks, superblocks[1], 0)
    with pytest.raises(RefusedError, match="each started without the other"):
        rollback(disks)


def test_a_spare_that_calls_any_other_missing_is_refused():
    disks, superblocks = make(3, TABLE)
    # 1 was in use without 2, while 2 stayed with 0, which goes on without 1
    mine = replace(superblocks[1].spares[2], state=MISSING)
    for copy in range(5):
        rows = (*superblocks[1].spares[:2], mine)
        disks[1].poke(slot_sector(copy), replace(superblocks[1], spares=rows).encode(copy))
    without(disks, superblocks[0], 1)
    with pytest.raises(RefusedError, match="/dev/s1 has been in use without spare 2"):
        rollback(disks)


def test_all_spares_that_count_must_be_given():
    disks, _ = mistake(3)
    for given in ([disks[0], disks[1]], [disks[0], disks[2]]):
        before = images(disks)
        with pytest.raises(RefusedError, match="must be given; missing: "):
            rollback(given)
        assert images(disks) == before


def test_a_failed_spare_must_have_kept_its_power():
    disks, _ = mistake(state=FAILED)
    with pytest.raises(RefusedError, match="1 remapped blocks are on a spare that failed") as got:
        rollback(disks)
    assert "--kept-power" in got.value.hint
    rollback(disks, kept_power=True)
    assert load_any_order(disks)[0] == (IN_SYNC, IN_SYNC)


def test_a_failed_spare_does_not_become_a_missing_one_by_a_detour():
    disks, _ = mistake()
    rollback(disks)
    without(disks, best_superblock(disks[0]), 1, FAILED)
    with pytest.raises(RefusedError, match="has the members of generation 2 already"):
        rollback(disks, 2)
    write_members(disks[:1], replace(best_superblock(disks[0]), identity="other"), Reason.IDENTITY)
    rollback(disks, 2)
    assert load(disks)[0] == (IN_SYNC, FAILED)
    with pytest.raises(RefusedError, match="on a spare that failed"):
        rollback(disks, 1)


def test_a_failed_spare_without_data_comes_back_without_a_question():
    disks, superblocks = make(2, TABLE[:1])
    unknown = Entry(EntryKind.REMAP, 9, 10300, 1, EntryFlag.UNKNOWN)
    put(disks, superblocks[0], 1, unknown)
    without(disks, superblocks[0], 1, FAILED)
    rollback(disks)
    assert load_any_order(disks)[1][0, 1] == unknown


def test_a_member_that_is_pointed_to_cannot_go():
    disks, superblocks = make(2, TABLE)
    first = write_members(disks, without(disks[:1], superblocks[0], 1), Reason.SPARE_MISSING)
    back = replace(first, spares=superblocks[0].spares)
    write_members(disks, back, Reason.SPARE_ADDED)
    with pytest.raises(RefusedError, match="2 remapped blocks are on spares that are in sync now"):
        rollback(disks, 2)


def test_a_generation_with_fewer_spares_is_refused_while_entries_point_to_the_others():
    disks, superblocks = make(2, TABLE)
    less = replace(superblocks[0], spares=superblocks[0].spares[:1])
    write_members(disks[:1], less, Reason.SPARE_REMOVED)
    newer = replace(best_superblock(disks[0]), spares=superblocks[0].spares)
    write_members(disks, newer, Reason.SPARE_ADDED)
    with pytest.raises(RefusedError, match="2 entries of the table point to spares that would be"):
        rollback(disks, 2)
    for place in (1, 2):
        put(disks, superblocks[0], place, Entry(EntryKind.FREE))
    rollback(disks, 2)
    assert load(disks[:1])[0] == (IN_SYNC,)
    assert load(disks) == "no member"


def test_a_replaced_spare_cannot_come_back():
    disks, superblocks = make(2, TABLE)
    other = replace(superblocks[0].spares[1], uuid=superblocks[0].set_uuid)
    rows = (superblocks[0].spares[0], other)
    write_members(disks[:1], replace(superblocks[0], spares=rows), Reason.SPARE_ADDED)
    with pytest.raises(RefusedError, match="is no member of the set any more"):
        rollback(disks)


def test_what_is_not_sound_is_refused():
    disks, newest = mistake()
    with pytest.raises(NotFoundError, match="no record of a generation 7; it has 1, 2"):
        rollback(disks, 7)
    with pytest.raises(RefusedError, match="has the members of generation 2 already"):
        rollback(disks, 2)
    for replica in range(5):
        disks[0].poke(newest.leaf_sector(0, replica), bytes(BLOCK_SIZE))
    with pytest.raises(RefusedError, match="Leaf 0 of the table is lost"):
        rollback(disks)


def test_the_state_of_a_spare_that_was_away_does_not_count():
    disks, newest = mistake()
    old = State(40, 1, clean=True).encode(newest.set_uuid)
    disks[1].poke(state_sector(40), old)
    rollback(disks)
    assert take_survey(disks).state().seq == 7
    assert disks[1].block(state_sector(7)) == disks[0].block(state_sector(7))


def test_a_spare_that_takes_nothing_stays_out():
    disks, newest = mistake()
    for replica in range(5):
        disks[1].broken.add(newest.leaf_sector(3, replica))
    with pytest.raises(MediaError, match="/dev/s1 took no copy of leaf 3"):
        rollback(disks)
    assert load(disks)[0] == (IN_SYNC, MISSING)
