"""How likely a disk fails within a week: pyctl is asked, in a process of its own.

LightGBM and NumPy take 100 MB and more, so they are never imported into the daemon; the process
ends with its answer.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyctl.errors import PyctlError
from pyctl.run import run

__all__ = ["Forecast", "forecast"]

_QUESTION = "fail7"


@dataclass(frozen=True)
class Forecast:
    """`probability` of a failure within `days`, 0 to 1; `reasons` the strongest first."""

    probability: float
    confidence: str
    days: int
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """All of it in a line."""
        return (
            f"{self.probability:.1%} within {self.days} days, confidence {self.confidence}: "
            + "; ".join(self.reasons)
        )


def forecast(history: Sequence[str]) -> Forecast:
    """What is expected of a drive that has said this, as smartctl wrote it, oldest first.

    Raises PyctlError: for a drive that the model does not know, and where its packages are missing.
    """
    with tempfile.TemporaryDirectory(prefix="dm-remap-") as folder:
        files = [Path(folder, f"{number}.json") for number in range(len(history))]
        for file, text in zip(files, history, strict=True):
            file.write_text(text)
        words = [sys.executable, "-m", "pyctl", "--json", "predict", "explain", *map(str, files)]
        try:
            said = json.loads(run(words, env={"OMP_NUM_THREADS": "1"}))
        except OSError as error:
            raise PyctlError(f"Cannot ask for a prediction: {error}.") from error
    return _read(said)


def _read(said: dict[str, Any]) -> Forecast:
    try:
        (answer,) = [one for one in said["answers"] if one["question"] == _QUESTION]
        return Forecast(
            probability=float(answer["probability"]),
            confidence=str(answer["confidence"]),
            days=int(answer["horizon_days"]),
            reasons=tuple(map(str, answer["reasons"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PyctlError("Cannot understand the answer of pyctl predict explain.") from error
