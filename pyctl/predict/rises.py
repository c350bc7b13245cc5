"""How counters rise: by how much, on how many days, and how much of it is still fresh."""

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from pyctl.predict.days import DriveDays, as_of
from pyctl.predict.log import STRIDE, Floats, Ints, Log

__all__ = ["FULL", "NAMES", "TIMEOUTS", "days_since", "recent", "rise", "unpacked"]

# readings at which a counter of 16 bits is full or nonsense
FULL = 65_520
TIMEOUTS = 188
_POWER_CYCLES, _HIGH_FLY, _PENDING = 12, 189, 197
_WATCHED = (5, 187, TIMEOUTS, _HIGH_FLY, _PENDING)
_HALF_LIVES = (2, 7, 30, 120)
_WINDOWS = (7, 30, 90)
_RATES = (5, 187, _HIGH_FLY, _POWER_CYCLES)
# younger drives have no rate of their own yet
_YOUNG_DAYS = 30

NAMES = (
    *(f"fresh_{one}_{days}d" for one in _WATCHED for days in _HALF_LIVES),
    *(f"rise_days_{one}_{days}d" for one in (*_WATCHED, _POWER_CYCLES) for days in _WINDOWS),
    *(f"rise_{one}_365d" for one in _WATCHED),
    *(f"per_day_{one}" for one in _RATES),
    "days_since_189",
    *("changes_7d", "changes_30d", "days_since_change"),
    *("most_pending", "fall_197_30d", "days_since_fall_197"),
)
"""The names of recent()'s numbers, in their order."""


def rise(records: Log, one: int) -> Floats:
    """How much a counter rose against the drive's row before, 0 where it fell.

    As in the definition of a sector event, a counter that was not reported was 0.
    """
    values = np.nan_to_num(records.values[one]).astype(np.float64)
    return np.maximum(_step(records, unpacked(values) if one == TIMEOUTS else values), 0)


def unpacked(values: npt.NDArray[Any]) -> Floats:
    """The count in attribute 188: the first of three of 16 bits that some firmwares pack."""
    return np.mod(values.astype(np.float64), 65536)


def recent(records: Log, at: DriveDays) -> Mapping[str, Floats]:
    """Numbers by NAMES for each drive-day, from rows up to its hour.

    Unlike with rise(), neither a glitch nor the return of an attribute is a rise here.
    """
    now = as_of(records, at)
    before = {days: as_of(records, at, 24.0 * days) for days in (*_WINDOWS, 365)}
    steps = {one: _step(records, _sound(records, one)) for one in (*_WATCHED, _POWER_CYCLES)}
    rises = {one: np.maximum(values, 0) for one, values in steps.items()}
    found: dict[str, Floats] = {}
    for one in _WATCHED:
        for days in _HALF_LIVES:
            found[f"fresh_{one}_{days}d"] = _fresh(records, at, rises[one], 24.0 * days)
    for one, values in rises.items():
        count = np.cumsum(values > 0)
        for days in _WINDOWS:
            found[f"rise_days_{one}_{days}d"] = count[now] - count[before[days]]
    for one in _WATCHED:
        total = np.cumsum(rises[one])
        found[f"rise_{one}_365d"] = total[now] - total[before[365]]
    age = np.maximum(at.hour / 24, _YOUNG_DAYS)
    for one in _RATES:
        found[f"per_day_{one}"] = np.nan_to_num(records.values[one][now]) / age
    found["days_since_189"] = days_since(records.keys[rises[_HIGH_FLY] > 0], at)
    for days in (7, 30):
        found[f"changes_{days}d"] = (now - before[days]).astype(np.float64)
    found["days_since_change"] = (at.hour - records.hour[now]) / 24
    pending = np.nan_to_num(records.values[_PENDING]).astype(np.float64)
    found["most_pending"] = _highest(records, np.where(pending >= FULL, 0, pending))[now]
    fall = np.maximum(-steps[_PENDING], 0)
    gone = np.cumsum(fall)
    found["fall_197_30d"] = gone[now] - gone[before[30]]
    found["days_since_fall_197"] = days_since(records.keys[fall > 0], at)
    return found


def days_since(keys: Ints, at: DriveDays, back: int = 0, longest: float = 2000.0) -> Floats:
    """Days since a drive's last key (of Log.keys), or the one `back` before it; or `longest`."""
    here = at.drive * STRIDE + at.hour
    index = np.searchsorted(keys, here, side="right") - 1 - back
    key = np.append(keys, -1)[np.maximum(index, -1)]
    days = (here - key) / 24
    known = (key >= 0) & (key // STRIDE == at.drive)
    return np.where(known, np.minimum(days, longest), longest)


# Readings without those that are no counts: all ones. An attribute that is reported again after a
# time without has not risen, as far as one can tell.
def _sound(records: Log, one: int) -> Floats:
    values = records.values[one].astype(np.float64)
    if one == TIMEOUTS:
        return unpacked(values)
    return values if one == _POWER_CYCLES else np.where(values >= FULL, np.nan, values)


# The change against the drive's row before, 0 where one of the two is not known.
def _step(records: Log, values: Floats) -> Floats:
    step = np.zeros(len(values))
    step[1:] = np.where(records.drive[1:] == records.drive[:-1], np.diff(values), 0)
    return np.nan_to_num(step)


# The sum of all rises (their logarithms), each of which counts half after its half-life, in hours.
def _fresh(records: Log, at: DriveDays, rises: Floats, half_life: float) -> Floats:
    rows = np.flatnonzero(rises > 0)
    fade = log(2) / half_life
    drives, hours = records.drive[rows], records.hour[rows]
    stays = np.exp(-fade * np.maximum(np.diff(hours, prepend=0), 0))
    stays[np.r_[True, drives[1:] != drives[:-1]][: len(rows)]] = 0
    level, levels = 0.0, []
    for kept, more in zip(stays.tolist(), np.log1p(rises[rows]).tolist(), strict=True):
        level = level * kept + more
        levels.append(level)
    keys = records.keys[rows]
    index = np.searchsorted(keys, at.drive * STRIDE + at.hour, side="right") - 1
    key = np.append(keys, -1)[index]
    mine = (key >= 0) & (key // STRIDE == at.drive)
    since = np.where(mine, at.hour - key % STRIDE, 0)
    return np.where(mine, np.append(levels, 0)[index] * np.exp(-fade * since), 0)


def _highest(records: Log, values: Floats) -> Floats:
    # numbers of drives in front make the maximum begin anew
    lift = records.drive.astype(np.float64) * 1e7
    return np.maximum.accumulate(values + lift) - lift
