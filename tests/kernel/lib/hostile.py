"""Sets on spares whose metadata somebody has tampered with, and what must become of them."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pyctl.errors import FormatError
from pyctl.format import (
    BLOCK_SIZE,
    DATA_START,
    LEAF_ENTRIES,
    REPLICAS,
    STATE_BLOCKS,
    Entry,
    EntryFlag,
    EntryKind,
    FormatCode,
    Leaf,
    MainGeometry,
    SpareState,
    State,
    Superblock,
    crc32c,
    format_set,
    open_exclusively,
    plan_set,
    slot_sector,
    state_sector,
)
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile, pread, pwrite

BLOCK_SECTORS = BLOCK_SIZE // SECTOR
INLINE_LEAVES = 127

# What a set holds, by unit of main.
Entries = dict[int, Entry]
# What makes another block of a block.
Change = Callable[[bytes], bytes]


@dataclass
class Spare:
    """A spare, what its metadata was before anybody tampered with it, and what it is now."""

    disk: NullBlk
    superblock: Superblock
    # By their first sectors: the metadata area and the overflow extents.
    whole: dict[int, bytes] = field(default_factory=dict)
    changed: dict[int, bytes] = field(default_factory=dict)
    readable: bool = True

    def block(self, sector: int) -> bytes:
        """A metadata block as it is now; zeros where there has never been one."""
        if sector in self.changed:
            return self.changed[sector]
        for start, data in self.whole.items():
            offset = (sector - start) * SECTOR
            if 0 <= offset < len(data):
                return data[offset : offset + BLOCK_SIZE]
        return bytes(BLOCK_SIZE)

    def remember(self) -> None:
        """Take what is on the disk for whole."""
        extent = (self.superblock.nr_leaves - INLINE_LEAVES) * BLOCK_SECTORS
        self.whole = {0: pread(self.disk, 0, DATA_START)}
        for start in self.superblock.overflow if extent else ():
            self.whole[start] = pread(self.disk, start, extent)

    def write_changes(self) -> None:
        """Bring the changes to the disk."""
        with DirectFile(self.disk) as file:
            for sector, block in self.changed.items():
                file.pwrite(sector * SECTOR, block)

    def is_whole(self) -> bool:
        """Whether all is on the disk as it was before anybody tampered with it."""
        return all(
            pread(self.disk, start, len(data) // SECTOR) == data
            for start, data in self.whole.items()
        )

    def restore(self, leaves: Iterable[int]) -> None:
        """Put back what was changed, what the kernel writes at any start, and some leaves."""
        sectors = [*map(slot_sector, range(REPLICAS)), *map(state_sector, range(STATE_BLOCKS))]
        sectors += [
            self.superblock.leaf_sector(number, replica)
            for number in leaves
            for replica in range(REPLICAS)
        ]
        sectors += self.changed
        self.changed = {}
        with DirectFile(self.disk) as file:
            for sector in set(sectors):
                file.pwrite(sector * SECTOR, self.block(sector))

    def restore_all(self) -> None:
        """Put back all metadata."""
        self.changed = {}
        for start, data in self.whole.items():
            pwrite(self.disk, start, data)


class HostileSet:
    """A main disk and spares that carry a set with entries of all kinds.

    Every unit of main and every unit in use on a spare contains where it is, so that data from
    anywhere else shows.
    """

    def __init__(
        self, main: NullBlk, disks: Sequence[NullBlk], unit: int = 512, max_remaps: int = 32004
    ) -> None:
        self.main = main
        self.unit = unit
        planned = plan_set(
            MainGeometry(main.sectors, main.queue("logical_block_size")),
            [disk.sectors for disk in disks],
            unit_bytes=unit,
            max_remaps=max_remaps,
        )
        self.spares = [Spare(disk, sb) for disk, sb in zip(disks, planned, strict=True)]
        self.first = planned[0]
        self.leaves = self._make_leaves()
        self._write()
        self.remember()

    def units(self) -> int:
        """How many units main has."""
        return self.main.size // self.unit

    def main_data(self, unit: int) -> bytes:
        """What a unit of main contains."""
        return b"%-16d" % unit * (self.unit // 16)

    def spare_data(self, spare: int, unit: int) -> bytes:
        """What a unit of a spare contains, counted from the spare's beginning."""
        return b"spare %d%-9d" % (spare, unit) * (self.unit // 16)

    def data_units(self, spare: int) -> Iterator[int]:
        """The units of a spare that may hold data, the lowest first."""
        superblock = self.spares[spare].superblock
        extent = (superblock.nr_leaves - INLINE_LEAVES) * BLOCK_SECTORS
        start = DATA_START + (extent if superblock.overflow[0] == DATA_START else 0)
        return iter(range(start * SECTOR // self.unit, self.spares[spare].disk.size // self.unit))

    def remember(self) -> None:
        """Take what is on the spares for whole."""
        for spare in self.spares:
            spare.remember()

    def restore(self, *, everything: bool) -> None:
        """Make the spares whole again, after a start that changed only what it had to or more."""
        leaves = self.changed_leaves()
        for spare in self.spares:
            if everything:
                spare.restore_all()
            else:
                spare.restore(leaves)

    def changed_leaves(self) -> set[int]:
        """The numbers of the leaves of which some copy was changed."""
        sectors = {sector for spare in self.spares for sector in spare.changed}
        return {number for sector in sectors for number in self._leaves_at(sector)}

    def _leaves_at(self, sector: int) -> Iterator[int]:
        for copy in range(REPLICAS):
            number = (sector - slot_sector(copy)) // BLOCK_SECTORS - 1
            if 0 <= number < INLINE_LEAVES:
                yield number
        for spare in self.spares:
            for start in spare.superblock.overflow:
                number = INLINE_LEAVES + (sector - start) // BLOCK_SECTORS
                if INLINE_LEAVES <= number < spare.superblock.nr_leaves:
                    yield number

    def change_superblocks(
        self,
        spare: Spare,
        change: Change,
        copies: Iterable[int] = range(REPLICAS),
        *,
        seal: bool = True,
    ) -> None:
        """Change copies of the superblock of a spare; `seal` puts the checksum right."""
        for copy in copies:
            block = change(spare.block(slot_sector(copy)))
            spare.changed[slot_sector(copy)] = sealed_superblock(block) if seal else block

    def change_leaf(
        self,
        number: int,
        change: Change,
        copies: Iterable[int] = range(REPLICAS),
        *,
        seal: bool = True,
    ) -> None:
        """Change copies of a leaf, on all spares: one spare's would be outvoted by the others."""
        for spare in self.spares:
            for copy in copies:
                sector = spare.superblock.leaf_sector(number, copy)
                block = change(spare.block(sector))
                uuid = self.first.set_uuid.bytes
                spare.changed[sector] = sealed(block, uuid) if seal else block

    def _make_leaves(self) -> dict[int, Leaf]:
        free = [self.data_units(number) for number in range(len(self.spares))]
        numbers = (0, 1, 7, self.first.nr_leaves - 1)
        leaves = {number: Leaf(number, seq=3, events=1) for number in numbers}
        for count in range(48):
            spare = count % len(free)
            unit, main = next(free[spare]), 64 + count * 5 // 3
            entry = Entry(EntryKind.REMAP, main, unit, spare)
            if count % 12 == 3:
                entry = Entry(EntryKind.LOST, main)
            elif count % 12 == 5:
                entry = Entry(EntryKind.BAD, 0, unit, spare)
            elif count % 12 == 7:
                entry = Entry(EntryKind.REMAP, main, unit, spare, EntryFlag.UNKNOWN)
            elif count % 12 == 9:
                entry = Entry(EntryKind.REMAP, main, unit, spare, EntryFlag.MANUAL)
            leaf = leaves[numbers[count % len(numbers)]]
            leaf.entries[count * 5] = entry
        return leaves

    def _write(self) -> None:
        pwrite(self.main, 0, b"".join(map(self.main_data, range(self.units()))))
        for number, spare in enumerate(self.spares):
            with open_exclusively(spare.disk.path, write=True) as opened:
                format_set([opened], [spare.superblock])
            for leaf in self.leaves.values():
                block = leaf.encode(self.first.set_uuid)
                for replica in range(REPLICAS):
                    sector = spare.superblock.leaf_sector(leaf.number, replica)
                    pwrite(spare.disk, sector, block)
            for leaf in self.leaves.values():
                for entry in leaf.entries.values():
                    if entry.kind == EntryKind.REMAP and entry.spare_idx == number:
                        data = self.spare_data(number, entry.spare_unit)
                        pwrite(spare.disk, entry.spare_unit * self.unit // SECTOR, data)


def sealed(block: bytes, set_uuid: bytes) -> bytes:
    """A leaf, generation or state block with the right checksum."""
    return block[:4] + _crc(set_uuid + block[8:]) + block[8:]


def sealed_superblock(block: bytes) -> bytes:
    """A superblock with the right checksum."""
    return block[:8] + _crc(block[12:]) + block[12:]


def _crc(data: bytes) -> bytes:
    return (crc32c(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def put(block: bytes, offset: int, size: int, value: int) -> bytes:
    """A block with a little-endian number in it, of which the lowest bytes count."""
    number = (value % (1 << 8 * size)).to_bytes(size, "little")
    return block[:offset] + number + block[offset + size :]


def get(block: bytes, offset: int, size: int) -> int:
    """A little-endian number in a block."""
    return int.from_bytes(block[offset : offset + size], "little")


class Oracle:
    """What the kernel must make of the spares as they are now, by pyctl.format's reading of them.

    `sectors` is the length of the first spare as the table gives it.
    """

    def __init__(self, hostile: HostileSet, sectors: int) -> None:
        self._set = hostile
        self._sectors = [spare.disk.sectors for spare in hostile.spares]
        self._sectors[0] = sectors

    def expect(self) -> Entries | None:
        """The entries that the set holds, or None when it must be refused."""
        found = [self._superblock(number) for number in range(len(self._set.spares))]
        known = [superblock for superblock in found if superblock]
        if len(known) < len(found) or len({superblock.set_uuid for superblock in known}) > 1:
            return None
        reference = max(known, key=lambda superblock: superblock.rank)
        if not self._fits(reference, known):
            return None
        entries = self._entries(reference, known)
        if entries is None or not self._main_is_the_same(reference, entries):
            return None
        return entries

    def _superblock(self, number: int) -> Superblock | None:
        best: Superblock | None = None
        for copy in range(REPLICAS):
            sector = slot_sector(copy)
            if sector + BLOCK_SECTORS > self._sectors[number]:
                continue
            if not self._set.spares[number].readable:
                continue
            block = self._set.spares[number].block(sector)
            _, superblock = Superblock.try_decode(block, copy, self._sectors[number])
            if superblock and (best is None or superblock.events > best.events):
                best = superblock
        return best

    # The same main, the same members in the same rows, all of them in sync.
    def _fits(self, reference: Superblock, known: Sequence[Superblock]) -> bool:
        main = self._set.main
        rows = reference.spares
        return (
            reference.main_sectors == main.sectors
            and reference.main_lbs == main.queue("logical_block_size")
            and reference.unit_bytes == self._set.unit
            and len(rows) == len(known) == len({superblock.spare_idx for superblock in known})
            and all(row.state == SpareState.IN_SYNC for row in rows)
            and all(self._is_member(reference, superblock) for superblock in known)
        )

    @staticmethod
    def _is_member(reference: Superblock, superblock: Superblock) -> bool:
        index = superblock.spare_idx
        if index >= len(reference.spares) or reference.spare_idx >= len(superblock.spares):
            return False
        row, own = reference.spares[index], superblock.spares[index]
        same = ("unit_shift", "main_sectors", "nr_leaves")
        return (
            row.uuid == superblock.spare_uuid
            and row.sectors == own.sectors
            and superblock.spares[reference.spare_idx].state == SpareState.IN_SYNC
            and all(getattr(superblock, name) == getattr(reference, name) for name in same)
        )

    def _entries(self, reference: Superblock, known: Sequence[Superblock]) -> Entries | None:
        entries: Entries = {}
        places: set[tuple[int, int]] = set()
        by_index = {superblock.spare_idx: superblock for superblock in known}
        for number in self._numbers(reference, known):
            leaf = self._leaf(reference, known, number)
            if leaf is None:
                return None
            for entry in leaf.entries.values():
                place = (entry.spare_idx, entry.spare_unit)
                if entry.kind != EntryKind.LOST and not _usable(by_index[place[0]], place[1]):
                    return None
                if entry.kind == EntryKind.BAD:
                    continue
                if entry.main_unit in entries:
                    return None
                entries[entry.main_unit] = entry
                if entry.kind == EntryKind.REMAP:
                    if place in places:
                        return None
                    places.add(place)
        return entries

    # The leaves that hold something, or may have changed: to look at all of them takes long.
    def _numbers(self, reference: Superblock, known: Sequence[Superblock]) -> Sequence[int]:
        for superblock, spare in zip(known, self._set.spares, strict=True):
            if (superblock.nr_leaves, superblock.overflow) != (
                spare.superblock.nr_leaves,
                spare.superblock.overflow,
            ):
                return range(reference.nr_leaves)
        return sorted({*self._set.leaves, *self._set.changed_leaves()})

    def _leaf(self, reference: Superblock, known: Sequence[Superblock], number: int) -> Leaf | None:
        best, newest = b"", 0
        for superblock, spare in zip(known, self._set.spares, strict=True):
            for replica in range(REPLICAS):
                block = spare.block(superblock.leaf_sector(number, replica))
                code, seq = Leaf.probe(block, reference.set_uuid, number)
                if code == FormatCode.OK and seq > newest:
                    best, newest = block, seq
        return _decoded(best, reference, number) if newest else None

    # A set that was stopped in order remembers some units of main.
    def _main_is_the_same(self, reference: Superblock, entries: Entries) -> bool:
        newest = State(0)
        for spare in self._set.spares:
            for place in range(STATE_BLOCKS):
                block = spare.block(state_sector(place))
                _, state = State.try_decode(block, reference.set_uuid, place)
                if state and state.seq > newest.seq:
                    newest = state
        return not newest.clean or all(
            sample.crc is None
            or sample.unit >= self._set.units()
            or sample.unit in entries
            or sample.crc == crc32c(self._set.main_data(sample.unit)) ^ 0xFFFFFFFF
            for sample in newest.samples
        )


# Most images have most blocks in common.
@lru_cache(maxsize=4096)
def _decoded(block: bytes, superblock: Superblock, number: int) -> Leaf | None:
    try:
        return Leaf.decode(block, superblock, number)
    except FormatError:
        return None


@lru_cache(maxsize=4096)
def _usable(superblock: Superblock, unit: int) -> bool:
    return superblock.usable(unit)


# Fields by their place in the block and their size; see docs/format.md.
SUPERBLOCK_FIELDS = {
    "version": (12, 4),
    "feature_compat": (16, 8),
    "feature_ro_compat": (24, 8),
    "feature_incompat": (32, 8),
    "events": (72, 8),
    "copy_idx": (80, 1),
    "spare_idx": (81, 1),
    "nr_spares": (82, 1),
    "unit_shift": (83, 1),
    "nr_leaves": (84, 4),
    "main_sectors": (88, 8),
    "main_lbs": (96, 4),
    "max_remaps": (100, 4),
    "overflow0": (120, 8),
    "overflow2": (136, 8),
    "overflow4": (152, 8),
    "generation": (160, 8),
    "policy": (168, 1),
    "redundancy": (169, 1),
    "move_state": (176, 1),
    "move_units": (184, 8),
    "move_sectors": (192, 8),
    "identity": (256, 8),
    "row0.uuid": (512, 8),
    "row0.sectors": (528, 8),
    "row0.events": (536, 8),
    "row0.state": (544, 4),
    "row0.tier": (548, 1),
    "row0.flags": (549, 1),
    "row1.uuid": (576, 8),
    "row1.sectors": (592, 8),
    "row1.state": (608, 4),
    "row7.state": (992, 4),
}
LEAF_FIELDS = {"seq": (8, 8), "events": (16, 8), "number": (24, 4), "used": (28, 4)}
_LEAF_HEADER = 64
_STATE_FIELDS = {
    "seq": (8, 8),
    "flags": (24, 4),
    "counters": (28, 4),
    "notes": (32, 4),
    "sample": (2048, 8),
    "usage": (2432, 8),
    "scan_flags": (3456, 4),
    "scan_pattern": (3460, 4),
    "scan_device": (3464, 4),
    "scan_place": (3472, 8),
    "scan_since": (3496, 8),
    "scan_ended": (3504, 8),
    "noted": (3568, 4),
    "noted_key": (3584, 8),
}

_Mutator = Callable[["Mutation"], None]


class Mutation:
    """One way to tamper with a set, chosen by a random generator; `story` says what was done."""

    def __init__(self, hostile: HostileSet, rng: random.Random) -> None:
        self._set = hostile
        self._rng = rng
        self._uuid = hostile.first.set_uuid.bytes
        self._spare = rng.choice(hostile.spares)
        # Mostly all copies are changed: otherwise the whole ones win.
        everything = rng.random() < 0.7
        self._copies = sorted(rng.sample(range(REPLICAS), 5 if everything else rng.randint(1, 4)))
        self._sealed = rng.random() < 0.85
        self.story = ""

    def apply(self) -> None:
        """Change something, once or twice."""
        mutators, weights = zip(*_MUTATORS, strict=True)
        for mutate in self._rng.choices(mutators, weights, k=self._rng.choice((1, 1, 1, 2))):
            mutate(self)
        self.story += f"; copies {self._copies}, {'sealed' if self._sealed else 'not sealed'}"

    def superblock_field(self) -> None:
        """A field of the superblock, at one of its bounds or anywhere."""
        name = self._rng.choice(list(SUPERBLOCK_FIELDS))
        offset, size = SUPERBLOCK_FIELDS[name]
        whole = get(self._spare.block(0), offset, size)
        value = self._number(whole)
        self._tell(f"superblock {name} {whole} -> {value:#x}")
        self._each_superblock(lambda block: put(block, offset, size, value))

    def superblock_bytes(self) -> None:
        """Some bytes of the superblock."""
        places = [self._rng.randrange(8, 1024) for _ in range(self._rng.randint(1, 8))]
        self._tell(f"superblock bytes at {places}")
        values = [self._rng.randrange(256) for _ in places]
        self._each_superblock(lambda block: _scatter(block, places, values))

    def leaf_field(self) -> None:
        """A field in the head of a leaf."""
        number, name = self._leaf_number(), self._rng.choice(list(LEAF_FIELDS))
        offset, size = LEAF_FIELDS[name]
        value = self._number(get(self._leaf_block(number), offset, size))
        self._tell(f"leaf {number} {name} -> {value:#x}")
        self._each_leaf(number, lambda block: put(block, offset, size, value))

    def entry(self) -> None:
        """A field of an entry."""
        number, slot = self._place()
        word, shift, bits = self._rng.choice(
            ((0, 0, 48), (0, 48, 8), (0, 56, 8), (8, 0, 40), (8, 40, 4), (8, 44, 20))
        )
        at = entry_word(slot, word)
        old = get(self._leaf_block(number), at, 8)
        mask = (1 << bits) - 1
        value = self._number(old >> shift & mask) & mask
        changed = old & ~(mask << shift) | value << shift
        self._tell(f"leaf {number} slot {slot} word {word}: {old:#x} -> {changed:#x}")
        self._each_leaf(number, lambda block: _counted(put(block, at, 8, changed)))

    def twin(self) -> None:
        """An entry whose main unit, or whose place on the spare, another one has, too."""
        (one, from_slot), (other, to_slot) = self._place(used=True), self._place()
        word = self._rng.choice((0, 8))
        source = self._leaf_block(one)
        value = get(source, entry_word(from_slot, word), 8)
        other_value = get(source, entry_word(from_slot, 8 - word), 8)
        at = entry_word(to_slot, 0)
        self._tell(f"leaf {other} slot {to_slot} has word {word} of leaf {one} slot {from_slot}")

        def change(block: bytes) -> bytes:
            if not get(block, at, 8):
                block = put(block, at + 8 - word, 8, other_value + self._set.units() // 2)
            return _counted(put(block, at + word, 8, value))

        self._each_leaf(other, change)

    def leaf_bytes(self) -> None:
        """Some bytes of a leaf."""
        number = self._leaf_number()
        places = [self._rng.randrange(4, BLOCK_SIZE) for _ in range(self._rng.randint(1, 40))]
        values = [self._rng.randrange(256) for _ in places]
        self._tell(f"leaf {number}: {len(places)} bytes")
        self._each_leaf(number, lambda block: _scatter(block, places, values))

    def swap(self) -> None:
        """Two blocks in each other's places, as they are."""
        sectors = self._sectors_of(self._leaf_number())
        others = self._rng.choice((self._sectors_of(self._leaf_number()), self._superblocks()))
        self._tell(f"blocks at {sectors} and {others} swapped")
        pairs = [
            (one, self._spare.block(one), other, self._spare.block(other))
            for one, other in zip(sectors, others, strict=True)
        ]
        for one, first, other, second in pairs:
            self._spare.changed[one], self._spare.changed[other] = second, first

    def shuffled_copies(self) -> None:
        """The superblocks of the copies, each in another's place."""
        sectors = self._superblocks()
        blocks = [self._spare.block(sector) for sector in sectors]
        self._tell("superblocks in each other's places")
        for sector, block in zip(sectors, blocks[1:] + blocks[:1], strict=True):
            self._spare.changed[sector] = block

    def rubbish(self) -> None:
        """Zeros, or anything, in the place of a block."""
        sectors = self._rng.choice((self._superblocks(), self._sectors_of(self._leaf_number())))
        block = self._rng.choice((bytes(BLOCK_SIZE), self._rng.randbytes(BLOCK_SIZE)))
        self._tell(f"{'rubbish' if any(block) else 'zeros'} at {sectors}")
        for copy in self._copies:
            self._spare.changed[sectors[copy]] = block

    def state(self) -> None:
        """A field of the state, or the state of a set that is not ours."""
        place = self._rng.randrange(STATE_BLOCKS)
        name = self._rng.choice(list(_STATE_FIELDS))
        offset, size = _STATE_FIELDS[name]
        block = self._spare.block(state_sector(place))
        value = self._number(get(block, offset, size))
        self._tell(f"state {place} {name} -> {value:#x}")
        block = put(block, offset, size, value)
        uuid = self._uuid if self._sealed else bytes(16)
        self._spare.changed[state_sector(place)] = sealed(block, uuid)

    def _number(self, whole: int) -> int:
        spare, main = self._spare.disk, self._set.main
        near = self._rng.choice((-1, 0, 1))
        bounds = (0, whole, DATA_START, spare.sectors, main.sectors, self._set.units())
        powers = (1 << self._rng.randrange(64), (1 << 64) - 1, 1 << 40, 1 << 48)
        return self._rng.choice(
            (
                self._rng.choice(bounds) + near,
                whole + self._rng.choice((-8, -1, 1, 2, 8)),
                self._rng.choice(powers) + near,
                self._rng.randrange(10),
                self._rng.getrandbits(64),
            )
        )

    def _leaf_number(self) -> int:
        return self._rng.choice((*self._set.leaves, self._rng.randrange(self._set.first.nr_leaves)))

    def _place(self, *, used: bool = False) -> tuple[int, int]:
        number = self._rng.choice(list(self._set.leaves))
        slots = list(self._set.leaves[number].entries)
        if not used and self._rng.random() < 0.4:
            return number, self._rng.randrange(LEAF_ENTRIES)
        return number, self._rng.choice(slots)

    def _sectors_of(self, number: int) -> list[int]:
        return [self._spare.superblock.leaf_sector(number, copy) for copy in range(REPLICAS)]

    @staticmethod
    def _superblocks() -> list[int]:
        return [slot_sector(copy) for copy in range(REPLICAS)]

    def _leaf_block(self, number: int) -> bytes:
        return self._spare.block(self._sectors_of(number)[0])

    def _each_superblock(self, change: Change) -> None:
        self._set.change_superblocks(self._spare, change, self._copies, seal=self._sealed)

    def _each_leaf(self, number: int, change: Change) -> None:
        self._set.change_leaf(number, change, self._copies, seal=self._sealed)

    def _tell(self, what: str) -> None:
        self.story += f"{'; ' if self.story else ''}{what}"


_MUTATORS: tuple[tuple[_Mutator, int], ...] = (
    (Mutation.superblock_field, 8),
    (Mutation.superblock_bytes, 1),
    (Mutation.leaf_field, 4),
    (Mutation.entry, 8),
    (Mutation.twin, 3),
    (Mutation.leaf_bytes, 1),
    (Mutation.swap, 1),
    (Mutation.shuffled_copies, 1),
    (Mutation.rubbish, 2),
    (Mutation.state, 2),
)


def entry_word(slot: int, word: int) -> int:
    """Where the first (0) or second (8) word of an entry is in its leaf."""
    return _LEAF_HEADER + slot * 16 + word


def _scatter(block: bytes, places: Sequence[int], values: Sequence[int]) -> bytes:
    changed = bytearray(block)
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return bytes(changed)


# The leaf with the number of used entries that it has now.
def _counted(block: bytes) -> bytes:
    kinds = [block[_LEAF_HEADER + 16 * slot + 6] for slot in range(LEAF_ENTRIES)]
    return put(block, *LEAF_FIELDS["used"], sum(kind != EntryKind.FREE for kind in kinds))
