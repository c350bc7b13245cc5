"""The figures of an evaluation, where it is known what they must be."""

import contextlib
import random

import pytest

from pyctl.errors import FormatError
from pyctl.predict.regions.background import Background, DeviceSeries
from pyctl.predict.regions.generator import ErrorEvent, Failure
from pyctl.predict.regions.judging.evaluation import evaluate, read_labels
from pyctl.predict.regions.judging.moving import RULES, Ledger
from pyctl.predict.regions.judging.shares import Share
from pyctl.predict.regions.judging.slowdowns import slow_down
from pyctl.predict.regions.judging.untouched import watch_untouched
from tests.pyctl.predict.regions.made import FIRST, INTERVAL, made_intervals

DAY = 86400


def device(host, seed, days=6, **slower):
    """Sessions of two hours a day."""
    intervals = made_intervals(seed, regions=6, intervals=24 * days, **slower)
    return DeviceSeries(
        host,
        [
            (FIRST + (n // 24) * DAY + (n % 24 + 1) * INTERVAL, interval)
            for n, (_, interval) in enumerate(intervals)
        ],
    )


@pytest.fixture(scope="module")
def background():
    return Background([device(1, 1), device(2, 2)], rows=0)


@contextlib.contextmanager
def silent(title):
    yield None


def test_wilson():
    share = Share(0, 100)
    assert share.value == 0 and share.interval == (0.0, pytest.approx(0.037, abs=0.001))
    low, high = Share(98, 100).interval
    assert low < 0.98 < high
    assert Share(0, 0).value is None and Share(0, 0).interval == (0.0, 1.0)
    assert str(Share(1, 2)).startswith("50.00%") and str(Share(0, 0)) == "-"


def test_a_well_background_has_no_false_alarms(background):
    found = watch_untouched(background, set())
    # the first day is left out
    assert found.days == Share(0, 2 * 6 * 5) and found.regions == Share(0, 12)


def test_alarms_are_counted_by_days_and_known_slow_ones_apart():
    late = Background([device(1, 3, slower={2: (72, 3.0)})], rows=0)
    assert watch_untouched(late, set()).days == Share(3, 30)
    assert sum(watch_untouched(late, set()).alarms.values()) == 3
    told = watch_untouched(late, {(1, 2)})
    assert told.days == Share(0, 25) and told.slow == {(1, 2): Share(3, 5)}


def test_slowdowns_are_found_but_not_where_there_are_none(background):
    found = {each.factor: each for each in slow_down(background, set(), random.Random(1), 10)}
    assert found[1.0].found.hits == 0 and found[1.0].minutes is None
    assert found[2.0].found == Share(10, 10) and found[2.0].minutes > 0
    assert found[5.0].minutes <= found[1.5].minutes


def failure(*events):
    return Failure(
        region=0,
        kind="weak",
        weak=0.0,
        events=tuple(ErrorEvent(time, blocks) for time, blocks in events),
        retries_an_hour=1.0,
        slowdown=1.0,
        where=100,
    )


def test_what_the_rules_of_moving_avoid_and_spend():
    ledger = Ledger()
    # block 100 was read again and then lost, later 105 and, far away, 200
    ledger.failing(failure((50.0, (100,)), (60.0, (105,)), (70.0, (200,))), 10.0, [(5.0, 100)])
    found = {rule: ledger.accounts[rule] for rule in RULES}
    nothing, after, ten, hundred, both, whole = found.values()
    assert {account.errors for account in found.values()} == {3}
    assert (nothing.avoided, nothing.spent) == (0, 0)
    # 13 blocks to either side, but the one that was lost can't be moved
    assert (after.avoided, after.spent, after.first) == (1, 26, 0)
    assert (ten.avoided, ten.spent, ten.first) == (1, 5, 1)
    assert (hundred.avoided, hundred.spent) == (2, 27)
    assert (both.avoided, both.spent) == (2, 27)
    assert (whole.avoided, whole.spent) == (3, 256)


def test_nothing_is_moved_without_an_alarm_or_before_it():
    ledger = Ledger()
    ledger.failing(failure((50.0, (100,))), None, [(5.0, 100)])
    ledger.failing(failure((50.0, (100,))), 55.0, [(5.0, 100)])
    ten = ledger.accounts["predictor: what is weak, and 10 sectors around"]
    assert (ten.errors, ten.avoided, ten.spent) == (2, 0, 4)


def test_false_alarms_cost_spares():
    ledger = Ledger()
    ledger.healthy(10.0, [(5.0, 100)])
    spent = {rule: account.wasted for rule, account in ledger.accounts.items()}
    assert spent["remap nothing"] == spent["remap neighbours after the first error"] == 0
    assert spent["predictor: what is weak, and 10 sectors around"] == 5
    assert spent["predictor: the whole region"] == 256


def test_a_seed_gives_the_same_card(background):
    def card(seed):
        return evaluate(background, set(), seed, silent, trials=2, failures=6).card()

    one = card(1)
    assert card(1) == one and card(2) != one
    assert one["failures"]["simulated"] is True and one["seeds"] == "test"
    kinds = one["failures"]["recall_48_h_by_kind"].values()
    assert sum(kind["of"] for kind in kinds) == one["failures"]["recall"]["48 h"]["of"] == 6


def test_labels_of_other_clusters_are_left_out(tmp_path):
    labels = tmp_path / "slow_labels.csv"
    labels.write_text("cluster,host,disk\nA,22,11\nB,1,2\n")
    assert read_labels(labels, tmp_path / "cluster_A_15s.parquet") == {(22, 11)}
    assert read_labels(labels, tmp_path / "mine.parquet") == {(22, 11), (1, 2)}
    labels.write_text("drive\n3\n")
    with pytest.raises(FormatError, match="no list of slow drives"):
        read_labels(labels, tmp_path / "mine.parquet")
