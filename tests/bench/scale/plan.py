"""What is measured: the geometries, the sizes of the table, the failing units, the limits."""

from dataclasses import dataclass

from tests.bench.plan import GIB, KIB, MIB, SECTOR

__all__ = ["GIB", "KIB", "MIB", "SECTOR"]

TIB = 1 << 40

THOUSAND, MILLION = 1_000, 1_000_000
# Room for a million entries and those that the measurement adds.
MAX_REMAPS = 1_010_000
SIZES = (0, THOUSAND, 10_000, 100_000, MILLION)
# The entries of a table are the first of a fixed random order of all units but those that fail.
SEED = 1


@dataclass(frozen=True)
class Geometry:
    """A main device and a spare; sizes in bytes."""

    name: str
    main_bytes: int
    spare_bytes: int
    unit_bytes: int
    # How many entries the tables have that are measured.
    sizes: tuple[int, ...]
    # Whether writes fail, too, or tables are only loaded.
    writes: bool
    # Bytes of memory for a remap, all included.
    memory_limit: float

    @property
    def main_units(self) -> int:
        """Units of the main device."""
        return self.main_bytes // self.unit_bytes


# A million units of 4 KiB are 3.8 GiB of data.
LARGE = Geometry("8tib-4k", 8 * TIB, 6 * GIB, 4 * KIB, SIZES, writes=True, memory_limit=20)
# The hardest for the index: its regions are of 16 MiB here, and two entries are in each.
SPARSE = Geometry("8tib-512", 8 * TIB, 2 * GIB, SECTOR, (0, MILLION), writes=False, memory_limit=32)
GEOMETRIES = (LARGE, SPARSE)


@dataclass(frozen=True)
class Failures:
    """Units that fail when they are written; `distance` and `first` are in units."""

    first: int
    distance: int
    count: int

    def units(self) -> range:
        """Their numbers."""
        return range(self.first, self.first + self.count * self.distance, self.distance)


BATCH = 64
# Far apart: each in a region of its own.
_APART = 1 << 24
SINGLE = Failures(first=_APART + 1, distance=_APART, count=32)
TOGETHER = Failures(first=33 * _APART + 1, distance=_APART // 2, count=BATCH)
# One bad stretch of the medium: neighbours.
STRETCH = Failures(first=100 * _APART + 1, distance=1, count=BATCH)
WHOLE = Failures(first=101 * _APART + 1, distance=1, count=BATCH)
FAILURES = (SINGLE, TOGETHER, STRETCH, WHOLE)

# The run fails beyond these. Instructions of loading a million entries; an emulated processor of
# today does half a billion or more in a second, and the goal is three seconds.
LOAD_LIMIT = 1.5e9
# Bytes of the metadata that are read, by those of all replicas: one pass.
PASSES_LIMIT = 1.01
# Instructions of a write error with a million entries, by those with a thousand.
FLATNESS_LIMIT = 1.10
# Metadata writes of a batch that waits together, by those of one.
GROUP_LIMIT = 3.0
