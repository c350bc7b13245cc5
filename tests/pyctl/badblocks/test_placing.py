import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.badblocks import Extent, ListError, Window, place


def extent(first, count=1, line=0):
    return Extent(first * 512, count * 512, line)


def test_sectors_are_widened_to_blocks():
    found = place([extent(9), extent(15, 2), Extent(100, 1, 0)], Window(0, 800, 8))
    assert list(found.sectors) == [(0, 24)]


def test_a_partition_begins_later():
    window = Window(2048, 1000, 1)
    assert list(place([extent(2048), extent(3047)], window).sectors) == [(0, 1), (999, 1000)]
    for first in (2047, 3048):
        with pytest.raises(ListError, match=f"sectors {first} to {first} are not on the device"):
            place([extent(first)], window)


def test_what_is_elsewhere_on_the_disk_is_passed_over():
    window = Window(2048, 1000, 1, disk=10000)
    found = place([extent(0, 3), extent(2047, 2), extent(3047, 5), extent(9999)], window)
    assert list(found.sectors) == [(0, 1), (999, 1000)]
    assert found.elsewhere == 3 + 1 + 4 + 1
    with pytest.raises(ListError, match="not on the disk, which has 10000 sectors"):
        place([extent(9999, 2)], window)


def test_what_is_outside_is_named_with_its_line():
    rows = [extent(n, 2, line=n) for n in range(7, 14)]
    with pytest.raises(ListError) as caught:
        place(rows, Window(0, 10, 1))
    assert caught.value.line == 9
    assert caught.value.problem == (
        "sectors 9 to 10, 10 to 11, 11 to 12 (and 2 more ranges) are not on the device, which has"
        " 10 sectors."
    )


def test_clipping_leaves_it_out():
    found = place([extent(5), extent(8, 5), extent(90)], Window(0, 10, 1), clip=True)
    assert list(found.sectors) == [(5, 6), (8, 10)]
    assert found.elsewhere == 4


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40)), max_size=20),
    st.integers(0, 100),
    st.sampled_from([1, 8]),
)
def test_exactly_the_blocks_that_are_touched(rows, offset, unit):
    window = Window(offset, 25 * 8, unit)
    found = place([extent(*row) for row in rows], window, clip=True)
    listed = [s - offset for first, count in rows for s in range(first, first + count)]
    blocks = {s // unit for s in listed if 0 <= s < window.length}
    assert {s // unit for start, end in found.sectors for s in range(start, end)} == blocks
    assert found.sectors.sectors() == len(blocks) * unit
    assert found.elsewhere == sum(not 0 <= s < window.length for s in listed)
