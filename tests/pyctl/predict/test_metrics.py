import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from pyctl.predict.metrics import by_day, by_drive, by_drive_interval, intervals, pr_curve

DAYS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=80).filter(
    lambda rows: 0 < sum(truth for truth, _ in rows) < len(rows)
)


def arrays(rows):
    return np.array([truth for truth, _ in rows]), np.array([float(score) for _, score in rows])


def plain(truth, scores):
    """AUC and average precision by their definitions, in loops."""
    pairs = [(a, b) for a in scores[truth] for b in scores[~truth]]
    auc = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    ap, before = 0.0, 0.0
    for least in sorted(set(scores), reverse=True):
        chosen = scores >= least
        recall = (chosen & truth).sum() / truth.sum()
        ap += (recall - before) * (chosen & truth).sum() / chosen.sum()
        before = recall
    return auc, ap


@given(DAYS)
def test_auc_and_average_precision(rows):
    truth, scores = arrays(rows)
    found = by_day(truth, scores)
    assert (found["auc"], found["ap"]) == pytest.approx(plain(truth, scores))


@given(DAYS)
def test_recall_is_at_a_threshold_that_few_enough_negatives_exceed(rows):
    truth, scores = arrays(rows)
    found = by_day(truth, scores)["recall_1pct"]
    allowed = [
        (scores[truth] >= least).mean()
        for least in [*set(scores), np.inf]
        if (scores[~truth] >= least).mean() <= 0.01
    ]
    assert found == pytest.approx(max(allowed))


def test_perfect_and_useless_scores():
    truth = np.arange(1000) < 100
    assert by_day(truth, truth.astype(float)) == dict.fromkeys(by_day(truth, truth * 1.0), 1.0)
    flat = by_day(truth, np.zeros(1000))
    assert flat == {"auc": 0.5, "ap": 0.1, "recall_1pct": 0.0, "recall_01pct": 0.0}


def test_intervals_hold_the_value_and_get_wider_with_fewer_drives():
    random = np.random.default_rng(0)
    truth = random.random(8000) < 0.1
    scores = truth + random.normal(size=8000)
    many, few = np.arange(8000) // 4, np.arange(8000) // 400
    # whole drives that are bad, which is what makes days of one drive alike
    truth = truth[np.arange(8000) // 400 * 400]
    value = by_day(truth | (scores > 2), scores)["auc"]
    wide = intervals(truth | (scores > 2), scores, few)["auc"]
    narrow = intervals(truth | (scores > 2), scores, many)["auc"]
    assert wide[0] <= value <= wide[1]
    assert narrow[0] <= value <= narrow[1]
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_drives_that_are_alarmed_in_time():
    """Four drives fail: one is alarmed 5 days ahead, one too late, one too early, one never."""
    days = np.tile(np.arange(60), 104)
    drive = np.repeat(np.arange(104), 60)
    fails = np.arange(104) < 4
    to_failure = np.where(fails[drive], (60 - days) * 24, 1_000_000)
    scores = np.zeros(len(drive))
    for number, ahead in ((0, 5), (1, 1), (2, 45)):
        scores[(drive == number) & (60 - days == ahead)] = 5.0
    scores[(drive == 50) & (days == 3)] = 1.0
    found = by_drive(drive, to_failure, fails, scores, 0.01)
    assert (found.failing, found.recall, found.leads) == (4, 0.25, (5.0,))
    assert 0 <= found.threshold <= 1
    low, high = by_drive_interval(drive, to_failure, fails, scores, 0.01)
    assert low <= 0.25 <= high


def test_a_curve_ends_with_everything_found():
    random = np.random.default_rng(0)
    truth = random.random(5000) < 0.05
    curve = pr_curve(truth, truth * 1.0 + random.normal(size=5000))
    recalls = [recall for recall, _ in curve]
    assert recalls == sorted(recalls)
    assert curve[-1] == (1.0, pytest.approx(truth.mean(), rel=0.2))
