"""How strange a drive is among its peers, without any label.

Peers are the drives of one model, and of these the drives of one batch: first seen in the same
quarter. For each reading the share of peers that stand at least as bad on the same day is taken,
and the score is the sum of the logarithms: each whole number is a drive in ten, a hundred, a
thousand.
"""

import numpy as np
import numpy.typing as npt

from pyctl.predict.days import DriveDays, daily
from pyctl.predict.features import NAMES, compute
from pyctl.predict.log import Drives, Ints, Log

__all__ = ["COLUMNS", "WATCHED", "anomaly", "batches", "of_day", "tail"]

WATCHED = (
    *("level_5", "level_187", "level_197", "level_188"),
    *("events_7d", "events_30d", "rise_12_30d", "rise_189_30d"),
)
COLUMNS = [NAMES.index(name) for name in WATCHED]
_FEW = 20
_QUARTER = 91


def batches(drives: Drives) -> Ints:
    """The number of each drive's batch: one model, first seen in one quarter of a year."""
    names = [
        f"{model}/{day // _QUARTER}"
        for model, day in zip(drives.model, drives.first_day, strict=True)
    ]
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def anomaly(
    drives: Drives, at: DriveDays, watched: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """The score of each drive-day; `watched` has the columns COLUMNS of its features.

    The batch counts where it has 20 drives on that day, else the model, else all drives.
    """
    models = np.unique(drives.model.astype(str), return_inverse=True)[1].astype(np.int64)
    groups = (
        np.zeros(len(drives), dtype=np.int64),
        models,
        batches(drives),
    )
    score = np.zeros(len(at))
    for group in groups:
        same = np.unique(
            (at.day - at.day.min()) * (len(drives) + 1) + group[at.drive], return_inverse=True
        )[1]
        size = np.bincount(same)[same]
        strange = np.sum([-np.log10(tail(same, column)) for column in watched.T], axis=0)
        score = np.where(size >= _FEW, strange, score)
    return score


def of_day(log: Log, day: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The drives that were observed on a day (index), and the score of each."""
    at = daily(log.drives, day, day)
    features = compute(log, at, np.zeros(len(log.drives), dtype=np.int64))
    return at.drive, anomaly(log.drives, at, features[:, COLUMNS])


def tail(group: Ints, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The share of each group that is at least as high as each value."""
    plain = np.nan_to_num(values).astype(np.float64)
    order = np.lexsort((-plain, group))
    sorted_group, sorted_values = group[order], plain[order]
    start = np.searchsorted(sorted_group, sorted_group, side="left")
    size = np.bincount(group)[sorted_group]
    # of equal values the last place counts
    new = np.r_[
        (sorted_group[1:] != sorted_group[:-1]) | (sorted_values[1:] != sorted_values[:-1]), True
    ]
    last = np.flatnonzero(new)[np.searchsorted(np.flatnonzero(new), np.arange(len(order)))]
    out = np.empty(len(order))
    out[order] = (last - start + 1) / size
    return out
