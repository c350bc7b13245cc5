"""What the tests of all formats need."""

import io

from hypothesis import strategies as st

from pyctl.badblocks import SectorSet, Window, numbered, place


def lines(text):
    return numbered(io.StringIO(text))


def sector_set(ranges):
    found = SectorSet()
    for start, end in ranges:
        found.add(start, end)
    return found


@st.composite
def sets(draw, unit=1, most=2**40):
    """Sets of sectors in blocks of `unit` sectors."""
    rows = st.tuples(st.integers(0, most), st.integers(1, 300))
    return sector_set(
        (start * unit, (start + count) * unit) for start, count in draw(st.lists(rows, max_size=20))
    )


def extents_of(sectors):
    """A set as the writers take it: (start, length) in bytes."""
    return [(start * 512, (end - start) * 512) for start, end in sectors]


def placed(extents, length=2**60, unit=1):
    return place(extents, Window(0, length, unit)).sectors
