"""The audit log: has it been tampered with, and what does it say?"""

import math
from collections.abc import Mapping
from pathlib import Path

import click

from pyctl.app import App, command
from pyctl.commands.policy import needs_daemon
from pyctl.errors import ExitCode, UsageError
from pyctl.moments import moment
from pyctl.output import counted
from pyctl.recorded import summed, table

__all__ = ["COMMANDS"]

_LOG = click.option(
    "--log",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("/var/lib/dm-remap/audit"),
    help="Folder of the log; default /var/lib/dm-remap/audit.",
)


@click.group("audit")
def audit() -> None:
    """Verify the audit log of the daemon, and report from it."""


@command("verify")
@_LOG
@click.option(
    "--noted",
    multiple=True,
    metavar="NUMBER:HASH",
    help="Record NUMBER must have this hash, which was noted elsewhere; may be repeated.",
)
@click.pass_context
def verify(ctx: click.Context, app: App, folder: Path, noted: tuple[str, ...]) -> None:
    """Check every byte of the audit log.

    Prints the number and the hash of the last record. Note them elsewhere: who may write all files
    of the log can make a new one, and only what is noted elsewhere shows that.
    """
    with needs_daemon():
        from pyctl.daemon.audit import verify as look
    found = look(folder, [_noted(one) for one in noted])
    data = {
        "entries": found.entries,
        "last": f"{found.entries}:{found.hash}",
        "unanchored": found.unanchored,
        "problems": [{"line": one.line, "what": one.what} for one in found.problems],
    }
    if found.problems:
        told = "\n".join(str(one) for one in found.problems)
        app.emit(data, f"{told}\nThe log has been changed: only what is before is certain.")
        ctx.exit(ExitCode.FAILED)
    app.emit(
        data,
        f"{counted(found.entries, 'record')}, all as written. Last: {found.entries}:{found.hash}",
    )
    if found.unanchored:
        app.note(f"{found.unanchored} of them came right before a crash.")


@command("report")
@_LOG
@click.option("--since", metavar="TIME", default="", help="From this time on (ISO 8601, UTC).")
@click.option("--until", metavar="TIME", default="", help="Before this time.")
@click.option("--device", help="About this device only.")
@click.option("--who", help="Of this person, or policy:RULE, only.")
@click.option("--summary", is_flag=True, help="How often who did what, when first and last.")
@click.option("--csv", "as_text", is_flag=True, help="Print CSV.")
@click.pass_context
def report(
    ctx: click.Context,
    app: App,
    folder: Path,
    since: str,
    until: str,
    device: str | None,
    who: str | None,
    summary: bool,
    as_text: bool,
) -> None:
    """Who did what, when, why, and what it changed.

    The log is verified first. A log that was changed is reported as far as it can be read, with
    exit code 1. The first lines say which log this is, of which time, and whether it is whole.
    """
    with needs_daemon():
        from pyctl.daemon.audit import as_csv, read
        from pyctl.daemon.audit import verify as look
    if as_text + summary + app.json > 1:
        raise UsageError("--csv, --summary and --json exclude each other.")
    found = look(folder)
    begin, end = moment(since) if since else 0, moment(until) if until else math.inf
    everything = read(folder)
    records = [
        one
        for one in everything
        if _within(one, begin, end)
        and device in (None, one.get("device"))
        and who in (None, one.get("who"))
    ]
    if as_text:
        click.echo(as_csv(records), nl=False)
    else:
        last = f"{found.entries}:{found.hash}"
        told = {"log": str(folder), "verified": not found.problems, "last": last}
        if not app.json:
            whole = "CHANGED" if found.problems else "all as written"
            click.echo(
                f"Audit log {folder}: {counted(len(everything), 'record')}"
                f"{_span(everything)}, {whole}. Last: {last}\n"
                f"Reported: {counted(len(records), 'record')}{_span(records)}.\n"
            )
        app.emit({**told, "records": records}, (summed if summary else table)(records))
    if found.problems:
        click.echo(f"pyctl: The log has been changed: {found.problems[0]}.", err=True)
        ctx.exit(ExitCode.FAILED)


# A time that was tampered with is no reason to leave a record out.
def _within(record: Mapping[str, object], begin: float, end: float) -> bool:
    try:
        return begin <= moment(str(record.get("time"))) < end
    except UsageError:
        return True


def _noted(text: str) -> tuple[int, str]:
    number, _, value = text.partition(":")
    if not number.isascii() or not number.isdecimal() or len(value) != 64:
        raise UsageError(
            f"{text!r} is not NUMBER:HASH.", hint="`pyctl audit verify` prints it in that form."
        )
    return int(number), value


def _span(records: list[dict[str, object]]) -> str:
    return f" from {records[0].get('time')} to {records[-1].get('time')}" if records else ""


for _each in (verify, report):
    audit.add_command(_each)

COMMANDS = (audit,)
