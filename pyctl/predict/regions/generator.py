"""Failures of regions, made up from figures of field studies, over a real background.

Nobody publishes requests of single regions up to their failure. So failures are generated, and
whatever is measured with them is *simulated*. Each parameter names its source; those that nobody
has published are called assumptions, and docs/prediction-regions.md says what depends on them.

[B07] Bairavasundaram, Goodson, Pasupathy, Schindler: An Analysis of Latent Sector Errors in Disk
Drives, SIGMETRICS 2007. [S10] Schroeder, Damouras, Gill: Understanding Latent Sector Errors and How
to Protect Against Them, FAST 2010. [BB] computed from Backblaze Drive Stats 2013-04 to 2016-03,
49,072 drives: times between sector events, that is increases of SMART 5, 187, 197 or 198.
"""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyctl.predict.regions.predictor import Observation

__all__ = [
    "BLOCK_SECTORS",
    "FAILURES",
    "REGION_BLOCKS",
    "ErrorEvent",
    "Failure",
    "Parameters",
    "afflict",
    "around",
    "draw",
    "near",
    "poisson",
]

_DAY = 86400.0
# Sectors of a block of a spare: 4 KiB, which is also what drives of today lose at once.
BLOCK_SECTORS = 8
REGION_SECTORS = 2048
REGION_BLOCKS = REGION_SECTORS // BLOCK_SECTORS


@dataclass(frozen=True)
class Parameters:
    """What failures are drawn from; times in days, distances and sizes in sectors."""

    # [B07] 3.45 % of 1.53 million drives had latent sector errors within 32 months. How many
    # regions of an evaluation are struck is another number, below: a share this small would need
    # millions of regions. It is used where the price of a false alarm is weighed.
    drives_with_errors: float = 0.0345
    # Assumption: so many of the failing regions show nothing before their first error.
    silent: float = 0.05
    # Assumption: of the others, so many only get slow, and need no second attempts.
    slow_only: float = 0.25
    # [BB] first sector event to the failure of the drive, as quantiles; the time between weakness
    # and first error of a region is taken from it, since nobody has published that.
    lead_days: tuple[tuple[float, float], ...] = (
        (0.0, 0.05),
        (0.033, 2.0),
        (0.05, 3.0),
        (0.10, 5.0),
        (0.15, 11.0),
        (0.25, 28.0),
        (0.50, 99.8),
    )
    # Assumption: recovered reads an hour at the end of the lead, log-uniform; they grow in
    # proportion to the time since its beginning.
    retries_an_hour: tuple[float, float] = (0.5, 10.0)
    # Assumption: how much slower it is at the end of the lead, log-uniform; likewise. What is slow
    # lies within 100 sectors of one block.
    slowdown: tuple[float, float] = (1.3, 4.0)
    # [BB] days between two sector events of a drive, as quantiles
    gap_days: tuple[tuple[float, float], ...] = (
        (0.0, 0.5),
        (0.10, 1.0),
        (0.50, 2.0),
        (0.75, 6.0),
        (0.90, 16.0),
        (1.0, 60.0),
    )
    # [BB] events of a drive that has any, as quantiles
    events: tuple[tuple[float, float], ...] = (
        (0.0, 1.0),
        (0.25, 2.0),
        (0.50, 5.0),
        (0.75, 20.0),
        (0.90, 48.0),
        (1.0, 100.0),
    )
    # [BB] sectors that get pending (SMART 197) at once, as quantiles; 71 % are multiples of 8
    sectors: tuple[tuple[float, float], ...] = (
        (0.0, 1.0),
        (0.25, 5.0),
        (0.50, 8.0),
        (0.75, 16.0),
        (0.90, 88.0),
        (1.0, 200.0),
    )
    multiple_of_8: float = 0.71
    # [S10] less than 2.5 % of errors are more than one block in a row
    in_a_row: float = 0.025
    # [B07], [S10] of the errors with a neighbour, 20 to 60 % have it within 10 sectors, and most of
    # the others within 100
    within_10: float = 0.40
    within_100: float = 0.45
    # Assumption: recovered reads of a healthy region, in a day of reading
    stray_retries: float = 0.2


FAILURES = Parameters()


@dataclass(frozen=True)
class ErrorEvent:
    """Blocks of a region that get unreadable at a time; `blocks` are numbers inside the region."""

    time: float
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """One failing region. `weak` is when it begins to weaken, `events[0].time` when data is lost.

    `kind` is weak, slow or silent. `where` is the block around which its weakness lies.
    """

    region: int
    kind: str
    weak: float
    events: tuple[ErrorEvent, ...]
    retries_an_hour: float
    slowdown: float
    where: int

    @property
    def fails(self) -> float:
        """When its first block gets unreadable."""
        return self.events[0].time

    def progress(self, time: float) -> float:
        """How weak it is, 0 to 1: at its first error it is as weak as it gets."""
        if time <= self.weak or self.kind == "silent":
            return 0.0
        return min(1.0, (time - self.weak) / max(self.fails - self.weak, 1.0))


def draw(
    rng: random.Random, region: int, begin: float, end: float, given: Parameters = FAILURES
) -> Failure:
    """A failure whose weakness begins at or after `begin`, and whose first error is before `end`.

    A lead that is longer than this time is cut to it: the region is then weak from `begin` on, as
    weak as it would have become in the time that is left, stretched over what there is.
    """
    lead = min(_quantile(given.lead_days, rng.random()) * _DAY, end - begin)
    weak = begin + rng.random() * (end - begin - lead)
    first = weak + lead
    kind = "slow" if rng.random() < given.slow_only else "weak"
    if rng.random() < given.silent:
        kind = "silent"
    where = rng.randrange(REGION_BLOCKS)
    return Failure(
        region=region,
        kind=kind,
        weak=weak,
        events=_events(rng, first, where, given),
        retries_an_hour=_log_uniform(rng, given.retries_an_hour) if kind == "weak" else 0.0,
        slowdown=_log_uniform(rng, given.slowdown) if kind != "silent" else 1.0,
        where=where,
    )


def afflict(
    rng: random.Random,
    failure: Failure,
    before: float,
    time: float,
    seen: Observation,
    watched: float,
) -> tuple[Observation, tuple[int, ...]]:
    """What is seen of a failing region between two times, and the blocks that were read again.

    `watched` are the seconds in between in which it was read; an error that came in the rest of
    the time is met when it is read next.
    """
    weakness = failure.progress(time)
    slower = 1 + (failure.slowdown - 1) * weakness
    retried = tuple(
        near(rng, failure.where, FAILURES)
        for _ in range(poisson(rng, failure.retries_an_hour * weakness * watched / 3600))
    )
    lost = sum(len(e.blocks) for e in failure.events if before < e.time <= time)
    return (
        replace(
            seen,
            latency=seen.latency * slower if seen.latency is not None else None,
            tail=seen.tail * slower if seen.tail is not None else None,
            retries=seen.retries + len(retried),
            errors=seen.errors + lost,
        ),
        retried,
    )


def near(rng: random.Random, block: int, given: Parameters) -> int:
    """A block in the same region, as far from another as errors are from each other."""
    roll = rng.random()
    if roll < given.within_10:
        most = 10
    elif roll < given.within_10 + given.within_100:
        most = 100
    else:
        return rng.randrange(REGION_BLOCKS)
    sector = block * BLOCK_SECTORS + rng.randint(-most, most)
    return min(max(sector, 0), REGION_SECTORS - 1) // BLOCK_SECTORS


def around(block: int, sectors: int) -> range:
    """The blocks of the region that lie so many sectors around a block, with itself."""
    reach = -(-sectors // BLOCK_SECTORS)
    return range(max(0, block - reach), min(REGION_BLOCKS, block + reach + 1))


def poisson(rng: random.Random, mean: float) -> int:
    """A number of independent events, of which `mean` are to be expected."""
    if mean <= 0:
        return 0
    left, number = math.exp(-mean), 0
    chance = rng.random()
    while chance > left:
        chance *= rng.random()
        number += 1
    return number


def _events(
    rng: random.Random, first: float, where: int, given: Parameters
) -> tuple[ErrorEvent, ...]:
    events, time = [], first
    for _ in range(max(1, round(_quantile(given.events, rng.random())))):
        events.append(ErrorEvent(time, _lost(rng, near(rng, where, given), given)))
        time += _quantile(given.gap_days, rng.random()) * _DAY
    return tuple(events)


# Blocks that get unreadable at once: in a row, or each near the first.
def _lost(rng: random.Random, first: int, given: Parameters) -> tuple[int, ...]:
    sectors = round(_quantile(given.sectors, rng.random()))
    if rng.random() < given.multiple_of_8:
        sectors = -(-sectors // BLOCK_SECTORS) * BLOCK_SECTORS
    count = -(-sectors // BLOCK_SECTORS)
    if rng.random() < given.in_a_row:
        start = min(first, REGION_BLOCKS - count)
        return tuple(range(start, start + count))
    blocks = {first}
    blocks.update(near(rng, first, given) for _ in range(count - 1))
    return tuple(sorted(blocks))


# Between the points, the value is even in its logarithm.
def _quantile(points: Sequence[tuple[float, float]], share: float) -> float:
    for (low, a), (high, b) in itertools.pairwise(points):
        if share <= high:
            return math.exp(
                math.log(a) + (math.log(b) - math.log(a)) * (share - low) / (high - low)
            )
    return points[-1][1]


def _log_uniform(rng: random.Random, ends: tuple[float, float]) -> float:
    low, high = ends
    return math.exp(rng.uniform(math.log(low), math.log(high)))
