"""The map of a disk: which cell says what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.diskmap.cells import Cell, DiskMap, Kind, draw_map
from tests.pyctl.predict.regions.test_live import entry, mark

REGION = 2048


def kinds(disk):
    return {number: cell.kind for number, cell in disk.cells.items()}


def test_each_finding_has_its_kind():
    marks = [
        mark(0, errors=1, retries=3),
        mark(1, retries=1, slow=4),
        mark(2, slow=4),
        mark(3, blanks=1),
        mark(4, spare=0, errors=9),
    ]
    entries = [entry(5 * REGION, 8), entry(6 * REGION, 8, state="lost"), entry(2 * REGION, 8)]
    disk = draw_map(10 * REGION - 100, marks, entries, 8)
    assert disk.regions == 10
    assert kinds(disk) == {
        0: Kind.ERROR,
        1: Kind.RETRY,
        2: Kind.SLOW,
        3: Kind.BLANK,
        5: Kind.REMAP,
        6: Kind.ERROR,
    }
    assert disk.count(Kind.WELL) == 4 and disk.count(Kind.ERROR) == 2


def test_what_somebody_moved_is_drawn_too():
    disk = draw_map(4 * REGION, [], [entry(REGION - 8, 16, origin="manual")], 8)
    assert kinds(disk) == {0: Kind.REMAP, 1: Kind.REMAP}
    assert disk.cells[0].much == disk.cells[1].much


def test_more_of_it_is_brighter():
    few = draw_map(REGION, [], [entry(0, 8)], 8).cells[0]
    all_of_it = draw_map(REGION, [], [entry(0, REGION)], 8).cells[0]
    assert all_of_it.much == 1.0 and sum(few.colour) < sum(all_of_it.colour)


@given(regions=st.integers(1, 5000), most=st.integers(1, 300), worst=st.data())
def test_a_group_shows_its_worst(regions, most, worst):
    number = worst.draw(st.integers(0, regions - 1))
    cells = {n: Cell(Kind.REMAP, 0.5) for n in range(0, regions, 3)}
    disk = DiskMap(regions, cells | {number: Cell(Kind.ERROR, 0.1)})
    each, shown = disk.grouped(most)
    assert len(shown) <= most and each * len(shown) >= regions > each * (len(shown) - 1)
    assert [n for n, cell in enumerate(shown) if cell.kind is Kind.ERROR] == [number // each]


@pytest.mark.parametrize("kind", Kind)
def test_colours_and_signs(kind):
    assert len(kind.sign) == 1 and kind.meaning
    for much in (0.0, 0.5, 1.0):
        assert all(0 <= part <= 255 for part in Cell(kind, much).colour)
    assert len({each.sign for each in Kind}) == len(Kind)
    assert len({Cell(each, 1.0).colour for each in Kind}) == len(Kind)
