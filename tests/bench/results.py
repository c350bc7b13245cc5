"""From samples to figures, the file that keeps them, and the judgement on them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import guest, plan
from tests.bench.scale.figures import Figure


@dataclass(frozen=True)
class Row:
    """What one case takes for one workload on one kernel.

    `insns` and `insns_linear` are medians of instructions per I/O over the rounds, `ratio` is the
    median of the ratios of single rounds, and `spread` is the largest of those less the smallest.
    """

    kernel: str
    case: str
    workload: str
    insns: float
    insns_linear: float
    ratio: float
    spread: float


def rows_of(kernel: str, workload: plan.Workload, samples: Mapping[str, list[float]]) -> list[Row]:
    """The rows of a workload from what guest.measure() returned."""
    return [
        _row(kernel, case.name, workload.name, samples[case.name], samples[guest.linear_key(case)])
        for case in plan.cases_of(workload)
    ]


def _row(
    kernel: str, case: str, workload: str, own: Sequence[float], linear: Sequence[float]
) -> Row:
    ratios = [a / b for a, b in zip(own, linear, strict=True)]
    return Row(
        kernel=kernel,
        case=case,
        workload=workload,
        insns=round(statistics.median(own), 1),
        insns_linear=round(statistics.median(linear), 1),
        ratio=round(statistics.median(ratios), 5),
        spread=round(max(ratios) - min(ratios), 5),
    )


def write(rows: Sequence[Row], figures: Sequence[Figure], path: Path) -> None:
    """Write bench.json, a list: rows, which have a "ratio", and figures, which have a "measure"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    all_rows = [asdict(row) for row in rows] + [asdict(figure) for figure in figures]
    lines = ",\n".join("  " + json.dumps(row) for row in all_rows)
    path.write_text(f"[\n{lines}\n]\n")


def over_limit(rows: Sequence[Row]) -> list[Row]:
    """The rows that make a run fail."""
    four_k = {workload.name for workload in plan.WORKLOADS if workload.is_4k}
    return [
        row for row in rows if row.workload in four_k and row.ratio > plan.LIMITS.get(row.case, 99)
    ]
