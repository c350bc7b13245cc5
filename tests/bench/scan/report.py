"""The figures of the scan for a person."""

from collections.abc import Iterator, Sequence

from tests.bench.scan.figures import Foreground, Idle
from tests.bench.scan.plan import MIB
from tests.bench.sheet import Cell, Sheet


def of_foreground(figures: Sequence[Foreground]) -> Iterator[Sheet]:
    """A table for each kernel."""
    headings = ["disk", "workload", "us", "ratio", "p99 us", "ratio", "reads"]
    for kernel in dict.fromkeys(figure.kernel for figure in figures):
        sheet = Sheet(f"Linux {kernel}: a user's I/O while a scan runs", headings, left=2)
        sheet.rows = [_row(figure) for figure in figures if figure.kernel == kernel]
        yield sheet


def of_idle(figures: Sequence[Idle]) -> Iterator[Sheet]:
    """A table for each kernel."""
    headings = ["disk", "MiB/s", "of a program's"]
    for kernel in dict.fromkeys(figure.kernel for figure in figures):
        sheet = Sheet(f"Linux {kernel}: the scan of an idle device", headings)
        sheet.rows = [
            [
                figure.disk,
                f"{figure.bytes_per_second / MIB:,.0f}",
                Cell(f"{figure.ratio:.3f}", None if figure.limit is None else not figure.is_missed),
            ]
            for figure in figures
            if figure.kernel == kernel
        ]
        yield sheet


def _row(figure: Foreground) -> list[str | Cell]:
    tail: list[str | Cell] = ["", ""]
    if figure.p99 is not None and figure.p99_ratio is not None:
        tail = [f"{figure.p99 / 1000:.1f}", _judged(figure.p99_ratio, figure.limit)]
    return [
        figure.disk,
        figure.workload,
        f"{figure.ns / 1000:.1f}",
        _judged(figure.ratio, figure.limit),
        *tail,
        str(figure.scan_reads),
    ]


def _judged(ratio: float, limit: float) -> Cell:
    return Cell(f"{ratio:.4f}", ratio <= limit)
