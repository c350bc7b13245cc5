from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.errors import MediaError, RefusedError, UsageError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    Reason,
    RestoreWishes,
    SpareState,
    State,
    check_set,
    execute_restore,
    load_archive,
    pack_archive,
    plan_restore,
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

TABLE = [(0, remap(5, 10300)), (1, remap(9, 10300, 1)), (300, Entry(EntryKind.LOST, 77))]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Disks, their superblocks, the backup of them, and what they look like."""
    disks, superblocks = make(2, TABLE)
    return disks, superblocks, backup(disks, tmp_path_factory.mktemp("backup")), images(disks)


@pytest.fixture
def whole(base):
    disks, superblocks, archive, saved = base
    put_back(disks, saved)
    disks[0].log.clear()
    for disk in disks:
        disk.broken.clear()
    return disks, superblocks, archive


def backup(disks, folder):
    path = folder / "b"
    path.write_bytes(pack_archive(take_survey(disks), 5000))
    return load_archive(path)


def restore(archive, disks, **wishes):
    plan = plan_restore(archive, disks, RestoreWishes(**wishes))
    if plan.needed:
        execute_restore(plan)
    return plan


def lose_superblocks(*disks):
    for disk in disks:
        for copy in range(5):
            disk.poke(slot_sector(copy), bytes(BLOCK_SIZE))


def lose_leaf(superblock, number, *disks):
    for disk in disks:
        for replica in range(5):
            disk.poke(superblock.leaf_sector(number, replica), bytes(BLOCK_SIZE))


def wipe(*disks):
    for disk in disks:
        disk.poke(0, bytes(10240 * 512))


BOTH = {"/dev/s0": 0, "/dev/s1": 1}


def test_a_whole_set_is_left_as_it_is(whole):
    disks, _, archive = whole
    before = images(disks)
    assert not restore(archive, disks).needed
    assert images(disks) == before


@settings(max_examples=25)
@given(
    entries=st.dictionaries(
        st.integers(0, 127 * 252 - 1),
        st.tuples(st.sampled_from(["remap", "lost", "bad"]), st.integers(0, 1)),
        max_size=12,
    )
)
def test_restoring_a_backup_is_the_identity(entries, tmp_path_factory):
    table = []
    for order, (place, (kind, spare)) in enumerate(sorted(entries.items())):
        entry = {
            "remap": Entry(EntryKind.REMAP, order, 10300 + order, spare, EntryFlag(order % 4)),
            "lost": Entry(EntryKind.LOST, order),
            "bad": Entry(EntryKind.BAD, 0, 11000 + order, spare),
        }[kind]
        table.append((place, entry))
    disks, _ = make(2, table)
    before, archive = load_any_order(disks), backup(disks, tmp_path_factory.mktemp("b"))
    wipe(*disks)
    restore(archive, disks, assign=BOTH, trust_data=True)
    assert load_any_order(disks) == before
    assert check_set(take_survey(disks)) == []


def test_what_is_new_after_a_restore(whole):
    disks, superblocks, archive = whole
    lose_superblocks(*disks)
    lose_leaf(superblocks[0], 0, *disks)
    restore(archive, disks, assign=BOTH)
    survey = take_survey(disks)
    assert check_set(survey) == []
    assert (survey.reference.events, survey.reference.generation) == (2, 2)
    assert [one.reason for one in survey.generations()] == [Reason.CREATED, Reason.RESTORED]
    assert survey.generations()[1].remaps == 2
    assert survey.best_seq[0] > 1 << 32
    assert survey.state() == State(7, 1100, False, survey.state().counters, survey.state().samples)


def test_one_wiped_spare_comes_back(whole):
    disks, _, archive = whole
    want = load(disks)
    wipe(disks[1])
    with pytest.raises(RefusedError, match="cannot be told which spare it is") as caught:
        restore(archive, disks)
    assert "--assign /dev/s1=INDEX" in caught.value.hint
    with pytest.raises(RefusedError, match="1 remapped blocks are on spare 1.*no trace of the set"):
        restore(archive, disks, assign={"/dev/s1": 1})
    assert load(disks) == "no superblock"
    restore(archive, disks, assign={"/dev/s1": 1}, trust_data=True)
    assert load_any_order(disks) == want
    assert check_set(take_survey(disks)) == []


def test_unknown_data_on_an_assigned_device_is_refused(whole):
    disks, _, archive = whole
    wipe(disks[1])
    disks[1].poke(9000, b"somebody's")
    with pytest.raises(RefusedError, match="has other data where the metadata would be"):
        restore(archive, disks, assign={"/dev/s1": 1})


def test_nothing_is_written_by_a_plan(whole):
    disks, _, archive = whole
    wipe(disks[1])
    before = images(disks)
    plan = plan_restore(archive, disks, RestoreWishes({"/dev/s1": 1}, trust_data=True))
    assert plan.needed
    assert plan.superblocks == ["/dev/s1"]
    assert [plan.leaf_copies(spare) for spare in plan.survey.current] == [0, 635]
    assert images(disks) == before


def test_another_set_is_refused(whole, tmp_path):
    disks, _, _ = whole
    others, _ = make(2)
    before = images(disks)
    with pytest.raises(RefusedError, match="belongs to the set .*, the backup is of the set"):
        restore(backup(others, tmp_path), disks)
    assert images(disks) == before


def test_wrong_assignments_are_refused(whole):
    disks, _, archive = whole
    with pytest.raises(RefusedError, match="/dev/s1 is spare 1 of the set, not 0"):
        restore(archive, disks, assign={"/dev/s1": 0})
    with pytest.raises(UsageError, match="none of the devices"):
        restore(archive, disks, assign={"/dev/s7": 0})
    lose_superblocks(disks[1])
    with pytest.raises(RefusedError, match="cannot both be spare 0"):
        restore(archive, disks, assign={"/dev/s1": 0})
    with pytest.raises(UsageError, match="The set has spares 0 to 1"):
        restore(archive, disks, assign={"/dev/s1": 2})
    object.__setattr__(disks[1], "sectors", 12700)
    try:
        with pytest.raises(RefusedError, match="has 12700 sectors, spare 1 had 12800"):
            restore(archive, disks, assign={"/dev/s1": 1})
    finally:
        object.__setattr__(disks[1], "sectors", 12800)


def test_what_the_spares_know_wins_over_an_older_file(whole):
    disks, superblocks, archive = whole
    put(disks, superblocks[0], 0, remap(5, 10400))
    put(disks, superblocks[0], 2, remap(6, 10401))
    want = load(disks)
    lose_superblocks(disks[1])
    with pytest.raises(
        RefusedError, match="older than the set: 2 entries in 1 leaves .* \\(units 5, 6\\)"
    ):
        restore(archive, disks, assign={"/dev/s1": 1})
    plan = restore(archive, disks, assign={"/dev/s1": 1}, force_older=True)
    assert (plan.newer, plan.changed, plan.from_file) == ([0], 2, [])
    assert load_any_order(disks) == want


def test_a_lost_leaf_never_comes_from_a_file_that_is_known_to_be_older(whole):
    disks, superblocks, archive = whole
    put(disks, superblocks[0], 300, remap(8, 10401))
    lose_leaf(superblocks[0], 0, *disks)
    before = images(disks)
    with pytest.raises(RefusedError, match="would be read from main, old"):
        restore(archive, disks, force_older=True)
    assert images(disks) == before


def test_the_count_of_changes_tells_an_older_file_too(whole):
    disks, superblocks, archive = whole
    lose_leaf(superblocks[0], 0, *disks)
    state = State(8, 1200, counters={"committed": 99})
    disks[1].poke(state_sector(8), state.encode(superblocks[0].set_uuid))
    with pytest.raises(RefusedError, match="the set counts 96 changes of the table more"):
        restore(archive, disks, force_older=True)


def test_a_set_that_has_lived_on_gets_no_leaf_from_the_file(whole):
    disks, superblocks, archive = whole
    write_members(disks, superblocks[0], Reason.IDENTITY)
    lose_leaf(superblocks[0], 0, *disks)
    with pytest.raises(RefusedError, match="it is at event 2, the file at event 1"):
        restore(archive, disks, force_older=True)


def test_a_lost_leaf_comes_from_a_file_that_nothing_contradicts_with_a_warning(whole):
    disks, superblocks, archive = whole
    want = load(disks)
    lose_leaf(superblocks[0], 0, *disks)
    assert load(disks)[1] == "lost leaf"
    plan = restore(archive, disks)
    assert plan.file_units == [5, 9]
    assert "would be read from main, old" in plan.warnings[0]
    assert load_any_order(disks) == want


def test_a_lost_leaf_needs_all_spares(whole):
    disks, superblocks, archive = whole
    lose_leaf(superblocks[0], 0, disks[0])
    with pytest.raises(RefusedError, match="spare 1 may have a newer version"):
        restore(archive, disks[:1])


def test_a_spare_that_failed_since_the_backup_stays_out(whole):
    disks, superblocks, archive = whole
    without(disks, superblocks[0], 1, SpareState.FAILED)
    put(disks[:1], superblocks[0], 1, remap(9, 10500))
    stale = bytes(disks[1].data)
    lose_superblocks(disks[0])
    # the record of the generation on the first knows of it, and nothing else does
    with pytest.raises(RefusedError, match="written at event 2, the newest members .* event 1"):
        restore(archive, disks, assign={"/dev/s0": 0}, force_older=True)
    lose_superblocks(disks[1])
    with pytest.raises(RefusedError, match="Spare 1 is failed"):
        restore(archive, disks, assign=BOTH, force_older=True)
    disks[1].data[:] = stale
    restore(archive, disks[:1], assign={"/dev/s0": 0}, force_older=True)
    assert load(disks[:1])[0] == (SpareState.IN_SYNC, SpareState.FAILED)
    assert load(disks[:1])[1][0, 0] == remap(5, 10300)
    assert bytes(disks[1].data) == stale


def test_a_newer_event_does_no_harm_when_all_spares_are_here(whole):
    disks, superblocks, archive = whole
    write_members(disks, superblocks[0], Reason.IDENTITY)
    put(disks, superblocks[0], 0, remap(5, 10400))
    want = load(disks)
    lose_superblocks(*disks)
    for disk in disks:
        disk.poke(9216, bytes(512 * BLOCK_SIZE // 8))
    with pytest.raises(RefusedError, match="written at event 2, the newest members"):
        restore(archive, disks[:1], assign={"/dev/s0": 0}, force_older=True)
    restore(archive, disks, assign=BOTH, force_older=True)
    assert load_any_order(disks) == want
    assert take_survey(disks).reference.events == 3


def test_split_spares_are_refused(whole):
    disks, superblocks, archive = whole
    without(disks, superblocks[0], 1)
    without(disks, superblocks[1], 0)
    with pytest.raises(RefusedError, match="each started without the other"):
        restore(archive, disks)


def test_another_history_is_refused(whole):
    disks, superblocks, archive = whole
    put(disks, superblocks[0], 300, remap(6, 10600))
    lived = replace(archive, leaves=dict(archive.leaves))
    lived.leaves[1] = take_survey(disks).best[1].replace(b"\x06", b"\x07", 1)
    leaf = take_survey(disks).leaf(1)
    leaf.entries[48] = remap(7, 10601)
    lived.leaves[1] = leaf.encode(superblocks[0].set_uuid)
    lose_superblocks(disks[1])
    with pytest.raises(RefusedError, match="two versions with the same sequence number"):
        restore(lived, disks, assign={"/dev/s1": 1})


def test_a_state_from_the_file_is_never_clean(whole, tmp_path):
    disks, superblocks, _ = whole
    clean = State(8, 1200, clean=True, counters={"committed": 3})
    for disk in disks:
        disk.poke(state_sector(8), clean.encode(superblocks[0].set_uuid))
    archive = backup(disks, tmp_path)
    wipe(*disks)
    restore(archive, disks, assign=BOTH, trust_data=True)
    state = take_survey(disks).state()
    assert (state.clean, state.counters["committed"]) == (False, 3)
    assert all(sample.crc is None for sample in state.samples)


def test_a_restore_that_is_cut_off_leaves_the_old_or_the_new_and_can_be_repeated(whole):
    disks, superblocks, archive = whole
    want = load(disks)
    wipe(disks[1])
    lose_leaf(superblocks[0], 1, disks[0])
    before, old = images(disks), load(disks)
    assert old == "no superblock"
    wishes = {"assign": {"/dev/s1": 1}, "trust_data": True}
    restore(archive, disks, **wishes)
    log = [*disks[0].log]
    seen = set()
    for count, how in crashes(disks, before, log):
        result = load_any_order(disks) if count > len(log) - 40 else load(disks)
        assert result in (old, want), (count, how)
        # the spare that still had superblocks never loses all of them
        assert best_superblock(disks[0]), (count, how)
        seen.add(result == old)
        if result == want:
            assert table_alone(disks[1]) == want[1], (count, how)
        if count % 97 == 0 or count > len(log) - 10:
            saved = images(disks)
            if load(disks) == old:
                restore(archive, disks, **wishes)
            assert load_any_order(disks) == want, (count, how)
            put_back(disks, saved)
    assert seen == {True, False}
    assert check_set(take_survey(disks)) == []


def test_a_medium_that_takes_nothing_stops_before_the_superblocks(whole):
    disks, superblocks, archive = whole
    lose_leaf(superblocks[0], 0, *disks)
    for replica in range(5):
        disks[1].broken.add(superblocks[1].leaf_sector(0, replica))
    with pytest.raises(MediaError, match="/dev/s1 took no copy of leaf 0"):
        restore(archive, disks)
    assert best_superblock(disks[0]).events == 1


def test_a_medium_that_refuses_some_copies_is_good_enough(whole):
    disks, superblocks, archive = whole
    want = load(disks)
    lose_leaf(superblocks[0], 0, *disks)
    for replica in range(4):
        disks[1].broken.add(superblocks[1].leaf_sector(0, replica))
    restore(archive, disks)
    disks[1].broken.clear()
    assert load_any_order(disks) == want
