"""Gradient boosted trees: several boosters whose scores are averaged, as text files."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

__all__ = ["Trees", "read_trees"]

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """Boosters that were trained differently for the same question."""

    boosters: tuple[lightgbm.Booster, ...]

    def scores(self, features: Matrix, threads: int = 2) -> Floats:
        """Raw scores, higher is worse: log-odds by the training's weights, no probabilities."""
        return self._mean(features, raw_score=True, num_threads=threads)

    def contributions(self, features: Matrix) -> Floats:
        """What each feature adds to the score of each row; the last column is the mean score."""
        return self._mean(features, pred_contrib=True, num_threads=1)

    def write(self, folder: Path, name: str) -> None:
        """Write one compressed text file a booster."""
        paths = _paths(folder, name, len(self.boosters))
        for path, booster in zip(paths, self.boosters, strict=True):
            # no time and no name in the header: the same model is the same bytes
            path.write_bytes(gzip.compress(booster.model_to_string().encode(), mtime=0))

    def _mean(self, features: Matrix, **how: Any) -> Floats:
        found = [booster.predict(features, **how) for booster in self.boosters]
        return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def read_trees(folder: Path, name: str, boosters: int) -> Trees:
    """Read what write() has written. Raises OSError, EOFError, ValueError or LightGBMError."""
    texts = [gzip.decompress(path.read_bytes()).decode() for path in _paths(folder, name, boosters)]
    return Trees(tuple(lightgbm.Booster(model_str=text) for text in texts))


def _paths(folder: Path, name: str, boosters: int) -> list[Path]:
    return [folder / f"{name}-{number + 1}.txt.gz" for number in range(boosters)]
