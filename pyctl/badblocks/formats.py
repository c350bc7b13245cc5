"""The formats by name."""

import enum

__all__ = ["Format"]


class Format(enum.StrEnum):
    """A format of lists of bad blocks; the value is its name on the command line."""

    BADBLOCKS = "badblocks"
    DDRESCUE = "ddrescue"
    SMARTCTL = "smartctl"
    E2FSCK = "e2fsck"
    LBA = "lba"
