"""Load a set from what is left on its disks, by the rules of the kernel's loader.

Blocks are decoded and checked by the module's own code (pyctl.format). What this file adds are the
rules of dm-remap-load.c: which spare is believed, which copy of a leaf, what is refused.
"""

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from pyctl.errors import FormatError
from pyctl.format import (
    BLOCK_SIZE,
    REPLICAS,
    SECTOR_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    FormatCode,
    Leaf,
    SpareState,
    Superblock,
    explain,
    slot_sector,
)
from tests.crash.media import Survivors

_BLOCK_SECTORS = BLOCK_SIZE // SECTOR_SIZE


class RefusedError(Exception):
    """The kernel would not start this set. The message says why."""


@dataclass
class Table:
    """The table of a set: what it says of each main unit, and which spares it believes."""

    superblock: Superblock
    present: frozenset[int]
    entries: dict[int, Entry] = field(default_factory=dict)
    seconds: dict[int, Entry] = field(default_factory=dict)
    """Second copies, also those that a crash has left over."""
    bad: set[tuple[int, int]] = field(default_factory=set)
    differing: int = 0
    """Leaves whose copies are not all the same."""

    @property
    def remapped(self) -> set[int]:
        """The main units that are on a spare."""
        return {unit for unit, entry in self.entries.items() if entry.kind == EntryKind.REMAP}

    def units_on(self, spares: Container[int]) -> set[int]:
        """The main units that are on one of these spares, and nowhere else."""
        found = {unit for unit in self.remapped if self.entries[unit].spare_idx in spares}
        return {unit for unit in found if (other := self.second(unit)) is None or other in spares}

    def second(self, unit: int) -> int | None:
        """The spare that has the second copy of a unit; None when there is none that counts."""
        first, second = self.entries.get(unit), self.seconds.get(unit)
        if first is None or second is None or first.kind != EntryKind.REMAP:
            return None
        if first.flags & EntryFlag.UNKNOWN or first.spare_idx == second.spare_idx:
            return None
        return second.spare_idx


class Loader:
    """Loads sets whose spares are the disks 1, 2, ... of `sectors` sectors each.

    The same blocks are seen at cut after cut, and a run has few different ones: what they are is
    remembered. The geometry of a set never changes.
    """

    def __init__(self, sectors: Sequence[int]) -> None:
        self._sectors = sectors
        self._superblocks: dict[tuple[int, int, bytes], tuple[FormatCode, Superblock | None]] = {}
        self._probes: dict[tuple[int, bytes], tuple[FormatCode, int]] = {}
        self._leaves: dict[tuple[int, bytes], Leaf] = {}
        self._places: dict[int, list[list[int]]] = {}

    def load(self, disks: Survivors) -> Table:
        """The table as a kernel would have it. Raises RefusedError."""
        found = {index: self._superblock(disks, index) for index in range(len(self._sectors))}
        reference = max(found.values(), key=lambda superblock: superblock.rank)
        for superblock in found.values():
            if superblock.set_uuid != reference.set_uuid:
                raise RefusedError("the spares belong to different sets")
            if superblock.spares[reference.spare_idx].state != SpareState.IN_SYNC:
                raise RefusedError("the spares were each started without the other")
        present = [index for index in found if reference.spares[index].state == SpareState.IN_SYNC]
        if not present:
            raise RefusedError("no current spare is there")
        table = Table(reference, frozenset(present))
        used: dict[tuple[int, int], Entry] = {}
        for number in range(reference.nr_leaves):
            leaf = self._newest(disks, table, found, number)
            for entry in leaf.entries.values():
                _take(table, entry, found, used)
        return table

    def _superblock(self, disks: Survivors, index: int) -> Superblock:
        best: Superblock | None = None
        reasons = []
        for copy in range(REPLICAS):
            block = disks.read(index + 1, slot_sector(copy), _BLOCK_SECTORS)
            key = (index, copy, block)
            if key not in self._superblocks:
                self._superblocks[key] = Superblock.try_decode(block, copy, self._sectors[index])
            code, superblock = self._superblocks[key]
            reasons.append(explain(code))
            if superblock and (best is None or superblock.events > best.events):
                best = superblock
        if best is None:
            raise RefusedError(f"spare {index} has no valid superblock: {'; '.join(reasons)}")
        if best.spare_idx != index:
            raise RefusedError(f"spare {index} says that it is spare {best.spare_idx}")
        return best

    def _newest(
        self, disks: Survivors, table: Table, spares: Mapping[int, Superblock], number: int
    ) -> Leaf:
        best: bytes | None = None
        best_seq, found = 0, set()
        for index in sorted(table.present):
            for sector in self._leaf_sectors(spares[index], number):
                block = disks.read(index + 1, sector, _BLOCK_SECTORS)
                code, seq = self._probe(block, table.superblock.set_uuid, number)
                found.add(seq)
                if code != FormatCode.OK:
                    continue
                if seq == best_seq and block != best:
                    raise RefusedError(f"leaf {number} has two versions with sequence number {seq}")
                if seq > best_seq:
                    best, best_seq = block, seq
        table.differing += len(found) > 1
        if best is None:
            raise RefusedError(f"leaf {number} has no valid copy on any spare")
        try:
            key = (number, best)
            if key not in self._leaves:
                self._leaves[key] = Leaf.decode(best, table.superblock, number)
            return self._leaves[key]
        except FormatError as error:
            raise RefusedError(str(error)) from error

    def _probe(self, block: bytes, set_uuid: uuid.UUID, number: int) -> tuple[FormatCode, int]:
        key = (number, block)
        if key not in self._probes:
            self._probes[key] = Leaf.probe(block, set_uuid, number)
        return self._probes[key]

    def _leaf_sectors(self, spare: Superblock, number: int) -> list[int]:
        if spare.spare_idx not in self._places:
            self._places[spare.spare_idx] = [
                [spare.leaf_sector(leaf, replica) for replica in range(REPLICAS)]
                for leaf in range(spare.nr_leaves)
            ]
        return self._places[spare.spare_idx][number]


def _take(
    table: Table,
    entry: Entry,
    spares: Mapping[int, Superblock],
    used: dict[tuple[int, int], Entry],
) -> None:
    """One entry into the table, or a refusal."""
    place = (entry.spare_idx, entry.spare_unit)
    if entry.kind == EntryKind.BAD:
        table.bad.add(place)
        return
    second = entry.kind == EntryKind.MIRROR
    entries = table.seconds if second else table.entries
    if entry.main_unit in entries:
        raise RefusedError(f"unit {entry.main_unit} is mapped twice")
    entries[entry.main_unit] = entry
    if entry.kind != EntryKind.LOST:
        other = used.setdefault(place, entry)
        # a second copy that has become the first one
        half_done = other.main_unit == entry.main_unit and other.kind != entry.kind
        if other is not entry and not half_done:
            raise RefusedError(f"unit {entry.spare_unit} of spare {entry.spare_idx} is used twice")
        spare = spares[entry.spare_idx]
        if entry.spare_idx in table.present and not spare.usable(entry.spare_unit):
            raise RefusedError(f"unit {entry.main_unit} is mapped into metadata")
