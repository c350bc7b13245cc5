"""The figures of large tables for a person: a column for each size of the table."""

from collections.abc import Sequence

from tests.bench.report import console, empty_table
from tests.bench.scale.figures import Figure

# From here on in millions, and below not to the hundredth.
_MANY, _EXACT = 1e6, 1e3


def show(figures: Sequence[Figure]) -> None:
    """Print a table for each kernel and geometry."""
    for kernel, geometry in dict.fromkeys((f.kernel, f.geometry) for f in figures):
        own = [f for f in figures if (f.kernel, f.geometry) == (kernel, geometry)]
        _show_one(f"Linux {kernel}, {geometry}: what a table costs, by its entries", own)


def _show_one(title: str, figures: Sequence[Figure]) -> None:
    table = empty_table(title)
    table.add_column("", no_wrap=True)
    sizes = sorted({figure.entries for figure in figures})
    for size in sizes:
        table.add_column(_short(size), justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    for measure in dict.fromkeys(figure.measure for figure in figures):
        own = {figure.entries: figure for figure in figures if figure.measure == measure}
        limits = [_number(f.limit, f.unit) for f in own.values() if f.limit is not None]
        cells = [_cell(own[size]) if size in own else "" for size in sizes]
        table.add_row(measure, *cells, limits[0] if limits else "")
    console.print(table)


def _short(size: int) -> str:
    for letter, factor in (("M", 1_000_000), ("k", 1_000)):
        if size >= factor:
            return f"{size // factor}{letter}"
    return str(size)


def _cell(figure: Figure) -> str:
    text = _number(figure.value, figure.unit)
    if figure.limit is None:
        return text
    return f"[{'red' if figure.is_over else 'green'}]{text}[/]"


def _number(value: float, unit: str) -> str:
    if unit in ("instructions", "bytes") and value >= _MANY:
        return f"{value / 1e6:.2f}M" if value < 100 * _MANY else f"{value / 1e6:.0f}M"
    return f"{value:,.0f}" if value == int(value) or value >= _EXACT else f"{value:,.2f}"
