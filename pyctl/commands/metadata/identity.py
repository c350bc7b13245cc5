"""`metadata identity`: is this the main device of that set?"""

import time

import click

from pyctl import identity
from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading
from pyctl.errors import RefusedError
from pyctl.format import Finding, Severity, Survey, take_survey
from pyctl.identity import Verdict
from pyctl.output import Rows

__all__ = ["COMMANDS", "main_findings"]

_SEVERITY = {Verdict.REFUSED: Severity.LEFT, Verdict.WARNING: Severity.NOTE}


@command("identity")
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--main", required=True, type=click.Path(), help="The device to compare.")
def identity_(app: App, devices: tuple[str, ...], main: str) -> None:
    """Compare a main device with what its set remembers of it, field by field.

    Exit code 4 says that the set would not be started with it.
    """
    with for_reading(devices) as (opened, _):
        seen = take_survey(opened)
        fields = identity.examine_survey(seen, identity.look_at(main), int(time.time()))
    rows = identity.describe(fields)
    app.emit(
        {"main": main, "set_uuid": str(seen.reference.set_uuid), "fields": rows},
        Rows([key.upper() for key in rows[0]], [list(row.values()) for row in rows]),
    )
    problems, _ = identity.judge(fields)
    if problems:
        raise RefusedError(
            f"{main} is not the main device that this set remembers: {'; '.join(problems)}."
        )


def main_findings(main: str, seen: Survey) -> list[Finding]:
    """What differs between a main device and what its set remembers."""
    fields = identity.examine_survey(seen, identity.look_at(main), int(time.time()))
    return [
        Finding(
            _SEVERITY[field.verdict],
            main,
            field.name,
            None,
            f"{main} differs from the main device of the set: {field.clause}.",
        )
        for field in fields
        if field.verdict in _SEVERITY
    ]


COMMANDS = (identity_,)
