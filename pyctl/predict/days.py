"""Which drive is scored on which day, at which power-on hour, and what came after.

The definitions are those in docs/prediction.md: a failure within N days is one within N * 24 + 12
power-on hours, because readings come once a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyctl.predict.log import SECTOR, STRIDE, Drives, Floats, Ints, Log

__all__ = [
    "NEVER",
    "DriveDays",
    "Truth",
    "as_of",
    "daily",
    "joined",
    "sector_events",
    "truth",
]

NEVER = 1_000_000
"""Hours: longer than any drive lives."""


@dataclass(frozen=True)
class DriveDays:
    """Drives (index), days since 1970-01-01, and the power-on hours then."""

    drive: Ints
    day: Ints
    hour: Ints

    def __len__(self) -> int:
        return len(self.drive)

    def where(self, keep: npt.NDArray[Any]) -> "DriveDays":
        """Some of them: a mask or an index."""
        return DriveDays(self.drive[keep], self.day[keep], self.hour[keep])


@dataclass(frozen=True)
class Truth:
    """What came after each drive-day, in power-on hours; NEVER where it did not."""

    to_failure: Ints
    to_sector_event: Ints

    def failure(self, days: int = 7) -> npt.NDArray[np.bool_]:
        """Does the drive fail within so many days?"""
        return np.asarray(self.to_failure <= 24 * days + 12)

    def sector_event(self, days: int = 7) -> npt.NDArray[np.bool_]:
        """Does a sector event follow within so many days?"""
        return np.asarray(self.to_sector_event <= 24 * days + 12)


def joined(parts: Sequence[DriveDays]) -> DriveDays:
    """Drive-days behind each other."""
    return DriveDays(
        np.concatenate([one.drive for one in parts]),
        np.concatenate([one.day for one in parts]),
        np.concatenate([one.hour for one in parts]),
    )


def daily(drives: Drives, first: int, last: int) -> DriveDays:
    """Every day of every drive from `first` to `last`, but for a drive's last day itself."""
    begin = np.maximum(drives.first_day, first)
    end = np.minimum(drives.last_day - 1, last)
    count = np.maximum(end - begin + 1, 0)
    drive = np.repeat(np.arange(len(drives), dtype=np.int64), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    day = begin[drive] + within
    ran = (day - drives.first_day[drive]) * drives.rate[drive]
    hour = np.round(drives.first_hour[drive] + ran).astype(np.int64)
    hour = np.minimum(hour, drives.last_hour[drive] - 1)
    return DriveDays(drive, day, hour)


def sector_events(log: Log) -> npt.NDArray[np.bool_]:
    """Which rows have an increase of 5, 187, 197 or 198 against the drive's row before."""
    rose = np.zeros(len(log.drive), dtype=bool)
    for one in SECTOR:
        values = np.nan_to_num(log.values[one])
        rose[1:] |= values[1:] > values[:-1]
    rose[1:] &= log.drive[1:] == log.drive[:-1]
    rose[:1] = False
    return rose


def truth(log: Log, at: DriveDays) -> Truth:
    """The labels of drive-days, from the whole log."""
    drives = log.drives
    fails = np.where(drives.failed[at.drive], drives.last_hour[at.drive] - at.hour, NEVER)
    events = log.keys[sector_events(log)]
    index = np.searchsorted(events, at.drive * STRIDE + at.hour, side="right")
    coming = np.append(events, -1)[index]
    follows = coming // STRIDE == at.drive
    return Truth(fails, np.where(follows, coming % STRIDE - at.hour, NEVER))


def as_of(log: Log, at: DriveDays, hours_before: Floats | float = 0.0) -> Ints:
    """The row that held at a drive-day, or some hours before; the drive's first if none did yet."""
    hour = np.maximum(at.hour - hours_before, log.drives.first_hour[at.drive])
    keys = at.drive * STRIDE + np.floor(hour).astype(np.int64)
    return np.asarray(np.searchsorted(log.keys, keys, side="right") - 1, dtype=np.int64)
