"""What is tried: kinds of sets, and how the work of a run is divided."""

from dataclasses import dataclass

MAIN_UNITS_PER_USED = 2
MAX_SPARES = 2

DEFAULT_CUTS = 4000

GENERATIONS = 2
"""How often a set is cut and started again."""
MARKS_SHARE = 0.6
PEAKS_SHARE = 0.2
"""Shares of the cuts at FUA and flush marks, and where most is in flight; if there are enough."""
MIN_CUTS, MAX_CUTS = 50, 2000
"""Cuts of a generation, besides those that are booted."""
KERNEL_CUTS = 3
PATIENCE = 40
"""Cuts of a generation that are booted, besides the one that really happened; and how many cuts
are waited for one whose copies of the table differ."""

CONTROL_CUTS = 1200
CONTROL_RUNS = 5
"""Attempts of a negative control to find its mistake."""

SPARE_SECTORS = 32768


@dataclass(frozen=True)
class Variant:
    """A kind of set, and what happens to it while the load runs.

    `bad` and `growing` are shares of main's units that are bad at the start of a run, and that go
    bad in each generation. `weak` is the share that is read only at every third attempt; what is
    read at last goes to a spare. `spare_dies`: the last spare stops taking writes during the load.
    `redundancy` is the number of spares that every remap is on.
    """

    name: str
    unit_bytes: int
    spares: int
    units: int = 384
    depth: int = 16
    bad: float = 0.10
    growing: float = 0.05
    weak: float = 0
    bad_spare_units: int = 3
    spare_dies: bool = False
    redundancy: int = 1

    @property
    def retries(self) -> int:
        """How often the module tries again: enough for a weak unit, even if others read it, too."""
        return 4 if self.weak else 0

    @property
    def unit_sectors(self) -> int:
        """Sectors of a unit."""
        return self.unit_bytes // 512


VARIANTS = (
    Variant("4k-two-spares", 4096, 2),
    Variant("512-one-spare", 512, 1),
    Variant("4k-weak-reads", 4096, 1, weak=0.3),
    Variant("512-two-spares", 512, 2),
    Variant("4k-spare-dies", 4096, 2, spare_dies=True),
    Variant("4k-mirrored", 4096, 2, redundancy=2),
    Variant("512-mirrored-spare-dies", 512, 2, redundancy=2, spare_dies=True),
)


def cuts_per_generation(cuts: int) -> int:
    """How many cuts a generation gets when so many are wanted in all."""
    return min(max(-(-cuts // (len(VARIANTS) * GENERATIONS)), MIN_CUTS), MAX_CUTS)
