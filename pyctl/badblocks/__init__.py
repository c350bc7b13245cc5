"""Lists of known bad blocks, as other programs write and read them.

Each format has a module of its own with pure functions: `parse` takes what was read and yields
extents in bytes, `write` yields lines of text for extents in bytes. Nothing here opens a file or
knows a device. Whatever is wrong with a list raises ListError, which knows the line.
"""

from pyctl.badblocks.detection import HEAD, detect
from pyctl.badblocks.extents import Extent, ListError, SectorSet
from pyctl.badblocks.formats import Format
from pyctl.badblocks.lines import numbered
from pyctl.badblocks.placing import Placed, Window, place

__all__ = [
    "HEAD",
    "Extent",
    "Format",
    "ListError",
    "Placed",
    "SectorSet",
    "Window",
    "detect",
    "numbered",
    "place",
]
