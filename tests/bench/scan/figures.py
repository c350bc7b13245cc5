"""From measurements to figures with their limits, as bench.json keeps them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.scan import plan
from tests.bench.scan.guest import Alone, Beside


@dataclass(frozen=True)
class Foreground:
    """A user's I/O while a scan runs.

    `ns` is guest time of an I/O without it, `ratio` what it takes with it by that. `p99` and
    `p99_ratio` are the same of the longest of 99 %; None when many I/Os are done at once.
    """

    kernel: str
    disk: str
    workload: str
    ns: float
    ratio: float
    p99: float | None
    p99_ratio: float | None
    scan_reads: int
    limit: float = plan.LIMIT

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return max(self.ratio, self.p99_ratio or 0) > self.limit

    def __str__(self) -> str:
        tail = "" if self.p99_ratio is None else f", and its 99th percentile {self.p99_ratio:.4f}"
        return (
            f"On {self.kernel}, {self.workload} on a {self.disk} takes {self.ratio:.4f} times as"
            f" long while a scan runs{tail}; the limit is {self.limit}."
        )


@dataclass(frozen=True)
class Idle:
    """How fast the scan reads an idle disk: bytes per second, and by those of a program."""

    kernel: str
    disk: str
    bytes_per_second: float
    ratio: float
    # None: the processor is the limit, and the scan looks at the data, too.
    limit: float | None

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.limit is not None and self.ratio < self.limit

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, the scan reads an idle {self.disk} at {self.ratio:.3f} of the speed"
            f" of a program; the limit is {self.limit}."
        )


def foreground_of(kernel: str, measured: Beside) -> Foreground:
    """The figures of one load."""
    off, on = statistics.fmean(measured.off), statistics.fmean(measured.on)
    p99 = _p99(measured.each_off) if measured.each_off else None
    return Foreground(
        kernel=kernel,
        disk=measured.disk.name,
        workload=measured.load.name,
        ns=round(off, 1),
        ratio=round(on / off, 5),
        p99=p99,
        p99_ratio=round(_p99(measured.each_on) / p99, 5) if p99 else None,
        scan_reads=measured.reads,
    )


def idle_of(kernel: str, measured: Alone) -> Idle:
    """The figure of one disk."""
    return Idle(
        kernel=kernel,
        disk=measured.disk.name,
        bytes_per_second=round(measured.scan),
        ratio=round(measured.scan / measured.program, 4),
        limit=plan.IDLE_LIMIT if measured.disk.nanoseconds else None,
    )


def _p99(samples: Sequence[float]) -> float:
    return round(statistics.quantiles(samples, n=100, method="inclusive")[98], 1)
