"""Training: which drive-days are learned from, and how.

Days without an event are plenty and much alike, so a few of each drive are taken, and weigh more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt

from pyctl.predict import rises
from pyctl.predict.days import DriveDays, Truth, as_of, daily, joined, truth
from pyctl.predict.features import MODEL, NAMES, Matrix, compute
from pyctl.predict.log import SECTOR, Ints, Log
from pyctl.predict.trees import Trees

__all__ = ["PURGE", "RECIPES", "Examples", "Recipe", "chunks", "examples", "fit"]

PURGE = 7
"""Days between what is learned from and what is tested: as long as a label looks ahead."""

# A drive behaves alike for weeks before it fails, so those are the days to learn from.
_LEARNED_AHEAD = 30
# One day in so many is learned from. Almost all alarms, right or wrong, are of drives that have
# had a sector error, so what tells those apart is learned from more days of theirs.
_THIN = {"clean": 96, "sector": 3, "dirty": 3, "failing": 2}
_CHUNK = 2000
_SEED = 8
_ROUNDS = 150
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

# readings of which more is worse, and times since something bad, by which risk can only fall
_WORSE = ("level_", "rise_", "events_", "fresh_", "kinds_", "changes_", "most_", "last_", "dirty")
_NOT_WORSE = ("level_10", "level_12", "level_189", "level_196")
_NOT_BETTER = ("days_since_first_event", "days_since_change")


@dataclass(frozen=True)
class Recipe:
    """How one booster is trained: without which features, and with how many leaves a tree.

    `monotone` says that errors can only raise the score.
    """

    without: tuple[str, ...]
    leaves: int
    monotone: bool = False


# Failures are few: more leaves learn single drives, and the mean of two unlike boosters is better
# than either. Drive models have failure rates of their own, but strangers come with the years.
RECIPES = {
    "fail7": (
        Recipe(without=rises.NAMES, leaves=15),
        Recipe(without=(MODEL,), leaves=15, monotone=True),
    ),
    "sec7": (Recipe(without=rises.NAMES, leaves=31),),
}
"""The boosters of each question."""

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
        at, weight = _thinned(part, at, after, random)
        features, after = compute(part, at, codes[some]), _seen_by(truth(part, at), at, last)
        # in the numbers that the drives have in the whole log
        parts.append((DriveDays(some[at.drive], at.day, at.hour), features, weight, after))
    return Examples(parts)


def fit(
    found: Examples, question: str, *, without: tuple[str, ...] = (), threads: int = 2
) -> Trees:
    """Train the model for a question; `without` leaves features out, to see what they are worth."""
    return Trees(
        tuple(_boosted(found, question, one, without, threads) for one in RECIPES[question])
    )


def _boosted(
    found: Examples, question: str, recipe: Recipe, without: tuple[str, ...], threads: int
) -> lightgbm.Booster:
    features = found.features.copy()
    # a column that is all the same is in no tree
    features[:, [NAMES.index(name) for name in {*recipe.without, *without}]] = 0
    data = lightgbm.Dataset(
        features,
        label=found.label[question].astype(np.float32),
        weight=found.weight,
        feature_name=list(NAMES),
        categorical_feature=[MODEL],
        free_raw_data=True,
    )
    settings = {**_PARAMETERS, "num_leaves": recipe.leaves, "num_threads": threads}
    if recipe.monotone:
        settings["monotone_constraints"] = [_direction(name) for name in NAMES]
    return lightgbm.train(settings, data, _ROUNDS)


def _direction(name: str) -> int:
    if name.startswith(_WORSE) and name not in _NOT_WORSE:
        return 1
    return -1 if name.startswith("days_since_") and name not in _NOT_BETTER else 0


# What had happened by the end of the period: later events are not known yet.
def _seen_by(after: Truth, at: DriveDays, last: int) -> Truth:
    left = (last - at.day) * 24 + 12
    far = np.iinfo(np.int32).max
    return Truth(
        np.where(after.to_failure <= left, after.to_failure, far),
        np.where(after.to_sector_event <= left, after.to_sector_event, far),
    )


def _thinned(
    part: Log, at: DriveDays, after: Truth, random: np.random.Generator
) -> tuple[DriveDays, npt.NDArray[np.float64]]:
    row = as_of(part, at)
    dirty = np.any([np.nan_to_num(part.values[one][row]) > 0 for one in SECTOR], axis=0)
    one_in = np.full(len(at), _THIN["clean"])
    one_in[after.sector_event(7)] = _THIN["sector"]
    one_in[dirty] = _THIN["dirty"]
    one_in[after.failure(_LEARNED_AHEAD)] = _THIN["failing"]
    keep = random.random(len(at)) * one_in < 1
    return at.where(keep), one_in[keep].astype(np.float64)
