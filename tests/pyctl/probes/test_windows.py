import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.probes.windows import Windows


def test_all_of_the_time():
    windows = Windows(1.0, 10, 100)
    assert windows.is_open
    assert windows.edge == math.inf
    assert not windows.switch(1e9)
    assert windows.looked(103) == 3
    assert windows.looked(103.5) == 0.5


@given(
    st.floats(0.001, 0.999),
    st.lists(st.floats(0, 1), min_size=5, max_size=20),
)
def test_a_window_in_each_cycle_wherever_chance_puts_it(share, places):
    chances = iter([*places, 0.0, 0.0])
    windows = Windows(share, 10, 0, lambda low, high: low + next(chances) * (high - low))
    for number, place in enumerate(places):
        assert not windows.is_open
        opens = windows.edge
        assert opens == pytest.approx(10 * number + place * 10 * (1 - share))
        assert not windows.switch(math.nextafter(opens, -1))
        assert windows.switch(opens)
        assert windows.is_open
        assert windows.edge - opens == pytest.approx(10 * share)
        assert windows.switch(windows.edge)
        assert windows.looked(windows.edge) == pytest.approx(10 * share)


def test_cycles_that_were_missed_are_left_out():
    windows = Windows(0.1, 10, 0, lambda low, _: low)
    assert windows.edge == 0
    assert windows.switch(35)
    assert windows.edge == 36
    assert windows.switch(77)
    # So long it was open, since nobody has closed it.
    assert windows.looked(78) == 42
    assert windows.edge == 77
