"""From raw field data to a versioned model: evaluate the recipe, then learn from everything."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from pyctl import __version__
from pyctl.predict.evaluating import Result, Scorer, Trainer, evaluate
from pyctl.predict.features import NAMES
from pyctl.predict.log import Log
from pyctl.predict.model import QUESTIONS, Model, model_codes
from pyctl.predict.training import examples, fit

__all__ = ["FILES", "date_of", "fingerprint", "produce"]

FILES = ("smart_drives.parquet", "smart_changes.parquet")
_VERSION = 2


def produce(
    log: Log,
    folder: Path,
    source: str,
    threads: int = 2,
    rivals: Mapping[str, Trainer] | None = None,
) -> tuple[Model, Result, dict[str, Scorer]]:
    """Evaluate on a split, then train on all drives up to the end of the log.

    The card's metrics are those of the split: nothing can be measured of a model on drives that it
    has learned from. `source` says whose data it is. `rivals` are evaluated and trained, too.
    """
    result = evaluate(log, threads, rivals)
    known = sorted(set(log.drives.model))
    codes = model_codes(log.drives.model, known)
    first, last = int(log.drives.first_day.min()), int(log.drives.last_day.max())
    everyone = np.arange(len(log.drives))
    found = examples(log, codes, everyone, first, last)
    trees = {question: fit(found, question, threads=threads) for question in QUESTIONS}
    others = {name: train(log, found, codes, threads) for name, train in (rivals or {}).items()}
    card: dict[str, Any] = {
        "version": _VERSION,
        "made": datetime.now(tz=UTC).date().isoformat(),
        "with": {"dm-remap": __version__, "lightgbm": lightgbm.__version__},
        "data": {
            "source": source,
            "sha256": fingerprint(folder),
            "drives": len(log.drives),
            "failed": int(log.drives.failed.sum()),
            "changes": len(log.drive),
            "from": date_of(first),
            "to": date_of(last),
            "learned_rows": len(found),
        },
        "features": list(NAMES),
        "boosters": {question: len(made.boosters) for question, made in trees.items()},
        "models": known,
        "calibration": result["calibration"],
        "evaluation": summary(result),
    }
    return Model(trees, card), result, others


def summary(result: Result) -> dict[str, Any]:
    """What the card keeps of an evaluation: all but the curves."""
    kept = {key: value for key, value in result.items() if key not in ("curves", "calibration")}
    dates = {key: date_of(result[key]) for key in ("from", "to", "learned_to") if key in result}
    return kept | dates


def fingerprint(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder of field data."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def date_of(day: int) -> str:
    """A day since 1970-01-01 as a date in ISO 8601."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
