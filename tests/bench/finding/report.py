"""The figures for a person."""

from collections.abc import Iterator, Sequence

from tests.bench.finding.figures import Finding
from tests.bench.sheet import Cell, Sheet

_TITLES = {
    1: "a disk of which nothing is known",
    2: "the next pass, after new errors near the known ones",
}
_HEADINGS = (
    "pattern",
    "bad found",
    "slow found",
    "cluster met",
    "error known",
    "last known",
    "moved",
    "wrongly",
)


def sheets(figures: Sequence[Finding]) -> Iterator[Sheet]:
    """Two tables for each kernel."""
    for kernel, number in dict.fromkeys((f.kernel, f.number) for f in figures):
        own = [f for f in figures if (f.kernel, f.number) == (kernel, number)]
        title = f"Linux {kernel}, {_TITLES[number]}"
        yield Sheet(title, _HEADINGS, rows=[_row(figure) for figure in own])


def _row(figure: Finding) -> list[str | Cell]:
    good = not figure.is_missed
    return [
        figure.pattern,
        Cell(f"{figure.bad_found} of {figure.bad}", good),
        Cell(f"{figure.slow_found} of {figure.slow}", good),
        _share(figure.met),
        _share(figure.mean),
        _share(figure.last),
        _share(figure.moved),
        Cell(str(figure.wrongly_moved), figure.wrongly_moved == 0),
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
