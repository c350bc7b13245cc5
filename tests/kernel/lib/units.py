"""Units with data of their own: put on the spares, written, and compared."""

from collections.abc import Iterable

from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.setup import pattern


def remap_units(dm: RemapDevice, units: Iterable[int], seed: int = 0) -> None:
    """Move units of a sector to the spares, and write them there."""
    for unit in units:
        dm.message("remap", unit)
        dm.write(unit, pattern(1, unit + seed))


def write_units(dm: RemapDevice, units: Iterable[int], seed: int = 0) -> None:
    """Write units, where they are; another seed makes other data."""
    with DirectFile(dm) as file:
        for unit in units:
            file.pwrite(unit * SECTOR, pattern(1, unit + seed))


def check_units(dm: RemapDevice, units: Iterable[int], seed: int = 0) -> None:
    """They hold what was written to them with this seed."""
    with DirectFile(dm) as file:
        for unit in units:
            assert file.pread(unit * SECTOR, SECTOR) == pattern(1, unit + seed), unit
