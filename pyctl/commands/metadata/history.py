"""`metadata history` and `metadata rollback`."""

from typing import Any

import click

from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading, for_writing
from pyctl.format import (
    Generation,
    RollbackPlan,
    Survey,
    differences,
    execute_rollback,
    plan_rollback,
    take_survey,
)
from pyctl.output import Rows, when

__all__ = ["COMMANDS", "describe_generation"]


@command("history")
@click.argument("devices", nargs=-1, required=True, type=click.Path())
def history(app: App, devices: tuple[str, ...]) -> None:
    """List the generations of a set: what its members were, and why they changed.

    The last 32 are kept.
    """
    with for_reading(devices) as (opened, _):
        seen = take_survey(opened)
    known = {one.number: one for one in seen.generations()}
    rows = [(one, differences(known.get(one.number - 1), one)) for one in known.values()]
    app.emit(
        {
            "set_uuid": str(seen.reference.set_uuid),
            "generation": seen.reference.generation,
            "generations": [
                {**describe_generation(one), "changes": changes} for one, changes in rows
            ],
        },
        Rows(
            ["GENERATION", "TIME", "EVENT", "REASON", "SPARES", "REMAPS", "LOST", "BAD", "CHANGES"],
            [
                [
                    one.number,
                    when(one.time),
                    one.events,
                    one.reason.word,
                    _states(one),
                    one.remaps,
                    one.lost,
                    one.bad,
                    "; ".join(changes) or "-",
                ]
                for one, changes in rows
            ],
        ),
    )


@command("rollback")
@click.argument("generation", type=click.IntRange(min=1))
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--yes", is_flag=True, help="Write. Without it, only what would be done is printed.")
@click.option(
    "--kept-power",
    is_flag=True,
    help="Spares that failed had power all the time, or have no volatile write cache.",
)
def rollback(
    app: App, generation: int, devices: tuple[str, ...], yes: bool, kept_power: bool
) -> None:
    """Put the members of an older GENERATION back, with the table as it is now.

    This undoes a start without a spare that is there after all. Refused whenever a spare could
    serve old data. All spares that are in sync now or would be afterwards must be given.
    """
    with for_writing(devices) as opened:
        plan = plan_rollback(opened, generation, kept_power=kept_power)
        data = _describe(plan)
        if yes:
            done = execute_rollback(plan)
            data |= {"events": done.events, "generation": done.generation}
    app.emit({**data, "written": yes}, _table(plan))
    app.note(
        f"The members of generation {generation} are back."
        if yes
        else f"Would put the members of generation {generation} back. Nothing was written; --yes"
        " does it."
    )


def describe_generation(one: Generation) -> dict[str, Any]:
    """A generation as plain values, for JSON."""
    return {
        "number": one.number,
        "time": one.time,
        "events": one.events,
        "reason": one.reason.word,
        "spare_idx": one.spare_idx,
        "remaps": one.remaps,
        "lost": one.lost,
        "bad": one.bad,
        "main_sectors": one.main_sectors,
        "identity": one.identity,
        "spares": [
            {
                "uuid": str(row.uuid),
                "sectors": row.sectors,
                "events": row.events,
                "state": row.state.name.lower(),
            }
            for row in one.spares
        ],
    }


def _states(one: Generation) -> str:
    return " ".join(f"{i}:{row.state.name.lower()}" for i, row in enumerate(one.spares))


def _describe(plan: RollbackPlan) -> dict[str, Any]:
    return {
        "set_uuid": str(plan.superblock.set_uuid),
        "target": describe_generation(plan.target),
        "identity": plan.superblock.identity,
        "devices": [dict(zip(_KEYS, row, strict=True)) for row in _rows(plan)],
    }


_KEYS = ("device", "spare", "now", "then", "leaf_copies")


def _rows(plan: RollbackPlan) -> list[list[Any]]:
    seen: Survey = plan.survey
    members = [*plan.stay, *plan.join]
    return [
        [
            spare.path,
            spare.index,
            seen.reference.spares[spare.index].state.name.lower(),
            plan.superblock.spares[spare.index].state.name.lower()
            if spare.index < len(plan.superblock.spares)
            else "no member",
            plan.leaf_copies(spare) if spare in members else 0,
        ]
        for spare in seen.spares
        if spare.superblock
    ]


def _table(plan: RollbackPlan) -> Rows:
    return Rows(["DEVICE", "SPARE", "NOW", "THEN", "LEAF COPIES TO WRITE"], _rows(plan))


COMMANDS = (history, rollback)
