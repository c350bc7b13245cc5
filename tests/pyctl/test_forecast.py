"""When the spares will be full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.forecast import forecast
from pyctl.format import Usage
from pyctl.pool import PoolUsage

DAY = 86_400
NOW = 1_800_000_000


def usage(*notes, free=1000):
    """Notes are (days ago, used); the last one is what is used now."""
    made = tuple(Usage(NOW - days * DAY, used) for days, used in notes)
    used = made[-1].used if made else 0
    return PoolUsage(used + free, free, used, made)


def test_a_steady_rate():
    seen = forecast(usage((100, 0), (50, 500), (0, 1000)), NOW)
    assert seen.since == NOW - 100 * DAY
    assert seen.per_day == 10
    assert seen.full_at == NOW + 100 * DAY


def test_a_burst_of_late_counts_more_than_quiet_years():
    seen = forecast(usage((1000, 0), (30, 100), (1, 700), free=60), NOW)
    assert seen.per_day == pytest.approx(0.7)
    assert seen.recent_per_day == 20
    assert seen.full_at == NOW + 3 * DAY


def test_quiet_now_after_a_burst_is_still_the_mean_of_all():
    seen = forecast(usage((100, 0), (90, 900)), NOW)
    assert seen.recent_per_day == 0
    assert seen.full_at == NOW + int(1000 / 9 * DAY)


def test_notes_of_one_second():
    seen = forecast(usage((0, 0), (0, 41)), NOW)
    assert seen.per_day == seen.recent_per_day == 41 * 24


def test_nothing_happens():
    seen = forecast(usage((400, 7)), NOW)
    assert (seen.per_day, seen.recent_per_day, seen.full_at) == (0, 0, None)


def test_nothing_is_known():
    assert forecast(usage(), NOW).full_at is None


def test_full_is_now():
    assert forecast(usage((10, 5), (0, 9), free=0), NOW).full_at == NOW
    assert forecast(PoolUsage(5, 0, 5, ()), NOW).full_at == NOW


def test_remaps_that_went_back_are_no_growth():
    seen = forecast(usage((10, 500), (0, 100)), NOW)
    assert seen.per_day < 0
    assert seen.full_at is None


def test_what_is_centuries_ahead_is_not_in_sight():
    assert forecast(usage((1000, 0), (0, 1), free=10**9), NOW).full_at is None


@given(
    st.lists(st.tuples(st.integers(0, 2 * NOW), st.integers(0, 2**40)), max_size=64),
    st.integers(0, 2**40),
)
def test_any_history_has_an_answer(notes, free):
    ordered = tuple(Usage(time, used) for time, used in sorted(notes))
    seen = forecast(PoolUsage(free, free, 0, ordered), NOW)
    assert seen.full_at is None or seen.full_at >= NOW
