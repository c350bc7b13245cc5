"""From samples to figures, the file that keeps them, and the judgement on them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import plan
from tests.bench.guest import Samples
from tests.bench.inline import Count
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

    @property
    def goal(self) -> float | None:
        """What the ratio may be at most."""
        case = plan.CASES.get(self.case)
        return case.goal_for(plan.workload(self.workload)) if case else None

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.goal is not None and self.ratio > self.goal

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, {self.case} takes {self.ratio:.4f} times what dm-linear takes for"
            f" {self.workload}; the goal is {self.goal}."
        )


Result = Row | Count | Figure


def rows_of(
    kernel: str, workload: plan.Workload, cases: Sequence[plan.Case], samples: Mapping[str, Samples]
) -> list[Row]:
    """The rows of a workload, from what guest.measure() returned for the devices of its cases."""
    return [
        _row(kernel, case.name, workload.name, samples[case.own_word], samples[case.linear_word])
        for case in cases
    ]


def _row(kernel: str, case: str, workload: str, own: Samples, linear: Samples) -> Row:
    pairs = zip(own.instructions, linear.instructions, strict=True)
    ratios = [a / b for a, b in pairs]
    return Row(
        kernel=kernel,
        case=case,
        workload=workload,
        insns=round(statistics.median(own.instructions), 1),
        insns_linear=round(statistics.median(linear.instructions), 1),
        ratio=round(statistics.median(ratios), 5),
        spread=round(max(ratios) - min(ratios), 5),
    )


def write(results: Sequence[Result], path: Path) -> None:
    """Write bench.json, a list.

    Rows have a "ratio", counts a "count", and figures a "value".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(asdict(result)) for result in results)
    path.write_text(f"[\n{lines}\n]\n")
