"""What is measured: the devices, the cases, the workloads, and the goals."""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
SECTOR = 512

MAIN_GIB = 250
MAIN_SECTORS = MAIN_GIB * GIB // SECTOR
SPARE_MIB = 64

REMAPS = 1000
# Random I/O goes to even blocks of 4 KiB, so a remap in an odd one is never met.
FIRST_REMAP = 4 * KIB // SECTOR
# The device where remaps are close together, and its I/O with them: the first GiB, where every
# region of the index has about 16 entries. Over the whole device most regions have none.
DENSE_BYTES = GIB

ROUNDS = 5

# Of a case by its name, for 4 KiB: no more than this times what dm-linear takes, or the run fails.
LIMITS = {"empty": 1.05}
# Where a later version shall be.
GOALS = {"empty": 1.010, "remaps-1k": 1.015, "dense-1k": 1.015}
SEQUENTIAL_GOAL = 1.005


@dataclass(frozen=True)
class Case:
    """A device to measure; `bytes` confines the I/O to the beginning of it, and of dm-linear."""

    name: str
    device: str
    bytes: int | None = None
    # Remaps are made at this distance, in sectors; 0: there are none.
    remap_distance: int = 0
    only_4k: bool = False

    @property
    def span(self) -> str:
        """How bench-io is told `bytes`, behind the name of a device."""
        return f"@{self.bytes}" if self.bytes else ""

    @property
    def is_remap(self) -> bool:
        """Whether it is a dm-remap device, which needs a spare."""
        return self.name != "raw"


CASES = (
    Case("raw", "/dev/nullb0"),
    Case("empty", "/dev/mapper/empty"),
    Case(
        "remaps-1k",
        "/dev/mapper/remaps-1k",
        remap_distance=MAIN_SECTORS // REMAPS // 16 * 16,
        only_4k=True,
    ),
    Case(
        "dense-1k",
        "/dev/mapper/dense-1k",
        bytes=DENSE_BYTES,
        remap_distance=DENSE_BYTES // SECTOR // REMAPS // 16 * 16,
        only_4k=True,
    ),
)
LINEAR = "/dev/mapper/linear"


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
        depth = f"-qd{self.depth}" if self.engine == "uring" else ""
        return (
            f"{self.pattern[:4].replace('sequ', 'seq')}{self.direction}-{size}-{self.engine}{depth}"
        )

    @property
    def is_4k(self) -> bool:
        """Whether it is one of those that the limits are about."""
        return self.size == 4 * KIB

    def arguments(self, rounds: int) -> str:
        """What bench-io is told before the devices."""
        words = (self.engine, self.depth, self.direction, self.pattern, self.size, rounds)
        return " ".join(str(word) for word in (*words, self.count))


WORKLOADS = tuple(
    [
        Workload(engine, depth, direction, "random", 4 * KIB, 4000)
        for engine, depth in (("psync", 1), ("uring", 1), ("uring", 32))
        for direction in ("read", "write")
    ]
    + [
        Workload("psync", 1, direction, "sequential", size, count)
        for size, count in ((128 * KIB, 2000), (MIB, 500))
        for direction in ("read", "write")
    ]
)


def cases_of(workload: Workload) -> list[Case]:
    """The cases that a workload is measured on."""
    return [case for case in CASES if workload.is_4k or not case.only_4k]


def goal_of(case: str, is_4k: bool) -> float | None:
    """The ratio that a later version shall reach."""
    if not is_4k:
        return SEQUENTIAL_GOAL if case == "empty" else None
    return GOALS.get(case)
