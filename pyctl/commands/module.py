"""The kernel module: build, load, unload, status."""

from dataclasses import asdict
from pathlib import Path

import click

from pyctl import modules
from pyctl.app import App, command
from pyctl.output import Pairs

__all__ = ["COMMANDS"]


@click.group("module")
def module() -> None:
    """Build, load and unload the kernel module."""


@command("build")
def build(app: App) -> None:
    """Build the module from the source tree."""
    tree = modules.build()
    app.emit({"tree": str(tree)}, f"The module is built in {tree}.")


@command("load")
@click.option("--path", type=click.Path(exists=True, path_type=Path), help="Insert this file.")
@click.argument("parameters", nargs=-1, metavar="[PARAMETER=VALUE]...")
def load(app: App, path: Path | None, parameters: tuple[str, ...]) -> None:
    """Load the module: the installed one, else the one built in the source tree."""
    origin = modules.load(path, parameters)
    app.emit({"loaded": origin}, f"The module is loaded from {origin}.")


@command("unload")
def unload(app: App) -> None:
    """Unload the module."""
    modules.unload()
    app.emit({"loaded": None}, "The module is unloaded.")


@command("status")
def status(app: App) -> None:
    """Show whether the module is loaded, built, installed."""
    found = asdict(modules.status())
    flat = {key: value for key, value in found.items() if not isinstance(value, dict)}
    for group in ("targets", "parameters"):
        flat[group] = " ".join(f"{key}={value}" for key, value in found[group].items()) or "none"
    app.emit(found, Pairs(flat))


for each in (build, load, unload, status):
    module.add_command(each)

COMMANDS = (module,)
