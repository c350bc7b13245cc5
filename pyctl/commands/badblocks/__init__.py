"""Lists of bad blocks: `import` and `export`."""

from pyctl.commands.badblocks.exporting import export
from pyctl.commands.badblocks.importing import import_

__all__ = ["COMMANDS"]

COMMANDS = (import_, export)
