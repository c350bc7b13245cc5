"""Reading lists of text line by line, and the numbers in them."""

import re
from collections.abc import Iterator
from typing import TextIO

from pyctl.badblocks.extents import LARGEST, ListError

__all__ = ["Line", "c_integer", "decimal", "numbered", "quoted"]

# A line that is longer is no line of a list: a disk image was given, for example.
_LONGEST = 1 << 16

Line = tuple[int, str]
"""The number of a line, counted from 1, and its text."""

_C_INTEGER = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]+)|0(?P<octal>[0-7]*)|(?P<decimal>[1-9][0-9]*)")


def numbered(stream: TextIO) -> Iterator[Line]:
    """The lines of a text, one by one. Raises ListError for one that is too long."""
    number = 0
    while text := stream.readline(_LONGEST + 1):
        number += 1
        if len(text) > _LONGEST:
            raise ListError("the line is too long for a list of blocks.", number)
        yield number, text


def decimal(text: str) -> int | None:
    """A decimal number without a sign, or None; blanks around it do not matter."""
    text = text.strip()
    # int() takes much more, and needs long for thousands of digits
    return int(text) if len(text) < 20 and text.isascii() and text.isdecimal() else None


def c_integer(text: str) -> int | None:
    """An integer constant as in C (decimal, 0x…, octal with a leading 0) below 2^63, or None."""
    match = _C_INTEGER.fullmatch(text) if len(text) < 32 else None
    if not match:
        return None
    if match["hex"]:
        value = int(match["hex"], 16)
    elif match["decimal"]:
        value = int(match["decimal"])
    else:
        value = int(match["octal"] or "0", 8)
    return value if value <= LARGEST else None


def quoted(text: str) -> str:
    """What stands in a line, in quotes and not too long, for an error."""
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")
