"""What is measured: disks, the load of a user beside the scan, and the limits."""

from dataclasses import dataclass

from tests.bench.plan import KIB, MIB, SECTOR, Workload

__all__ = ["KIB", "MIB", "SECTOR"]

# So large that no pass ends while it is measured.
MAIN_MIB = 64 * KIB
SPARE_MIB = 64
CHUNK = 128 * KIB


@dataclass(frozen=True)
class Disk:
    """A main disk that takes `nanoseconds` for each request, one at a time.

    0: it takes none, and any number at once: the processor is what a user and the scan share.
    `ios` are the user's for each figure, in all rounds together.
    """

    name: str
    nanoseconds: int
    ios: int


DISKS = (Disk("instant", 0, 60_000), Disk("500 us", 500_000, 8_000))

# What a user does: one read after the other, or many at once.
LOADS = (
    Workload("psync", 1, "read", "random", 4 * KIB, 500),
    Workload("uring", 32, "read", "random", 4 * KIB, 500),
)
# What the scan reads when nobody is there, done by a program.
ALONE = Workload("psync", 1, "read", "sequential", CHUNK, 200)
ALONE_ROUNDS = 5
# The scan is turned on and off in turns, so often.
TURNS = 4

# The time of all I/Os by that without a scan, and likewise the longest of 99 %.
LIMIT = 1.01
# How fast an idle disk is scanned, by the program above.
IDLE_LIMIT = 0.9
IDLE_SECONDS = 0.5
# After the last request of others the scan waits a moment.
LINGER_SECONDS = 0.3
