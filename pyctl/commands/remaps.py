"""The remaps of a device: list, remap, unremap, verify, clear."""

from dataclasses import asdict

import click

from pyctl.app import App, command
from pyctl.commands.device import remap_devices
from pyctl.control import Control
from pyctl.errors import MediaError, UsageError
from pyctl.output import Rows, counted

__all__ = ["COMMANDS"]

_SECTOR = click.IntRange(min=0)
_COUNT = click.IntRange(min=1)


@command("list")
@click.argument("name", required=False)
def list_(app: App, name: str | None) -> None:
    """List the dm-remap devices, or the remaps of NAME."""
    if name is None:
        rows = [data for _, data in remap_devices(app)]
        keys = ("name", "main", "spares", "remapped", "lost", "health")
        app.emit(
            [{key: row[key] for key in (*keys, "uuid", "major", "minor")} for row in rows],
            Rows(
                ["NAME", "MAIN", "SPARES", "REMAPPED", "LOST", "HEALTH"],
                [
                    [" ".join(row[key]) if key == "spares" else row[key] for key in keys]
                    for row in rows
                ],
            ),
        )
        return
    control = app.control(name)
    # so that another target's device is named as such, not as one that knows no `list`
    control.status()
    entries = list(control.remaps())
    app.emit(
        [asdict(entry) for entry in entries],
        Rows(
            [
                *("SECTOR", "SECTORS", "SPARE", "SPARE SECTOR", "STATE", "ORIGIN"),
                *("SECOND", "SECOND SECTOR"),
            ],
            [
                ["-" if value is None else value for value in asdict(entry).values()]
                for entry in entries
            ],
        ),
    )


@command("remap")
@click.argument("name")
@click.argument("sector", type=_SECTOR)
@click.argument("count", type=_COUNT, default=1)
def remap(app: App, name: str, sector: int, count: int) -> None:
    """Move COUNT sectors (default 1) from SECTOR on to a spare.

    The range is widened to whole blocks. Data that cannot be read from main is lost: such blocks
    give errors until they are written. Exit code 5 says that this happened.
    """
    control = _ranged(app, name, sector, count)
    with app.progress("Remapping") as step:
        done = control.remap(sector, count, step)
    app.emit(
        {"name": name, "sector": sector, "count": count, **done},
        f"{counted(done['remapped'], 'block')} remapped, {done['already']} were already.",
    )
    if done["lost"]:
        raise MediaError(
            f"{counted(done['lost'], 'block')} could not be read from the main device of {name}:"
            " remapped, but giving errors until written.",
            hint=f"`pyctl list {name}` shows them.",
        )


@command("unremap")
@click.argument("name")
@click.argument("sector", type=_SECTOR)
@click.argument("count", type=_COUNT, default=1)
def unremap(app: App, name: str, sector: int, count: int) -> None:
    """Move COUNT sectors (default 1) from SECTOR on back to main, verified.

    Blocks that main does not take stay on the spare, blocks without data stay lost; exit code 5
    says so.
    """
    control = _ranged(app, name, sector, count)
    with app.progress("Moving back") as step:
        done = control.unremap(sector, count, step)
    app.emit(
        {"name": name, "sector": sector, "count": count, **done},
        f"{counted(done['unremapped'], 'block')} moved back to main.",
    )
    _complain(name, done["kept"], done["lost"])


@command("verify")
@click.argument("name")
@click.argument("sector", type=_SECTOR, required=False)
@click.argument("count", type=_COUNT, default=1)
def verify(app: App, name: str, sector: int | None, count: int) -> None:
    """Read remapped blocks of NAME and check that they can be read.

    Without SECTOR all of them. Exit code 5 says that some cannot be read.
    """
    control = app.control(name) if sector is None else _ranged(app, name, sector, count)
    with app.progress("Verifying") as step:
        whole = sector is None
        done = control.verify_all(step) if whole else control.verify(sector or 0, count, step)
    app.emit({"name": name, **done}, f"{counted(done['verified'], 'block')} verified.")
    if done["errors"]:
        raise MediaError(
            f"{counted(done['errors'], 'block')} of {name} cannot be read.",
            hint=f"The kernel log says which; `pyctl list {name}` shows where they are.",
        )


@command("clear")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(app: App, name: str, yes: bool) -> None:
    """Move all remapped blocks of NAME back to main, verified, and forget their remaps.

    Blocks that main does not take stay on the spares, blocks without data stay lost; exit code 5
    says so.
    """
    control = app.control(name)
    count = control.status().used
    if not yes:
        if app.json:
            raise UsageError("`clear` cannot ask in JSON mode.", hint="Add --yes.")
        click.confirm(
            f"Move {counted(count, 'block')} of {name} back to its main device?",
            abort=True,
            err=True,
        )
    with app.progress("Moving back") as step:
        done = control.clear(step)
    app.emit({"name": name, **done}, f"{counted(done['cleared'], 'block')} moved back to main.")
    _complain(name, done["kept"], done["lost"])


# The control of a range that lies on the device.
def _ranged(app: App, name: str, sector: int, count: int) -> Control:
    control = app.control(name)
    length = control.length()
    if sector + count > length:
        raise UsageError(
            f"{name} has {length} sectors, so it has no range of {count} from sector {sector} on."
        )
    return control


def _complain(name: str, kept: int, lost: int) -> None:
    found = []
    if kept:
        found.append(f"{counted(kept, 'block')} not moved: main does not take them, or lost them")
    if lost:
        found.append(f"{counted(lost, 'block')} without data, giving errors until written")
    if found:
        raise MediaError(
            f"{name}: {'; '.join(found)}.", hint=f"`pyctl list {name}` shows where they are."
        )


COMMANDS = (list_, remap, unremap, verify, clear)
