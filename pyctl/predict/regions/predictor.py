"""The predictor of regions: small state, one step an interval, no look ahead.

A region is compared with its own past and with its peers, the other regions of its device in the
same interval: what all have in common (load of the host, backups at night) cancels out.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from pyctl.predict.regions.answers import Answer, Evidence, answer, known_from
from pyctl.predict.regions.settings import DEFAULT, RegionSettings

__all__ = ["DevicePredictor", "Observation", "RegionState"]

# With less company nobody can say who is the odd one.
_LEAST_PEERS = 3
# from the median of absolute deviations to a standard deviation
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Observation:
    """What was counted of a region in one interval.

    `latency` is the typical one (median or middle of a histogram), `tail` one that few requests
    exceed (90th percentile), `load` the throughput: each in any unit, and None when nothing was
    measured. `errors` are blocks that could not be read, `retries` those that could be read again.
    """

    latency: float | None
    load: float | None = None
    tail: float | None = None
    errors: int = 0
    retries: int = 0


@dataclass(slots=True)
class RegionState:
    """All that is remembered of a region; logarithms, but for the counts and the time."""

    seen: int = 0
    usual: float = 0.0
    deviation: float = 0.1
    load: float = 0.0
    load_square: float = 4.0
    load_product: float = 0.8
    recent: float = 0.0
    beside: float = 0.0
    tail: float = 0.0
    tail_usual: float = 0.0
    retries: float = 0.0
    errors: float = 0.0
    time: float = 0.0
    turns: int = 0
    peers: int = 0
    # what the last step has found
    evidence: Evidence = field(default_factory=Evidence)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return min(1.0, max(0.0, (value - low) / (high - low)))


# The median of sorted values without the one at `i`.
def _median_without(values: Sequence[float], i: int) -> float:
    left = len(values) - 1
    low, high = (left - 1) // 2, left // 2
    return (values[low + (low >= i)] + values[high + (high >= i)]) / 2


class DevicePredictor:
    """The regions of one device, by number.

    With `adjacent`, regions whose numbers differ by one lie beside each other.
    """

    def __init__(self, settings: RegionSettings = DEFAULT, *, adjacent: bool = False) -> None:
        self.settings = settings
        self.adjacent = adjacent
        self.regions: dict[int, RegionState] = {}

    def step(self, time: float, interval: Mapping[int, Observation]) -> None:
        """Take in one interval that ended at `time`, in seconds; times never go back."""
        regions = self.regions
        levels: dict[int, float] = {}
        loads: dict[int, float] = {}
        for key, seen in interval.items():
            if key not in regions:
                regions[key] = RegionState(time=time)
            if seen.latency is not None and seen.latency > 0:
                levels[key] = math.log(seen.latency)
                if seen.load is not None and seen.load > 0:
                    loads[key] = math.log(seen.load)
        order = sorted(levels.values())
        adjusted = {key: level - regions[key].usual for key, level in levels.items()}
        adjusted_order = sorted(adjusted.values())
        load_order = sorted(loads.values())
        for key, seen in interval.items():
            region = regions[key]
            self._count(region, time, seen)
            if key not in levels:
                continue
            level = levels[key]
            region.peers = len(order) - 1
            beside = common = 0.0
            if region.peers:
                beside = level - _median_without(order, bisect_left(order, level))
                own = adjusted[key]
                common = _median_without(adjusted_order, bisect_left(adjusted_order, own))
            load = None
            if key in loads:
                load = loads[key]
                if len(load_order) > 1:
                    load -= _median_without(load_order, bisect_left(load_order, load))
            self._learn(region, level - common, beside, load, seen)
        for key in interval:
            self._judge(key)

    def answer(self, key: int) -> Answer:
        """What is to be said of a region now. Raises KeyError for one that was never seen."""
        region = self.regions[key]
        return answer(region.evidence, self.settings, known_from(region.seen, region.peers))

    def score(self, key: int) -> float:
        """The score alone, 0 to 1."""
        return self.regions[key].evidence.score(self.settings)

    def alarmed(self, key: int) -> bool:
        """Whether the region is taken for failing now."""
        return self.regions[key].turns >= self.settings.in_turn

    def _count(self, region: RegionState, time: float, seen: Observation) -> None:
        passed = max(0.0, time - region.time)
        region.time = max(region.time, time)
        region.retries *= 0.5 ** (passed / self.settings.retries_half_life)
        region.errors *= 0.5 ** (passed / self.settings.errors_half_life)
        region.retries += seen.retries
        region.errors += seen.errors

    # `level` is without what all regions have in common.
    def _learn(
        self,
        region: RegionState,
        level: float,
        beside: float,
        load: float | None,
        seen: Observation,
    ) -> None:
        s = self.settings
        rate = max(1 / (region.seen + 1), 1 / s.usual)
        if load is not None:
            off_load = load - region.load
            slope = min(1.0, max(0.0, region.load_product / region.load_square))
        else:
            off_load = slope = 0.0
        off = level - region.usual - slope * off_load
        width = max(region.deviation, s.least_deviation) * s.clip
        calm = max(-width, min(width, off)) if region.seen >= s.warm else off
        # what is slow now must not become what is usual
        if region.seen < s.warm or region.recent < s.slower[0]:
            region.usual += rate * calm
            region.deviation += rate * (abs(calm) * 1.25 - region.deviation)
            if load is not None:
                region.load += rate * off_load
                region.load_square += off_load * off_load - region.load_square / s.usual
                product = off_load * (calm + slope * off_load)
                region.load_product += product - region.load_product / s.usual
        if region.seen >= s.warm:
            region.recent += (off - region.recent) / s.recent
        region.beside += (beside - region.beside) * max(1 / (region.seen + 1), 1 / s.beside)
        if seen.tail is not None and seen.tail > 0 and seen.latency:
            tail = max(0.0, math.log(seen.tail / seen.latency))
            region.tail += (tail - region.tail) / s.beside
            quiet = min(tail, region.tail_usual + s.tail[0]) if region.seen >= s.warm else tail
            region.tail_usual += (quiet - region.tail_usual) * rate
        region.seen += 1

    def _judge(self, key: int) -> None:
        s, region = self.settings, self.regions[key]
        enough = region.seen >= s.warm
        wide = max(region.deviation, s.least_deviation)
        near_retries, near_errors = self._near(key)
        region.evidence = Evidence(
            slower=_ramp(region.recent, s.slower) * _ramp(region.recent / wide, s.deviations)
            if enough
            else 0.0,
            slower_times=math.exp(region.recent),
            apart=self._apart(region) if enough else 0.0,
            apart_times=math.exp(region.beside),
            tail=_ramp(region.tail - region.tail_usual, s.tail) if enough else 0.0,
            tail_times=math.exp(region.tail),
            retries=region.retries,
            errors=region.errors,
            near_retries=near_retries,
            near_errors=near_errors,
        )
        over = region.evidence.score(s) >= s.alarm
        if over and region.evidence.counted(s) >= s.alarm:
            region.turns = s.in_turn
        else:
            region.turns = region.turns + 1 if over else 0

    # How far a region stands apart from its peers, in what it takes and in how that varies.
    def _apart(self, region: RegionState) -> float:
        s = self.settings
        far = _ramp(region.beside, s.apart)
        if not far or region.peers < _LEAST_PEERS:
            return 0.0
        peers = [each for each in self.regions.values() if each is not region]
        spread = max(median(abs(each.beside) for each in peers) * _MAD, s.least_deviation)
        varies = max(median(each.deviation for each in peers), s.least_deviation)
        steady = 0.5 + 0.5 * _ramp(region.deviation / varies, s.unsteady)
        return far * _ramp(region.beside / spread, s.outlying) * steady

    def _near(self, key: int) -> tuple[float, float]:
        if not self.adjacent:
            return 0.0, 0.0
        near = [self.regions[n] for n in (key - 1, key + 1) if n in self.regions]
        share = self.settings.spread
        return share * sum(r.retries for r in near), share * sum(r.errors for r in near)
