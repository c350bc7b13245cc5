"""Field data: train a model, evaluate it, and score every drive and day."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.commands.predict.needs import needs_predict
from pyctl.errors import RefusedError, UsageError
from pyctl.files import write_whole
from pyctl.output import Rows, counted

if TYPE_CHECKING:
    from pyctl.predict.evaluating import Scorer, Trainer
    from pyctl.predict.model import Model

__all__ = ["DATA", "MODEL", "VERBS", "chosen", "day"]

DATA = click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
MODEL = click.option(
    "--model",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of a model; default: the one that comes with pyctl.",
)
_THREADS = click.option(
    "--threads", type=click.IntRange(1, 64), default=2, help="Processors to use; default 2."
)
_WITH = click.option(
    "--with",
    "extra",
    type=click.Choice(["torch"]),
    help="Take the sequence model (PyTorch, extra `predict-torch`), too.",
)
_DAY = click.DateTime(formats=["%Y-%m-%d"])
_TITLES = {
    "auc": "AUC",
    "ap": "AP",
    "recall_1pct": "RECALL AT 1 %",
    "recall_01pct": "RECALL AT 0.1 %",
    "drives_1pct": "DRIVES AT 1 %",
    "drives_05pct": "DRIVES AT 0.5 %",
    "drives_01pct": "DRIVES AT 0.1 %",
}
_QUESTIONS = {"fail7": "Failure within 7 days", "sec7": "Sector event within 7 days"}


def chosen(folder: Path | None) -> "Model":
    """The model of a folder, or the one in the package."""
    with needs_predict():
        from pyctl.predict import model
    return model.load(folder) if folder else model.load()


def day(value: datetime) -> int:
    """Days since 1970-01-01 of an option's value."""
    return value.date().toordinal() - date(1970, 1, 1).toordinal()


def _trainers(extra: str | None) -> "dict[str, Trainer]":
    if extra is None:
        return {}
    with needs_predict():
        from pyctl.predict import network
    return {network.NAME: network.fit}


def _ready(extra: str | None, folder: Path | None) -> "dict[str, Scorer]":
    if extra is None:
        return {}
    if folder is None:
        raise UsageError(
            f"--with {extra} needs --model: the model that comes with pyctl has trees only.",
            hint=f"`pyctl predict train --with {extra}` makes such a model.",
        )
    with needs_predict():
        from pyctl.predict import network
    return {network.NAME: network.load(folder)}


@command("train")
@DATA
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder that gets the model and its card.",
)
@click.option("--source", default="not said", help="Whose data it is, for the card.")
@_WITH
@_THREADS
def train(app: App, data: Path, out: Path, source: str, extra: str | None, threads: int) -> None:
    """Train a model from the field data in DATA, with its evaluation in its card.

    The evaluation is that of `predict evaluate`; the model itself learns from all drives.
    """
    trainers = _trainers(extra)
    with needs_predict():
        from pyctl.predict import log, model, producing
    made, result, others = producing.produce(log.read_log(data), data, source, threads, trainers)
    model.save(made, out)
    for other in others.values():
        other.save(out)
    app.emit(
        {"model": str(out), "card": made.card},
        _told(result, f"The model is in {out}. Its recipe, on drives and days not learned from:"),
    )


@command("evaluate")
@DATA
@click.option(
    "--file",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result to this file, too, as JSON with all curves.",
)
@click.option(
    "--plots",
    type=click.Path(path_type=Path, file_okay=False),
    help="Draw the figures into this folder, as SVG.",
)
@click.option(
    "--as-is", is_flag=True, help="Train nothing: test the model as it is, on data new to it."
)
@MODEL
@_WITH
@_THREADS
def evaluate(
    app: App,
    data: Path,
    out: Path | None,
    plots: Path | None,
    as_is: bool,
    folder: Path | None,
    extra: str | None,
    threads: int,
) -> None:
    """Say how good the prediction is on the field data in DATA.

    A model is trained on six drives in ten up to half a year before the end, and tested on the
    other drives after that, with a gap of 7 days. Each figure has its interval of 95 %, over
    drives.
    """
    if folder and not as_is:
        raise UsageError("--model needs --as-is.", hint="Otherwise a model is trained anew.")
    with needs_predict():
        from pyctl.predict import evaluating, log, producing
        from pyctl.predict.plots import draw
    known = log.read_log(data)
    if as_is:
        ready = chosen(folder)
        if ready.card["data"]["sha256"] == producing.fingerprint(data):
            raise RefusedError(
                f"The model was trained from {data}, so this would say nothing.",
                hint="Without --as-is, a model is trained on a part of it and tested on the rest.",
            )
        result = evaluating.evaluate_model(known, ready, threads, _ready(extra, folder))
    else:
        result = evaluating.evaluate(known, threads, _trainers(extra))
    result |= {
        key: producing.date_of(result[key]) for key in ("from", "to", "learned_to") if key in result
    }
    if out is not None:
        write_whole(out, (json.dumps(result, indent=1) + "\n").encode(), replace=True, mode=0o644)
    if plots is not None:
        draw(result, plots)
    app.emit(
        result,
        _told(result, f"{counted(result['drives'], 'drive')}, {result['from']} to {result['to']}:"),
    )


@command("score")
@DATA
@click.option("--from", "first", type=_DAY, required=True, help="The first day, like 2016-04-01.")
@click.option("--to", "last", type=_DAY, required=True, help="The last day.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The Parquet file to write.",
)
@MODEL
@_WITH
@_THREADS
def score(
    app: App,
    data: Path,
    first: datetime,
    last: datetime,
    out: Path,
    folder: Path | None,
    extra: str | None,
    threads: int,
) -> None:
    """Score each drive of DATA on each day: one row with drive_id, hour, fail7 and sec7.

    A score is computed from what the drive had reported by that hour. Higher is worse. --with
    scores by the sequence model in place of the trees.
    """
    if last < first:
        raise UsageError("--to is before --from.")
    ready = chosen(folder)
    rival = next(iter(_ready(extra, folder).values()), None)
    with needs_predict():
        from pyctl.predict import log, scoring
    known = log.read_log(data)
    with app.progress(f"Scoring {data}", "drives") as step:
        rows = scoring.score_file(
            known, ready, (day(first), day(last)), out, threads=threads, rival=rival, step=step
        )
    app.emit({"file": str(out), "rows": rows}, f"{counted(rows, 'row')} in {out}.")


def _told(result: dict[str, Any], head: str) -> Rows | str:
    lines = [head]
    for question, table in result["tables"].items():
        lines.append(f"\n{_QUESTIONS[question]}:")
        for who, values in table.items():
            lines.append(f"  {who}")
            lines += [
                f"    {_TITLES[name].lower():16} {_shown(one)}" for name, one in values.items()
            ]
    lines.append("\nGoals:")
    for goal in result["goals"]:
        met = "met" if goal["met"] else "not met"
        name = f"{_QUESTIONS[goal['question']]}, {_TITLES[goal['metric']].lower()}"
        lines.append(f"  {name}: {goal['value']:.3f} of {goal['wanted']:.2f} wanted: {met}")
    return "\n".join(lines)


def _shown(one: dict[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


VERBS = (train, evaluate, score)
