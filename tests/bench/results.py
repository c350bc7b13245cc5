"""From samples to figures, the file that keeps them, and the judgement on them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import plan
from tests.bench.finding.figures import Finding
from tests.bench.guest import Samples
from tests.bench.inline import Count
from tests.bench.probes.figures import Probing
from tests.bench.scale.figures import Figure
from tests.bench.scan.figures import Foreground, Idle
from tests.bench.smp.figures import Scaling
from tests.bench.spares.figures import Allocation, Throughput


@dataclass(frozen=True)
class Row:
    """What one case takes for one workload on one kernel.

    `insns` and `insns_linear` are instructions per I/O: the lower quartile over the rounds, since
    what interrupts a round only adds to it. `ratio` is the one by the other. `spread` tells how
    near the rounds of that quarter are to each other: their largest possible ratio less their
    smallest.
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


Result = (
    Row | Count | Figure | Scaling | Allocation | Throughput | Foreground | Idle | Probing | Finding
)


def rows_of(
    kernel: str, workload: plan.Workload, cases: Sequence[plan.Case], samples: Mapping[str, Samples]
) -> list[Row]:
    """The rows of a workload, from what guest.measure() returned for the devices of its cases."""
    return [
        _row(kernel, case.name, workload.name, samples[case.own_word], samples[case.linear_word])
        for case in cases
    ]


def _row(kernel: str, case: str, workload: str, own: Samples, linear: Samples) -> Row:
    least, insns = _quarter(own)
    least_linear, insns_linear = _quarter(linear)
    return Row(
        kernel=kernel,
        case=case,
        workload=workload,
        insns=round(insns, 1),
        insns_linear=round(insns_linear, 1),
        ratio=round(insns / insns_linear, 5),
        spread=round(insns / least_linear - least / insns_linear, 5),
    )


def _quarter(samples: Samples) -> tuple[float, float]:
    """The least instructions of all rounds, and those that a quarter of them don't exceed."""
    quartiles = statistics.quantiles(samples.instructions, method="inclusive")
    return min(samples.instructions), quartiles[0]


def write(results: Sequence[Result], path: Path) -> None:
    """Write bench.json, a list.

    Rows have a "case", counts a "count", figures a "value", scalings "cpus", allocations a
    "pattern", throughputs "spares", foregrounds "p99", idle scans "bytes_per_second",
    probings "beside", passes of a scan "bad_found".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(asdict(result)) for result in results)
    path.write_text(f"[\n{lines}\n]\n")
