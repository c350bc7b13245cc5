"""An answer for people: score, probability and how sure it is, horizon, reasons, recommendation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyctl.predict.days import DriveDays
from pyctl.predict.features import NAMES, compute
from pyctl.predict.log import Log
from pyctl.predict.model import Model
from pyctl.predict.reasons import reason

__all__ = ["HORIZON_DAYS", "Answer", "explain"]

HORIZON_DAYS = 7
_REASONS = 3
# An interval of 95 % of a count of drives, in standard deviations.
_WIDTH = 1.96
_SURE, _FAIRLY = 30, 10
_ACT, _PLAN = 0.02, 0.005
_SECTOR_SOON = 0.10


@dataclass(frozen=True)
class Answer:
    """What is expected of a drive within `horizon_days`.

    `probability` is the share of tested drive-days with such a score that the event followed, and
    `low` to `high` its interval, from the number of drives behind it. `confidence` is a word for
    that: high, medium or low. `reasons` are the three strongest, in plain words.
    """

    question: str
    score: float
    probability: float
    low: float
    high: float
    confidence: str
    horizon_days: int
    reasons: tuple[str, ...]
    recommendation: str


def explain(log: Log, model: Model, at: DriveDays) -> list[Answer]:
    """The answers to both questions for one drive-day."""
    features = compute(log, at, model.codes(log.drives.model))
    known = log.drives.model[at.drive[0]] in model.card["models"]
    found = {}
    for question in model.trees:
        score = model.scores(question, features, threads=1)
        weights = model.contributions(question, features)[0, :-1]
        found[question] = (float(score[0]), weights, *_probability(model, question, score[0]))
    advice = _advice(found["fail7"][2], found["sec7"][2])
    return [
        Answer(
            question=question,
            score=round(score, 4),
            probability=probability,
            low=max(0.0, probability - _WIDTH * probability / max(drives, 1) ** 0.5),
            high=min(1.0, probability + _WIDTH * max(probability, 1e-6) / max(drives, 1) ** 0.5),
            confidence=_confidence(drives, known=known),
            horizon_days=HORIZON_DAYS,
            reasons=_reasons(weights, features[0]),
            recommendation=advice,
        )
        for question, (score, weights, probability, drives) in found.items()
    ]


# The three features that move the score most, in either direction; those that say nothing in words
# are passed over, and of those that say the same only the first is told.
def _reasons(weights: npt.NDArray[np.float64], values: npt.NDArray[np.float32]) -> tuple[str, ...]:
    told: list[str] = []
    kinds: set[str] = set()
    for index in np.argsort(-np.abs(weights), kind="stable"):
        kind, words = reason(NAMES[index], float(values[index]))
        if kind in kinds:
            continue
        kinds.add(kind)
        told.append(f"{words} ({'raises' if weights[index] > 0 else 'lowers'} the risk)")
        if len(told) == _REASONS:
            break
    return tuple(told)


def _probability(model: Model, question: str, score: float) -> tuple[float, int]:
    steps = model.card["calibration"][question]
    nearest = int(np.argmin(np.abs(np.asarray(steps["score"]) - score)))
    value = float(model.probability(question, np.array([score]))[0])
    return round(value, 6), int(steps["drives"][nearest])


def _confidence(drives: int, *, known: bool) -> str:
    if not known or drives < _FAIRLY:
        return "low"
    return "high" if drives >= _SURE else "medium"


def _advice(failure: float, sector: float) -> str:
    if failure >= _ACT:
        return "Copy the data to another disk now (pyctl migrate-main), and replace this one."
    if failure >= _PLAN:
        return "Have a replacement ready, check the backup, and scan the disk (pyctl scan start)."
    if sector >= _SECTOR_SOON:
        return "Scan the disk (pyctl scan start), and see that the spares have room (pyctl status)."
    return "Nothing needs to be done."
