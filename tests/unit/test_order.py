import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

SEQUENTIAL, RANDOM, STAGGERED, FOCUSED = range(4)
FULL = (SEQUENTIAL, STAGGERED, FOCUSED)
SIZES = st.integers(1, 400) | st.sampled_from([127, 128, 129, 2047, 2048, 2049, 5000])
SEEDS = st.integers(0, (1 << 64) - 1)


def make(pattern, nr, seed=0, hot=()):
    o = ffi.new("struct dmr_order *")
    lib.dmr_order_init(o, pattern, nr, seed)
    for region in hot:
        lib.dmr_order_focus(o, region)
    return o


def steps(o, start=0):
    return [lib.dmr_order_at(o, i) for i in range(start, lib.dmr_order_total(o))]


@st.composite
def orders(draw, patterns=range(4)):
    nr = draw(SIZES)
    hot = draw(st.lists(st.integers(0, nr - 1), max_size=100))
    return make(draw(st.sampled_from(list(patterns))), nr, draw(SEEDS), hot)


@given(orders(FULL))
def test_every_region_has_its_turn_exactly_once(o):
    assert sorted(steps(o)) == list(range(o.nr))


@given(SIZES, SEEDS)
def test_a_sample_is_a_share_without_repetition(nr, seed):
    found = steps(make(RANDOM, nr, seed))
    assert len(found) == -(-nr * lib.DMR_ORDER_SAMPLE // 100)
    assert len(set(found)) == len(found)
    assert all(0 <= region < nr for region in found)


def test_samples_cover_the_device_evenly_and_differ():
    nr, parts = 8000, 8
    seen = set()
    for seed in range(40):
        found = steps(make(RANDOM, nr, seed))
        counts = [sum(region * parts // nr == part for region in found) for part in range(parts)]
        # 960 in 8 parts: 120 each, with a deviation of 11
        assert all(70 < count < 170 for count in counts)
        seen |= set(found)
    # 40 samples of 12 % leave 0.6 % out
    assert len(seen) > 0.98 * nr


def test_sequential_is_sequential():
    assert steps(make(SEQUENTIAL, 1000)) == list(range(1000))


@pytest.mark.parametrize("nr", [64, 100, 1000, 1024, 5000])
def test_staggered_visits_every_group_in_each_round_and_jumps_far(nr):
    found = steps(make(STAGGERED, nr))
    groups = max(nr // lib.DMR_ORDER_GROUP, lib.DMR_ORDER_GROUPS)
    longest = -(-nr // groups)
    for start in range(0, nr - groups + 1, groups):
        one = sorted(found[start : start + groups])
        # one of each group: two that follow each other are never much closer than a group
        assert all(b - a >= longest - 1 for a, b in itertools.pairwise(one))
    jumps = [abs(a - b) for a, b in itertools.pairwise(found[:groups])]
    assert min(jumps) > nr // 4


@given(st.integers(200, 5000), st.integers(0, 4999), st.integers(60, 200))
def test_staggered_meets_a_cluster_early(nr, start, length):
    """A cluster of errors as long as a group is met in the first round."""
    assume(start + length <= nr)
    groups = max(nr // lib.DMR_ORDER_GROUP, lib.DMR_ORDER_GROUPS)
    assume(length >= -(-nr // groups))
    first = steps(make(STAGGERED, nr))[:groups]
    assert any(start <= region < start + length for region in first)


@given(SIZES, st.data())
def test_focused_begins_with_what_is_bad_and_its_neighbours(nr, data):
    bad = data.draw(st.lists(st.integers(0, nr - 1), max_size=60))
    found = steps(make(FOCUSED, nr, hot=bad))
    near = {r for b in bad for r in (b - 1, b, b + 1) if 0 <= r < nr}
    assert set(found[: len(near)]) == near
    rest = found[len(near) :]
    assert rest == sorted(rest)


def test_when_there_are_too_many_ranges_the_others_have_their_turn_later():
    o = ffi.new("struct dmr_order *")
    lib.dmr_order_init(o, FOCUSED, 1000, 0)
    taken = [lib.dmr_order_focus(o, 5 * i) for i in range(100)]
    assert taken == [True] * lib.DMR_ORDER_HOT + [False] * (100 - lib.DMR_ORDER_HOT)
    assert lib.dmr_order_focus(o, 1), "it belongs to the first range"
    assert sorted(steps(o)) == list(range(1000))


@given(orders(), st.data())
def test_a_pass_goes_on_where_it_was(o, data):
    """Also when something else is bad by then; only what a focused pass begins with is repeated."""
    total = lib.dmr_order_total(o)
    done = data.draw(st.integers(0, total))
    first = steps(o)[:done]
    place = lib.dmr_order_place(o, done)
    hot = data.draw(st.lists(st.integers(0, o.nr - 1), max_size=80))
    again = make(o.pattern, o.nr, o.seed, hot)
    rest = steps(again, lib.dmr_order_resume(again, place))
    assert len(set(rest)) == len(rest)
    assert set(first) | set(rest) == set(steps(o))
    if o.pattern != FOCUSED:
        assert first + rest == steps(o)
    if done == total:
        assert not rest
    # and once more from there
    twice = make(o.pattern, o.nr, o.seed, hot)
    middle = data.draw(st.integers(0, len(rest)))
    if rest:
        start = lib.dmr_order_total(again) - len(rest)
        place = lib.dmr_order_place(again, start + middle)
        last = steps(twice, lib.dmr_order_resume(twice, place))
        assert set(first) | set(rest[:middle]) | set(last) == set(steps(o))


@given(orders(), st.integers(0, (1 << 64) - 1))
def test_a_place_that_makes_no_sense_does_no_harm(o, place):
    step = lib.dmr_order_resume(o, place)
    total = lib.dmr_order_total(o)
    assert 0 <= step <= total
    assert all(lib.dmr_order_at(o, i) < o.nr for i in range(step, min(step + 300, total)))


@given(st.sampled_from([1 << 23, 1 << 30, (1 << 37) - 1, 1 << 37]), st.integers(0, 3), st.data())
def test_large_devices(nr, pattern, data):
    o = make(pattern, nr, 7, [nr - 1, nr // 2])
    total = lib.dmr_order_total(o)
    found = {lib.dmr_order_at(o, step) for step in range(total - 50, total)}
    assert len(found) == 50
    assert all(0 <= region < nr for region in found)
    step = data.draw(st.integers(0, total - 1))
    assert lib.dmr_order_at(o, step) < nr


def test_a_device_without_regions():
    assert all(lib.dmr_order_total(make(pattern, 0)) == 0 for pattern in range(4))


def test_names():
    names = [ffi.string(lib.dmr_pattern_name(i)).decode() for i in range(5)]
    assert names == ["sequential", "random", "staggered", "focused", "unknown"]
