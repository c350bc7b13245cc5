"""Telling the formats apart by how a file begins."""

import re

from pyctl.badblocks.extents import ListError
from pyctl.badblocks.formats import Format

__all__ = ["HEAD", "detect"]

HEAD = 1 << 16
"""How many characters of a file detect() wants to see."""

_STATUS_LINE = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)\s+[?*/+FG-](\s+[0-9]+)?\s*(#.*)?")
_ADDRESS = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)(\s+(0[xX][0-9a-fA-F]+|[0-9]+))?")


def detect(head: str) -> Format:
    """The format of a file that begins like this.

    A list of bare numbers is taken for one of badblocks; that it is one of e2fsck nobody can see. A
    file with nothing in it is what badblocks writes when all is well. Raises ListError.
    """
    if head.lstrip().startswith("{"):
        return Format.SMARTCTL
    lines = head.splitlines()
    if len(head) >= HEAD:
        # the last line may be cut off
        lines = lines[:-1]
    content = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if content and _STATUS_LINE.fullmatch(content[0]):
        return Format.DDRESCUE
    if "#" not in head and all(line.isascii() and line.isdecimal() for line in content):
        return Format.BADBLOCKS
    plain = (line.partition("#")[0].strip() for line in content)
    if all(not line or _ADDRESS.fullmatch(line) for line in plain):
        return Format.LBA
    raise ListError(
        "this is none of the known formats.",
        hint="--format says which it is: badblocks, ddrescue, smartctl, e2fsck or lba.",
    )
