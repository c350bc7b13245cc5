"""Training: which drive-days are learned from, and how.

Days without an event are plenty and much alike, so a few of each drive are taken and weigh more.
"""

from collections.abc import Iterator

import lightgbm
import numpy as np
import numpy.typing as npt

from pyctl.predict.days import DriveDays, Truth, daily, joined, truth
from pyctl.predict.features import MODEL, NAMES, Matrix, compute
from pyctl.predict.log import Ints, Log

__all__ = ["PURGE", "Examples", "chunks", "examples", "fit"]

PURGE = 7
"""Days between what is learned from and what is tested: as long as a label looks ahead."""

# A drive behaves alike for weeks before it fails, so those are the days to learn from.
_LEARNED_AHEAD = 30
# of days without any event, one in so many is learned from
_THIN = {"quiet": 48, "sector": 2, "failing": 2}
_CHUNK = 2000
_SEED = 8
_ROUNDS = 150
# failures are few: more leaves than this learn single drives
_LEAVES = {"fail7": 15, "sec7": 31}
_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "min_child_samples": 300,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "cat_smooth": 50.0,
    "min_data_per_group": 500,
    "deterministic": True,
    "force_row_wise": True,
    "seed": _SEED,
    "verbosity": -1,
}


_Part = tuple[DriveDays, Matrix, npt.NDArray[np.float64], Truth]


class Examples:
    """Features, weights and labels of the drive-days to learn from."""

    def __init__(self, parts: list[_Part]) -> None:
        self.at = joined([part[0] for part in parts])
        self.features = np.concatenate([part[1] for part in parts])
        self.weight = np.concatenate([part[2] for part in parts])
        self.label = {
            "fail7": np.concatenate([part[3].failure(_LEARNED_AHEAD) for part in parts]),
            "sec7": np.concatenate([part[3].sector_event(7) for part in parts]),
        }

    def __len__(self) -> int:
        return len(self.weight)


def chunks(drives: Ints) -> Iterator[Ints]:
    """Drives in groups that fit into memory with all of their days."""
    for start in range(0, len(drives), _CHUNK):
        yield drives[start : start + _CHUNK]


def examples(log: Log, codes: Ints, drives: Ints, first: int, last: int) -> Examples:
    """Drive-days to learn from: of these drives, from day `first` to `last`.

    Nothing is known of what happens after `last`.
    """
    parts = []
    random = np.random.default_rng(_SEED)
    for some in chunks(drives):
        part = log.of_drives(some)
        at = daily(part.drives, first, last)
        after = _seen_by(truth(part, at), at, last)
        at, weight = _thinned(at, after, random)
        features, after = compute(part, at, codes[some]), _seen_by(truth(part, at), at, last)
        # in the numbers that the drives have in the whole log
        parts.append((DriveDays(some[at.drive], at.day, at.hour), features, weight, after))
    return Examples(parts)


def fit(
    found: Examples, question: str, *, without: tuple[str, ...] = (), threads: int = 2
) -> lightgbm.Booster:
    """Train the model for a question; `without` leaves features out, to see what they are worth."""
    features = found.features
    if without:
        features = features.copy()
        features[:, [NAMES.index(name) for name in without]] = 0
    data = lightgbm.Dataset(
        features,
        label=found.label[question].astype(np.float32),
        weight=found.weight,
        feature_name=list(NAMES),
        categorical_feature=[MODEL],
        free_raw_data=True,
    )
    settings = {**_PARAMETERS, "num_leaves": _LEAVES[question], "num_threads": threads}
    return lightgbm.train(settings, data, _ROUNDS)


# What had happened by the end of the period: later events are not known yet.
def _seen_by(after: Truth, at: DriveDays, last: int) -> Truth:
    left = (last - at.day) * 24 + 12
    far = np.iinfo(np.int32).max
    return Truth(
        np.where(after.to_failure <= left, after.to_failure, far),
        np.where(after.to_sector_event <= left, after.to_sector_event, far),
    )


def _thinned(
    at: DriveDays, after: Truth, random: np.random.Generator
) -> tuple[DriveDays, npt.NDArray[np.float64]]:
    one_in = np.full(len(at), _THIN["quiet"])
    one_in[after.sector_event(7)] = _THIN["sector"]
    one_in[after.failure(_LEARNED_AHEAD)] = _THIN["failing"]
    keep = random.random(len(at)) * one_in < 1
    return at.where(keep), one_in[keep].astype(np.float64)
