"""The figures of several processors for a person."""

from collections.abc import Iterator, Sequence

from tests.bench.sheet import Cell, Sheet
from tests.bench.smp.figures import Scaling

_HEADINGS = ("workload", "insns", "more", "scaling", "linear", "ratio", "spread", "limit")


def sheets(figures: Sequence[Scaling]) -> Iterator[Sheet]:
    """A table for each kernel and machine."""
    for kernel, cpus in dict.fromkeys((f.kernel, f.cpus) for f in figures):
        title = f"Linux {kernel}, {cpus} processors: how many times one of them"
        own = [f for f in figures if (f.kernel, f.cpus) == (kernel, cpus)]
        yield Sheet(title, _HEADINGS, rows=[_row(figure) for figure in own])


def _row(figure: Scaling) -> list[str | Cell]:
    return [
        figure.workload,
        f"{figure.insns:.0f}",
        f"{figure.insns - figure.insns_linear:+.0f}",
        f"{figure.scaling:.3f}",
        f"{figure.scaling_linear:.3f}",
        Cell(f"{figure.ratio:.4f}", not figure.is_missed),
        f"{100 * figure.spread:.2f} %",
        f"{figure.limit:.3f}",
    ]
