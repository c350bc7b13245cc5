"""Samples of a main device: is its content what the set remembers?

The kernel module takes them when it stops a set. A set that was stopped in order (`clean`) finds
main as it was; after a crash, units that were in use may differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pyctl.errors import MediaError
from pyctl.format import Entry, EntryKind, Opened, Sample, State, Superblock, crc32c

__all__ = ["Compared", "compare", "raw_crc"]


@dataclass(frozen=True)
class Compared:
    """How many samples could be compared, and what came out.

    `telling` are those that were not all zeros then and now, `differ` those that differ.
    """

    compared: int
    telling: int
    differ: int
    clean: bool
    time: int


def raw_crc(data: bytes) -> int:
    """CRC-32C as a state block keeps it: without the final inversion."""
    return crc32c(data) ^ 0xFFFFFFFF


def compare(
    main: Opened, superblock: Superblock, state: State, entries: Iterable[Entry]
) -> Compared:
    """Read the sampled units of main that are not remapped now. Unreadable ones are left out."""
    elsewhere = {entry.main_unit for entry in entries if entry.kind != EntryKind.BAD}
    blank = raw_crc(bytes(superblock.unit_bytes))
    pairs = [
        (sample.crc, found)
        for sample in {sample.unit: sample for sample in state.samples}.values()
        if sample.crc is not None and sample.unit not in elsewhere
        for found in _read(main, superblock, sample)
    ]
    return Compared(
        compared=len(pairs),
        telling=sum(pair != (blank, blank) for pair in pairs),
        differ=sum(then != now for then, now in pairs),
        clean=state.clean,
        time=state.time,
    )


# One CRC, or none where main cannot be read or has no such unit.
def _read(main: Opened, superblock: Superblock, sample: Sample) -> list[int]:
    sector = sample.unit << superblock.unit_shift
    if sector + (1 << superblock.unit_shift) > main.sectors:
        return []
    try:
        return [raw_crc(main.read(sector, superblock.unit_bytes))]
    except MediaError:
        return []
