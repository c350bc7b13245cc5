"""A plain list of addresses, for what has no format: kernel logs, notes, other tools.

Each line has an address and perhaps a count of blocks, both decimal or hexadecimal with 0x; what
follows a `#` is a comment. The format is our own. Addresses are in logical blocks of 512 bytes
unless said otherwise: that is what the kernel's "I/O error, dev sda, sector 1234" counts in.
"""

from collections.abc import Iterable, Iterator

from pyctl.badblocks.extents import Extent, ListError
from pyctl.badblocks.lines import Line, c_integer, decimal, quoted

__all__ = ["DEFAULT_BLOCK", "parse", "write"]

DEFAULT_BLOCK = 512


def parse(lines: Iterable[Line], block_size: int) -> Iterator[Extent]:
    """The ranges of a list, in its order. `block_size` is in bytes. Raises ListError."""
    for number, text in lines:
        words = text.partition("#")[0].split()
        if not words:
            continue
        values = [_number(word) for word in words]
        first, count = values[0], values[1] if len(values) > 1 else 1
        if len(words) > 2 or first is None or not count:
            raise ListError(f"{quoted(text)} is not an address, nor one with a count.", number)
        yield Extent.of_blocks(first, count, block_size, number)


def write(extents: Iterable[tuple[int, int]], block_size: int) -> Iterator[str]:
    """A line with address and count for each extent, widened to whole blocks.

    `extents` are (start, length) in bytes, sorted and apart; `block_size` is in bytes.
    """
    yield f"# address and count, in blocks of {block_size} bytes\n"
    for start, length in extents:
        first = start // block_size
        yield f"{first} {-(-(start + length) // block_size) - first}\n"


# A leading 0 does not make a number octal here.
def _number(word: str) -> int | None:
    return c_integer(word) if word[:2] in ("0x", "0X") else decimal(word)
