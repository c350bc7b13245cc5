"""The figures of the probes for a person."""

from collections.abc import Iterator, Sequence

from tests.bench.probes.figures import Probing
from tests.bench.sheet import Cell, Sheet


def sheets(figures: Sequence[Probing]) -> Iterator[Sheet]:
    """A table for each kernel."""
    headings = ["workload", "without", "probed", "ratio", "beside", "ratio"]
    for kernel in dict.fromkeys(figure.kernel for figure in figures):
        sheet = Sheet(f"Linux {kernel}: instructions per I/O with probes", headings)
        sheet.rows = [
            [
                figure.workload,
                f"{figure.insns:.0f}",
                f"{figure.more:+.0f}",
                Cell(f"{figure.ratio:.4f}", figure.more <= figure.limit),
                f"{figure.beside:+.0f}",
                Cell(f"{figure.beside_ratio:.4f}", figure.beside <= figure.beside_limit),
            ]
            for figure in figures
            if figure.kernel == kernel
        ]
        yield sheet
