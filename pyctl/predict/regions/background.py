"""The real latency background: series of drives as intervals of a device's regions.

A file of the perseus schema (host, disk, ts in seconds, kBps, lat_x100) has no addresses. Each
drive stands for a region, and the drives of a host for the regions of a device: they share load
and hour, as the regions of a device do.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyctl.errors import FormatError
from pyctl.predict.regions.predictor import Observation

__all__ = ["INTERVAL_SECONDS", "Background", "DeviceSeries", "day_of", "read_background"]

INTERVAL_SECONDS = 300
# an interval with fewer readings says nothing
_LEAST_READINGS = 5
_COLUMNS = ("host", "disk", "ts", "kBps", "lat_x100")
# The source's days are those of China; its sessions end at midnight there.
_ZONE_SECONDS = 8 * 3600

Interval = tuple[float, dict[int, Observation]]


@dataclass(frozen=True)
class DeviceSeries:
    """One host: its intervals by rising time, each with what was seen of its regions."""

    host: int
    intervals: list[Interval]

    @property
    def regions(self) -> list[int]:
        """All regions that were ever seen."""
        return sorted({key for _, seen in self.intervals for key in seen})


@dataclass(frozen=True)
class Background:
    """All devices of a file; `rows` is how many readings it had."""

    devices: list[DeviceSeries]
    rows: int


def day_of(time: float) -> int:
    """The day to which an interval that ended then belongs, as a number."""
    return int(time - 1 + _ZONE_SECONDS) // 86400


def read_background(path: Path) -> Background:
    """Read a file of the perseus schema; the order of its rows does not matter.

    Raises FormatError for a file that is no such one, OSError.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=list(_COLUMNS))
    except (pyarrow.ArrowInvalid, KeyError) as error:
        raise FormatError(f"{path} is no Parquet file with a background: {error}.") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise FormatError(f"{path} has no column {missing[0]}: it is not of the perseus schema.")
    columns = {
        name: table[name].cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
        for name in _COLUMNS
    }
    return _background(columns)


def _background(columns: dict[str, NDArray[np.float64]]) -> Background:
    use = np.isfinite(columns["lat_x100"]) & np.isfinite(columns["ts"]) & (columns["lat_x100"] > 0)
    rows = len(use)
    host, disk, ts, load, latency = (columns[name][use] for name in _COLUMNS)
    number = np.floor(ts / INTERVAL_SECONDS)
    # By latency inside an interval: quantiles are then places.
    order = np.lexsort((latency, disk, number, host))
    host, disk, number, load, latency = (
        values[order] for values in (host, disk, number, load, latency)
    )
    changes = (np.diff(host) != 0) | (np.diff(number) != 0) | (np.diff(disk) != 0)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    ends = np.concatenate((starts[1:], [len(host)]))
    devices: dict[int, dict[float, dict[int, Observation]]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        count = end - start
        if count < _LEAST_READINGS:
            continue
        typical = (latency[start + (count - 1) // 2] + latency[start + count // 2]) / 2
        loads = load[start:end]
        loads = loads[np.isfinite(loads) & (loads > 0)]
        when = (float(number[start]) + 1) * INTERVAL_SECONDS
        intervals = devices.setdefault(int(host[start]), {})
        intervals.setdefault(when, {})[int(disk[start])] = Observation(
            latency=float(typical),
            load=float(np.sort(loads)[len(loads) // 2]) if len(loads) else None,
            tail=float(latency[start + (count * 9) // 10]),
        )
    series = [DeviceSeries(each, _sorted(found)) for each, found in sorted(devices.items())]
    return Background(series, rows)


def _sorted(found: dict[float, dict[int, Observation]]) -> list[Interval]:
    return sorted(found.items(), key=lambda each: each[0])
