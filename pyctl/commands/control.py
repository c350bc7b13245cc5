"""Questions and orders to a running device: ping, stats, save, restore, repair."""

from collections.abc import Mapping

import click

from pyctl.app import App, command
from pyctl.output import Pairs

__all__ = ["COMMANDS"]


@command("ping")
@click.argument("name")
def ping(app: App, name: str) -> None:
    """Ask whether NAME answers, and which version of the module does."""
    reply = app.control(name).ping()
    app.emit({"name": name, "reply": reply}, reply)


@command("stats")
@click.argument("name")
@click.option("--clear", is_flag=True, help="Set the counters to zero afterwards.")
def stats(app: App, name: str, clear: bool) -> None:
    """Show the counters of NAME."""
    control = app.control(name)
    values = control.stats()
    if clear:
        control.clear_stats()
    shown = {**{key: _number(value) for key, value in values.items()}, **_per_change(values)}
    app.emit(shown, Pairs(shown))


@command("save")
@click.argument("name")
def save(app: App, name: str) -> None:
    """Write the metadata of NAME to its spares now."""
    done = app.control(name).save()
    app.emit({"name": name, **done}, f"The metadata of {name} is saved (event {done['events']}).")


@command("restore")
@click.argument("name")
def restore(app: App, name: str) -> None:
    """Repair the metadata of NAME, and set its counters to those that were saved last."""
    done = app.control(name).restore()
    app.emit(
        {"name": name, **done}, f"{done['leaves']} leaves read, {done['repaired']} copies repaired."
    )


@command("repair")
@click.argument("name")
def repair(app: App, name: str) -> None:
    """Read all copies of all metadata of NAME again, and rewrite those that are damaged or old.

    Table, superblocks and history. A set that does not run is repaired by `pyctl metadata repair`.
    """
    done = app.control(name).repair()
    app.emit(
        {"name": name, **done},
        f"{done['leaves']} leaves, {done['superblocks']} superblocks and {done['records']} records"
        f" read, {done['repaired']} copies repaired.",
    )


# What group commit makes of it: metadata writes of all spares for each change of the table.
def _per_change(values: Mapping[str, str]) -> dict[str, float]:
    writes, changes = (int(values.get(key, "0")) for key in ("commit_writes", "committed"))
    return {"writes_per_change": round(writes / changes, 2)} if changes else {}


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() else value


COMMANDS = (ping, stats, save, restore, repair)
