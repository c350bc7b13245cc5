"""What `badblocks -o` writes: the number of a bad block in each line.

The blocks are those of its option -b, 1024 bytes by default (badblocks(8), of e2fsprogs); the file
does not say so. It numbers them from the beginning of the device that it was given.
"""

from collections.abc import Iterable, Iterator

from pyctl.badblocks.extents import Extent, ListError
from pyctl.badblocks.lines import Line, decimal, quoted

__all__ = ["DEFAULT_BLOCK", "parse", "write"]

DEFAULT_BLOCK = 1024


def parse(lines: Iterable[Line], block_size: int) -> Iterator[Extent]:
    """The blocks of a list, an extent each, in its order. Blank lines are passed over.

    `block_size` is in bytes. Raises ListError.
    """
    for number, text in lines:
        block = decimal(text)
        if block is None:
            if not text.strip():
                continue
            raise ListError(f"{quoted(text)} is not the number of a block.", number)
        yield Extent.of_blocks(block, 1, block_size, number)


def write(extents: Iterable[tuple[int, int]], block_size: int) -> Iterator[str]:
    """The list of all blocks that the extents touch, each once; a line each.

    `extents` are (start, length) in bytes, sorted and apart; `block_size` is in bytes.
    """
    following = 0
    for start, length in extents:
        end = -(-(start + length) // block_size)
        for block in range(max(following, start // block_size), end):
            yield f"{block}\n"
        following = max(following, end)
