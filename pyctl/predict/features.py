"""What is known of a drive on a day: numbers from its change log up to that hour, no later.

Of the drive itself only what does not depend on its future is used: model, size, when it was first
seen. The calendar day is no feature, for a model would learn the days on which whole series of
drives were taken out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyctl.predict import rises
from pyctl.predict.days import DriveDays, as_of, sector_events
from pyctl.predict.log import ATTRIBUTES, SECTOR, STRIDE, Log
from pyctl.predict.rises import FULL, TIMEOUTS, days_since, rise, unpacked

__all__ = ["MODEL", "NAMES", "OWN_HISTORY", "compute"]

Matrix = npt.NDArray[np.float32]
Column = npt.NDArray[Any]

MODEL = "model"
WINDOWS = (1, 3, 7, 14, 30, 90)
# days without an event are no more than this: more says nothing
_LONG = 2000.0

_STATIC = (MODEL, "size_tb", "age_days", "seen_days")
_LEVELS = tuple(f"level_{one}" for one in ATTRIBUTES)
_RISES = tuple(f"rise_{one}_{days}d" for one in (*SECTOR, TIMEOUTS) for days in WINDOWS)
_OTHER = tuple(f"rise_{one}_{days}d" for one in (10, 12, 189) for days in (7, 30))
_COUNTS = tuple(f"events_{days}d" for days in WINDOWS)
_TIMES = (
    "events_ever",
    "days_since_event",
    "days_since_event_2",
    "days_since_event_3",
    "days_since_first_event",
    *(f"days_since_{one}" for one in (*SECTOR, TIMEOUTS, 12)),
    "kinds_30d",
    "pending_of_most",
    "last_rise",
    "most_rise",
    "dirty",
    "full_counter",
)
OWN_HISTORY = ("own_rate", "own_surprise_7d", "own_surprise_30d", "own_gap_ratio")
"""Features by which a prediction adapts to the device's own past: see docs/prediction.md."""

NAMES = (*_STATIC, *_LEVELS, *_RISES, *_OTHER, *_COUNTS, *_TIMES, *OWN_HISTORY, *rises.NAMES)


@dataclass(frozen=True)
class _Rows:
    """What is counted along the log once, so that each day only looks it up."""

    clean: dict[int, npt.NDArray[np.float64]]
    risen: dict[int, npt.NDArray[np.float64]]
    events: npt.NDArray[np.float64]
    event_keys: npt.NDArray[np.int64]
    event_rise: npt.NDArray[np.float64]
    most_pending: npt.NDArray[np.float64]


def compute(log: Log, at: DriveDays, codes: npt.NDArray[np.int64]) -> Matrix:
    """The features of drive-days, one row each, columns as in NAMES.

    `codes` has a number for the model of each drive, -1 for one that is not known.
    """
    rows = _along(log)
    drives = log.drives
    out = np.empty((len(at), len(NAMES)), dtype=np.float32)
    column = {name: index for index, name in enumerate(NAMES)}

    def put(name: str, values: Any) -> None:
        out[:, column[name]] = values

    code = codes[at.drive].astype(np.float64)
    code[code < 0] = np.nan
    seen = at.hour - drives.first_hour[at.drive]
    put(MODEL, code)
    put("size_tb", drives.size_tb[at.drive])
    put("age_days", at.hour / 24)
    put("seen_days", seen / 24)

    now = as_of(log, at)
    before = {days: as_of(log, at, 24.0 * days) for days in WINDOWS}
    for one in ATTRIBUTES:
        put(f"level_{one}", rows.clean[one][now])
    for one in (*SECTOR, TIMEOUTS):
        for days in WINDOWS:
            put(f"rise_{one}_{days}d", rows.risen[one][now] - rows.risen[one][before[days]])
    for one in (10, 12, 189):
        for days in (7, 30):
            put(f"rise_{one}_{days}d", rows.risen[one][now] - rows.risen[one][before[days]])
    counts = {days: rows.events[now] - rows.events[before[days]] for days in WINDOWS}
    for days in WINDOWS:
        put(f"events_{days}d", counts[days])

    start = np.searchsorted(log.keys, at.drive * STRIDE)
    ever = rows.events[now] - rows.events[start]
    put("events_ever", ever)
    since = [days_since(rows.event_keys, at, back) for back in (0, 1, 2)]
    put("days_since_event", since[0])
    put("days_since_event_2", since[1])
    put("days_since_event_3", since[2])
    put("days_since_first_event", _days_since_first(rows.event_keys, at))
    for one in (*SECTOR, TIMEOUTS, 12):
        put(f"days_since_{one}", days_since(log.keys[rise(log, one) > 0], at))
    kinds = [(rows.risen[a][now] - rows.risen[a][before[30]] > 0) for a in SECTOR]
    put("kinds_30d", np.sum(kinds, axis=0, dtype=np.float64))
    most = rows.most_pending[now]
    put(
        "pending_of_most",
        np.where(most > 0, np.nan_to_num(rows.clean[197][now]) / np.maximum(most, 1), 0),
    )
    put("last_rise", _last_rise(rows, at, since[0]))
    put("most_rise", _most(log, rows)[now])
    levels = [np.nan_to_num(log.values[a][now]) for a in SECTOR]
    put("dirty", np.sum([level > 0 for level in levels], axis=0, dtype=np.float64))
    put("full_counter", np.any([level >= FULL for level in levels], axis=0))
    _own_history(put, seen, counts, ever, since)
    for name, values in rises.recent(log, at).items():
        put(name, values)
    return out


# A Gamma prior (one event in two years) that the drive's own days and events move: its rate, and
# how unlikely so many events are by that rate as it was before the window.
def _own_history(
    put: Callable[[str, Any], None],
    seen: Column,
    counts: dict[int, Column],
    ever: Column,
    since: list[Column],
) -> None:
    days = seen / 24
    put("own_rate", (ever + 0.5) / (days + 365))
    for window in (7, 30):
        expected = window * (ever - counts[window] + 0.5) / (np.maximum(days - window, 0) + 365)
        put(f"own_surprise_{window}d", (counts[window] - expected) / np.sqrt(expected + 0.05))
    gap = np.maximum(since[2] - since[0], 0.5)
    put("own_gap_ratio", np.where(since[2] < _LONG, 2 * since[0] / gap, -1))


def _along(log: Log) -> _Rows:
    events = sector_events(log)
    rose = {one: rise(log, one) for one in ATTRIBUTES}
    total = np.sum([rose[one] for one in SECTOR], axis=0)
    return _Rows(
        clean={
            one: log.values[one].astype(np.float64)
            if one != TIMEOUTS
            else unpacked(log.values[one])
            for one in ATTRIBUTES
        },
        risen={one: np.cumsum(more) for one, more in rose.items()},
        events=np.cumsum(events, dtype=np.float64),
        event_keys=log.keys[events],
        event_rise=total[events],
        most_pending=_running_max(log, np.nan_to_num(log.values[197]).astype(np.float64)),
    )


def _running_max(log: Log, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # numbers of drives in front make the maximum begin anew
    lift = log.drive.astype(np.float64) * 1e7
    return np.maximum.accumulate(values + lift) - lift


def _most(log: Log, rows: _Rows) -> npt.NDArray[np.float64]:
    largest = np.zeros(len(log.drive))
    largest[np.searchsorted(log.keys, rows.event_keys)] = rows.event_rise
    return _running_max(log, largest)


def _last_rise(rows: _Rows, at: DriveDays, since: Column) -> Column:
    index = np.searchsorted(rows.event_keys, at.drive * STRIDE + at.hour, side="right") - 1
    return np.where(since < _LONG, np.append(rows.event_rise, 0)[index], 0)


def _days_since_first(keys: npt.NDArray[np.int64], at: DriveDays) -> npt.NDArray[np.float64]:
    here = at.drive * STRIDE + at.hour
    index = np.searchsorted(keys, at.drive * STRIDE, side="left")
    key = np.append(keys, np.iinfo(np.int64).max)[index]
    return np.where(key <= here, np.minimum((here - key) / 24, _LONG), _LONG)
