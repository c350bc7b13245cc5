"""What a cell of the map says, and its colour."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyctl.control import RemapEntry
from pyctl.predict.regions.live import table_counts
from pyctl.scan import REGION_SECTORS, Region

__all__ = ["Cell", "DiskMap", "Kind", "draw_map"]

Colour = tuple[int, int, int]


class Kind(enum.Enum):
    """What there is to tell of a region, from the worst to nothing."""

    ERROR = "error"
    RETRY = "retry"
    SLOW = "slow"
    REMAP = "remap"
    BLANK = "blank"
    WELL = "well"

    @property
    def sign(self) -> str:
        """One character, for who sees no colours."""
        return {"error": "E", "retry": "R", "slow": "S", "remap": "m", "blank": "0", "well": "·"}[
            self.value
        ]

    @property
    def meaning(self) -> str:
        """For the legend."""
        return {
            "error": "cannot be read",
            "retry": "read after several attempts",
            "slow": "slow",
            "remap": "blocks on a spare",
            "blank": "lost its data",
            "well": "nothing to tell",
        }[self.value]


# From a little of it to all of it.
_COLOURS: dict[Kind, tuple[Colour, Colour]] = {
    Kind.ERROR: ((200, 40, 40), (255, 0, 0)),
    Kind.RETRY: ((150, 60, 150), (230, 60, 230)),
    Kind.SLOW: ((170, 130, 0), (255, 190, 0)),
    Kind.REMAP: ((50, 80, 140), (70, 140, 255)),
    Kind.BLANK: ((110, 110, 110), (200, 200, 200)),
    Kind.WELL: ((25, 70, 45), (25, 70, 45)),
}
_PIECES = 32


@dataclass(frozen=True)
class Cell:
    """One region of main, or several that stand together; the worst of them decides.

    `much`, 0 to 1, is how much of that there is; it makes the colour brighter.
    """

    kind: Kind
    much: float

    @property
    def colour(self) -> Colour:
        """Red, green and blue, 0 to 255."""
        low, high = _COLOURS[self.kind]
        r, g, b = (round(a + (z - a) * self.much) for a, z in zip(low, high, strict=True))
        return r, g, b


_WELL = Cell(Kind.WELL, 0.0)
_ORDER = list(Kind)


@dataclass(frozen=True)
class DiskMap:
    """`regions` in all, of which those in `cells`, by number, have something to tell."""

    regions: int
    cells: Mapping[int, Cell]

    def grouped(self, most: int) -> tuple[int, list[Cell]]:
        """Not more than `most` cells, each of so many regions as are returned first."""
        each = max(1, -(-self.regions // most))
        shown = [_WELL] * (-(-self.regions // each))
        for number, cell in self.cells.items():
            if number < self.regions:
                place = number // each
                shown[place] = min(shown[place], cell, key=_badness)
        return each, shown

    def count(self, kind: Kind) -> int:
        """Regions of a kind."""
        if kind is Kind.WELL:
            return self.regions - len(self.cells)
        return sum(cell.kind is kind for cell in self.cells.values())


def draw_map(
    sectors: int, marks: Sequence[Region], entries: Sequence[RemapEntry], unit_sectors: int
) -> DiskMap:
    """The map of a main device of so many sectors; marks of spares are left out."""
    failed = table_counts(entries, unit_sectors)
    noted = {mark.sector // REGION_SECTORS: mark for mark in marks if mark.spare is None}
    moved = _moved(entries)
    units = REGION_SECTORS // unit_sectors
    cells = {
        number: _cell(noted.get(number), failed.get(number, (0, 0))[1], moved.get(number, 0), units)
        for number in {*failed, *noted, *moved}
    }
    regions = -(-sectors // REGION_SECTORS)
    return DiskMap(
        regions,
        {n: cell for n, cell in cells.items() if cell.kind is not Kind.WELL and n < regions},
    )


def _badness(cell: Cell) -> tuple[int, float]:
    return _ORDER.index(cell.kind), -cell.much


# Sectors of each region that are on a spare.
def _moved(entries: Sequence[RemapEntry]) -> dict[int, int]:
    moved: dict[int, int] = {}
    for entry in entries:
        if entry.state == "remap":
            for number, sectors in entry.pieces(REGION_SECTORS):
                moved[number] = moved.get(number, 0) + sectors
    return moved


def _cell(mark: Region | None, lost: int, moved: int, units: int) -> Cell:
    errors = max(lost, mark.errors if mark else 0)
    if errors:
        return Cell(Kind.ERROR, _much(errors, units))
    if mark and mark.retries:
        return Cell(Kind.RETRY, _much(mark.retries, units))
    if mark and mark.slow:
        return Cell(Kind.SLOW, mark.slow / _PIECES)
    if moved:
        return Cell(Kind.REMAP, _much(moved, REGION_SECTORS))
    if mark and mark.blanks:
        return Cell(Kind.BLANK, 1.0)
    return _WELL


# A few blocks of many must be seen already.
def _much(count: int, of: int) -> float:
    return float(min(1.0, count / of) ** 0.5)
