"""`metadata history` and `metadata rollback`."""

import click

from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading, for_writing
from pyctl.commands.metadata.generations import (
    describe_generation,
    kept_power_option,
    show_rollback,
    states,
)
from pyctl.format import differences, execute_rollback, plan_rollback, take_survey
from pyctl.output import Rows, when

__all__ = ["COMMANDS"]


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
                    states(one),
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
@kept_power_option
def rollback(
    app: App, generation: int, devices: tuple[str, ...], yes: bool, kept_power: bool
) -> None:
    """Put the members of an older GENERATION back, with the table as it is now.

    This undoes a start without a spare that is there after all. Refused whenever a spare could
    serve old data. All spares that are in sync now or would be afterwards must be given.
    """
    with for_writing(devices) as opened:
        plan = plan_rollback(opened, generation, kept_power=kept_power)
        done = execute_rollback(plan) if yes else None
    show_rollback(app, plan, done)


COMMANDS = (history, rollback)
