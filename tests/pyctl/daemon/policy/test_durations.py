import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.policy.durations import MAX_SECONDS, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_what_people_write(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "m", "1.5h", "-1s", "1h ", "1 h", "0s", "600w", "٣s", "1y", "1h30"]
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="no length of time|not between"):
        parse_duration(text)


@given(st.integers(1, MAX_SECONDS))
def test_text_and_back(seconds):
    assert parse_duration(duration_text(seconds)) == seconds


def test_what_has_no_exact_text():
    assert duration_text(0.4) == "0s"
    assert duration_text(61.9) == "1m1s"
    assert duration_text(math.inf) == "never"
