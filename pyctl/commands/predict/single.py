"""One drive: what it says of itself, and what the model says of it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.commands.predict.field import MODEL, chosen, day
from pyctl.commands.predict.needs import needs_predict
from pyctl.errors import NotFoundError, UsageError
from pyctl.output import Pairs

if TYPE_CHECKING:
    from pyctl.predict.days import DriveDays
    from pyctl.predict.explaining import Answer
    from pyctl.predict.log import Log
    from pyctl.predict.smartctl import Reading

__all__ = ["VERBS"]

_SOURCE = click.Path(path_type=Path, exists=True)
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@command("read")
@click.argument("source", type=_SOURCE)
def read(app: App, source: Path) -> None:
    """Say what a drive tells of itself: SOURCE is a device, or a file of `smartctl -j -x`."""
    with needs_predict():
        from pyctl.predict.history import by_its_own_word
    from pyctl.predict.smartctl import read as ask

    found = ask(source)
    warnings = by_its_own_word(found)
    app.emit(asdict(found) | {"warnings": warnings}, Pairs(_pairs(found, warnings)))


@command("explain")
@click.argument("sources", nargs=-1, required=True, type=_SOURCE, metavar="SOURCE...")
@click.option("--drive", type=int, help="With a folder of field data: the drive_id.")
@click.option("--day", "at", type=_DAY, help="With a folder: the day, like 2016-03-01.")
@MODEL
def explain(
    app: App, sources: tuple[Path, ...], drive: int | None, at: datetime | None, folder: Path | None
) -> None:
    """Say what is expected of one drive within 7 days, how sure that is, why, and what to do.

    SOURCE is a device, or files of `smartctl -j -x`: several readings of the drive make a better
    answer than one. Or it is a folder of field data, with --drive and --day.
    """
    ready = chosen(folder)
    with needs_predict():
        from pyctl.predict.explaining import explain as answer
    warnings: list[str] = []
    strange: dict[str, float] | None = None
    if sources[0].is_dir():
        if len(sources) > 1 or drive is None or at is None:
            raise UsageError("A folder needs --drive and --day, and nothing beside it.")
        known, when, strange = _of_field_data(sources[0], drive, day(at))
    else:
        from pyctl.predict.history import by_its_own_word, to_log
        from pyctl.predict.smartctl import read as ask

        readings = [ask(source) for source in sources]
        known, when = to_log(readings)
        warnings = by_its_own_word(max(readings, key=lambda one: one.hours or 0))
    answers = answer(known, ready, when)
    app.emit(
        {"answers": [asdict(one) for one in answers], "warnings": warnings, "anomaly": strange},
        "\n\n".join(
            [*(_told(one) for one in answers), f"To do: {answers[0].recommendation}"]
            + [_among(strange)] * bool(strange)
            + [f"The drive itself says: {'; '.join(warnings)}."] * bool(warnings)
        ),
    )


def _of_field_data(
    folder: Path, drive: int, when: int
) -> "tuple[Log, DriveDays, dict[str, float]]":
    import numpy as np

    from pyctl.predict import peers
    from pyctl.predict.days import daily
    from pyctl.predict.log import read_log

    everything = read_log(folder)
    found = np.flatnonzero(everything.drives.ids == drive)
    if not len(found):
        raise NotFoundError(f"There is no drive {drive} in {folder}.")
    one = everything.of_drives(found)
    at = daily(one.drives, when, when)
    if not len(at):
        raise NotFoundError(f"Drive {drive} was not observed on that day.")
    drives, scores = peers.of_day(everything, when)
    mine = float(scores[drives == found[0]][0])
    strange = {"score": round(mine, 2), "peers_below": round(float((scores < mine).mean()), 4)}
    return one, at, strange


def _among(strange: dict[str, float] | None) -> str:
    if strange is None:
        return ""
    return (
        f"Among its peers of model and batch it is stranger than {strange['peers_below']:.1%}"
        f" of all drives are among theirs (score {strange['score']})."
    )


def _told(one: "Answer") -> str:
    what = {"fail7": "A failure", "sec7": "A sector event"}[one.question]
    head = (
        f"{what} within {one.horizon_days} days: {one.probability:.2%}"
        f" ({one.low:.2%} to {one.high:.2%}), confidence {one.confidence}, score {one.score}"
    )
    return "\n".join([head, *(f"  because: {reason}" for reason in one.reasons)])


def _pairs(found: "Reading", warnings: list[str]) -> dict[str, Any]:
    return {
        "drive": f"{found.model} {found.serial}".strip(),
        "protocol": found.protocol,
        "health check": {True: "passed", False: "failed", None: "-"}[found.passed],
        "power-on hours": "-" if found.hours is None else found.hours,
        "temperature": "-" if found.temperature is None else f"{found.temperature} C",
        "endurance used": "-" if found.wear is None else f"{found.wear} %",
        "attributes": len(found.attributes) or "-",
        "warnings": "; ".join(warnings) or "none",
    }


VERBS = (read, explain)
