"""From passes to figures with their limits, as bench.json keeps them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.finding import plan


@dataclass(frozen=True)
class Pass:
    """What a pass has found.

    `found` are bad blocks, by their first sectors, and how many sectors of `total` had been visited
    when each was known; `slow` are pieces, `moved` sectors that are on the spare after it.
    """

    pattern: str
    number: int
    state: str
    total: int
    found: list[tuple[int, int]]
    slow: int
    moved: list[int]


@dataclass(frozen=True)
class Finding:
    """How much a pass has found of what it could, and how soon.

    `met`, `mean` and `last` are when the first error of a cluster, any error, and the last one was
    known: shares of all sectors that a whole pass visits, the first two as means; None when none
    was. `wrongly_moved` are sectors that were moved without a reason, `moved` the share of the slow
    ones that were: those that have been slow in the pass before, too.
    """

    kernel: str
    pattern: str
    number: int
    bad: int
    bad_found: int
    slow: int
    slow_found: int
    met: float | None
    mean: float | None
    last: float | None
    moved: float
    wrongly_moved: int

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        if self.wrongly_moved:
            return True
        if self.pattern == plan.SAMPLE:
            return False
        whole = self.bad_found == self.bad and self.slow_found == self.slow
        return not whole or self.moved != (self.number > 1)

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, pass {self.number} ({self.pattern}) has found {self.bad_found} of"
            f" {self.bad} bad blocks and {self.slow_found} of {self.slow} slow pieces; of these"
            f" {self.moved:.0%} were moved, and {self.wrongly_moved} other sectors."
        )


def finding_of(kernel: str, faults: plan.Faults, whole: int, seen: Pass) -> Finding:
    """The figures of a pass, of which a whole one visits `whole` sectors."""
    clusters = faults.bad if seen.number == 1 else faults.new
    bad = set().union(*clusters)
    times = {sector: done / whole for sector, done in seen.found if sector in bad}
    first = [
        min(times[sector] for sector in cluster if sector in times)
        for cluster in clusters
        if cluster & times.keys()
    ]
    slow = {sector + i for sector in faults.slow for i in range(plan.PIECE)}
    return Finding(
        kernel=kernel,
        pattern=seen.pattern,
        number=seen.number,
        bad=len(bad),
        bad_found=len(times),
        slow=len(faults.slow),
        slow_found=seen.slow,
        met=_mean(first),
        mean=_mean(list(times.values())),
        last=round(max(times.values()), 3) if times else None,
        moved=len(slow & set(seen.moved)) / len(slow),
        wrongly_moved=len(set(seen.moved) - slow),
    )


def findings_of(kernel: str, faults: plan.Faults, passes: Sequence[Pass]) -> list[Finding]:
    """The figures of all passes."""
    whole = max(seen.total for seen in passes)
    return [finding_of(kernel, faults, whole, seen) for seen in passes]


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 3) if values else None
