"""A set as a whole: back to the members that it had."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from pyctl import assembly
from pyctl.app import App, command
from pyctl.assembly import Wishes
from pyctl.commands.device import node, require_unused
from pyctl.commands.metadata.access import for_reading, for_writing
from pyctl.commands.metadata.generations import (
    describe_generation,
    kept_power_option,
    show_rollback,
    states,
)
from pyctl.commands.sets import look
from pyctl.errors import NotFoundError, PyctlError, RefusedError
from pyctl.format import (
    Generation,
    Opened,
    execute_rollback,
    plan_rollback,
    take_survey,
)
from pyctl.foundset import FoundSet, Standing
from pyctl.output import Rows, when
from pyctl.table import RemapTable

__all__ = ["COMMANDS"]


@command("rollback")
@click.argument("name")
@click.argument("generation", required=False, type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Do it. Without it, only what would be done is printed.")
@kept_power_option
def rollback(app: App, name: str, generation: int | None, yes: bool, kept_power: bool) -> None:
    """Put the members that the set NAME had in an older GENERATION back.

    The table of remaps stays as it is now. Without GENERATION, the generations are listed, and
    which of them can be put back. A set that runs is stopped and started again; nothing may use it.
    Refused whenever a spare could serve old data.
    """
    one = _find(app, name)
    paths = _devices(one)
    if generation is None:
        with for_reading(paths) as (opened, _):
            _list(app, opened, kept_power=kept_power)
        return
    if not yes:
        with for_reading(paths) as (opened, _):
            plan = plan_rollback(opened, generation, kept_power=kept_power)
        show_rollback(app, plan, None)
        return
    with app.registry.locked(), _stopped(app, one), for_writing(paths) as opened:
        plan = plan_rollback(opened, generation, kept_power=kept_power)
        done = execute_rollback(plan)
    runs = f", and {one.name} runs." if one.running else ". `pyctl assemble` starts the set."
    show_rollback(app, plan, done, afterwards=runs)


def _find(app: App, name: str) -> FoundSet:
    for one in look(app, app.registry.known()).sets:
        if name in (one.name, str(one.uuid)):
            return one
    raise NotFoundError(
        f"There is no set {name} on any device.", hint="`pyctl discover` shows the sets."
    )


def _devices(one: FoundSet) -> list[str]:
    if any(member.standing == Standing.TWICE for member in one.members):
        raise RefusedError(" ".join(problem.text for problem in one.problems))
    return [device.path for device in one.spares]


def _list(app: App, opened: list[Opened], *, kept_power: bool) -> None:
    seen = take_survey(opened)
    rows = [
        (target, _why_not(opened, target, kept_power=kept_power)) for target in seen.generations()
    ]
    app.emit(
        {
            "set_uuid": str(seen.reference.set_uuid),
            "generation": seen.reference.generation,
            "generations": [
                {**describe_generation(target), "possible": not why_not, "why_not": why_not}
                for target, why_not in rows
            ],
        },
        Rows(
            ["GENERATION", "TIME", "REASON", "SPARES", "ROLLBACK"],
            [
                [
                    target.number,
                    when(target.time),
                    target.reason.word,
                    states(target),
                    why_not or "possible",
                ]
                for target, why_not in rows
            ],
        ),
    )


def _why_not(opened: list[Opened], target: Generation, *, kept_power: bool) -> str:
    try:
        plan_rollback(opened, target.number, kept_power=kept_power)
    except RefusedError as error:
        return error.message
    return ""


# Whatever happens meanwhile, the set runs again afterwards if it did before.
@contextmanager
def _stopped(app: App, one: FoundSet) -> Iterator[None]:
    if not one.running:
        yield
        return
    control = app.control(one.name)
    table = control.table()
    if table.option("copy_to") is not None:
        raise RefusedError(
            f"{one.name} is being copied to another main device.",
            hint="Let `pyctl migrate-main` end, or give it up with --abort.",
        )
    require_unused(control)
    main = node(table.main)
    control.device.remove(retry=True)
    try:
        yield
    finally:
        _start(app, one, main, table)


def _start(app: App, one: FoundSet, main: str, table: RemapTable) -> None:
    # Without what a set is started with of its own accord, or once only.
    kept = table.with_options(set=None, degraded=None, accept_main=None).options
    try:
        todo = assembly.plan(
            one.name,
            main,
            _devices(_find(app, str(one.uuid))),
            Wishes(may_format=False, set_uuid=one.uuid, options=kept),
        )
        assembly.execute(todo, app.open_device(one.name), app.ensure_target)
    except PyctlError as error:
        raise PyctlError(
            f"{one.name} was stopped, and does not start again: {error.message}",
            hint=error.hint or "`pyctl discover` explains it.",
        ) from error


COMMANDS = (rollback,)
