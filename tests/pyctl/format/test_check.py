from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.errors import FormatError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryKind,
    Generation,
    Leaf,
    Reason,
    Severity,
    SpareState,
    State,
    check_and_repair,
    check_set,
    gen_sector,
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
    remap,
    without,
)

TABLE = [(0, remap(5, 10300)), (1, remap(9, 10300, 1)), (300, Entry(EntryKind.LOST, 77))]


LEAF = st.sampled_from([0, 0, 1, 5])


def check(disks):
    return check_set(take_survey(disks))


def texts(disks, severity=Severity.LEFT):
    return [one.text for one in check(disks) if one.severity == severity]


def test_a_healthy_set_has_no_findings():
    disks, _ = make(3, TABLE)
    assert check(disks) == []


def test_nothing_is_written_without_repair():
    disks, _ = make(2, TABLE)
    disks[0].poke(slot_sector(2), b"x")
    before = images(disks)
    found = check_and_repair(disks, repair=False)
    assert [one.severity for one in found.errors] == [Severity.REPAIRABLE]
    assert images(disks) == before


# What lies where, and how many copies of it there are on one disk.
def copies(superblock, what, number):
    return {
        "superblock": lambda: [slot_sector(copy) for copy in range(5)],
        "leaf": lambda: [superblock.leaf_sector(number, copy) for copy in range(5)],
        "generation": lambda: [gen_sector(1, copy) for copy in range(2)],
        "state": lambda: [state_sector(7)],
    }[what]()


@settings(max_examples=50)
@given(
    damages=st.lists(
        st.tuples(
            st.sampled_from(["superblock", "leaf", "generation", "state"]),
            st.sampled_from([0, 1, 126]),
            st.sets(st.integers(0, 4), min_size=1, max_size=4),
            st.integers(0, 1),
            st.one_of(st.integers(0, BLOCK_SIZE * 8 - 1), st.just("zero"), st.just("noise")),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_damage_with_a_copy_left_is_found_and_repaired(damages):
    disks, superblocks = make(2, TABLE)
    sound, before = images(disks), load_any_order(disks)
    damaged = set()
    for what, number, which, index, how in damages:
        sectors = copies(superblocks[index], what, number)
        for copy in sorted(which)[: len(sectors) if what == "state" else len(sectors) - 1]:
            if copy < len(sectors) and (index, sectors[copy]) not in damaged:
                if what == "leaf" and sum(d[1] in sectors for d in damaged) >= 4:
                    continue
                if what in ("superblock", "generation") and (
                    sum(d[0] == index and d[1] in sectors for d in damaged) >= len(sectors) - 1
                ):
                    continue
                if what == "state" and any(d[1] == sectors[0] for d in damaged):
                    continue
                damaged.add((index, sectors[copy]))
                disks[index].poke(sectors[copy], spoilt(disks[index].block(sectors[copy]), how))
    found = [(one.device, one.sector) for one in check(disks)]
    quiet = {  # a state block that is blank was never written, or is as good as that
        (index, sector)
        for index, sector in damaged
        if sector == state_sector(7) and not any(disks[index].block(sector))
    }
    expected = {(disks[i].path, sector) for i, sector in damaged - quiet}
    assert expected <= set(found)
    done = check_and_repair(disks, repair=True)
    assert done.errors == []
    assert {(one.device, one.sector) for one in done.repaired} == expected
    assert check(disks) == []
    assert load_any_order(disks) == before
    for i, disk in enumerate(disks):
        for index, sector in quiet:
            if index == i:
                disk.poke(sector, sound[disk][sector * 512 : sector * 512 + BLOCK_SIZE])
        assert disk.data == sound[disk]


@settings(max_examples=60)
@given(
    hits=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.one_of(
                st.sampled_from([slot_sector(copy) for copy in range(5)]),
                st.builds(lambda k, n: slot_sector(k) + 8 + 8 * n, st.integers(0, 4), LEAF),
                st.integers(0, 1279).map(lambda block: block * 8),
            ),
            st.one_of(st.integers(0, BLOCK_SIZE * 8 - 1), st.just("zero"), st.just("noise")),
        ),
        max_size=30,
    ),
    left_out=st.sampled_from([None, SpareState.MISSING, SpareState.FAILED]),
    partly=st.sets(st.integers(0, 4)),
)
def test_no_damage_makes_repair_change_what_the_kernel_would_load(hits, left_out, partly):
    disks, superblocks = make(2, TABLE)
    put(disks[:1], superblocks[0], 0, remap(5, 10400), replicas=partly)
    if left_out:
        without(disks, superblocks[0], 1, left_out)
    for index, sector, how in hits:
        disks[index].poke(sector, spoilt(disks[index].block(sector), how))
    before = load_any_order(disks)
    try:
        done = check_and_repair(disks, repair=True)
    except FormatError:
        return
    assert load_any_order(disks) == before
    if isinstance(before, str):
        assert done.errors
    assert not any(one.severity == Severity.REPAIRABLE for one in done.findings)


def spoilt(block, how):
    if how == "zero":
        return bytes(BLOCK_SIZE)
    if how == "noise":
        return bytes(range(255, -1, -1)) * 16
    changed = bytearray(block)
    changed[how // 8] ^= 1 << how % 8
    return bytes(changed)


def test_an_old_copy_is_brought_up_to_date():
    disks, superblocks = make(2, TABLE)
    put(disks, superblocks[0], 0, remap(5, 10400), replicas=[0, 2, 4])
    assert len(texts(disks, Severity.REPAIRABLE)) == 4
    assert "sequence number is 3, the newest is 4" in texts(disks, Severity.REPAIRABLE)[0]
    check_and_repair(disks, repair=True)
    assert check(disks) == []
    assert load(disks)[1][0, 0] == remap(5, 10400)


def test_a_superblock_of_an_older_event_is_brought_up_to_date():
    disks, superblocks = make(3)
    without(disks, superblocks[0], 2)
    # a crash between the first two spares: the second does not know yet
    for copy in range(5):
        disks[1].poke(slot_sector(copy), superblocks[1].encode(copy))
    assert (
        "was written at event 1, the newest one at event 2" in texts(disks, Severity.REPAIRABLE)[0]
    )
    check_and_repair(disks[:2], repair=True)
    assert best_superblock(disks[1]).spares[2].state == SpareState.MISSING
    assert texts(disks[:2]) == []


def test_a_repair_that_is_cut_off_leaves_a_set_that_loads():
    disks, superblocks = make(2, TABLE)
    put(disks, superblocks[0], 0, remap(5, 10400), replicas=[1])
    for disk in disks:
        for copy in (0, 3, 4):
            disk.poke(slot_sector(copy), b"x")
            disk.poke(superblocks[0].leaf_sector(126, copy), bytes(BLOCK_SIZE))
            disk.poke(gen_sector(1, 1), b"x")
    before, want = images(disks), load_any_order(disks)
    assert want[1][0, 0] == remap(5, 10400)
    check_and_repair(disks, repair=True)
    log = list(disks[0].log)
    assert len([write for write in log if write[1] is not None]) == 22
    for point in crashes(disks, before, log):
        assert load_any_order(disks) == want, point
    assert check(disks) == []


def test_a_lost_leaf_stays_an_error_and_is_not_made_up():
    disks, superblocks = make(2, TABLE)
    for disk in disks:
        for replica in range(5):
            disk.poke(superblocks[0].leaf_sector(0, replica), bytes(BLOCK_SIZE))
    before = images(disks)
    done = check_and_repair(disks, repair=True)
    assert any("Leaf 0 of the table has no valid copy on any spare" in e.text for e in done.errors)
    assert images(disks) == before


def test_five_damaged_superblocks_stay_an_error():
    disks, _ = make(2, TABLE)
    for copy in range(5):
        disks[1].poke(slot_sector(copy), b"x")
    assert "has no whole superblock in any of its five copies" in texts(disks)[0]
    assert check_and_repair(disks, repair=True).repaired == []
    with pytest.raises(FormatError, match="no whole dm-remap superblock on /dev/s1"):
        take_survey([disks[1]])


def test_a_stale_spare_is_told_and_not_touched():
    disks, superblocks = make(2, TABLE)
    without(disks, superblocks[0], 1)
    disks[1].poke(slot_sector(0), b"x")
    put(disks[:1], superblocks[0], 0, remap(5, 10400))
    before = bytes(disks[1].data)
    disks[0].poke(slot_sector(0), b"x")
    assert any("is stale: the set calls it missing" in text for text in texts(disks, Severity.NOTE))
    done = check_and_repair(disks, repair=True)
    assert done.errors == []
    assert len(done.repaired) == 1
    assert bytes(disks[1].data) == before


def test_spares_that_were_each_started_alone_are_refused_and_left_alone():
    disks, superblocks = make(2, TABLE)
    saved = best_superblock(disks[1])
    without(disks, superblocks[0], 1)
    without(disks, saved, 0)
    disks[0].poke(slot_sector(0), b"x")
    assert load(disks) == "split"
    assert any("were each started without the other" in text for text in texts(disks))
    before = images(disks)
    assert check_and_repair(disks, repair=True).repaired == []
    assert images(disks) == before


def test_a_missing_spare_is_a_note():
    disks, _ = make(2, TABLE)
    assert texts(disks[:1]) == []
    assert "Spare 1 " in texts(disks[:1], Severity.NOTE)[0]


def test_a_copy_of_a_spare_is_refused():
    disks, _ = make(2)
    disks[1].data[:] = disks[0].data
    assert "is the same spare as another device" in texts(disks)[0]


def raw_leaf(disks, superblock, number, entries, seq=9):
    block = Leaf(number, seq, 1, entries).encode(superblock.set_uuid)
    for disk in disks:
        for replica in range(5):
            disk.poke(superblock.leaf_sector(number, replica), block)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({0: remap(5, 10300), 9: remap(5, 10301)}, "Unit 5 of main is in the table twice"),
        ({0: remap(5, 10300), 9: remap(6, 10300)}, "Unit 10300 of spare 0 is used twice"),
        ({3: remap(1 << 40, 10300)}, "Entry 3 of leaf 2 was refused: "),
        ({3: remap(5, 100)}, "Entry 3 of leaf 2 was refused: "),
        ({3: remap(5, 10300, 7)}, "Entry 3 of leaf 2 was refused: "),
        ({0: Entry(EntryKind.LOST, 4), 1: remap(4, 10300)}, "Unit 4 of main is in the table twice"),
    ],
)
def test_entries_that_the_kernel_would_refuse(entries, words):
    disks, superblocks = make(2)
    raw_leaf(disks, superblocks[0], 2, entries)
    assert any(words in text for text in texts(disks)), texts(disks)


def test_an_entry_that_points_into_metadata_is_an_error():
    disks, superblocks = make(1, max_remaps=33000)
    assert superblocks[0].overflow[0] >= 10240
    raw_leaf(disks, superblocks[0], 2, {0: remap(5, superblocks[0].overflow[0])})
    assert "where metadata lies" in texts(disks)[0]


def test_a_bad_unit_may_overlap_a_remap():
    disks, superblocks = make(1)
    bad = Entry(EntryKind.BAD, 0, 10300)
    raw_leaf(disks, superblocks[0], 2, {0: remap(5, 10300), 1: bad})
    assert check(disks) == []


def test_a_table_newer_than_all_superblocks_is_an_error():
    disks, superblocks = make(2)
    block = Leaf(3, 5, 4).encode(superblocks[0].set_uuid)
    disks[0].poke(superblocks[0].leaf_sector(3, 0), block)
    assert any("written at event 4, but the newest superblock is of" in t for t in texts(disks))


def test_two_versions_of_one_number_are_an_error():
    disks, superblocks = make(2)
    for disk, unit in zip(disks, (5, 6), strict=True):
        raw_leaf([disk], superblocks[0], 3, {0: remap(unit, 10300)})
    assert any("two versions with the same sequence number 9" in text for text in texts(disks))
    rows = tuple(replace(row, events=9) for row in superblocks[1].spares)
    disks[1].poke(slot_sector(4), replace(superblocks[1], spares=rows).encode(4))
    assert any("differs from another superblock of the same event" in text for text in texts(disks))


def test_a_gap_in_the_history_is_a_note():
    disks, _ = make(1)
    for copy in range(2):
        disks[0].poke(gen_sector(1, copy), b"x")
    assert "the history has a gap there" in texts(disks, Severity.NOTE)[0]
    assert texts(disks) == []


def test_an_unfinished_generation_is_nothing_to_repair():
    disks, superblocks = make(1)
    one = Generation.of(replace(superblocks[0], generation=2), Reason.SPARE_FAILED)
    disks[0].poke(gen_sector(2, 0), one.encode(superblocks[0].set_uuid))
    assert check(disks) == []
    assert [one.number for one in take_survey(disks).generations()] == [1]


def test_the_newest_state_wins():
    disks, superblocks = make(2)
    disks[1].poke(state_sector(8), State(8, 5, clean=True).encode(superblocks[0].set_uuid))
    assert take_survey(disks).state().clean
    disks[0].poke(state_sector(8), b"torn")
    assert "State block 0 is not valid" in texts(disks, Severity.REPAIRABLE)[0]
    check_and_repair(disks, repair=True)
    assert disks[0].block(state_sector(8)) == disks[1].block(state_sector(8))


def test_a_medium_that_refuses_one_copy_keeps_its_error_and_the_rest_is_repaired():
    disks, superblocks = make(1, TABLE[:1])
    disks[0].poke(slot_sector(0), b"x")
    disks[0].broken.add(superblocks[0].leaf_sector(0, 1))
    done = check_and_repair(disks, repair=True)
    assert [one.block for one in done.errors] == ["leaf 0, replica 1"]
    assert [one.block for one in done.repaired] == ["superblock copy 0"]
