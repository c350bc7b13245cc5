"""The figures of spares for a person."""

from collections.abc import Iterator, Sequence

from tests.bench.sheet import Cell, Sheet
from tests.bench.spares.figures import Allocation, Throughput


def of_allocations(figures: Sequence[Allocation]) -> Iterator[Sheet]:
    """A table for each kernel: a row for each fill, columns for each pattern."""
    patterns = list(dict.fromkeys(figure.pattern for figure in figures))
    headings = ["in use", *(text for pattern in patterns for text in (pattern, "most"))]
    for kernel in dict.fromkeys(figure.kernel for figure in figures):
        sheet = Sheet(f"Linux {kernel}: instructions to find a free spare unit", headings, left=0)
        own = [figure for figure in figures if figure.kernel == kernel]
        for used in dict.fromkeys(figure.used for figure in own):
            row: list[str | Cell] = [f"{100 * used / own[0].units:.2f} %"]
            for figure in own:
                if figure.used == used:
                    row += [f"{figure.insns:.0f}", _judged(figure, f"{figure.insns_most:.0f}")]
            sheet.rows.append(row)
        yield sheet


def of_throughputs(figures: Sequence[Throughput]) -> Iterator[Sheet]:
    """A table for each kernel."""
    headings = ["spares", "number", "writes/s", "of linear", "busy", "insns"]
    for kernel in dict.fromkeys(figure.kernel for figure in figures):
        sheet = Sheet(f"Linux {kernel}: writes to units on several spares", headings)
        sheet.rows = [_row(figure) for figure in figures if figure.kernel == kernel]
        yield sheet


def _row(figure: Throughput) -> list[str | Cell]:
    return [
        figure.kind,
        str(figure.spares),
        f"{figure.writes_per_second:,.0f}",
        _judged(figure, f"{figure.linearity:.3f}"),
        f"{100 * figure.busy:.0f} %",
        f"{figure.insns:,.0f}",
    ]


def _judged(figure: Allocation | Throughput, text: str) -> Cell:
    return Cell(text, not figure.is_missed)
