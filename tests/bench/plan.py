"""What is measured: the devices, the cases, the workloads, and the goals."""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
SECTOR = 512
PAGE = 4 * KIB

MAIN_GIB = 250
MAIN_SECTORS = MAIN_GIB * GIB // SECTOR
SPARE_MIB = 64

REMAPS = 1000
# Random I/O goes to even blocks of 4 KiB, so a remap in an odd one is never met.
FIRST_REMAP = 4 * KIB // SECTOR
# The device where remaps are close together, and its I/O with them: the first GiB, where every
# region of the index has about 16 entries. Over the whole device most regions have none.
DENSE_BYTES = GIB

# A round is so short, about a million instructions, that the clock, which interrupts every four
# million, leaves most rounds alone. It is a multiple of the depth of a queue.
ROUNDS = 60
COUNT_4K = 128


@dataclass(frozen=True)
class Workload:
    """One kind of I/O, and how many of them make a round."""

    engine: str
    depth: int
    direction: str
    pattern: str
    size: int
    count: int

    @property
    def name(self) -> str:
        """Such as "randread-4k-uring-qd32" or "seqwrite-1m-psync"."""
        size = f"{self.size // MIB}m" if self.size >= MIB else f"{self.size // KIB}k"
        pattern = "seq" if self.pattern == "sequential" else "rand"
        depth = "" if self.engine == "psync" else f"-qd{self.depth}"
        return f"{pattern}{self.direction}-{size}-{self.engine}{depth}"

    @property
    def is_4k(self) -> bool:
        """Whether it is random I/O of 4 KiB."""
        return self.size == 4 * KIB

    def arguments(self, rounds: int, count: int | None = None) -> str:
        """What bench-io is told before the devices."""
        words = (self.engine, self.depth, self.direction, self.pattern, self.size, rounds)
        return " ".join(str(word) for word in (*words, count or self.count))


def _random(engine: str, *depths: int) -> tuple[Workload, ...]:
    return tuple(
        Workload(engine, depth, direction, "random", 4 * KIB, COUNT_4K)
        for depth in depths
        for direction in ("read", "write")
    )


BASIC = _random("psync", 1) + _random("uring", 1, 32)
# Nothing may wait, and nothing may be left to a worker: see nowait.py.
NOWAIT = _random("nowait", 1, 32)
POLLED = _random("polled", 1, 32)
RANDOM = BASIC + NOWAIT + POLLED
SEQUENTIAL = tuple(
    Workload("psync", 1, direction, "sequential", size, count)
    for size, count in ((128 * KIB, 32), (MIB, 4))
    for direction in ("read", "write")
)
WORKLOADS = RANDOM + SEQUENTIAL


def workload(name: str) -> Workload:
    """The workload of this name. Raises KeyError if there is none."""
    return {workload.name: workload for workload in WORKLOADS}[name]


NULL_BLK = "/dev/nullb0"
LINEAR = "/dev/mapper/linear"
LINEAR_SPARE = "/dev/mapper/linear-spare"


@dataclass(frozen=True)
class Case:
    """A device to measure, and the dm-linear that it is compared with.

    `span` and `linear_span` confine the I/O, as bench-io is told behind the name of a device: "@"
    and the bytes from its beginning, or ":" and a file with offsets.
    """

    name: str
    device: str
    workloads: tuple[Workload, ...]
    # No more than this times what dm-linear takes, or the run fails; for random and sequential I/O.
    goal: float | None = None
    sequential_goal: float | None = None
    span: str = ""
    linear: str = LINEAR
    linear_span: str = ""
    # The null_blk that the I/O ends in.
    disk: str = "nullb0"

    @property
    def own_word(self) -> str:
        """The device with its span."""
        return self.device + self.span

    @property
    def linear_word(self) -> str:
        """The dm-linear with its span."""
        return self.linear + self.linear_span

    def goal_for(self, workload: Workload) -> float | None:
        """The goal that a workload has."""
        return self.goal if workload.is_4k else self.sequential_goal


@dataclass(frozen=True)
class RemappedCase(Case):
    """A dm-remap device with a spare of its own and remaps at a `distance` in sectors, if any."""

    distance: int = 0


# A main device of 250 GiB with units of 512 bytes, and spares that the kernel formats.
SMALL = (
    Case("raw", NULL_BLK, WORKLOADS),
    RemappedCase("empty", "/dev/mapper/empty", WORKLOADS, goal=1.010, sequential_goal=1.005),
    RemappedCase(
        "remaps-1k",
        "/dev/mapper/remaps-1k",
        RANDOM,
        goal=1.015,
        distance=MAIN_SECTORS // REMAPS // 16 * 16,
    ),
    RemappedCase(
        "dense-1k",
        "/dev/mapper/dense-1k",
        RANDOM,
        goal=1.015,
        span=f"@{DENSE_BYTES}",
        linear_span=f"@{DENSE_BYTES}",
        distance=DENSE_BYTES // SECTOR // REMAPS // 16 * 16,
    ),
)

# Files in the guest with offsets: of blocks that are not remapped, and of blocks that are, on main
# and on the spare in the same order.
UNTOUCHED = "/tmp/untouched"  # noqa: S108 - in the guest
REMAPPED = "/tmp/remapped"  # noqa: S108
PLACES = "/tmp/places"  # noqa: S108

REMAPS_1M = "/dev/mapper/remaps-1m"

# A main device of 8 TiB with units of 4 KiB, and a spare with a million entries: see scale/.
LARGE = (
    Case(
        "remaps-1m",
        REMAPS_1M,
        RANDOM,
        goal=1.015,
        span=f":{UNTOUCHED}",
        linear_span=f":{UNTOUCHED}",
    ),
    Case(
        "remapped-1m",
        REMAPS_1M,
        tuple(workload for workload in RANDOM if workload.direction == "read"),
        goal=1.03,
        span=f":{REMAPPED}",
        linear=LINEAR_SPARE,
        linear_span=f":{PLACES}",
        disk="nullb1",
    ),
)

CASES = {case.name: case for case in SMALL + LARGE}
