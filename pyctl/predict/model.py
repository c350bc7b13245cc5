"""A trained model: one LightGBM text file for each question, and a card that says what they are.

Nothing is pickled: the text outlives versions of the library and can be read by people.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from pyctl.errors import NotFoundError, UsageError
from pyctl.predict.features import NAMES, Matrix

__all__ = ["QUESTIONS", "SHIPPED", "Model", "load", "model_codes", "save"]

QUESTIONS = ("fail7", "sec7")
"""A failure, or a sector event, within seven days."""

SHIPPED = Path(__file__).parent / "shipped"
_CARD = "card.json"


@dataclass(frozen=True)
class Model:
    """Boosters by question, and the card: `models` there are the known drive models, in order."""

    boosters: dict[str, lightgbm.Booster]
    card: dict[str, Any]

    def codes(self, names: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
        """Numbers for the names of drive models; -1 for one that was not in the training."""
        return model_codes(names, self.card["models"])

    def scores(self, question: str, features: Matrix, threads: int = 2) -> npt.NDArray[np.float64]:
        """Raw scores, higher is worse: log-odds by the training's weights, no probabilities."""
        booster = self.boosters[question]
        return np.asarray(
            booster.predict(features, raw_score=True, num_threads=threads), dtype=np.float64
        )

    def contributions(self, question: str, features: Matrix) -> npt.NDArray[np.float64]:
        """What each feature adds to the score of each row; the last column is the mean score."""
        found = self.boosters[question].predict(features, pred_contrib=True, num_threads=1)
        return np.asarray(found, dtype=np.float64)

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
    for question, booster in model.boosters.items():
        text = booster.model_to_string().encode()
        # no time and no name in the header: the same model is the same bytes
        (folder / f"{question}.txt.gz").write_bytes(gzip.compress(text, mtime=0))
    (folder / _CARD).write_text(json.dumps(model.card, indent=1) + "\n")


def load(folder: Path = SHIPPED) -> Model:
    """Read a model; the one in the package by default.

    Raises NotFoundError where there is none, UsageError for one of other features or questions.
    """
    try:
        card = json.loads((folder / _CARD).read_text())
        texts = {
            question: gzip.decompress((folder / f"{question}.txt.gz").read_bytes()).decode()
            for question in QUESTIONS
        }
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no model in {folder}.", hint="`pyctl predict train` makes one."
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise UsageError(f"The model in {folder} cannot be read: {error}.") from error
    if not isinstance(card, dict) or card.get("features") != list(NAMES):
        raise UsageError(
            f"The model in {folder} was made from other features than this pyctl computes.",
            hint="Train it again with `pyctl predict train`.",
        )
    return Model({one: lightgbm.Booster(model_str=text) for one, text in texts.items()}, card)
