"""The predictor of regions: what it finds, and what must not change its answers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.predict.regions.predictor import DevicePredictor, Observation
from tests.pyctl.predict.regions.made import FIRST, INTERVAL, made_intervals

DAY = 86400


def after(intervals, **options):
    predictor = DevicePredictor(**options)
    for time, interval in intervals:
        predictor.step(time, interval)
    return predictor


def answers(predictor):
    return {key: predictor.answer(key) for key in predictor.regions}


def quiet(time, regions=5, **counts):
    one = Observation(latency=1.0, load=1.0, tail=1.1)
    return time, {0: replace(one, **counts)} | dict.fromkeys(range(1, regions), one)


@pytest.mark.parametrize("seed", range(5))
def test_a_well_device_is_quiet(seed):
    predictor = after(made_intervals(seed))
    assert not any(map(predictor.alarmed, predictor.regions))
    assert all(said.score < 0.25 for said in answers(predictor).values())


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_a_slowdown_is_found_and_told_in_words(factor):
    predictor = after(made_intervals(1, slower={3: (84, factor)}))
    assert [key for key in predictor.regions if predictor.alarmed(key)] == [3]
    said = predictor.answer(3)
    assert said.reasons[0].name == "slower" and "times what it used to" in said.reasons[0].words
    assert said.recommendation.startswith("read it all in a scan")
    assert said.horizon_hours in (48, 168)


def test_several_slow_ones_are_found_together():
    slower = dict.fromkeys((1, 4, 6), (84, 2.0))
    predictor = after(made_intervals(2, slower=slower))
    assert {key for key in predictor.regions if predictor.alarmed(key)} == {1, 4, 6}


def test_what_all_have_in_common_is_nobodys_fault():
    slower = dict.fromkeys(range(8), (84, 3.0))
    predictor = after(made_intervals(3, slower=slower))
    assert not any(map(predictor.alarmed, predictor.regions))


def test_more_load_is_no_slowdown():
    """One region gets three times the load, and is slower by what load costs there."""
    busy = [
        (
            time,
            interval
            if n < 84
            else interval
            | {
                2: replace(
                    interval[2],
                    latency=interval[2].latency * 3**0.2,
                    load=interval[2].load * 3,
                )
            },
        )
        for n, (time, interval) in enumerate(made_intervals(4))
    ]
    assert not after(busy).alarmed(2)


def test_an_alarm_stays_while_it_is_slow():
    """What is slow now must not become what is usual."""
    predictor = DevicePredictor()
    alarmed = []
    for n, (time, interval) in enumerate(made_intervals(5, intervals=500, slower={0: (60, 2.0)})):
        predictor.step(time, interval)
        if n > 90:
            alarmed.append(predictor.alarmed(0))
    assert all(alarmed)


def test_one_that_always_was_of_another_kind_is_left_alone():
    predictor = after(made_intervals(6, slower={0: (0, 2.0)}))
    assert not predictor.alarmed(0)
    assert predictor.answer(0).reasons[0].name == "apart"


def test_one_that_always_was_slow_and_unsteady_is_found():
    rng = random.Random(7)
    odd = [
        (time, {**i, 0: replace(i[0], latency=i[0].latency * 2.2 * rng.lognormvariate(0, 0.5))})
        for time, i in made_intervals(7)
    ]
    assert after(odd).alarmed(0)


def test_errors_and_retries_need_no_history():
    predictor = after([quiet(FIRST, retries=1)])
    assert not predictor.alarmed(0) and predictor.answer(0).reasons[0].name == "retries"
    predictor = after([quiet(FIRST, retries=1), quiet(FIRST + INTERVAL, retries=2)])
    assert predictor.alarmed(0)
    assert "after several attempts" in predictor.answer(0).reasons[0].words
    predictor = after([quiet(FIRST, errors=1)])
    said = predictor.answer(0)
    assert predictor.alarmed(0) and "100 sectors" in said.recommendation
    assert said.confidence >= 0.5


def test_they_are_forgotten_with_time():
    predictor = after([quiet(FIRST, retries=4)])
    before = predictor.score(0)
    predictor.step(*quiet(FIRST + 30 * DAY))
    assert predictor.score(0) < before / 10


def test_neighbours_count_where_regions_lie_beside_each_other():
    apart = after([quiet(FIRST, errors=3)])
    beside = after([quiet(FIRST, errors=3)], adjacent=True)
    assert apart.score(1) == 0.0 < beside.score(1)
    assert beside.answer(1).reasons[0].name == "near"
    assert beside.score(3) == 0.0


def test_a_region_without_readings_keeps_its_answer():
    intervals = made_intervals(8, slower={3: (84, 3.0)})
    predictor = after(intervals)
    before = predictor.answer(3)
    time, interval = intervals[-1]
    predictor.step(time + INTERVAL, {k: v for k, v in interval.items() if k != 3})
    predictor.step(time + 2 * INTERVAL, {3: Observation(None)})
    assert predictor.answer(3) == before


def test_at_most_three_reasons_the_strongest_first():
    predictor = after(
        [*made_intervals(9, slower={0: (84, 3.0)}), quiet(FIRST + DAY, errors=2, retries=3)],
        adjacent=True,
    )
    weights = [reason.weight for reason in predictor.answer(0).reasons]
    assert len(weights) == 3 and weights == sorted(weights, reverse=True)


seeds = st.integers(0, 10_000)
# each example is a device with thousands of readings
few = settings(max_examples=15)


@few
@given(seed=seeds, cut=st.integers(1, 60))
def test_no_future_is_used(seed, cut):
    """The answers at a time are the same whether anything follows or not."""
    intervals = made_intervals(seed, regions=4, intervals=60, slower={1: (35, 2.0)})
    predictor = DevicePredictor()
    for n, (time, interval) in enumerate(intervals, 1):
        predictor.step(time, interval)
        if n == cut:
            then = answers(predictor)
    assert answers(after(intervals[:cut])) == then


@few
@given(seed=seeds, latency=st.floats(1e-3, 1e6), load=st.floats(1e-3, 1e6))
def test_units_do_not_matter(seed, latency, load):
    intervals = made_intervals(seed, regions=4, intervals=50, slower={1: (35, 2.0)})
    scaled = [
        (
            time,
            {
                key: Observation(one.latency * latency, one.load * load, one.tail * latency)
                for key, one in interval.items()
            },
        )
        for time, interval in intervals
    ]
    plain, other = after(intervals), after(scaled)
    for key in plain.regions:
        assert other.score(key) == pytest.approx(plain.score(key), abs=1e-6)


@few
@given(seed=seeds, order=st.permutations(range(6)))
def test_the_order_of_regions_does_not_matter(seed, order):
    intervals = made_intervals(seed, regions=6, intervals=45, slower={1: (35, 2.0)})
    mixed = [(time, {key: interval[key] for key in order}) for time, interval in intervals]
    assert answers(after(mixed)) == answers(after(intervals))


@few
@given(
    counts=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 5 * DAY)), max_size=20
    )
)
def test_scores_stay_within_their_bounds(counts):
    predictor = DevicePredictor(adjacent=True)
    time = FIRST
    for errors, retries, passed in counts:
        time += passed
        predictor.step(*quiet(time, errors=errors, retries=retries))
        for said in answers(predictor).values():
            assert 0 <= said.score <= 1 and 0 <= said.confidence <= 1


@given(errors=st.integers(0, 50), retries=st.integers(0, 50))
def test_more_trouble_never_lowers_the_score(errors, retries):
    def score(e, r):
        return after([quiet(FIRST, errors=e, retries=r)]).score(0)

    here = score(errors, retries)
    assert score(errors + 1, retries) >= here and score(errors, retries + 1) >= here
