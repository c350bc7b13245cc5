"""`pyctl predict regions`: how good the predictor of regions is, over a real background."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.commands.predict.needs import needs_predict
from pyctl.output import Rows

if TYPE_CHECKING:
    from pyctl.predict.regions.judging.evaluation import Evaluation, Progress

__all__ = ["VERBS"]

_SIMULATED = "(simulated)"


@command("regions")
@click.option(
    "--background",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parquet file of latencies: host, disk, ts, kBps, lat_x100.",
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file of drives that are known to be slow (default: slow_labels.csv beside it).",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the generated failures.")
@click.option("--training", is_flag=True, help="Take failures of the training seeds.")
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=600,
    show_default=True,
    help="Slowdowns of each factor.",
)
@click.option(
    "--failures",
    type=click.IntRange(1, 100_000),
    default=800,
    show_default=True,
    help="Regions that fail.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON card to write.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder for plots of the card, as SVG.",
)
def regions(
    app: App,
    background: Path,
    labels: Path | None,
    seed: int,
    training: bool,
    trials: int,
    failures: int,
    out: Path | None,
    plots: Path | None,
) -> None:
    """Judge the predictor of regions over a real background of latencies.

    False alarms are counted on the background as it is; slowdowns and failures are put on it, and
    what is measured with failures is simulated. docs/prediction-regions.md explains each figure.
    """
    with needs_predict():
        from pyctl.predict.regions.background import read_background
        from pyctl.predict.regions.judging.evaluation import evaluate, read_labels
        from pyctl.predict.regions.judging.plots import draw_plots

        data = read_background(background)
    beside = background.parent / "slow_labels.csv"
    if labels is None and beside.is_file():
        labels = beside
    slow = read_labels(labels, background) if labels else set()
    found = evaluate(
        data,
        slow,
        seed,
        _progress(app),
        training=training,
        trials=trials,
        failures=failures,
    )
    card = found.card()
    if out:
        out.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if plots:
        for name, text in draw_plots(card).items():
            (plots / name).write_text(text, encoding="utf-8")
    if app.json:
        app.emit(card, "")
        return
    for title, rows in _tables(found):
        app.emit(card, title)
        app.emit(card, rows)


def _progress(app: App) -> "Progress":
    @contextlib.contextmanager
    def bar(title: str) -> Iterator[Any]:
        with app.progress(title) as step:
            yield step

    return bar


def _tables(found: "Evaluation") -> Iterator[tuple[str, Rows]]:
    untouched, outcome = found.untouched, found.outcome
    yield (
        "The background as it is (95 % intervals):",
        Rows(
            ["measure", "share", "hits", "of"],
            [
                ["false alarms, normal region-days", *_share(untouched.days)],
                ["normal regions ever alarmed", *_share(untouched.regions)],
                *(
                    [f"known slow {host}/{disk}: days with an alarm", *_share(share)]
                    for (host, disk), share in sorted(untouched.slow.items())
                ),
            ],
        ),
    )
    yield (
        "\nSlowdowns put on it, found within three hours of readings:",
        Rows(
            ["factor", "found", "hits", "of", "median minutes"],
            [
                [
                    f"x {each.factor:g}",
                    *_share(each.found),
                    "-" if each.minutes is None else f"{each.minutes:g}",
                ]
                for each in found.slowdowns
            ],
        ),
    )
    yield (
        "\nDevices of which only so many regions can be compared:",
        Rows(
            ["regions", "false alarms, region-days", "slowdowns x 1.5 found"],
            [[each.regions, str(each.false_alarms), str(each.found)] for each in found.company],
        ),
    )
    kinds = sorted({kind for kind, _ in outcome.ahead})
    healthy = outcome.card()["false_alarms_healthy_region_days"]
    yield (
        f"\nGenerated failures {_SIMULATED}:",
        Rows(
            ["measure", "share", "hits", "of"],
            [
                *(
                    [f"alarmed {hours} h before the first error {_SIMULATED}", *_share(share)]
                    for hours in (24, 48, 72)
                    for share in [outcome.recall(hours)]
                ),
                *(
                    [f"48 h before, {kind} {_SIMULATED}", *_share(outcome.recall(48, kind))]
                    for kind in kinds
                ),
                [
                    f"false alarms, healthy region-days {_SIMULATED}",
                    f"{healthy['share'] or 0:.2%} ({healthy['low']:.2%} to {healthy['high']:.2%})",
                    healthy["hits"],
                    healthy["of"],
                ],
            ],
        ),
    )
    yield (
        f"\nPreventive remap, errors avoided for spare blocks spent {_SIMULATED}:",
        Rows(
            ["rule", "errors", "avoided", "blocks spent", "avoided per block"],
            [
                [
                    rule,
                    account.errors,
                    account.avoided,
                    account.spent,
                    f"{account.avoided / account.spent:.3f}" if account.spent else "-",
                ]
                for rule, account in outcome.ledger.accounts.items()
            ],
        ),
    )


def _share(share: Any) -> list[object]:
    return [str(share), share.hits, share.of]


VERBS = (regions,)
