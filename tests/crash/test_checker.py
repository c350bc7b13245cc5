"""The checker on sets made by hand: it accepts what is right, and sees each broken promise."""

import uuid
from collections.abc import Iterable
from dataclasses import replace

import pytest

from pyctl.format import (
    DATA_START,
    FEATURE_MIRRORS,
    REPLICAS,
    Entry,
    EntryFlag,
    EntryKind,
    Leaf,
    MainGeometry,
    SpareState,
    Superblock,
    plan_set,
    slot_sector,
)
from tests.crash import pattern
from tests.crash.checker import Checker, Violation
from tests.crash.journal import MAIN, Acknowledged, Died, GoneBad, MediaError
from tests.crash.media import Survivors, split
from tests.crash.promises import Promises
from tests.crash.table import Loader, RefusedError

RUN = 99
UNITS = 4
UNIT_SECTORS = 8
SPARE_SECTORS = 16384
FIRST = DATA_START // UNIT_SECTORS
V = 1 << 32


class Set:
    """A main disk of four units in version 0 and two spares, as they are on the media."""

    def __init__(self) -> None:
        self.superblocks = plan_set(
            MainGeometry(UNITS * UNIT_SECTORS, 4096),
            [SPARE_SECTORS] * 2,
            unit_bytes=4096,
            set_uuid=uuid.UUID(int=1),
            now=0,
        )
        self.images: list[dict[int, bytes]] = [{}, {}, {}]
        before = [(0,) * UNIT_SECTORS] * UNITS
        self.promises = Promises(before, before, [False] * UNITS, UNIT_SECTORS)
        for unit in range(UNITS):
            self.put(MAIN, unit, unit, 0)
        for index in range(2):
            self.put_superblock(index, self.superblocks[index])
            for number in range(self.superblocks[index].nr_leaves):
                self.put_leaf(Leaf(number), [index])

    def put(self, disk: int, place: int, unit: int, version: int) -> None:
        """Put a version of a unit at a place of a disk, counted in units."""
        data = pattern.encode_unit(unit, version, RUN, UNIT_SECTORS)
        self.images[disk].update(split(place * UNIT_SECTORS, data))

    def put_superblock(self, index: int, superblock: Superblock) -> None:
        """Write all copies."""
        for copy in range(REPLICAS):
            self.images[index + 1].update(split(slot_sector(copy), superblock.encode(copy)))

    def put_leaf(
        self, leaf: Leaf, spares: Iterable[int] = (0, 1), replicas: Iterable[int] = range(REPLICAS)
    ) -> None:
        """Write some copies of a leaf."""
        for index in spares:
            for replica in replicas:
                sector = self.superblocks[index].leaf_sector(leaf.number, replica)
                block = leaf.encode(self.superblocks[index].set_uuid)
                self.images[index + 1].update(split(sector, block))

    def redirected(self, unit: int, version: int) -> None:
        """A write of the unit has met a bad sector and was acknowledged."""
        self.promises.feed(MediaError(MAIN, (unit * UNIT_SECTORS,), ((unit, version),)))
        self.promises.feed(Acknowledged(1, unit, version, sync=False, error=0))

    def check(self) -> list[Violation]:
        """What the checker finds."""
        checker = Checker(RUN, UNIT_SECTORS, UNITS, Loader([SPARE_SECTORS] * 2))
        return checker.check(Survivors(self.images), self.promises)


def _remap(unit: int, spare: int, place: int, flags: EntryFlag = EntryFlag(0)) -> Entry:  # noqa: B008
    return Entry(EntryKind.REMAP, unit, place, spare, flags)


@pytest.fixture
def two() -> Set:
    """A set of two spares, with unit 2 redirected in version V + 5 to the second one."""
    made = Set()
    made.put_leaf(Leaf(0, 2, entries={0: _remap(2, 1, FIRST)}))
    made.put(2, FIRST, 2, V + 5)
    made.redirected(2, V + 5)
    return made


def _whats(found: list[Violation]) -> set[str]:
    return {violation.what for violation in found}


def test_a_set_that_keeps_its_promises_is_fine(two: Set) -> None:
    assert two.check() == []


def test_what_was_looked_at_is_counted(two: Set) -> None:
    checker = Checker(RUN, UNIT_SECTORS, UNITS, Loader([SPARE_SECTORS] * 2))
    checker.check(Survivors(two.images), two.promises)
    counts = checker.take_counts()
    assert (counts.cuts, counts.acknowledged_writes, counts.mappings) == (1, 1, 1)
    assert checker.take_counts().cuts == 0


def test_a_lost_acknowledged_write_is_seen(two: Set) -> None:
    two.promises.feed(Acknowledged(2, 1, V + 7, sync=True, error=0))
    (first, *rest) = two.check()
    assert first.what == "an acknowledged write is lost"
    assert "unit 1, sector 0" in first.where
    assert len(rest) == UNIT_SECTORS - 1


def test_one_stale_sector_is_seen(two: Set) -> None:
    two.promises.feed(Acknowledged(2, 1, V + 7, sync=True, error=0))
    two.put(MAIN, 1, 1, V + 7)
    assert two.check() == []
    old = pattern.Sector(1, 0, RUN, 3).encode()
    two.images[MAIN][UNIT_SECTORS + 3] = old
    (found,) = two.check()
    assert (found.what, found.where) == ("an acknowledged write is lost", "unit 1, sector 3 of it")


def test_sectors_of_versions_that_were_not_promised_may_be_mixed(two: Set) -> None:
    two.promises.feed(Acknowledged(2, 1, V + 7, sync=False, error=0))
    two.images[MAIN][UNIT_SECTORS + 3] = pattern.Sector(1, V + 7, RUN, 3).encode()
    assert two.check() == []


def test_a_version_from_before_the_last_cut_is_seen(two: Set) -> None:
    two.promises.units[1].base = (V + 1,) * UNIT_SECTORS
    assert _whats(two.check()) == {"an acknowledged write is lost"}


@pytest.mark.parametrize(
    "sector",
    [
        bytes(512),
        pattern.Sector(0, V + 7, RUN, 3).encode(),
        pattern.Sector(1, V + 7, RUN, 4).encode(),
        pattern.Sector(1, V + 7, RUN + 1, 3).encode(),
    ],
)
def test_foreign_data_is_seen(two: Set, sector: bytes) -> None:
    two.images[MAIN][UNIT_SECTORS + 3] = sector
    (found,) = two.check()
    assert found.what == "foreign data"


def test_a_unit_served_from_main_though_it_was_redirected_is_seen(two: Set) -> None:
    """Even if main has the right data: the mapping was promised."""
    two.put_leaf(Leaf(0, 3))
    two.put(MAIN, 2, 2, V + 5)
    (found,) = two.check()
    assert found.what == "main is served for acknowledged data on a spare"
    assert found.where == "unit 2"


def test_a_mapping_to_a_place_without_the_data_is_seen(two: Set) -> None:
    two.put_leaf(Leaf(0, 3, entries={0: _remap(2, 1, FIRST + 1)}))
    assert _whats(two.check()) == {"foreign data"}


def test_a_spare_unit_that_is_used_twice_is_seen(two: Set) -> None:
    two.put_leaf(Leaf(1, 2, entries={0: _remap(3, 1, FIRST)}))
    (found,) = two.check()
    assert found.what == "the set can't be started"
    assert "used twice" in found.why


def test_a_unit_that_is_mapped_twice_is_seen(two: Set) -> None:
    two.put_leaf(Leaf(1, 2, entries={0: _remap(2, 1, FIRST + 1)}))
    (found,) = two.check()
    assert "mapped twice" in found.why


def test_a_bad_spare_unit_may_be_in_use(two: Set) -> None:
    """A crash can come between the two leaves of one batch."""
    two.put_leaf(Leaf(1, 2, entries={0: Entry(EntryKind.BAD, 0, FIRST, 1)}))
    assert two.check() == []


def test_two_versions_of_a_leaf_with_one_number_are_seen(two: Set) -> None:
    two.put_leaf(Leaf(0, 2), spares=[0], replicas=[3])
    (found,) = two.check()
    assert "two versions" in found.why


def test_the_newest_whole_copy_of_a_leaf_counts(two: Set) -> None:
    two.put_leaf(Leaf(0, 1), spares=[0])
    two.put_leaf(Leaf(0, 1), spares=[1], replicas=[0, 1, 3, 4])
    assert two.check() == []


def test_copies_that_differ_are_counted(two: Set) -> None:
    checker = Checker(RUN, UNIT_SECTORS, UNITS, Loader([SPARE_SECTORS] * 2))
    checker.check(Survivors(two.images), two.promises)
    assert checker.differing == 0
    two.put_leaf(Leaf(0, 1), spares=[0])
    two.put_leaf(Leaf(3, 2), spares=[1], replicas=[4])
    assert checker.check(Survivors(two.images), two.promises) == []
    assert checker.differing == 2


def test_a_leaf_that_is_torn_everywhere_is_seen(two: Set) -> None:
    for index in range(2):
        for replica in range(REPLICAS):
            sector = two.superblocks[index].leaf_sector(5, replica)
            two.images[index + 1][sector + 7] = b"\xff" * 512
    (found,) = two.check()
    assert "leaf 5 has no valid copy" in found.why


def test_a_promised_unit_that_gives_an_error_is_seen(two: Set) -> None:
    two.put_leaf(Leaf(0, 3, entries={0: _remap(2, 1, FIRST, EntryFlag.UNKNOWN)}))
    (found,) = two.check()
    assert found.what == "a unit can't be read"


def test_a_unit_that_the_medium_has_lost_may_give_an_error(two: Set) -> None:
    two.promises.feed(GoneBad(MAIN, UNIT_SECTORS, 1, readable=False))
    assert two.check() == []
    two.redirected(1, V + 9)
    assert _whats(two.check()) == {
        "a unit can't be read",
        "main is served for acknowledged data on a spare",
    }


def test_units_of_a_spare_that_is_out_give_errors_only_if_it_died(two: Set) -> None:
    rows = list(two.superblocks[0].spares)
    rows[1] = replace(rows[1], state=SpareState.FAILED)
    two.put_superblock(0, replace(two.superblocks[0], spares=tuple(rows), events=2))
    assert _whats(two.check()) == {"a unit can't be read"}
    two.promises.feed(Died(2))
    assert two.check() == []


def test_a_spare_without_a_whole_superblock_is_seen(two: Set) -> None:
    for copy in range(REPLICAS):
        two.images[2][slot_sector(copy)] = b"\xff" * 512
    with pytest.raises(RefusedError, match="spare 1 has no valid superblock"):
        Loader([SPARE_SECTORS] * 2).load(Survivors(two.images))


def test_spares_that_were_started_alone_are_seen(two: Set) -> None:
    for index, events in ((0, 2), (1, 3)):
        rows = list(two.superblocks[index].spares)
        rows[1 - index] = replace(rows[1 - index], state=SpareState.MISSING)
        two.put_superblock(
            index, replace(two.superblocks[index], spares=tuple(rows), events=events)
        )
    (found,) = two.check()
    assert "started without the other" in found.why


def test_a_kernel_that_says_or_reads_otherwise_is_seen(two: Set) -> None:
    checker = Checker(RUN, UNIT_SECTORS, UNITS, Loader([SPARE_SECTORS] * 2))
    disks = Survivors(two.images)
    table = checker.loader.load(disks)
    remaps = {2 * UNIT_SECTORS: (1, FIRST * UNIT_SECTORS)}
    assert checker.compare_table(table, remaps) == []
    assert len(checker.compare_table(table, {})) == 1
    assert len(checker.compare_table(table, {**remaps, 0: (0, FIRST * UNIT_SECTORS)})) == 1
    read = checker.reader(disks, table, two.promises)
    contents = {unit: read(unit) for unit in range(UNITS)}
    assert checker.compare_content(read, contents) == []
    assert len(checker.compare_content(read, {**contents, 3: None})) == 1
    assert checker.compare_content(read, {**contents, 2: None}, gone={2}) == []
    assert len(checker.compare_content(read, {**contents, 2: bytes(4096)}, gone={2})) == 1


@pytest.fixture
def mirrored() -> Set:
    """Unit 2 is on both spares."""
    made = Set()
    made.superblocks = [
        replace(one, feature_incompat=FEATURE_MIRRORS, redundancy=2) for one in made.superblocks
    ]
    for index, superblock in enumerate(made.superblocks):
        made.put_superblock(index, superblock)
    second = Entry(EntryKind.MIRROR, 2, FIRST + 1, 0)
    made.put_leaf(Leaf(0, 2, entries={0: _remap(2, 1, FIRST), 1: second}))
    for disk, place in ((2, FIRST), (1, FIRST + 1)):
        made.put(disk, place, 2, V + 5)
    made.redirected(2, V + 5)
    return made


def test_either_copy_must_have_what_was_acknowledged(mirrored: Set) -> None:
    assert mirrored.check() == []
    mirrored.put(1, FIRST + 1, 2, V + 6)
    assert mirrored.check() == []
    mirrored.put(1, FIRST + 1, 2, 0)
    mirrored.promises.feed(Acknowledged(2, 2, V + 5, sync=True, error=0))
    assert _whats(mirrored.check()) == {"an acknowledged write is lost"}


def test_a_second_copy_may_be_older_after_a_cut_in_a_write_that_was_not_promised(
    mirrored: Set,
) -> None:
    unit = mirrored.promises.units[2]
    unit.floor = -1
    unit.base, unit.second = (V + 5,) * UNIT_SECTORS, (V + 3,) * UNIT_SECTORS
    mirrored.put(1, FIRST + 1, 2, V + 3)
    assert mirrored.check() == []
    mirrored.put(1, FIRST + 1, 2, V + 4)
    assert _whats(mirrored.check()) == {"an acknowledged write is lost"}
    # while the first copy is there it decides
    mirrored.put(1, FIRST + 1, 2, V + 5)
    mirrored.put(2, FIRST, 2, V + 3)
    assert _whats(mirrored.check()) == {"an acknowledged write is lost"}
    mirrored.promises.feed(Died(2))
    assert mirrored.check() == []


def test_a_kernel_may_know_of_a_dead_spare_and_have_promoted_second_copies(mirrored: Set) -> None:
    mirrored.put(1, FIRST + 1, 2, V + 3)
    checker = Checker(RUN, UNIT_SECTORS, UNITS, Loader([SPARE_SECTORS] * 2))
    disks = Survivors(mirrored.images)
    table = checker.loader.load(disks)
    first, second = (
        {2 * UNIT_SECTORS: (spare, place * UNIT_SECTORS)}
        for spare, place in ((1, FIRST), (0, FIRST + 1))
    )
    for dead, wrong in (((), 1), ({0}, 1), ({1}, 0)):
        assert checker.compare_table(table, first, dead) == []
        assert len(checker.compare_table(table, second, dead)) == wrong
        one = checker.reader(disks, table, mirrored.promises)
        other = checker.reader(disks, table, mirrored.promises, avoid=dead)
        for read in (one, checker.reader(disks, table, mirrored.promises, avoid={1})):
            contents = {unit: read(unit) for unit in range(UNITS)}
            found = checker.compare_content(one, contents, second=other)
            assert len(found) == (0 if read is one else wrong)


def test_the_second_copy_is_read_when_the_first_ones_spare_is_gone(mirrored: Set) -> None:
    rows = mirrored.superblocks[0].spares
    alone = replace(
        mirrored.superblocks[0],
        events=9,
        spares=(rows[0], replace(rows[1], state=SpareState.FAILED)),
    )
    mirrored.put_superblock(0, alone)
    assert mirrored.check() == []
    mirrored.put(1, FIRST + 1, 2, 0)
    mirrored.promises.feed(Acknowledged(2, 2, V + 5, sync=True, error=0))
    assert _whats(mirrored.check()) == {"an acknowledged write is lost"}


def test_second_copies_that_a_crash_has_left_over_say_nothing(mirrored: Set) -> None:
    half_done = Entry(EntryKind.MIRROR, 2, FIRST, 1)
    mirrored.put_leaf(Leaf(0, 3, entries={0: _remap(2, 1, FIRST), 1: half_done}))
    assert mirrored.check() == []
    orphan = Entry(EntryKind.MIRROR, 3, FIRST + 1, 0)
    mirrored.put_leaf(Leaf(0, 4, entries={0: _remap(2, 1, FIRST), 1: orphan}))
    assert mirrored.check() == []
    stolen = Entry(EntryKind.MIRROR, 3, FIRST, 1)
    mirrored.put_leaf(Leaf(0, 5, entries={0: _remap(2, 1, FIRST), 1: stolen}))
    assert _whats(mirrored.check()) == {"the set can't be started"}
