"""Generated failures have the shape that the field studies give."""

import random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.predict.regions.generator import (
    FAILURES,
    REGION_BLOCKS,
    afflict,
    around,
    draw,
    near,
    poisson,
)
from pyctl.predict.regions.judging.evaluation import generator_seed
from pyctl.predict.regions.predictor import Observation

DAY = 86400.0
SEEN = Observation(latency=100.0, load=10.0, tail=150.0)


def drawn(count=2000, seed=1):
    rng = random.Random(seed)
    return [draw(rng, 0, 0.0, 10 * DAY) for _ in range(count)]


@given(seed=st.integers(0, 10_000))
def test_a_failure_lies_within_its_time_and_region(seed):
    failure = draw(random.Random(seed), 7, 5 * DAY, 9 * DAY)
    assert failure.region == 7
    assert 5 * DAY <= failure.weak <= failure.fails <= 9 * DAY + 1
    times = [event.time for event in failure.events]
    assert times == sorted(times)
    for event in failure.events:
        assert event.blocks and 0 <= min(event.blocks) <= max(event.blocks) < REGION_BLOCKS


def test_shares_are_those_of_the_parameters():
    failures = drawn()
    silent = mean(failure.kind == "silent" for failure in failures)
    slow = mean(failure.kind == "slow" for failure in failures if failure.kind != "silent")
    assert silent == pytest.approx(FAILURES.silent, abs=0.02)
    assert slow == pytest.approx(FAILURES.slow_only, abs=0.04)
    short = mean(failure.fails - failure.weak < 2 * DAY for failure in failures)
    assert short == pytest.approx(0.033, abs=0.015)


def test_events_and_gaps_have_the_medians_of_the_field():
    failures = drawn()
    assert 4 <= median(len(failure.events) for failure in failures) <= 6
    gaps = [
        (b.time - a.time) / DAY
        for failure in failures
        for a, b in zip(failure.events, failure.events[1:], strict=False)
    ]
    assert median(gaps) == pytest.approx(2.0, rel=0.15)


def test_errors_are_near_each_other():
    rng = random.Random(2)
    distances = [abs(near(rng, 128, FAILURES) - 128) * 8 for _ in range(5000)]
    assert mean(d <= 100 + 8 for d in distances) > FAILURES.within_10 + FAILURES.within_100 - 0.02
    assert mean(d > 104 for d in distances) > 0.1


def test_weakness_grows_and_nothing_is_seen_before_it():
    rng = random.Random(3)
    failure = next(f for f in drawn() if f.kind == "weak" and f.fails - f.weak > 5 * DAY)
    assert afflict(rng, failure, failure.weak - 300, failure.weak, SEEN, 300) == (SEEN, ())
    halfway = (failure.weak + failure.fails) / 2
    early, _ = afflict(rng, failure, halfway - 300, halfway, SEEN, 300)
    late, _ = afflict(rng, failure, failure.fails - 300, failure.fails, SEEN, 300)
    assert SEEN.latency < early.latency < late.latency
    assert late.latency == pytest.approx(SEEN.latency * failure.slowdown)
    assert early.errors == 0 and late.errors == len(failure.events[0].blocks)
    retries = sum(
        afflict(rng, failure, failure.fails - 300, failure.fails, SEEN, 3600)[0].retries
        for _ in range(500)
    )
    assert retries / 500 == pytest.approx(failure.retries_an_hour, rel=0.25)


def test_silent_ones_show_nothing():
    failure = next(f for f in drawn() if f.kind == "silent")
    before = failure.fails - 1
    assert afflict(random.Random(4), failure, before - 300, before, SEEN, 300) == (SEEN, ())


def test_a_seed_gives_the_same_failures_and_training_others_than_test():
    def some(seed, training):
        return draw(generator_seed(seed, training=training), 0, 0.0, 10 * DAY)

    assert some(1, False) == some(1, False)
    assert some(1, False) != some(1, True) and some(1, False) != some(2, False)


def test_poisson_numbers_have_their_mean():
    rng = random.Random(5)
    assert mean(poisson(rng, 2.5) for _ in range(4000)) == pytest.approx(2.5, abs=0.15)
    assert poisson(rng, 0.0) == 0


def test_around_stays_in_the_region():
    assert list(around(0, 10)) == [0, 1, 2]
    assert around(REGION_BLOCKS - 1, 100)[-1] == REGION_BLOCKS - 1
    assert len(around(128, 100)) == 27
