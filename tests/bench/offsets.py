"""Lists of offsets for bench-io, so that I/O meets remapped blocks, or none of them."""

import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyctl.format import Entry

# A power of two, so that a list fills whole sectors; more than a workload has I/Os.
COUNT = 1 << 16

SEED = 2


@dataclass(frozen=True)
class Lists:
    """Files with 64-bit offsets in bytes.

    `untouched` are of units that aren't remapped, `remapped` of units that are, and `places` of
    where they are on the spare, in the same order.
    """

    untouched: Path
    remapped: Path
    places: Path


def make(entries: Sequence[Entry], main_units: int, unit_bytes: int, folder: Path) -> Lists:
    """Make the lists for a table with these remaps, at random places of a main device."""
    chosen = random.Random(SEED)
    taken = {entry.main_unit for entry in entries}
    # A unit that is drawn twice does no harm, and COUNT more than make up for those taken.
    drawn = (chosen.randrange(main_units) for _ in range(2 * COUNT))
    untouched = [unit for unit in drawn if unit not in taken][:COUNT]
    if len(untouched) < COUNT:
        raise ValueError("Half of the main device is remapped.")
    remaps = chosen.choices(entries, k=COUNT)
    lists = Lists(*(folder / name for name in ("untouched", "remapped", "places")))
    _write(lists.untouched, untouched, unit_bytes)
    _write(lists.remapped, (entry.main_unit for entry in remaps), unit_bytes)
    _write(lists.places, (entry.spare_unit for entry in remaps), unit_bytes)
    return lists


def _write(path: Path, units: Iterable[int], unit_bytes: int) -> None:
    path.write_bytes(array("Q", [unit * unit_bytes for unit in units]).tobytes())
