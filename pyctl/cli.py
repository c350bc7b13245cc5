"""The command line: global options, all commands, and how errors end."""

import json
import os
import sys
from typing import Any, NoReturn

import click

from pyctl import __version__
from pyctl.app import App
from pyctl.commands import (
    alert,
    audit,
    badblocks,
    completion,
    control,
    device,
    events,
    health,
    metadata,
    module,
    policy,
    predict,
    probe,
    remaps,
    replacement,
    rollback,
    scan,
    sets,
    spare,
    version,
)
from pyctl.errors import ExitCode, PyctlError, exit_code
from pyctl.output import Rows, show

__all__ = ["cli", "main"]


# Ends every error in one place: a sentence on stderr (or JSON), and the exit code.
class _Root(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.ensure_object(App)
        try:
            return super().invoke(ctx)
        except (PyctlError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):
                _quit_quietly()
            if app.propagate:
                raise
            _tell(app, error)
            ctx.exit(exit_code(error))


def _tell(app: App, error: BaseException) -> None:
    code = exit_code(error)
    if isinstance(error, PyctlError):
        message, hint = error.message, error.hint
    elif isinstance(error, KeyboardInterrupt):
        message, hint = "Interrupted.", "What was done until then stays done."
    else:
        message, hint = f"{error}.", ""
    details = error.details if isinstance(error, PyctlError) else ()
    if app.json:
        told: dict[str, object] = {"code": int(code), "name": code.name.lower()}
        told |= {"message": message, "hint": hint}
        if details:
            told["details"] = details
        click.echo(json.dumps({"error": told}), err=True)
    else:
        click.echo(f"pyctl: {message}", err=True)
        if details:
            titles = [title.upper() for title in details[0]]
            show(Rows(titles, [list(row.values()) for row in details]), err=True)
        if hint:
            click.echo(f"  {hint}", err=True)


# Whoever read our output has gone; Python must not complain about that when it flushes stdout.
def _quit_quietly() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(ExitCode.FAILED)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="pyctl %(version)s")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--propagate", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, as_json: bool, propagate: bool) -> None:
    """Keep a disk with bad sectors working: control dm-remap devices.

    Sectors are 512 bytes, counted on the dm device.
    """
    app = ctx.ensure_object(App)
    app.json = app.json or as_json
    app.propagate = app.propagate or propagate


for part in (
    device,
    sets,
    remaps,
    badblocks,
    spare,
    replacement,
    rollback,
    scan,
    control,
    health,
    events,
    module,
    policy,
    probe,
    alert,
    audit,
    predict,
    metadata,
    version,
    completion,
):
    for each in part.COMMANDS:
        cli.add_command(each)


def main() -> None:
    """The program `pyctl`."""
    cli(prog_name="pyctl")
