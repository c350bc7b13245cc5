"""How good scores are: by drive-day, by drive, with confidence intervals over drives.

The days of one drive are no independent observations, so intervals come from drawing drives, not
days.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Curve",
    "DriveLevel",
    "by_day",
    "by_drive",
    "by_drive_interval",
    "intervals",
    "pr_curve",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_DRAWS = 200
_NO_DAY = -1


@dataclass(frozen=True)
class Curve:
    """Positive and negative drive-days at each distinct score, from the highest down."""

    positive: Floats
    negative: Floats

    def metrics(self) -> dict[str, float]:
        """AUC, average precision, recall at 1 % and at 0.1 % false positives."""
        hits, false = np.cumsum(self.positive), np.cumsum(self.negative)
        all_hits, all_false = max(hits[-1], 1e-9), max(false[-1], 1e-9)
        precision = hits / np.maximum(hits + false, 1e-9)
        area = np.sum(self.negative * (hits - self.positive / 2)) / (all_hits * all_false)
        return {
            "auc": float(area),
            "ap": float(np.sum(self.positive / all_hits * precision)),
            "recall_1pct": self._recall(hits, false, 0.01),
            "recall_01pct": self._recall(hits, false, 0.001),
        }

    # Recall at the lowest threshold that no more than this share of negatives is above.
    def _recall(self, hits: Floats, false: Floats, share: float) -> float:
        below = np.searchsorted(false, share * false[-1] + 1e-6, side="right")
        return float(hits[below - 1] / max(hits[-1], 1e-9)) if below else 0.0


@dataclass(frozen=True)
class DriveLevel:
    """Alarms at the threshold that a share of the drives that never fail ever exceeds."""

    healthy: float
    recall: float
    failing: int
    threshold: float
    leads: tuple[float, ...]


def _groups(scores: Floats) -> tuple[Ints, int]:
    values, group = np.unique(-scores, return_inverse=True)
    return group.astype(np.int64), len(values)


def by_day(truth: Bools, scores: Floats) -> dict[str, float]:
    """The metrics over drive-days."""
    group, count = _groups(scores)
    return Curve(_sum(group, truth, count), _sum(group, ~truth, count)).metrics()


def pr_curve(truth: Bools, scores: Floats, points: int = 120) -> list[tuple[float, float]]:
    """Recall and precision, at recalls that are even."""
    group, count = _groups(scores)
    hits = np.cumsum(_sum(group, truth, count))
    false = np.cumsum(_sum(group, ~truth, count))
    at = np.searchsorted(hits, np.linspace(0.005, 1, points) * hits[-1])
    at = np.unique(np.minimum(at, count - 1))
    return [(float(hits[i] / hits[-1]), float(hits[i] / (hits[i] + false[i]))) for i in at]


def intervals(
    truth: Bools, scores: Floats, drive: Ints, draws: int = _DRAWS
) -> dict[str, tuple[float, float]]:
    """Intervals that hold 95 % of what the metrics are when drives are drawn anew."""
    group, count = _groups(scores)
    random = np.random.default_rng(0)
    drives = int(drive.max()) + 1
    there = np.flatnonzero(np.bincount(drive, minlength=drives))
    found = []
    for _ in range(draws):
        times = np.bincount(random.choice(there, len(there)), minlength=drives)[drive]
        curve = Curve(
            np.bincount(group[truth], times[truth], count).astype(np.float64),
            np.bincount(group[~truth], times[~truth], count).astype(np.float64),
        )
        found.append(curve.metrics())
    return {name: _range([one[name] for one in found]) for name in found[0]}


def by_drive(
    drive: Ints, to_failure: Ints, fails: Bools, scores: Floats, healthy: float
) -> DriveLevel:
    """Failing drives with an alarm 2 to 30 days ahead; `fails` has an entry for each drive."""
    best = _highest(drive, scores, len(fails))
    seen = np.flatnonzero(np.isfinite(best))
    threshold = float(np.quantile(best[seen[~fails[seen]]], 1 - healthy))
    near = to_failure <= 24 * 30 + 12
    failing = np.unique(drive[near])
    alarm = near & (to_failure >= 24 * 2 - 12) & (scores > threshold)
    first = np.full(len(fails), _NO_DAY, dtype=np.int64)
    np.maximum.at(first, drive[alarm], to_failure[alarm])
    leads = first[failing]
    return DriveLevel(
        healthy=healthy,
        recall=float(np.mean(leads != _NO_DAY)) if len(failing) else 0.0,
        failing=len(failing),
        threshold=threshold,
        leads=tuple(float(hours) / 24 for hours in leads if hours != _NO_DAY),
    )


def by_drive_interval(
    drive: Ints, to_failure: Ints, fails: Bools, scores: Floats, healthy: float
) -> tuple[float, float]:
    """The interval of by_drive()'s recall, healthy and failing drives drawn anew."""
    best = _highest(drive, scores, len(fails))
    seen = np.flatnonzero(np.isfinite(best))
    never = best[seen[~fails[seen]]]
    near = to_failure <= 24 * 30 + 12
    failing = np.unique(drive[near])
    if not len(failing):
        return (0.0, 0.0)
    window = near & (to_failure >= 24 * 2 - 12)
    highest = _highest(drive[window], scores[window], len(fails))[failing]
    random = np.random.default_rng(0)
    found = []
    for _ in range(_DRAWS):
        threshold = np.quantile(random.choice(never, len(never)), 1 - healthy)
        found.append(float(np.mean(random.choice(highest, len(highest)) > threshold)))
    return _range(found)


def _highest(drive: Ints, scores: Floats, drives: int) -> Floats:
    best = np.full(drives, -np.inf)
    np.maximum.at(best, drive, scores)
    return best


def _sum(group: Ints, which: Bools, count: int) -> Floats:
    return np.bincount(group[which], minlength=count).astype(np.float64)


def _range(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
