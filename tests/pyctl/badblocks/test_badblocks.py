import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.badblocks import Extent, ListError, badblocks, e2fsck
from tests.pyctl.badblocks.lists import extents_of, lines, placed, sector_set, sets


def test_a_list():
    found = list(badblocks.parse(lines("0\n7\n\n 8 \n"), 1024))
    assert found == [Extent(0, 1024, 1), Extent(7168, 1024, 2), Extent(8192, 1024, 4)]
    assert list(e2fsck.parse(lines("2\n"), 4096)) == [Extent(8192, 4096, 1)]
    assert list(badblocks.parse(lines(""), 1024)) == []


@pytest.mark.parametrize("line", ["x", "-1", "1 2", "0x10", "1.5", "# 5", "٣", "1_0", "9" * 30])
def test_what_is_no_number_is_refused_with_its_line(line):
    with pytest.raises(ListError, match="is not the number of a block") as caught:
        list(badblocks.parse(lines(f"1\n{line}\n3\n"), 1024))
    assert caught.value.line == 2


def test_a_number_that_no_device_has():
    with pytest.raises(ListError, match="no device is so large"):
        list(badblocks.parse(lines(f"{2**63 - 1}\n"), 1024))


def test_a_line_without_an_end():
    with pytest.raises(ListError, match="too long"):
        list(badblocks.parse(lines("1" * 70000), 1024))


@given(
    st.sampled_from([1, 2, 8]).flatmap(lambda n: st.tuples(st.just(n), sets(unit=n, most=2**30)))
)
def test_what_was_written_is_read_again(case):
    unit, sectors = case
    text = "".join(badblocks.write(extents_of(sectors), unit * 512))
    assert placed(badblocks.parse(lines(text), unit * 512)) == sectors
    assert placed(e2fsck.parse(lines(text), unit * 512)) == sectors


@given(sets(most=2000), st.sampled_from([2, 8]))
def test_larger_blocks_cover_the_sectors_and_are_named_once(sectors, unit):
    written = [int(x) for x in badblocks.write(extents_of(sectors), unit * 512)]
    touched = {s // unit for start, end in sectors for s in range(start, end)}
    assert written == sorted(touched)


def test_the_text():
    assert list(badblocks.write(extents_of(sector_set([(3, 6)])), 1024)) == ["1\n", "2\n"]
