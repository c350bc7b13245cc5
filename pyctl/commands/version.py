"""Versions of everything that takes part."""

import os

from pyctl import __version__, dm, modules
from pyctl.app import App, command
from pyctl.output import Pairs

__all__ = ["COMMANDS"]


@command("version")
def version(app: App) -> None:
    """Show the versions of pyctl, libdevmapper and the kernel's part."""
    values = {
        "pyctl": __version__,
        "libdevmapper": dm.library_version(),
        "kernel": os.uname().release,
        "module": modules.version(),
        "target": modules.targets().get("remap", ""),
    }
    app.emit(values, Pairs({key: value or "not there" for key, value in values.items()}))


COMMANDS = (version,)
