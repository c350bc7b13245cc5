import gzip
import json
import re
import shutil

import numpy as np
import pytest

from pyctl.errors import NotFoundError, UsageError
from pyctl.predict import days, features
from pyctl.predict.model import QUESTIONS, SHIPPED, load, model_codes
from pyctl.predict.peers import anomaly, batches, of_day, tail
from pyctl.predict.reasons import reason
from pyctl.predict.training import RECIPES, examples, fit


def test_a_model_that_was_saved_gives_the_same_scores(trained, saved, log):
    at = days.daily(log.drives, log.drives.first_day[0] + 300, log.drives.first_day[0] + 300)
    model, again = trained[0], load(saved)
    matrix = features.compute(log, at, model.codes(log.drives.model))
    for question in QUESTIONS:
        before, after = model.scores(question, matrix, 1), again.scores(question, matrix, 1)
        assert len(np.unique(before)) > 3
        assert np.array_equal(before, after)


def test_training_again_gives_the_same_model(log):
    codes = model_codes(log.drives.model, ["MODEL 0", "MODEL 1", "MODEL 2"])
    everyone = np.arange(len(log.drives))
    last = int(log.drives.last_day.max())
    found = examples(log, codes, everyone, 0, last)
    texts = {
        tuple(one.model_to_string() for one in fit(found, "fail7", threads=1).boosters)
        for _ in range(2)
    }
    assert len(texts) == 1


def test_a_model_is_text(saved):
    for question in QUESTIONS:
        for number in range(len(RECIPES[question])):
            text = gzip.decompress((saved / f"{question}-{number + 1}.txt.gz").read_bytes())
            assert text.startswith(b"tree\nversion=")
            assert text.decode("ascii")


def test_the_shipped_model_is_whole():
    model = load()
    assert set(model.trees) == set(QUESTIONS)
    for question in QUESTIONS:
        boosters = model.trees[question].boosters
        assert len(boosters) == len(RECIPES[question])
        for booster in boosters:
            assert booster.feature_name() == list(features.NAMES)
        steps = model.card["calibration"][question]
        assert steps["score"] == sorted(steps["score"])
        assert steps["probability"] == sorted(steps["probability"])
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 600_000


def test_the_shipped_model_fears_pending_sectors():
    """The same drive with 30 more pending and uncorrectable sectors in a day scores higher."""
    model = load()
    clean = np.zeros((1, len(features.NAMES)), dtype=np.float32)
    name = {one: index for index, one in enumerate(features.NAMES)}
    clean[0, name["size_tb"]], clean[0, name["age_days"]] = 4, 700
    clean[0, name["seen_days"]] = 400
    for since in features.NAMES:
        if since.startswith("days_since"):
            clean[0, name[since]] = 2000
    worse = clean.copy()
    for one in features.NAMES:
        if one.startswith(("rise_197", "rise_187", "level_197", "level_187")):
            worse[0, name[one]] = 30
        if one in ("days_since_event", "days_since_197", "days_since_187", "events_ever", "dirty"):
            worse[0, name[one]] = 1
        if one.startswith("events_") or one == "kinds_30d":
            worse[0, name[one]] = 2
    for question in QUESTIONS:
        low, high = model.scores(question, np.concatenate([clean, worse]), 1)
        assert high > low + 2


def test_errors_only_raise_the_score_of_monotone_trees(trained):
    booster = trained[0].trees["fail7"].boosters[1]
    assert RECIPES["fail7"][1].monotone
    random = np.random.default_rng(2)
    rows = np.abs(random.normal(0, 20, (200, len(features.NAMES)))).astype(np.float32)
    worse = rows.copy()
    worse[:, features.NAMES.index("level_197")] += 50
    worse[:, features.NAMES.index("fresh_197_7d")] += 5
    less, more = booster.predict(rows), booster.predict(worse)
    assert (more >= less).all()
    assert (more > less).any()


def test_days_that_are_left_out_are_weighed_by_those_that_are_taken(log):
    everyone = np.arange(len(log.drives))
    first, last = int(log.drives.first_day.min()), int(log.drives.last_day.max())
    found = examples(log, np.zeros(len(log.drives), dtype=np.int64), everyone, first, last)
    everything = len(days.daily(log.drives, first, last))
    assert len(found) < everything / 2
    assert found.weight.sum() == pytest.approx(everything, rel=0.05)
    # where they come from is told in the numbers of the whole log
    again = features.compute(log, found.at, np.zeros(len(log.drives), dtype=np.int64))
    assert np.array_equal(again, found.features, equal_nan=True)


def test_every_feature_has_words():
    for name in features.NAMES:
        missing = (float("nan"),) if name.startswith("level_") or name == "model" else ()
        for value in (0.0, 3.0, 2000.0, *missing):
            kind, words = reason(name, value)
            assert kind
            assert words
            assert "_" not in words


def test_a_zero_is_told_in_words():
    for name in features.NAMES:
        _, words = reason(name, 0.0)
        assert not re.search(r"\b(by|as) 0\b|: 0|\b0 of 4|\b0 days ago", words), words
    assert reason("most_rise", 0.0) == reason("last_rise", 0.0)
    assert reason("full_counter", 1.0)[1] == "a sector error counter is full"


def test_no_model(tmp_path):
    with pytest.raises(NotFoundError, match="no model"):
        load(tmp_path)


def test_a_model_of_other_features(saved, tmp_path):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | {"features": ["something"]}))
    with pytest.raises(UsageError, match="other features"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["card.json", "fail7-2.txt.gz"])
def test_a_broken_model(saved, tmp_path, name):
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


def test_the_card_says_what_it_is(trained, log):
    card = trained[0].card
    assert card["data"]["drives"] == len(log.drives)
    assert card["data"]["failed"] == log.drives.failed.sum()
    assert card["data"]["source"] == "made by a test"
    assert card["evaluation"]["learned_to"] < card["evaluation"]["from"] <= card["data"]["to"]
    table = card["evaluation"]["tables"]["fail7"]
    assert set(table) == {"model", "model without its own history", "rule", "anomaly"}
    for values in table.values():
        for one in values.values():
            assert one["low"] <= one["high"]


def test_the_gap_between_learning_and_testing(trained):
    result = trained[1]
    assert result["from"] - result["learned_to"] > 7


def test_the_share_of_peers_that_are_as_bad():
    group = np.array([0, 0, 0, 0, 1, 1])
    values = np.array([5, 0, 0, 5, 1, np.nan], dtype=np.float32)
    assert tail(group, values).tolist() == [0.5, 1.0, 1.0, 0.5, 0.5, 1.0]


def test_a_drive_is_strange_among_its_own_peers_only(log):
    """Values that are usual for one model are strange for another."""
    day = log.drives.first_day[0] + 50
    at = days.daily(log.drives, day, day)
    watched = np.zeros((len(at), 8), dtype=np.float32)
    usual = log.drives.model[at.drive] == "MODEL 0"
    watched[usual, 0] = 100
    odd = np.flatnonzero(log.drives.model[at.drive] == "MODEL 1")[0]
    watched[odd, 0] = 100
    scores = anomaly(log.drives, at, watched)
    assert scores.argmax() == odd
    assert scores[odd] > 1
    assert (scores[usual] == 0).all()


def test_batches_are_of_one_model_and_quarter(log):
    found = batches(log.drives)
    assert len(np.unique(found)) == 3
    other = log.drives.take(np.arange(6))
    other.first_day[3:] += 200
    assert len(np.unique(batches(other))) == 6


def test_the_anomaly_of_a_day_comes_from_that_day(log):
    day = int(log.drives.first_day[0]) + 250
    drives, scores = of_day(log, day)
    assert len(drives) == len(scores) == len(days.daily(log.drives, day, day))
    hour = log.drives.first_hour + (day - log.drives.first_day) * 24
    cut = of_day(log.until(hour), day)
    assert np.array_equal(scores, cut[1])
