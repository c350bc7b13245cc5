"""From rounds to figures, as bench.json keeps them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.smp import plan
from tests.bench.smp.guest import Round


@dataclass(frozen=True)
class Scaling:
    """How one workload goes on several processors.

    `insns` and `insns_linear` are instructions per I/O, of all processors together, when all of
    them do I/O; `scaling` and `scaling_linear` are how many times as many I/Os they would do in the
    same time as one of them alone; `ratio` is the one by the other. All are medians over the
    rounds, and `spread` is the largest ratio of a round less the smallest.
    """

    kernel: str
    cpus: int
    workload: str
    insns: float
    insns_linear: float
    scaling: float
    scaling_linear: float
    ratio: float
    spread: float
    limit: float = plan.LIMIT

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.ratio < self.limit

    def __str__(self) -> str:
        return (
            f"With {self.cpus} processors on {self.kernel}, dm-remap scales {self.ratio:.4f} times "
            f"as dm-linear does for {self.workload}; the limit is {self.limit}."
        )


def scaling_of(kernel: str, cpus: int, workload: str, rounds: Sequence[Round]) -> Scaling:
    """The figures of one workload."""
    own = [cpus * r.own_alone / r.own for r in rounds]
    linear = [cpus * r.linear_alone / r.linear for r in rounds]
    ratios = [a / b for a, b in zip(own, linear, strict=True)]
    return Scaling(
        kernel=kernel,
        cpus=cpus,
        workload=workload,
        insns=round(statistics.median(r.own for r in rounds), 1),
        insns_linear=round(statistics.median(r.linear for r in rounds), 1),
        scaling=round(statistics.median(own), 4),
        scaling_linear=round(statistics.median(linear), 4),
        ratio=round(statistics.median(ratios), 5),
        spread=round(max(ratios) - min(ratios), 5),
    )
