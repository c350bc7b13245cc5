"""The evaluation: drives that no training has seen, in a later period, beside a plain rule.

Four in ten drives are for the test. What is learned from ends PURGE days before the period that is
tested, so no label of the training reaches into it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pyctl.predict import peers
from pyctl.predict.days import DriveDays, Truth, daily, joined, truth
from pyctl.predict.features import NAMES, OWN_HISTORY, Matrix, compute
from pyctl.predict.log import Ints, Log
from pyctl.predict.metrics import by_day, by_drive, by_drive_interval, intervals, pr_curve
from pyctl.predict.model import QUESTIONS, Model, model_codes
from pyctl.predict.training import PURGE, Examples, chunks, examples, fit
from pyctl.predict.trees import Trees

__all__ = [
    "GOALS",
    "TEST_DAYS",
    "Result",
    "Scorer",
    "Trainer",
    "evaluate",
    "evaluate_model",
    "split",
]

TEST_DAYS = 175
_TEST_SHARE = 0.4
_HEALTHY = (0.01, 0.005, 0.001)
_BINS = 12

Floats = npt.NDArray[np.float64]

GOALS: tuple[tuple[str, str, str, float], ...] = (
    ("fail7", "model", "recall_1pct", 0.50),
    ("fail7", "model", "recall_01pct", 0.30),
    ("fail7", "model", "ap", 0.11),
    ("fail7", "model", "drives_1pct", 0.50),
    ("sec7", "model", "recall_1pct", 0.60),
    ("sec7", "model", "ap", 0.30),
)
"""Question, what answers it, metric, and what was wanted of it."""

Result = dict[str, Any]


class Scorer(Protocol):
    """A model of another kind than the trees."""

    def scores(self, log: Log, at: DriveDays, codes: Ints, threads: int = 2) -> dict[str, Floats]:
        """Scores by question, higher is worse; `codes` has the number of each drive's model."""

    def save(self, folder: Path) -> None:
        """Write it into the folder of a model."""


Trainer = Callable[[Log, Examples, Ints, int], Scorer]
"""Makes one from a log, examples of it, numbers for the models of drives, and threads."""


@dataclass(frozen=True)
class _Tested:
    at: DriveDays
    after: Truth
    scores: dict[tuple[str, str], Floats]


def split(log: Log) -> tuple[Ints, Ints]:
    """Drives to learn from and drives to test, by a hash of their number and nothing else."""
    place = (log.drives.ids.astype(np.uint64) * np.uint64(2654435761)) % np.uint64(1 << 32)
    test = place < np.uint64(_TEST_SHARE * (1 << 32))
    return np.flatnonzero(~test), np.flatnonzero(test)


def evaluate(log: Log, threads: int = 2, rivals: Mapping[str, Trainer] | None = None) -> Result:
    """Train on some drives up to a day, and test the others after it.

    `rivals` are tested beside the trees, by the names that they are to have in the tables.
    """
    drives = log.drives
    end = int(drives.last_day.max()) - PURGE
    begin = end - TEST_DAYS + 1
    known = sorted(set(drives.model))
    codes = model_codes(drives.model, known)
    learn, test = split(log)
    found = examples(log, codes, learn, int(drives.first_day.min()), begin - PURGE - 1)
    trees: dict[tuple[str, str], Trees] = {}
    for question in QUESTIONS:
        trees[question, "model"] = fit(found, question, threads=threads)
        trees[question, "model without its own history"] = fit(
            found, question, without=OWN_HISTORY, threads=threads
        )
    trained = {name: train(log, found, codes, threads) for name, train in (rivals or {}).items()}
    rows = len(found)
    del found
    tested = _test(log, codes, test, (begin, end), trees, trained, threads)
    told = _told(log, tested)
    told["learned_rows"] = rows
    told["learned_drives"] = len(learn)
    told["learned_to"] = begin - PURGE - 1
    return told | {"from": begin, "to": end}


def evaluate_model(
    log: Log, model: Model, threads: int = 2, rivals: Mapping[str, Scorer] | None = None
) -> Result:
    """Test a model as it is on all drives of a folder that it was not trained from."""
    end = int(log.drives.last_day.max()) - PURGE
    begin = end - TEST_DAYS + 1
    trees = {(question, "model"): model.trees[question] for question in QUESTIONS}
    everyone = np.arange(len(log.drives))
    codes = model.codes(log.drives.model)
    tested = _test(log, codes, everyone, (begin, end), trees, rivals or {}, threads)
    return _told(log, tested) | {"from": begin, "to": end}


def _test(
    log: Log,
    codes: Ints,
    drives: Ints,
    days: tuple[int, int],
    trees: dict[tuple[str, str], Trees],
    rivals: Mapping[str, Scorer],
    threads: int,
) -> _Tested:
    others = [(question, name) for name in rivals for question in QUESTIONS]
    answers: dict[tuple[str, str], list[Floats]] = {key: [] for key in (*trees, *others)}
    kept: list[Matrix] = []
    ats, afters, rules = [], [], []
    for some in chunks(drives):
        part = log.of_drives(some)
        at = daily(part.drives, *days)
        if not len(at):
            continue
        features = compute(part, at, codes[some])
        for key, some_trees in trees.items():
            given = features
            if key[1] != "model":
                given = features.copy()
                given[:, [NAMES.index(name) for name in OWN_HISTORY]] = 0
            answers[key].append(some_trees.scores(given, threads))
        for name, rival in rivals.items():
            for question, found in rival.scores(part, at, codes[some], threads).items():
                answers[question, name].append(found)
        rules.append(-features[:, NAMES.index("days_since_event")].astype(np.float64))
        kept.append(features[:, peers.COLUMNS])
        afters.append(truth(part, at))
        ats.append(DriveDays(some[at.drive], at.day, at.hour))
    at = joined(ats)
    after = Truth(
        np.concatenate([one.to_failure for one in afters]),
        np.concatenate([one.to_sector_event for one in afters]),
    )
    scores = {key: np.concatenate(found) for key, found in answers.items()}
    strange = peers.anomaly(log.drives, at, np.concatenate(kept))
    for question in QUESTIONS:
        scores[question, "rule"] = np.concatenate(rules)
        scores[question, "anomaly"] = strange
    return _Tested(at, after, scores)


def _told(log: Log, tested: _Tested) -> Result:
    labels = {"fail7": tested.after.failure(7), "sec7": tested.after.sector_event(7)}
    drive, fails = tested.at.drive, log.drives.failed
    tables: dict[str, dict[str, Any]] = {question: {} for question in QUESTIONS}
    told: Result = {"curves": {}, "leads": [], "calibration": {}, "tables": tables}
    for (question, who), scores in tested.scores.items():
        label = labels[question]
        values, ranges = by_day(label, scores), intervals(label, scores, drive)
        table = {name: _value(values[name], ranges[name]) for name in values}
        if question == "fail7":
            for share in _HEALTHY:
                given = (drive, tested.after.to_failure, fails, scores, share)
                level = by_drive(*given)
                name = f"drives_{share * 100:g}pct".replace(".", "")
                table[name] = _value(level.recall, by_drive_interval(*given))
                if who == "model" and share == _HEALTHY[0]:
                    told["leads"] = [round(lead, 1) for lead in level.leads]
                    told["failing_drives"] = level.failing
        tables[question][who] = table
        if who in ("model", "rule"):
            curve = pr_curve(label, scores)
            told["curves"][f"{question} {who}"] = [[round(x, 4), round(y, 5)] for x, y in curve]
        if who == "model":
            told["calibration"][question] = _calibration(label, scores, drive)
    told["drives"] = len(np.unique(drive))
    told["drive_days"] = len(drive)
    told["failing_days"] = int(labels["fail7"].sum())
    clean = _clean_share(tested, labels["fail7"])
    return told | {"clean_failing": clean, "goals": _goals(tables)}


# Of the drive-days before a failure, the share on which a drive had never had a sector event.
def _clean_share(tested: _Tested, label: npt.NDArray[np.bool_]) -> float:
    never = tested.scores["fail7", "rule"] <= -2000
    return round(float(never[label].mean()), 4) if label.any() else 0.0


def _value(value: float, interval: tuple[float, float]) -> dict[str, float]:
    low, high = interval
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def _goals(tables: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "question": question,
            "metric": metric,
            "wanted": wanted,
            **tables[question][who][metric],
            "met": tables[question][who][metric]["value"] >= wanted,
        }
        for question, who, metric, wanted in GOALS
    ]


# Scores in groups that get rarer towards the top, and what share of each the event followed. The
# shares rise with the score; `drives` is how many drives had the event, which says how sure a
# share is.
def _calibration(
    label: npt.NDArray[np.bool_], scores: Floats, drive: Ints
) -> dict[str, list[float]]:
    edges = np.unique(np.quantile(scores, 1 - 0.5 ** np.arange(1, _BINS + 1)))
    group = np.searchsorted(edges, scores, side="right")
    out: dict[str, list[float]] = {"score": [], "probability": [], "drives": [], "days": []}
    least = 0.0
    for one in range(len(edges) + 1):
        inside = group == one
        if not inside.any():
            continue
        least = max(least, float(label[inside].mean()))
        out["score"].append(round(float(np.median(scores[inside])), 4))
        out["probability"].append(round(least, 6))
        out["drives"].append(len(np.unique(drive[inside & label])))
        out["days"].append(int(inside.sum()))
    return out
