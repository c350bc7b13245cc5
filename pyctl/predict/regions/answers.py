"""From evidence to an answer: score, confidence, horizon, reasons, and what to do."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pyctl.predict.regions.settings import RegionSettings

__all__ = ["Answer", "Evidence", "Reason", "answer", "known_from"]

_HOURS_SOON, _HOURS_ALARM, _HOURS_ELSE = 48, 168, 720
_SOON = 0.85
# history of so many intervals gives 63 % of the confidence
_HISTORY = 40.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason in plain words; `weight` is what it alone would give as a score, 0 to 1."""

    name: str
    weight: float
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks against a region; 0 to 1, but for times (ratios) and counts (blocks, decayed).

    `slow` and `marginal` count pieces of 32 KiB that a scan found slow once, and twice in turn.
    """

    slower: float = 0.0
    slower_times: float = 1.0
    apart: float = 0.0
    apart_times: float = 1.0
    tail: float = 0.0
    tail_times: float = 1.0
    retries: float = 0.0
    errors: float = 0.0
    near_retries: float = 0.0
    near_errors: float = 0.0
    slow: float = 0.0
    marginal: float = 0.0

    def weights(self, settings: RegionSettings) -> dict[str, float]:
        """What each kind alone would give as a score."""
        s = settings
        return {
            "errors": s.errors_weight * -math.expm1(-self.errors / s.errors_scale),
            "retries": s.retries_weight * -math.expm1(-self.retries / s.retries_scale),
            "slower": s.slower_weight * self.slower,
            "apart": s.apart_weight * self.apart,
            "tail": s.tail_weight * self.tail,
            "marginal": s.marginal_weight * -math.expm1(-self.marginal / s.pieces_scale),
            "slow": s.slow_weight * -math.expm1(-self.slow / s.pieces_scale),
            "near": s.spread
            * -math.expm1(-(self.near_errors + self.near_retries) / s.retries_scale),
        }

    def score(self, settings: RegionSettings) -> float:
        """All together, as if each were an independent chance to fail."""
        return _any_of(self.weights(settings).values())

    def counted(self, settings: RegionSettings) -> float:
        """The score of errors and retries alone: they are facts, and need no second look."""
        weights = self.weights(settings)
        return _any_of((weights["errors"], weights["retries"]))

    def reasons(self, settings: RegionSettings) -> list[Reason]:
        """Those that say anything, the strongest first."""
        words = {
            "errors": f"{_about(self.errors)} could not be read there lately",
            "retries": f"{_about(self.retries)} could be read only after several attempts lately",
            "slower": f"it takes {self.slower_times:.1f} times what it used to",
            "apart": f"it takes {self.apart_times:.1f} times what the other regions take",
            "tail": f"its slow requests take {self.tail_times:.1f} times what is typical there",
            "marginal": f"{_pieces(self.marginal)} slow in two scans that followed each other",
            "slow": f"{_pieces(self.slow)} slow in the last scan, while the rest was not",
            "near": "blocks of it or beside it failed before, and errors come in clusters",
        }
        found = [
            Reason(name, weight, words[name])
            for name, weight in self.weights(settings).items()
            if weight >= 0.01
        ]
        return sorted(found, key=lambda reason: -reason.weight)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of a region.

    `score` and `confidence` are 0 to 1; the confidence says how much history and how many peers
    the score rests on, not how likely the failure is. `horizon_hours` is the time within which a
    failure is to be expected if one comes; `reasons` are at most three, the strongest first.
    """

    score: float
    confidence: float
    horizon_hours: int
    reasons: tuple[Reason, ...]
    recommendation: str


def answer(evidence: Evidence, settings: RegionSettings, known: float) -> Answer:
    """Put evidence into words; `known`, 0 to 1, says how much the comparisons rest on."""
    score = evidence.score(settings)
    return Answer(
        score=score,
        # what was counted is certain without any comparison
        confidence=max(known, evidence.counted(settings)),
        horizon_hours=_horizon(score, settings),
        reasons=tuple(evidence.reasons(settings)[:3]),
        recommendation=_recommendation(evidence, score, settings),
    )


def known_from(seen: int, peers: int) -> float:
    """How much is known after so many intervals, beside so many other regions: 0 to 1."""
    return -math.expm1(-seen / _HISTORY) * min(1.0, (1 + peers) / 6)


def _horizon(score: float, settings: RegionSettings) -> int:
    if score >= _SOON:
        return _HOURS_SOON
    return _HOURS_ALARM if score >= settings.alarm else _HOURS_ELSE


def _recommendation(evidence: Evidence, score: float, settings: RegionSettings) -> str:
    weights = evidence.weights(settings)
    if score < settings.alarm / 2:
        return "nothing to do"
    if score < settings.alarm:
        return "watch it: let the next scan look here first"
    if weights["errors"] >= settings.alarm / 2:
        return "move the blocks within 100 sectors of those that failed, and restore what was lost"
    if weights["retries"] >= settings.alarm / 2:
        return "move the blocks that needed several attempts, and those around them, now"
    if evidence.marginal >= 1:
        return "move the slow pieces while they can be read: pyctl scan candidates lists them"
    return "read it all in a scan now, and move the pieces that stay slow"


def _any_of(chances: Iterable[float]) -> float:
    left = 1.0
    for chance in chances:
        left *= 1 - chance
    return 1 - left


def _about(count: float) -> str:
    number = max(1, round(count))
    return "1 block" if number == 1 else f"{number} blocks"


def _pieces(count: float) -> str:
    number = max(1, round(count))
    return "1 piece of 32 KiB was" if number == 1 else f"{number} pieces of 32 KiB were"
