"""Slowdowns that are put on single regions of the background: which are found, and how soon."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from pyctl.predict.regions.background import INTERVAL_SECONDS, Background, DeviceSeries, day_of
from pyctl.predict.regions.judging.replay import copied
from pyctl.predict.regions.judging.shares import Share
from pyctl.predict.regions.predictor import DevicePredictor, Observation

__all__ = ["FACTORS", "Slowdown", "slow_down"]

FACTORS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 2.0, 3.0, 5.0)
# Three hours of readings: one session of the source.
_WITHIN = 36
# Days of a device's life before anything is slowed.
_BEFORE_DAYS = 3


@dataclass(frozen=True)
class Slowdown:
    """All trials of one factor. `found` within three hours; `minutes` is the median until then."""

    factor: float
    found: Share
    minutes: float | None

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        return {"factor": self.factor, "found": self.found.card(), "median_minutes": self.minutes}


@dataclass(frozen=True)
class _Trial:
    factor: float
    region: int
    begin: int


def slow_down(
    background: Background,
    slow: Collection[tuple[int, int]],
    rng: random.Random,
    trials: int,
    progress: Callable[[int, int], None] | None = None,
    factors: Sequence[float] = FACTORS,
) -> list[Slowdown]:
    """`trials` of each factor: another region, from another moment on, until the end.

    All latencies of the region are multiplied, what is typical and the tail alike. A factor of 1 is
    the control. Regions that are known to be slow, or alarmed at that moment, are not taken.
    """
    plan: dict[int, list[_Trial]] = {}
    for factor in factors:
        for _ in range(trials):
            at = rng.randrange(len(background.devices))
            device = background.devices[at]
            regions = [r for r in device.regions if (device.host, r) not in slow]
            begins = _begins(device)
            if regions and begins:
                trial = _Trial(factor, rng.choice(regions), rng.choice(begins))
                plan.setdefault(at, []).append(trial)
    delays: dict[float, list[int | None]] = {factor: [] for factor in factors}
    for done, (at, planned) in enumerate(sorted(plan.items()), 1):
        for trial, delay in _run(background.devices[at], planned):
            delays[trial.factor].append(delay)
        if progress:
            progress(done, len(plan))
    return [_summary(factor, found) for factor, found in delays.items()]


def _begins(device: DeviceSeries) -> list[int]:
    days = [day_of(time) for time, _ in device.intervals]
    return [i for i in range(len(days) - _WITHIN) if days[i] >= days[0] + _BEFORE_DAYS]


def _summary(factor: float, delays: Sequence[int | None]) -> Slowdown:
    found = [delay for delay in delays if delay is not None]
    minutes = median(found) * INTERVAL_SECONDS / 60 if found else None
    return Slowdown(factor, Share(len(found), len(delays)), minutes)


# Each trial with the number of intervals until its alarm.
def _run(device: DeviceSeries, trials: Sequence[_Trial]) -> list[tuple[_Trial, int | None]]:
    waiting = sorted(trials, key=lambda trial: trial.begin)
    found = []
    past = DevicePredictor()
    reached = 0
    for trial in waiting:
        for time, interval in device.intervals[reached : trial.begin]:
            past.step(time, interval)
        reached = trial.begin
        if trial.region in past.regions and past.alarmed(trial.region):
            continue
        found.append((trial, _delay(device, copied(past), trial)))
    return found


def _delay(device: DeviceSeries, predictor: DevicePredictor, trial: _Trial) -> int | None:
    region = trial.region
    for n, (time, interval) in enumerate(
        device.intervals[trial.begin : trial.begin + _WITHIN], start=1
    ):
        if region in interval:
            interval = {**interval, region: _slower(interval[region], trial.factor)}
        predictor.step(time, interval)
        if region in predictor.regions and predictor.alarmed(region):
            return n
    return None


def _slower(seen: Observation, factor: float) -> Observation:
    return replace(
        seen,
        latency=seen.latency * factor if seen.latency is not None else None,
        tail=seen.tail * factor if seen.tail is not None else None,
    )
