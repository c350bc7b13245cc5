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
        "warnings": draw(BIG | st.integers(0, 20)),
        "found": draw(BIG | st.integers(0, 20)),
        "found_before": draw(BIG | st.integers(0, 20)),
        "age": draw(BIG),
        "interval": draw(st.integers(0, 1 << 20)),
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
        ({"errors": 1001}, 49),
        ({"errors": 10_000}, 49),
        ({"errors": 10_001}, 24),
        ({"errors": 3, "ios": 0}, 100),
        ({"errors": 4, "ios": 0}, 24),
        ({"spares_total": 2}, 80),
        ({"spares_total": 8, "spares_present": 0}, 0),
        ({"warnings": 1}, 99),
        ({"warnings": 15}, 85),
        ({"warnings": 1 << 60}, 85),
        ({"found": 7, "found_before": 7}, 100),
        ({"found": 1, "found_before": 9}, 100),
        ({"found": 8, "found_before": 7}, 98),
        ({"found": 1 << 63}, 85),
        ({"interval": 3600, "age": 3 * 3600 - 1}, 100),
        ({"interval": 3600, "age": 3 * 3600}, 99),
        ({"interval": 3600, "age": 1 << 60}, 90),
        ({"interval": 0, "age": 1 << 60}, 100),
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


@given(terms(), st.sampled_from(["used", "lost", "errors", "warnings", "found", "age"]))
def test_more_trouble_never_raises_the_score(t, what):
    more = {**t, what: t[what] + 1}
    if more["used"] <= more["capacity"]:
        assert score(**more) <= score(**t)


@given(terms(), st.sampled_from(["ios", "found_before"]))
def test_more_of_what_is_good_never_lowers_the_score(t, what):
    assert score(**{**t, what: t[what] + 1}) >= score(**t)


@given(terms())
def test_the_terms_are_what_the_score_is_made_of(t):
    minus = ffi.new("u32[]", lib.DMR_NR_TERMS)
    lib.dmr_health_terms(ffi.new("struct dmr_health *", t), minus)
    assert score(**t) == max(0, 100 - sum(minus))


def test_every_term_has_a_name_of_its_own():
    names = [ffi.string(lib.dmr_health_term_name(i)) for i in range(lib.DMR_NR_TERMS)]
    assert len(set(names)) == len(names)
    assert ffi.string(lib.dmr_health_term_name(lib.DMR_NR_TERMS)) == b"unknown"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        *[(100, b"good"), (75, b"good"), (74, b"fair"), (50, b"fair")],
        *[(49, b"poor"), (25, b"poor"), (24, b"critical"), (0, b"critical")],
    ],
)
def test_a_word_for_a_score(value, word):
    assert ffi.string(lib.dmr_health_word(value)) == word


@given(st.integers(4, 1 << 40), st.data())
def test_an_error_rate_over_a_percent_is_critical_and_over_a_tenth_of_it_poor(errors, data):
    ios = data.draw(st.integers(0, errors * 2000))
    word = ffi.string(lib.dmr_health_word(score(ios=ios, errors=errors)))
    if errors > ios // 100:
        assert word == b"critical"
    elif errors > ios // 1000:
        assert word == b"poor"
    else:
        assert word == b"good"


REGION = st.fixed_dictionaries(
    {
        "units": st.sampled_from([0, 1, 256, 2048]),
        **{
            key: st.integers(0, 40) | st.integers(0, (1 << 32) - 2)
            for key in ("errors", "retries", "slow", "marginal", "blanks")
        },
    }
)


def region_score(**terms):
    return lib.dmr_region_score(ffi.new("struct dmr_region_health *", terms))


@given(REGION, st.sampled_from(["errors", "retries", "slow", "marginal", "blanks"]))
def test_the_score_of_a_region(t, what):
    assert 0 <= region_score(**t) <= 100
    assert region_score(**{**t, what: t[what] + 1}) <= region_score(**t)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, 100),
        ({"errors": 1}, 90),
        ({"errors": 3}, 70),
        ({"errors": 21}, 40),
        ({"retries": 1}, 90),
        ({"retries": 5}, 60),
        ({"slow": 1}, 97),
        ({"slow": 32, "marginal": 32}, 60),
        ({"blanks": 9}, 96),
    ],
)
def test_each_term_of_a_region(terms, expected):
    assert region_score(units=2048, **terms) == expected
