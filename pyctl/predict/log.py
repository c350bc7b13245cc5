"""Drives and the log of their SMART changes, in memory as columns.

The folder has two files. `smart_drives.parquet`: one row a drive, when it was observed, and
whether it failed on its last day. `smart_changes.parquet`: a row whenever the daily reading of a
drive differs from the one before; it holds until the drive's next row. Hours are power-on hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pyctl.errors import NotFoundError, UsageError

__all__ = ["ATTRIBUTES", "SECTOR", "STRIDE", "Drives", "Log", "day_number", "read_log"]

# reallocated, spin retries, power cycles, uncorrectable, timeouts, high-fly writes, reallocation
# events, pending, offline uncorrectable
ATTRIBUTES = (5, 10, 12, 187, 188, 189, 196, 197, 198)
# an increase of one of these is a sector event
SECTOR = (5, 187, 197, 198)
# hours of drives are kept apart by this in one sorted array
STRIDE = 1 << 24

_EPOCH = date(1970, 1, 1).toordinal()
_STATIC = ("drive_id", "model", "manufacturer", "size_tb", "first_day", "last_day")
_NUMBERS = ("first_hour", "last_hour", "failed")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drives:
    """One entry a drive. Days count from 1970-01-01, hours are power-on hours, sizes in TB."""

    ids: Ints
    model: npt.NDArray[np.object_]
    manufacturer: npt.NDArray[np.object_]
    size_tb: Floats
    first_day: Ints
    last_day: Ints
    first_hour: Ints
    last_hour: Ints
    failed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rate(self) -> Floats:
        """Power-on hours in a calendar day: what the calendar is made of, and no feature."""
        days = np.maximum(self.last_day - self.first_day, 1)
        return np.asarray((self.last_hour - self.first_hour) / days, dtype=np.float64)

    def take(self, index: Ints) -> "Drives":
        """Some of them."""
        return Drives(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Log:
    """The changes of all drives, sorted by drive and hour.

    `drive` is the index into `drives`; `values` has a column for each attribute, NaN where the
    drive does not report it.
    """

    drives: Drives
    drive: Ints
    hour: Ints
    values: dict[int, npt.NDArray[np.float32]]

    @property
    def keys(self) -> Ints:
        """Drive and hour in one number, rising."""
        return self.drive * STRIDE + self.hour

    def of_drives(self, index: Ints) -> "Log":
        """The log of some drives, which get the numbers 0, 1, ... in the order of `index`."""
        new = np.full(len(self.drives), -1, dtype=np.int64)
        new[index] = np.arange(len(index))
        return make_log(
            self.drives.take(index),
            *_rows(new[self.drive], self.hour, self.values, new[self.drive] >= 0),
        )

    def until(self, hour: Ints) -> "Log":
        """The log without what came after an hour; `hour` has one entry a drive."""
        keep = self.hour <= np.maximum(hour, self.drives.first_hour)[self.drive]
        return make_log(self.drives, *_rows(self.drive, self.hour, self.values, keep))


def make_log(
    drives: Drives, drive: Ints, hour: Ints, values: dict[int, npt.NDArray[np.float32]]
) -> Log:
    """A log of rows in any order."""
    order = np.lexsort((hour, drive))
    return Log(drives, drive[order], hour[order], {a: v[order] for a, v in values.items()})


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH


def read_log(folder: Path) -> Log:
    """Read the two files of a folder.

    Raises NotFoundError where one is missing, UsageError where it is of another shape.
    """
    plain = _table(folder / "smart_drives.parquet", (*_STATIC, *_NUMBERS))
    changes = _table(
        folder / "smart_changes.parquet",
        ("drive_id", "hour", *(f"smart_{one}" for one in ATTRIBUTES)),
    )
    drives = Drives(
        ids=_ints(plain["drive_id"]),
        model=_texts(plain["model"]),
        manufacturer=_texts(plain["manufacturer"]),
        size_tb=_floats(plain["size_tb"]).astype(np.float64),
        first_day=_days(plain["first_day"]),
        last_day=_days(plain["last_day"]),
        first_hour=_ints(plain["first_hour"]),
        last_hour=_ints(plain["last_hour"]),
        failed=_ints(plain["failed"]) == 1,
    )
    drives = drives.take(np.argsort(drives.ids, kind="stable"))
    if len(np.unique(drives.ids)) != len(drives):
        raise UsageError(f"A drive_id stands twice in {folder / 'smart_drives.parquet'}.")
    ids, hours = _ints(changes["drive_id"]), _ints(changes["hour"])
    if len(hours) and (hours.min() < 0 or hours.max() >= STRIDE):
        raise UsageError("There are impossible power-on hours in smart_changes.parquet.")
    where = np.searchsorted(drives.ids, ids)
    known = drives.ids[np.minimum(where, max(len(drives) - 1, 0))] == ids if len(drives) else None
    if known is None or not known.all():
        raise UsageError("smart_changes.parquet has drives that smart_drives.parquet lacks.")
    values = {one: _floats(changes[f"smart_{one}"]) for one in ATTRIBUTES}
    return make_log(drives, where.astype(np.int64), hours, values)


def _rows(
    drive: Ints,
    hour: Ints,
    values: dict[int, npt.NDArray[np.float32]],
    keep: npt.NDArray[np.bool_],
) -> tuple[Ints, Ints, dict[int, npt.NDArray[np.float32]]]:
    return drive[keep], hour[keep], {a: v[keep] for a, v in values.items()}


def _table(path: Path, columns: Sequence[str]) -> Any:
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", hint="docs/prediction.md has the schema.")
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(
            f"{path} is not of the schema: {why}.", hint="docs/prediction.md has the schema."
        ) from error


def _ints(column: Any) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


def _days(column: Any) -> Ints:
    return np.asarray(column.cast(pa.date32()).cast(pa.int32()).to_numpy(), dtype=np.int64)


def _floats(column: Any) -> npt.NDArray[np.float32]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float32)


def _texts(column: Any) -> npt.NDArray[np.object_]:
    return np.asarray(column.cast(pa.string()).to_numpy(), dtype=np.object_)
