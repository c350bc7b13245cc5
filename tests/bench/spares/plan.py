"""What is measured: bitmaps, spares that can do so much and no more, and the limits."""

from dataclasses import dataclass

from tests.bench.plan import KIB, MIB, SECTOR

__all__ = ["KIB", "MIB", "SECTOR"]

# A spare of 16 GiB with units of 4 KiB; five levels of bitmaps.
UNITS = 1 << 22
SAMPLES = 512
# Instructions of the dearest allocation, and of the median one by that of an empty spare.
ALLOCATION_LIMIT = 1000
FLATNESS_LIMIT = 1.5

COUNTS = (1, 2, 4, 8)
UNIT = 4 * KIB
MAIN_MIB = 10 * KIB
SPARE_MIB = 64
REMAPS = 64
REMAP_DISTANCE = 8000
# The same load, however many spares there are; a spare can take all of it in its queue.
WRITERS = 64
QUEUE_DEPTH = 256


@dataclass(frozen=True)
class Spares:
    """Spares that take so many MiB in a second each; `writes` is the number for each writer.

    Those that are slow leave the processor idle, so writes to them must add up.
    """

    name: str
    mib_per_second: int
    writes: int
    must_add_up: bool


# Eight of the one kind need a half of the processor or less, eight of the other more than there is.
KINDS = (Spares("slow", 16, 400, must_add_up=True), Spares("fast", 64, 800, must_add_up=False))

# How much of so many times one spare there must be; unless the processor has no more to give.
LINEARITY_LIMIT = 0.97
FULL = 0.95
