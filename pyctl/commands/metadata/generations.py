"""Generations of a set, and rollbacks to them, as they are shown."""

from typing import Any

import click

from pyctl.app import App
from pyctl.format import Generation, RollbackPlan, Superblock, Survey
from pyctl.output import Rows

__all__ = ["describe_generation", "kept_power_option", "show_rollback", "states"]

kept_power_option = click.option(
    "--kept-power",
    is_flag=True,
    help="Spares that failed had power all the time, or have no volatile write cache.",
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


def states(one: Generation) -> str:
    """The states of the spares of a generation in a few words."""
    return " ".join(f"{i}:{row.state.name.lower()}" for i, row in enumerate(one.spares))


def show_rollback(
    app: App, plan: RollbackPlan, done: Superblock | None, *, afterwards: str = "."
) -> None:
    """Print what was done, with the superblock that came of it, or, without one, what would be.

    `afterwards` ends the sentence that it was done.
    """
    data = _describe_plan(plan)
    number = plan.target.number
    if done:
        data |= {"events": done.events, "generation": done.generation}
    app.emit({**data, "written": done is not None}, _plan_table(plan))
    app.note(
        f"The members of generation {number} are back{afterwards}"
        if done
        else f"Would put the members of generation {number} back. Nothing was written; --yes"
        " does it."
    )


def _describe_plan(plan: RollbackPlan) -> dict[str, Any]:
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


def _plan_table(plan: RollbackPlan) -> Rows:
    return Rows(["DEVICE", "SPARE", "NOW", "THEN", "LEAF COPIES TO WRITE"], _rows(plan))
