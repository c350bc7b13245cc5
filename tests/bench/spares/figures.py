"""From measurements to figures with their limits, as bench.json keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.spares import plan
from tests.bench.spares.guest import Filled, Written


@dataclass(frozen=True)
class Allocation:
    """Instructions to find a free spare unit: of the median allocation, and of the dearest.

    `flatness` is the median by that of an empty spare.
    """

    kernel: str
    pattern: str
    units: int
    used: int
    insns: float
    insns_most: float
    flatness: float
    limit: float = plan.ALLOCATION_LIMIT
    flatness_limit: float = plan.FLATNESS_LIMIT

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.insns_most > self.limit or self.flatness > self.flatness_limit

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, an allocation with {self.used:,} of {self.units:,} units in use "
            f"({self.pattern}) takes {self.insns:.0f} instructions, {self.flatness:.2f} times "
            f"that of an empty spare, and {self.insns_most:.0f} at most; the limits are "
            f"{self.flatness_limit} times and {self.limit}."
        )


@dataclass(frozen=True)
class Throughput:
    """Writes of 4 KiB to units on several spares, with the same load for any number of spares.

    `linearity` is what they do in a second by so many times what one spare does; `busy` is the part
    of the time in which the processor has work, and `insns` what a write takes of it.
    """

    kernel: str
    kind: str
    spares: int
    writes_per_second: float
    linearity: float
    busy: float
    insns: float
    # None: the processor may be full instead.
    limit: float | None

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        if self.limit is not None:
            return self.linearity < self.limit
        return self.linearity < plan.LINEARITY_LIMIT and self.busy < plan.FULL

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, {self.spares} {self.kind} spares take {self.linearity:.3f} of "
            f"{self.spares} times the writes of one, with the processor {self.busy:.0%} busy."
        )


def allocations_of(kernel: str, measured: Sequence[Filled]) -> list[Allocation]:
    """The figures of all fills."""
    empty = {filled.pattern: filled.median for filled in measured if not filled.used}
    return [
        Allocation(
            kernel=kernel,
            pattern=filled.pattern,
            units=plan.UNITS,
            used=filled.used,
            insns=filled.median,
            insns_most=filled.most,
            flatness=round(filled.median / empty[filled.pattern], 3),
        )
        for filled in measured
    ]


def throughputs_of(kernel: str, measured: Sequence[Written]) -> list[Throughput]:
    """The figures of all numbers of spares of one kind."""
    rates = {written.spares: written.writes * 1e9 / written.nanoseconds for written in measured}
    return [
        Throughput(
            kernel=kernel,
            kind=written.kind.name,
            spares=written.spares,
            writes_per_second=round(rates[written.spares]),
            linearity=round(rates[written.spares] / rates[1] / written.spares, 4),
            busy=round(1 - written.idle / written.nanoseconds, 3),
            insns=round((written.nanoseconds - written.idle) / written.writes),
            limit=plan.LINEARITY_LIMIT if written.kind.must_add_up else None,
        )
        for written in measured
    ]
