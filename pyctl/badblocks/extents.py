"""What all formats have in common: extents in bytes, and sorted sets of sectors."""

import bisect
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from pyctl.errors import UsageError

__all__ = ["SECTOR", "Extent", "ListError", "SectorSet"]

SECTOR = 512

# No file or device is longer on Linux (loff_t).
LARGEST = (1 << 63) - 1


class ListError(UsageError):
    """A list of bad blocks cannot be understood; `line` is counted from 1, 0 means no line."""

    def __init__(self, problem: str, line: int = 0, *, hint: str = "") -> None:
        super().__init__(f"Line {line}: {problem}" if line else problem, hint=hint)
        self.problem = problem
        self.line = line

    def of(self, file: str) -> UsageError:
        """The same error with the name of the file in it."""
        where = f"{file}, line {self.line}" if self.line else file
        return UsageError(f"{where}: {self.problem}", hint=self.hint)


class Extent(NamedTuple):
    """`length` bytes from byte `start` on, which line `line` of a list calls bad (0: no line)."""

    start: int
    length: int
    line: int

    @classmethod
    def of_blocks(cls, first: int, count: int, size: int, line: int) -> "Extent":
        """`count` blocks of `size` bytes from block `first` on. Raises ListError if too large."""
        if (first + count) * size > LARGEST:
            raise ListError(f"no device is so large that it has a block {first}.", line)
        return cls(first * size, count * size, line)

    @property
    def first_sector(self) -> int:
        """The first sector that it touches."""
        return self.start // SECTOR

    @property
    def end_sector(self) -> int:
        """The sector behind the last that it touches."""
        return -(-(self.start + self.length) // SECTOR)


class SectorSet:
    """A set of sectors as ranges that are sorted and do not touch each other.

    Made for lists of millions: a range takes 16 bytes.
    """

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        self._sorted = True

    def add(self, start: int, end: int) -> None:
        """Add the sectors from `start` up to, but not including, `end`."""
        if end <= start:
            return
        if self._ends and self._starts[-1] <= start <= self._ends[-1]:
            self._ends[-1] = max(self._ends[-1], end)
            return
        self._sorted = self._sorted and (not self._ends or start > self._ends[-1])
        self._starts.append(start)
        self._ends.append(end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Ranges (start, end), by rising start."""
        self._sort()
        yield from zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """The number of ranges."""
        self._sort()
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SectorSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SectorSet({list(self)})"

    def sectors(self) -> int:
        """How many sectors are in it."""
        return sum(end - start for start, end in self)

    def common(self, start: int, end: int) -> int:
        """How many of the sectors from `start` up to `end` are in it."""
        self._sort()
        found = 0
        index = max(bisect.bisect_right(self._starts, start) - 1, 0)
        while index < len(self._starts) and self._starts[index] < end:
            found += max(0, min(end, self._ends[index]) - max(start, self._starts[index]))
            index += 1
        return found

    # Lists are nearly always in order; one that is not is put in order when it is complete.
    def _sort(self) -> None:
        if self._sorted:
            return
        pairs = sorted(zip(self._starts, self._ends, strict=True))
        self._starts, self._ends, self._sorted = array("Q"), array("Q"), True
        for start, end in pairs:
            self.add(start, end)
