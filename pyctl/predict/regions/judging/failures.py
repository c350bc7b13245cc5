"""Generated failures over the background: which are seen coming, and what moving blocks is worth.

Whatever is measured here is simulated.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from pyctl.predict.regions.background import (
    INTERVAL_SECONDS,
    Background,
    DeviceSeries,
    day_of,
)
from pyctl.predict.regions.generator import FAILURES, Failure, afflict, draw, near, poisson
from pyctl.predict.regions.judging.moving import Ledger
from pyctl.predict.regions.judging.replay import copied
from pyctl.predict.regions.judging.shares import Share
from pyctl.predict.regions.predictor import DevicePredictor, Observation

__all__ = ["Outcome", "fail_regions"]

AHEAD_HOURS = (24, 48, 72)
_BEFORE_DAYS = 3
# of the regions of a device, so many fail in one run
_FAILING = 2


@dataclass
class Outcome:
    """What became of generated failures, by kind, and of the healthy regions beside them."""

    ahead: dict[tuple[str, int], list[bool]] = field(default_factory=dict)
    lead_hours: list[float] = field(default_factory=list)
    healthy_days: int = 0
    healthy_alarmed: int = 0
    ledger: Ledger = field(default_factory=Ledger)

    def recall(self, hours: int, kind: str | None = None) -> Share:
        """Failing regions with an alarm at least so many hours before their first error."""
        rows = [
            hit
            for (each, ahead), hits in self.ahead.items()
            if ahead == hours and kind in (None, each)
            for hit in hits
        ]
        return Share(sum(rows), len(rows))

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        kinds = sorted({kind for kind, _ in self.ahead})
        return {
            "simulated": True,
            "recall": {f"{hours} h": self.recall(hours).card() for hours in AHEAD_HOURS},
            "recall_48_h_by_kind": {kind: self.recall(48, kind).card() for kind in kinds},
            "alarm_before_first_error_hours": _quantiles(self.lead_hours),
            "false_alarms_healthy_region_days": Share(
                self.healthy_alarmed, self.healthy_days
            ).card(),
            "preventive_remap": self.ledger.card(),
        }


def fail_regions(
    background: Background,
    slow: Collection[tuple[int, int]],
    rng: random.Random,
    failures: int,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Let about so many regions fail, two of a device at a time."""
    outcome = Outcome()
    pasts: dict[int, tuple[DevicePredictor, int]] = {}
    runs = -(-failures // _FAILING)
    for done in range(1, runs + 1):
        at = rng.randrange(len(background.devices))
        device = background.devices[at]
        if at not in pasts:
            pasts[at] = _past(device)
        past, begin = pasts[at]
        regions = [r for r in device.regions if (device.host, r) not in slow]
        if len(regions) > _FAILING and begin < len(device.intervals):
            _Run(device, past, begin, rng.sample(regions, _FAILING), slow, rng).into(outcome)
        if progress:
            progress(done, runs)
    return outcome


def _past(device: DeviceSeries) -> tuple[DevicePredictor, int]:
    predictor = DevicePredictor()
    for i, (time, interval) in enumerate(device.intervals):
        if day_of(time) >= day_of(device.intervals[0][0]) + _BEFORE_DAYS:
            return predictor, i
        predictor.step(time, interval)
    return predictor, len(device.intervals)


class _Run:
    def __init__(
        self,
        device: DeviceSeries,
        past: DevicePredictor,
        begin: int,
        failing: list[int],
        slow: Collection[tuple[int, int]],
        rng: random.Random,
    ) -> None:
        self.device, self.begin, self.slow, self.rng = device, begin, slow, rng
        self.predictor = copied(past)
        first, last = device.intervals[begin][0], device.intervals[-1][0]
        self.failures = {region: draw(rng, region, first, last) for region in failing}
        # the first alarm of a region, and what was read again in it
        self.alarms: dict[int, float] = {}
        self.retried: dict[int, list[tuple[float, int]]] = {}
        self.alarmed_days: dict[tuple[int, int], bool] = {}

    def into(self, outcome: Outcome) -> None:
        before = self.device.intervals[self.begin][0] - INTERVAL_SECONDS
        for time, interval in self.device.intervals[self.begin :]:
            shown = {key: self._seen(key, before, time, seen) for key, seen in interval.items()}
            self.predictor.step(time, shown)
            for key in interval:
                self._note(key, time)
            before = time
        for region, failure in self.failures.items():
            self._judge(region, failure, outcome)
        healthy = {
            key: alarm
            for key, alarm in self.alarmed_days.items()
            if key[0] not in self.failures and (self.device.host, key[0]) not in self.slow
        }
        outcome.healthy_days += len(healthy)
        outcome.healthy_alarmed += sum(healthy.values())
        for region in {key[0] for key in healthy}:
            if region in self.alarms:
                retried = self.retried.get(region, [])
                outcome.ledger.healthy(self.alarms[region], retried)

    def _seen(self, key: int, before: float, time: float, seen: Observation) -> Observation:
        retried: tuple[int, ...] = ()
        if key in self.failures:
            seen, retried = afflict(
                self.rng, self.failures[key], before, time, seen, INTERVAL_SECONDS
            )
        stray = poisson(self.rng, FAILURES.stray_retries * INTERVAL_SECONDS / 86400)
        if stray:
            retried += tuple(near(self.rng, 128, FAILURES) for _ in range(stray))
            seen = replace(seen, retries=seen.retries + stray)
        if retried:
            self.retried.setdefault(key, []).extend((time, block) for block in retried)
        return seen

    def _note(self, key: int, time: float) -> None:
        day = (key, day_of(time))
        alarmed = self.predictor.alarmed(key)
        self.alarmed_days[day] = self.alarmed_days.get(day, False) or alarmed
        if alarmed:
            self.alarms.setdefault(key, time)

    def _judge(self, region: int, failure: Failure, outcome: Outcome) -> None:
        alarm = self.alarms.get(region)
        # what was said before it began to weaken was no prediction of it
        hours = None if alarm is None or alarm < failure.weak else (failure.fails - alarm) / 3600
        for ahead in AHEAD_HOURS:
            hits = outcome.ahead.setdefault((failure.kind, ahead), [])
            hits.append(hours is not None and hours >= ahead)
        if hours is not None and hours > 0:
            outcome.lead_hours.append(hours)
        outcome.ledger.failing(failure, alarm, self.retried.get(region, []))


def _quantiles(values: list[float]) -> dict[str, float]:
    rising = sorted(values)
    return {
        f"{percent} %": round(rising[len(rising) * percent // 100], 1)
        for percent in (5, 10, 25, 50, 75, 90)
        if rising
    }
