"""The figures of large tables for a person: a column for each size of the table."""

from collections.abc import Iterator, Sequence

from tests.bench.scale.figures import Figure
from tests.bench.sheet import Cell, Sheet

# From here on in millions, and below not to the hundredth.
_MANY, _EXACT = 1e6, 1e3


def sheets(figures: Sequence[Figure]) -> Iterator[Sheet]:
    """A table for each kernel and geometry."""
    for kernel, geometry in dict.fromkeys((f.kernel, f.geometry) for f in figures):
        own = [f for f in figures if (f.kernel, f.geometry) == (kernel, geometry)]
        yield _sheet(f"Linux {kernel}, {geometry}: what a table costs, by its entries", own)


def _sheet(title: str, figures: Sequence[Figure]) -> Sheet:
    sizes = sorted({figure.entries for figure in figures})
    sheet = Sheet(title, ["", *map(_short, sizes), "limit"])
    for measure in dict.fromkeys(figure.measure for figure in figures):
        own = {figure.entries: figure for figure in figures if figure.measure == measure}
        limits = [_number(f.limit, f.unit) for f in own.values() if f.limit is not None]
        cells = [_cell(own[size]) if size in own else "" for size in sizes]
        sheet.rows.append([measure, *cells, limits[0] if limits else ""])
    return sheet


def _short(size: int) -> str:
    for letter, factor in (("M", 1_000_000), ("k", 1_000)):
        if size >= factor:
            return f"{size // factor}{letter}"
    return str(size)


def _cell(figure: Figure) -> Cell:
    good = None if figure.limit is None else not figure.is_missed
    return Cell(_number(figure.value, figure.unit), good)


def _number(value: float, unit: str) -> str:
    if unit in ("instructions", "bytes") and value >= _MANY:
        return f"{value / 1e6:.2f}M" if value < 100 * _MANY else f"{value / 1e6:.0f}M"
    return f"{value:,.0f}" if value == int(value) or value >= _EXACT else f"{value:,.2f}"
