"""What happens to the disks, day by day, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MAIN_MB = 32
SPARE_MB = 16
BLOCK = 4096
# The region that dies, in sectors: one of those that the scan looks at.
REGION_START = 21 * 2048
REGION_SECTORS = 2048
# What an application does in a day.
REQUESTS = 800


@dataclass(frozen=True)
class Day:
    """How the region is: milliseconds that a read of it takes, 0 as usual, None never."""

    text: str
    read_ms: int | None = 0


STORY = (
    Day("both disks are well"),
    Day("a read in one region of 1 MiB takes 60 ms", 60),
    Day("it takes 120 ms", 120),
    Day("the region is dead: no read and no write", None),
)


@dataclass(frozen=True)
class Work:
    """What an application met in a day."""

    requests: int
    errors: int
    wrong: int
    slowest_ms: float


@dataclass(frozen=True)
class Night:
    """What a scan found, and how many sectors are on the spare after it: in the region, outside."""

    health: int
    unreadable: int
    slow: int
    relocated: int
    inside: int
    outside: int


@dataclass
class Outcome:
    """What became of one disk."""

    days: list[Work] = field(default_factory=list)
    nights: list[Night] = field(default_factory=list)
    # Blocks that could not be read at the end, or held something else than was written.
    unreadable: int = 0
    wrong: int = 0

    @property
    def errors(self) -> int:
        """What the application met on all days."""
        return sum(day.errors + day.wrong for day in self.days)


def moved_on(nights: Sequence[Night]) -> int | None:
    """The day after which all of the region was on the spare, from 1."""
    whole = (number for number, night in enumerate(nights, 1) if night.inside == REGION_SECTORS)
    return next(whole, None)


def as_it_should_be(raw: Outcome, remap: Outcome) -> bool:
    """All was moved before it died, nothing else was, and the bare disk shows why that matters."""
    died = next(number for number, day in enumerate(STORY, 1) if day.read_ms is None)
    moved = moved_on(remap.nights)
    calm = not (remap.errors or remap.unreadable or remap.wrong)
    early = moved is not None and moved < died
    exact = all(night.outside == 0 for night in remap.nights)
    suffered = raw.days[died - 1].errors > 0 and raw.unreadable > 0
    return calm and early and exact and suffered
