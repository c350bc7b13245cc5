"""A trained model: LightGBM text files for each question, and a card that says what they are.

Nothing is pickled: the text outlives versions of the library and can be read by people.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightgbm.basic import LightGBMError

from pyctl.errors import NotFoundError, UsageError
from pyctl.predict.features import NAMES, Matrix
from pyctl.predict.trees import Trees, read_trees

__all__ = ["QUESTIONS", "SHIPPED", "Model", "load", "model_codes", "save"]

QUESTIONS = ("fail7", "sec7")
"""A failure, or a sector event, within seven days."""

SHIPPED = Path(__file__).parent / "shipped"
_CARD = "card.json"


@dataclass(frozen=True)
class Model:
    """Trees by question, and the card: `models` there are the known drive models, in order."""

    trees: dict[str, Trees]
    card: dict[str, Any]

    def codes(self, names: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
        """Numbers for the names of drive models; -1 for one that was not in the training."""
        return model_codes(names, self.card["models"])

    def scores(self, question: str, features: Matrix, threads: int = 2) -> npt.NDArray[np.float64]:
        """Raw scores, higher is worse: log-odds by the training's weights, no probabilities."""
        return self.trees[question].scores(features, threads)

    def contributions(self, question: str, features: Matrix) -> npt.NDArray[np.float64]:
        """What each feature adds to the score of each row; the last column is the mean score."""
        return self.trees[question].contributions(features)

    def probability(
        self, question: str, scores: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Share of tested drive-days with such a score that the event followed."""
        steps = self.card["calibration"][question]
        found = np.interp(scores, steps["score"], steps["probability"])
        return np.asarray(found, dtype=np.float64)


def model_codes(names: npt.NDArray[np.object_], known: list[str]) -> npt.NDArray[np.int64]:
    """The place of each name in `known`, -1 for one that is not there."""
    number = {name: index for index, name in enumerate(known)}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)


def save(model: Model, folder: Path) -> None:
    """Write the model's text files, compressed, and its card."""
    folder.mkdir(parents=True, exist_ok=True)
    for question, trees in model.trees.items():
        trees.write(folder, question)
    (folder / _CARD).write_text(json.dumps(model.card, indent=1) + "\n")


def load(folder: Path = SHIPPED) -> Model:
    """Read a model; the one in the package by default.

    Raises NotFoundError where there is none, UsageError for one of other features or questions.
    """
    try:
        card = json.loads((folder / _CARD).read_text())
        if not isinstance(card, dict) or card.get("features") != list(NAMES):
            raise UsageError(
                f"The model in {folder} was made from other features than this pyctl computes.",
                hint="Train it again with `pyctl predict train`.",
            )
        trees = {one: read_trees(folder, one, int(card["boosters"][one])) for one in QUESTIONS}
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no model in {folder}.", hint="`pyctl predict train` makes one."
        ) from error
    except (ValueError, OSError, EOFError, KeyError, TypeError, LightGBMError) as error:
        raise UsageError(f"The model in {folder} cannot be read: {error}.") from error
    return Model(trees, card)
