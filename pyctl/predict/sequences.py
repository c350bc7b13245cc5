"""A drive's last changes as a sequence, for a model that reads them in their order.

A step is a row of the log: what the counters stood at, how much they had risen, which of them are
reported, and when that was. Like the features, a sequence has nothing from after its hour.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyctl.predict.days import DriveDays, as_of
from pyctl.predict.log import ATTRIBUTES, STRIDE, Ints, Log
from pyctl.predict.rises import rise

__all__ = ["CHANNELS", "STATIC", "STEPS", "Sequences", "Steps", "build"]

STEPS = 16
"""The longest sequence: rows of the log, the newest last. Few drives have more."""

STATIC = 3
"""Numbers that a drive-day has once: size, age, and for how long it has been observed."""

_PLAIN = 3 * len(ATTRIBUTES) + 2
CHANNELS = _PLAIN + 1
"""Numbers in a step: three for each attribute, two times, and whether the row is the first."""

Steps = npt.NDArray[np.float32]

# what brings logarithms of counts, terabytes and thousands of days to about 1
_SCALE = 4.0


@dataclass(frozen=True)
class Sequences:
    """Sequences of drive-days, cut from the log only when a batch is asked for.

    `index` is the newest row of each, `length` how many rows it has, `hour` its own hour.
    """

    rows: Steps
    row_hour: Ints
    index: Ints
    length: Ints
    hour: Ints
    static: Steps
    model: Ints

    def __len__(self) -> int:
        return len(self.index)

    def steps(self, which: Ints) -> Steps:
        """The steps of some, oldest first, and zeros behind a sequence that is shorter."""
        length = self.length[which]
        place = np.arange(int(length.max()))
        there = place < length[:, None]
        row = np.where(there, (self.index[which] - length + 1)[:, None] + place, 0)
        out = np.empty((*row.shape, CHANNELS), dtype=np.float32)
        out[:, :, 1:] = self.rows[row]
        out[:, :, 0] = _log_days(self.hour[which][:, None] - self.row_hour[row])
        out[~there] = 0
        return out


def build(log: Log, at: DriveDays, codes: Ints) -> Sequences:
    """The sequences of drive-days; `codes` has a number for each drive's model, -1 if unknown."""
    drives = log.drives
    index = as_of(log, at)
    start = np.searchsorted(log.keys, at.drive * STRIDE)
    static = np.stack(
        [
            drives.size_tb[at.drive] / _SCALE,
            at.hour / 24_000,
            (at.hour - drives.first_hour[at.drive]) / 24_000,
        ],
        axis=1,
    ).astype(np.float32)
    return Sequences(
        rows=_rows(log),
        row_hour=log.hour,
        index=index,
        length=np.clip(index - start + 1, 1, STEPS),
        hour=at.hour,
        static=static,
        model=codes[at.drive] + 1,
    )


def _rows(log: Log) -> Steps:
    columns = []
    for one in ATTRIBUTES:
        columns += [
            _log(np.nan_to_num(log.values[one])),
            _log(rise(log, one)),
            np.isfinite(log.values[one]),
        ]
    first = np.r_[True, log.drive[1:] != log.drive[:-1]]
    pause = np.r_[0, np.diff(log.hour)]
    columns += [_log_days(np.where(first, 0, pause)), first]
    return np.stack(columns, axis=1).astype(np.float32)


def _log(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.log1p(values) / _SCALE, dtype=np.float64)


def _log_days(hours: Ints) -> npt.NDArray[np.float64]:
    return _log(np.maximum(hours, 0) / 24)
