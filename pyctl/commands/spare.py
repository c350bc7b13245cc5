"""The spares of a live device: list, add, remove, replace, evacuate, rebalance, and where to."""

import time
import uuid
from dataclasses import asdict
from typing import Any

import click

from pyctl import spares
from pyctl.app import App, command
from pyctl.errors import UsageError
from pyctl.forecast import RECENT_DAYS, Forecast, forecast
from pyctl.format import MAX_TIER, Policy
from pyctl.output import Pairs, Rows, counted, when
from pyctl.pool import Pool, SpareRow

__all__ = ["COMMANDS"]


@click.group("spare")
def spare() -> None:
    """Manage the spares of a device while it is in use.

    A SPARE is named by its number, its device or its UUID. Whatever is interrupted can be run
    again.
    """


@command("list")
@click.argument("name")
def list_(app: App, name: str) -> None:
    """Show the spares of NAME, how full they are and how they are."""
    rows = _pool(app, name).rows()
    app.emit([_plain(row) for row in rows], _table(rows))


@command("add")
@click.argument("name")
@click.argument("device", type=click.Path())
@click.option("--force", is_flag=True, help="Erase what DEVICE carries.")
@click.option(
    "--trust",
    is_flag=True,
    help="DEVICE failed, and has kept its power since: what is on it counts.",
)
def add(app: App, name: str, device: str, force: bool, trust: bool) -> None:
    """Make DEVICE a spare of NAME, or bring one back that was away.

    A spare that comes back is brought up to date. Blocks that were on it and have not been written
    meanwhile can be read again.
    """
    row = spares.add(_pool(app, name), device, force=force, trust=trust)
    app.emit(
        _plain(row),
        f"{row.path} is spare {row.row} of {name}: room for {counted(row.free, 'block')}.",
    )


@command("evacuate")
@click.argument("name")
@click.argument("which", metavar="SPARE")
@click.option("--undo", is_flag=True, help="Let new blocks go to SPARE again; nothing is moved.")
def evacuate(app: App, name: str, which: str, undo: bool) -> None:
    """Move everything off SPARE to the others; nothing new goes there any more."""
    pool = _pool(app, name)
    row = pool.find(which)
    if undo:
        spares.keep(pool, row)
        app.emit({"row": row.row, "draining": False}, f"{row.path} takes new blocks again.")
        return
    with app.progress(f"Emptying {row.path}") as step:
        moved = spares.evacuate(pool, row, step)
    app.emit(
        {"row": row.row, "moved": moved, "draining": True},
        f"{counted(moved, 'block')} moved; {row.path} is empty and gets nothing new.",
    )


@command("remove")
@click.argument("name")
@click.argument("which", metavar="SPARE")
@click.option(
    "--lose", is_flag=True, help="Give up what is on SPARE: errors until it is written again."
)
@click.option("--yes", is_flag=True, help="Do not ask before --lose.")
def remove(app: App, name: str, which: str, lose: bool, yes: bool) -> None:
    """Empty SPARE and take it out of NAME."""
    pool = _pool(app, name)
    row = pool.find(which)
    _ask(app, row, lose=lose, yes=yes)
    with app.progress(f"Emptying {row.path}") as step:
        done = spares.remove(pool, row, step, lose=lose)
    app.emit({"row": row.row, **asdict(done)}, _farewell(name, row, done))


@command("replace")
@click.argument("name")
@click.argument("old", metavar="SPARE")
@click.argument("new", metavar="DEVICE", type=click.Path())
@click.option("--force", is_flag=True, help="Erase what DEVICE carries.")
@click.option(
    "--lose", is_flag=True, help="Give up what is on SPARE: errors until it is written again."
)
@click.option("--yes", is_flag=True, help="Do not ask before --lose.")
def replace(app: App, name: str, old: str, new: str, force: bool, lose: bool, yes: bool) -> None:
    """Put DEVICE in the place of SPARE, with all that is on it."""
    pool = _pool(app, name)
    row = pool.find(old)
    _ask(app, row, lose=lose, yes=yes)
    with app.progress(f"Moving from {row.path}") as step:
        added, done = spares.replace_spare(pool, row, new, step, force=force, lose=lose)
    app.emit(
        {"row": added.row, "replaced": row.row, **asdict(done)},
        f"{added.path} is spare {added.row} of {name}. {_farewell(name, row, done)}",
    )


@command("rebalance")
@click.argument("name")
def rebalance(app: App, name: str) -> None:
    """Move blocks until all spares of NAME are filled alike."""
    with app.progress("Rebalancing") as step:
        moved = spares.rebalance(_pool(app, name), step)
    app.emit({"moved": moved}, f"{counted(moved, 'block')} moved.")


@command("policy")
@click.argument("name")
@click.argument("policy", required=False, type=click.Choice([one.word for one in Policy]))
def policy(app: App, name: str, policy: str | None) -> None:
    """Show or change where new remaps of NAME go.

    least-used: the spare with the most room. first-fit: the first that has room. round-robin: all
    in turns. healthiest: the one with the best health. tiered: the lowest tier that has room.
    """
    pool = _pool(app, name)
    if policy is not None:
        pool.set_policy(next(one for one in Policy if one.word == policy))
    now = pool.policy().word
    app.emit({"policy": now}, now)


@command("redundancy")
@click.argument("name")
@click.argument("copies", required=False, type=click.Choice(["1", "2"]))
def redundancy(app: App, name: str, copies: str | None) -> None:
    """Show or change on how many spares every remap of NAME is.

    With 2, one spare may fail and nothing is lost. Second copies are made and dropped in the
    background; blocks that have none yet, or no spare to have it on, are counted.
    """
    pool = _pool(app, name)
    if copies is not None:
        pool.set_redundancy(int(copies))
    now, below = pool.redundancy()
    more = f", {counted(below, 'block')} on fewer" if below else ""
    app.emit({"redundancy": now, "below": below}, f"{counted(now, 'spare')}{more}")


@command("tier")
@click.argument("name")
@click.argument("which", metavar="SPARE")
@click.argument("tier", type=click.IntRange(0, MAX_TIER))
def tier(app: App, name: str, which: str, tier: int) -> None:
    """Put SPARE on a tier: the policy `tiered` fills the lowest first."""
    pool = _pool(app, name)
    row = pool.find(which)
    pool.set_tier(_row(row), tier)
    app.emit({"row": row.row, "tier": tier}, f"{row.path} is on tier {tier}.")


@command("health")
@click.argument("name")
@click.argument("which", metavar="SPARE")
@click.argument("health", type=click.IntRange(0, 100))
def health(app: App, name: str, which: str, health: int) -> None:
    """Say how healthy SPARE is, 0 to 100, until the set stops: for the policy `healthiest`."""
    pool = _pool(app, name)
    row = pool.find(which)
    pool.set_health(_row(row), health)
    app.emit({"row": row.row, "health": health}, f"{row.path} counts as {health} % healthy.")


@command("forecast")
@click.argument("name")
def forecast_(app: App, name: str) -> None:
    """Say when the spares of NAME will be full if their use goes on as it did."""
    usage = _pool(app, name).usage()
    seen = forecast(usage, int(time.time()))
    app.emit(
        {
            "capacity": usage.capacity,
            "free": usage.free,
            "used": usage.used,
            "since": seen.since,
            "per_day": seen.per_day,
            "recent_per_day": seen.recent_per_day,
            "full_at": seen.full_at,
        },
        Pairs(
            {
                "used": f"{usage.used} of {usage.capacity} blocks",
                "free": counted(usage.free, "block"),
                "known since": when(seen.since),
                "rate": f"{seen.per_day:.1f} blocks a day",
                f"rate of the last {RECENT_DAYS} days": f"{seen.recent_per_day:.1f} blocks a day",
                "full": _when_full(seen, usage.free),
            }
        ),
    )


def _when_full(seen: Forecast, free: int) -> str:
    if not free:
        return "now: add a spare, or clear remaps"
    if seen.full_at is None:
        return "not in sight"
    return f"{when(seen.full_at)}, if it goes on like that"


def _pool(app: App, name: str) -> Pool:
    control = app.control(name)
    # so that another target's device is named as such
    control.status()
    return Pool(control)


def _row(row: SpareRow) -> int:
    if row.row is None:
        raise UsageError(f"{row.path} is no member of the set.")
    return row.row


def _plain(row: SpareRow) -> dict[str, Any]:
    plain = asdict(row)
    plain["uuid"] = str(row.uuid) if isinstance(row.uuid, uuid.UUID) else None
    return {**plain, "path": row.path if row.device else None}


def _table(rows: list[SpareRow]) -> Rows:
    return Rows(
        ["SPARE", "DEVICE", "STATE", "USED", "FREE", "FULL", "BAD", "TIER", "HEALTH"],
        [
            [
                "-" if row.row is None else row.row,
                row.path if row.device else "-",
                f"{row.state}, draining" if row.draining else row.state,
                row.used,
                row.free,
                f"{100 * row.used // row.usable} %" if row.usable else "-",
                row.bad,
                row.tier,
                row.health,
            ]
            for row in rows
        ],
    )


def _ask(app: App, row: SpareRow, *, lose: bool, yes: bool) -> None:
    if not lose or yes or not row.used:
        return
    if app.json:
        raise UsageError("--lose cannot ask in JSON mode.", hint="Add --yes.")
    click.confirm(
        f"Give up {counted(row.used, 'block')} on {row.path}? They are errors until they are"
        " written again.",
        abort=True,
        err=True,
    )


def _farewell(name: str, row: SpareRow, done: spares.Removed) -> str:
    lost = f", {counted(done.lost, 'block')} given up" if done.lost else ""
    where = row.path if row.device else f"Spare {row.row}"
    return f"{where} is no spare of {name} any more: {counted(done.moved, 'block')} moved{lost}."


for _each in (
    list_,
    add,
    remove,
    replace,
    evacuate,
    rebalance,
    policy,
    redundancy,
    tier,
    health,
    forecast_,
):
    spare.add_command(_each)

COMMANDS = (spare,)
