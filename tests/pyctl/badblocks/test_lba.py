import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.badblocks import Extent, ListError, lba
from tests.pyctl.badblocks.lists import extents_of, lines, placed, sets

TEXT = "# from the kernel log\n\n2048\n0x1000 8   # a cluster\n010\n"


def test_a_list():
    assert list(lba.parse(lines(TEXT), 512)) == [
        Extent(2048 * 512, 512, 3),
        Extent(4096 * 512, 8 * 512, 4),
        Extent(10 * 512, 512, 5),
    ]
    assert next(lba.parse(lines("3 2"), 4096)) == Extent(3 * 4096, 2 * 4096, 1)


@pytest.mark.parametrize("line", ["a", "1 2 3", "-1", "1 0", "1-2", "0x", "1 x", "0x" + "f" * 40])
def test_what_is_no_address_is_refused_with_its_line(line):
    with pytest.raises(ListError, match="is not an address") as caught:
        list(lba.parse(lines(f"1\n\n{line}\n"), 512))
    assert caught.value.line == 3


@given(st.sampled_from([1, 8]).flatmap(lambda n: st.tuples(st.just(n), sets(unit=n))))
def test_what_was_written_is_read_again(case):
    unit, sectors = case
    text = "".join(lba.write(extents_of(sectors), unit * 512))
    assert placed(lba.parse(lines(text), unit * 512)) == sectors
    assert text.count("\n") == 1 + len(sectors)
