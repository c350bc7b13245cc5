import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.badblocks import Extent, ListError, SectorSet
from pyctl.errors import ExitCode, exit_code
from tests.pyctl.badblocks.lists import sector_set

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=30)


@given(RANGES)
def test_a_set_is_sorted_and_apart(rows):
    found = sector_set((start, start + count) for start, count in rows)
    plain = {s for start, count in rows for s in range(start, start + count)}
    pairs = list(found)
    assert {s for start, end in pairs for s in range(start, end)} == plain
    assert found.sectors() == len(plain)
    assert len(found) == len(pairs)
    for (_, end), (start, _) in itertools.pairwise(pairs):
        assert start > end
    for start, end in ((0, 80), (7, 9), (30, 31), (61, 70)):
        assert found.common(start, end) == len(plain & set(range(start, end)))


def test_an_empty_set():
    assert list(SectorSet()) == []
    assert SectorSet().sectors() == SectorSet().common(0, 100) == 0
    assert SectorSet() == sector_set([(5, 5)])
    assert SectorSet() != sector_set([(5, 6)])


def test_an_extent_is_widened_to_sectors():
    assert Extent.of_blocks(3, 2, 1024, 7) == Extent(3072, 2048, 7)
    assert (Extent(511, 2, 0).first_sector, Extent(511, 2, 0).end_sector) == (0, 2)
    assert (Extent(512, 512, 0).first_sector, Extent(512, 512, 0).end_sector) == (1, 2)


def test_no_device_is_so_large():
    assert Extent.of_blocks(2**54 - 2, 1, 512, 0).end_sector == 2**54 - 1
    with pytest.raises(ListError, match="Line 9: no device is so large"):
        Extent.of_blocks(2**54 - 1, 1, 512, 9)


def test_an_error_names_file_and_line():
    assert str(ListError("wrong.", 3).of("x.map")) == "x.map, line 3: wrong."
    assert str(ListError("wrong.", hint="Do this.").of("x.map")) == "x.map: wrong. Do this."
    assert exit_code(ListError("wrong.")) == ExitCode.USAGE
