"""`pyctl health`: the score of a device, what is said of its regions, and its map."""

from pathlib import Path
from typing import Any

import click

from pyctl.app import App, command
from pyctl.commands.device import remap_devices
from pyctl.control import Control
from pyctl.diskmap.cells import DiskMap, Kind, draw_map
from pyctl.errors import UsageError
from pyctl.output import Pairs, Rows, counted
from pyctl.predict.regions.live import LiveRegion, assess, table_counts
from pyctl.scan import REGION_SECTORS, Scan

__all__ = ["COMMANDS"]

_SECTOR = 512
_MOST_LINES = 20


@command("health")
@click.argument("name", required=False)
@click.option("--map", "as_map", is_flag=True, help="Draw the disk, one cell a region.")
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Write the map as an image."
)
def health(app: App, name: str | None, as_map: bool, png: Path | None) -> None:
    """Show the health of NAME: its score and terms, and the regions that may fail next.

    Without NAME, all devices in one line each.
    """
    if name is None:
        if as_map or png:
            raise UsageError("A map is drawn of one device.", hint="Say which: `pyctl list`.")
        _all(app)
        return
    control = app.control(name)
    if as_map or png:
        _map(app, control, png)
        return
    values = control.health()
    regions = _regions(control)
    data = {key: _number(value) for key, value in values.items()}
    app.emit({**data, "regions": [region.card() for region in regions]}, Pairs(values))
    if app.json:
        return
    if regions:
        click.echo()
        app.emit(None, _table(regions[:_MOST_LINES]))
    if len(regions) > _MOST_LINES:
        app.note(f"and {counted(len(regions) - _MOST_LINES, 'region')} more, with lower scores")


COMMANDS = (health,)


def _all(app: App) -> None:
    rows = []
    for control, described in remap_devices(app):
        regions = _regions(control)
        rows.append(
            {
                "name": control.name,
                "health": described["health"],
                "regions": len(regions),
                "alarmed": sum(region.alarmed for region in regions),
                "worst": round(regions[0].answer.score, 2) if regions else 0.0,
            }
        )
    titles = ("NAME", "HEALTH", "REGIONS NOTED", "ALARMED", "WORST SCORE")
    app.emit(rows, Rows(titles, [list(row.values()) for row in rows]) if rows else "No devices.")


def _regions(control: Control) -> list[LiveRegion]:
    unit = control.status().unit_bytes // _SECTOR
    return assess(Scan(control).regions(), table_counts(control.remaps(), unit))


def _map(app: App, control: Control, png: Path | None) -> None:
    from pyctl.diskmap.image import write_png
    from pyctl.diskmap.terminal import print_map

    unit = control.status().unit_bytes // _SECTOR
    disk = draw_map(control.length(), Scan(control).regions(), list(control.remaps()), unit)
    if png:
        write_png(disk, png)
        app.note(f"The map of {control.name} is in {png}.")
    if app.json:
        app.emit(_card(control.name, disk, png), "")
    elif not png:
        print_map(disk)


def _card(name: str, disk: DiskMap, png: Path | None) -> dict[str, Any]:
    return {
        "name": name,
        "region_sectors": REGION_SECTORS,
        "regions": disk.regions,
        "png": None if png is None else str(png),
        "kinds": {kind.value: disk.count(kind) for kind in Kind},
        "cells": [
            {"region": number, "kind": cell.kind.value, "much": round(cell.much, 3)}
            for number, cell in sorted(disk.cells.items())
        ],
    }


def _table(regions: list[LiveRegion]) -> Rows:
    return Rows(
        ("ON", "SECTOR", "SCORE", "SURE", "WITHIN", "WHY", "WHAT TO DO"),
        [
            (
                "main" if region.spare is None else f"spare {region.spare}",
                region.sector,
                f"{region.answer.score:.2f}{' !' if region.alarmed else ''}",
                f"{region.answer.confidence:.0%}",
                f"{region.answer.horizon_hours // 24} d",
                "; ".join(reason.words for reason in region.answer.reasons),
                region.answer.recommendation,
            )
            for region in regions
        ],
    )


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() else value
