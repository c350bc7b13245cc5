"""The disk that is scanned, and what is wrong with it."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MIB = 2048
MAIN_MB = 1024
SPARE_MB = 32
BLOCK = 4096
SECTORS = BLOCK // 512
PATTERNS = ("sequential", "random", "staggered", "focused")
# All patterns but this one visit every region.
SAMPLE = "random"

CLUSTERS = 16
ERRORS = 6
NEW_ERRORS = 2
# How far the errors of a cluster are from its first, evenly in the logarithm: most are near.
NEAR = SECTORS
FAR = 32 * MIB
SLOW = 6
# A slow piece: so long is what the scan moves, and so long a read of it takes. Far more than the
# 50 ms from which on it is slow: see tests/kernel/test_scan.py.
PIECE = 64
SLOW_MS = 100


@dataclass(frozen=True)
class Faults:
    """First sectors of bad blocks by cluster, those that are added later, and of slow pieces."""

    bad: list[set[int]]
    new: list[set[int]]
    slow: set[int]

    @property
    def all_bad(self) -> set[int]:
        """The bad blocks of the first pass."""
        return set().union(*self.bad)

    @property
    def all_new(self) -> set[int]:
        """The blocks that are bad in the second pass only."""
        return set().union(*self.new)


def faults(seed: int = 1) -> Faults:
    """The same for the same seed."""
    rng = random.Random(seed)
    taken: set[int] = set()
    bad, new = [], []
    for _ in range(CLUSTERS):
        centre = _free(taken, lambda: rng.randrange(MAIN_MB * MIB))
        bad.append({centre, *(_near(rng, taken, centre) for _ in range(ERRORS - 1))})
        new.append({_near(rng, taken, centre) for _ in range(NEW_ERRORS)})
    slow: set[int] = set()
    chunks = {sector // (4 * PIECE) for sector in taken}
    while len(slow) < SLOW:
        piece = rng.randrange(MAIN_MB * MIB // PIECE) * PIECE
        if piece // (4 * PIECE) not in chunks:
            slow.add(piece)
    return Faults(bad, new, slow)


def _near(rng: random.Random, taken: set[int], centre: int) -> int:
    """Another block of a cluster."""

    def choose() -> int:
        distance = round(NEAR * math.exp(rng.uniform(0, math.log(FAR / NEAR))))
        return centre + distance * rng.choice((-1, 1))

    return _free(taken, choose)


def _free(taken: set[int], choose: Callable[[], int]) -> int:
    """The first sector of a block that is on the disk and not taken yet."""
    while True:
        block = choose() // SECTORS * SECTORS
        if 0 <= block < MAIN_MB * MIB and block not in taken:
            taken.add(block)
            return block
