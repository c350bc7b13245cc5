import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

BIG = st.integers(0, 1 << 45)
FINE = {"capacity": 1000, "ios": 1_000_000, "spares_total": 1, "spares_present": 1}


def score(**terms):
    return lib.dmr_health_score(ffi.new("struct dmr_health *", {**FINE, **terms}))


@st.composite
def terms(draw):
    total = draw(st.integers(1, 8))
    capacity = draw(BIG | st.integers(0, 300))
    return {
        "capacity": capacity,
        "used": draw(st.integers(0, capacity)),
        "lost": draw(BIG | st.integers(0, 10)),
        "ios": draw(BIG),
        "errors": draw(BIG | st.integers(0, 10)),
        "spares_total": total,
        "spares_present": draw(st.integers(0, total)),
    }


@given(terms(), st.booleans(), st.booleans())
def test_the_score_is_a_percentage(t, breaker, failed):
    value = score(**t, breaker_open=breaker, failed=failed)
    assert 0 <= value <= 100
    if breaker or failed:
        assert value == 0


def test_nothing_wrong_is_a_hundred():
    assert score() == 100


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"used": 500}, 80),
        ({"used": 1000}, 60),
        ({"lost": 1}, 95),
        ({"lost": 6}, 70),
        ({"lost": 7}, 70),
        ({"lost": 1 << 60}, 70),
        ({"errors": 1000}, 100),
        ({"errors": 1001}, 90),
        ({"errors": 10_000}, 90),
        ({"errors": 10_001}, 75),
        ({"spares_total": 2}, 80),
        ({"spares_total": 8, "spares_present": 0}, 0),
        ({"breaker_open": True}, 0),
        ({"failed": True}, 0),
    ],
)
def test_each_documented_term(change, expected):
    assert score(**change) == expected


@given(st.integers(1, 1 << 45), st.data())
def test_the_fill_of_the_spares_costs_forty_at_the_most(capacity, data):
    used = data.draw(st.integers(0, capacity) | st.just(capacity - 1))
    cost = 100 - score(capacity=capacity, used=used)
    assert abs(cost - used * 40 / capacity) < 2


@given(terms(), st.sampled_from(["used", "lost", "errors"]))
def test_more_trouble_never_raises_the_score(t, what):
    more = {**t, what: t[what] + 1}
    if more["used"] <= more["capacity"]:
        assert score(**more) <= score(**t)
