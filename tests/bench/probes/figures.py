"""From measurements to figures, as bench.json keeps them."""

import statistics
from dataclasses import dataclass

from tests.bench.guest import Samples
from tests.bench.probes import plan
from tests.bench.probes.guest import Measured


@dataclass(frozen=True)
class Probing:
    """What probes cost: instructions per I/O without them, and what comes to that.

    `more` on the device that has probes, `beside` on another one; `ratio` and `beside_ratio` are
    the same by what it takes without.
    """

    kernel: str
    workload: str
    insns: float
    more: float
    ratio: float
    beside: float
    beside_ratio: float
    limit: float = plan.LIMIT
    beside_limit: float = plan.BESIDE_LIMIT

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.more > self.limit or self.beside > self.beside_limit

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, probes add {self.more:.0f} instructions to {self.workload} and"
            f" {self.beside:.0f} on a device without them; the limits are {self.limit:.0f} and"
            f" {self.beside_limit:.0f}."
        )


def probing_of(kernel: str, measured: Measured) -> Probing:
    """The figures of one load."""
    off, on = (_quarter(each[plan.PROBED]) for each in (measured.off, measured.on))
    beside_off, beside_on = (_quarter(each[plan.BESIDE]) for each in (measured.off, measured.on))
    return Probing(
        kernel=kernel,
        workload=measured.load.name,
        insns=round(off, 1),
        more=round(on - off, 1),
        ratio=round(on / off, 5),
        beside=round(beside_on - beside_off, 1),
        beside_ratio=round(beside_on / beside_off, 5),
    )


# As for dm-remap itself: what interrupts a round only adds to it.
def _quarter(samples: Samples) -> float:
    return statistics.quantiles(samples.instructions, method="inclusive")[0]
