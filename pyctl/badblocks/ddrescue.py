"""Map files of GNU ddrescue, which were called log files before its version 1.20.

The format is that of the chapter "Mapfile structure" of its info manual: comments; a status line
with a position, a status and the number of a pass, which older versions did not write; and the
blocks with position and size in bytes and a status, without a gap. Numbers are written as in C.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pyctl.badblocks.extents import LARGEST, Extent, ListError
from pyctl.badblocks.lines import Line, c_integer, quoted

__all__ = ["ALSO", "BAD", "Block", "bad", "parse", "write"]

BAD = "-"
ALSO = {"non-scraped": "/", "non-trimmed": "*", "non-tried": "?"}
"""Blocks that ddrescue has not read either, by the names that its manual gives them."""

_FINISHED = "+"
_STATUSES = frozenset("?*/-+")
_CURRENT_STATUSES = _STATUSES | {"F", "G"}
_COMMENT = re.compile(r"(^|\s)#.*", re.DOTALL)


class Block(NamedTuple):
    """A line of a map: `length` bytes from byte `start` on have `status`, one of ?*/-+."""

    start: int
    length: int
    status: str
    line: int


def parse(lines: Iterable[Line]) -> Iterator[Block]:
    """All blocks of a map, good and bad. Raises ListError, also for a map without a status line."""
    position: int | None = None
    headed = False
    for number, text in lines:
        words = _COMMENT.sub("", text).split()
        if not words:
            continue
        if not headed:
            _check_status_line(words, number)
            headed = True
            continue
        block = _block(words, number)
        if position is not None and block.start != position:
            raise ListError(
                f"the block begins at {block.start:#x}, but the one before it ends at"
                f" {position:#x}; the blocks of a map have no gaps and do not overlap.",
                number,
            )
        position = block.start + block.length
        yield block
    if not headed:
        raise ListError("it has no status line, so it is no map file of ddrescue.")


def bad(blocks: Iterable[Block], statuses: Collection[str] = BAD) -> Iterator[Extent]:
    """Those of the blocks that have one of these statuses."""
    return (Extent(b.start, b.length, b.line) for b in blocks if b.status in statuses)


def write(
    extents: Iterable[tuple[int, int]], first: int, end: int, size: int, comment: str
) -> Iterator[str]:
    """A map of `size` bytes with bad extents, lines of text.

    Known is what lies from byte `first` up to `end`: there all but the extents is finished; what is
    outside is called non-tried. `extents` are (start, length) in bytes, sorted, apart and inside.
    `comment` is the command line that belongs into the head of the file.
    """
    yield "# Mapfile. Created by pyctl of dm-remap\n"
    yield f"# Command line: {comment}\n"
    yield "# current_pos  current_status  current_pass\n"
    yield f"{_hex(end)}     +               1\n"
    yield "#      pos        size  status\n"
    yield from _line(0, first, "?")
    for start, length in extents:
        yield from _line(first, start, _FINISHED)
        yield from _line(start, start + length, BAD)
        first = start + length
    yield from _line(first, end, _FINISHED)
    yield from _line(end, size, "?")


def _check_status_line(words: list[str], number: int) -> None:
    if (
        len(words) not in (2, 3)
        or c_integer(words[0]) is None
        or words[1] not in _CURRENT_STATUSES
        or (len(words) == 3 and not words[2].isdecimal())
    ):
        raise ListError(
            f"{quoted(' '.join(words))} is not the status line that a map file of ddrescue begins"
            " with.",
            number,
        )


def _block(words: list[str], number: int) -> Block:
    start, length = (c_integer(word) for word in (*words, "", "")[:2])
    if len(words) != 3 or start is None or length is None or words[2] not in _STATUSES:
        raise ListError(
            f"{quoted(' '.join(words))} is not a block: position, size, and one of ?*/-+.", number
        )
    if start + length > LARGEST:
        raise ListError("the block ends beyond any device.", number)
    return Block(start, length, words[2], number)


def _line(start: int, end: int, status: str) -> Iterator[str]:
    if end > start:
        yield f"{_hex(start)}  {_hex(end - start)}  {status}\n"


def _hex(value: int) -> str:
    return f"0x{value:08X}"
