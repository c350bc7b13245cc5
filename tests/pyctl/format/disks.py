"""Spares in memory that remember every write, and the kernel's way of loading a set from them."""

import functools
import itertools
import random
from dataclasses import replace

from pyctl.errors import FormatError, MediaError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryKind,
    FormatCode,
    Generation,
    Leaf,
    MainGeometry,
    Opened,
    Reason,
    Sample,
    SpareState,
    State,
    Superblock,
    format_set,
    gen_sector,
    plan_set,
    slot_sector,
    state_sector,
)

MAIN = MainGeometry(204800, 512, "wwid=x")
SECTORS = 12800
# A torn block: its first sector is new. A superblock has most of its rows behind that.
TORN = 512


class Disk(Opened):
    """A spare in memory. `log` gets (disk, sector, data), and (disk, None, None) for a flush."""

    def __init__(self, path, sectors=SECTORS, log=None):
        super().__init__(path, -1, sectors)
        object.__setattr__(self, "data", bytearray(sectors * 512))
        object.__setattr__(self, "log", [] if log is None else log)
        object.__setattr__(self, "broken", set())

    def read(self, sector, length):
        for bad in self.broken:
            if sector <= bad < sector + length // 512:
                raise MediaError(f"Cannot read sector {bad} of {self.path}.")
        return bytes(self.data[sector * 512 : sector * 512 + length])

    def write(self, sector, data):
        if any(sector <= bad < sector + len(data) // 512 for bad in self.broken):
            raise MediaError(f"Cannot write sector {sector} of {self.path}.")
        self.log.append((self, sector, bytes(data)))
        self.data[sector * 512 : sector * 512 + len(data)] = data

    def sync(self):
        self.log.append((self, None, None))

    def poke(self, sector, data):
        """Change the medium behind everybody's back."""
        self.data[sector * 512 : sector * 512 + len(data)] = data

    def block(self, sector):
        return self.read(sector, BLOCK_SIZE)


def make(number=2, entries=(), samples=(), **options):
    """A set of disks with a table, a history of one generation, and a state on each."""
    log = []
    disks = [Disk(f"/dev/s{i}", log=log) for i in range(number)]
    superblocks = plan_set(MAIN, [SECTORS] * number, now=1000, **options)
    format_set(disks, superblocks)
    for place, entry in entries:
        put(disks, superblocks[0], place, entry)
    state = State(7, 1100, counters={"committed": len(entries)}, samples=tuple(samples))
    for disk in disks:
        disk.poke(state_sector(7), state.encode(superblocks[0].set_uuid))
    log.clear()
    return disks, superblocks


def put(disks, superblock, place, entry, replicas=range(5)):
    """A committed change: the entry in its place of the table, on some spares."""
    number, slot = divmod(place, 252)
    newest = max(newest_leaf(disk, superblock, number).seq for disk in disks)
    for disk in disks:
        own = best_superblock(disk)
        leaf = newest_leaf(disk, superblock, number)
        leaf.seq, leaf.events = newest + 1, own.events
        if entry.kind == EntryKind.FREE:
            leaf.entries.pop(slot, None)
        else:
            leaf.entries[slot] = entry
        for replica in replicas:
            disk.poke(own.leaf_sector(number, replica), leaf.encode(superblock.set_uuid))


def newest_leaf(disk, superblock, number):
    own = best_superblock(disk)
    blocks = [disk.block(own.leaf_sector(number, k)) for k in range(5)]
    good = [b for b in blocks if Leaf.probe(b, superblock.set_uuid, number)[0] == FormatCode.OK]
    best = max(good, key=lambda b: Leaf.probe(b, superblock.set_uuid, number)[1])
    return Leaf.decode(best, superblock, number)


def best_superblock(disk):
    found = [
        Superblock.try_decode(disk.block(slot_sector(copy)), copy, disk.sectors)[1]
        for copy in range(5)
    ]
    return max(filter(None, found), key=lambda sb: sb.events, default=None)


def write_members(disks, superblock, reason, spare_idx=0):
    """What the kernel does when membership changes: one more event and generation."""
    new = replace(superblock, events=superblock.events + 1, generation=superblock.generation + 1)
    for disk in disks:
        own = best_superblock(disk)
        mine = replace(
            new, spare_idx=own.spare_idx, spare_uuid=own.spare_uuid, overflow=own.overflow
        )
        for copy in range(5):
            disk.poke(slot_sector(copy), mine.encode(copy))
        for copy in range(2):
            record = Generation.of(new, reason, spare_idx=spare_idx).encode(new.set_uuid)
            disk.poke(gen_sector(new.generation, copy), record)
    return new


def without(disks, superblock, index, state=SpareState.MISSING):
    """The set goes on without one of its spares; returns the new superblock."""
    rows = list(superblock.spares)
    rows[index] = replace(rows[index], state=state)
    reason = Reason.SPARE_MISSING if state == SpareState.MISSING else Reason.SPARE_FAILED
    others = [disk for i, disk in enumerate(disks) if i != index]
    return write_members(others, replace(superblock, spares=tuple(rows)), reason, index)


def images(disks):
    return {disk: bytes(disk.data) for disk in disks}


def put_back(disks, saved):
    for disk in disks:
        disk.data[:] = saved[disk]


def crashes(disks, before, log, seed=0):
    """Replay a log: the disks as they are after each write, whole and torn, and with some of the
    writes since each disk's last flush lost, or all of them torn. Ends with everything written."""
    chance = random.Random(seed)
    put_back(disks, before)
    durable, pending = images(disks), []
    for count, (disk, sector, data) in enumerate(log):
        if sector is None:
            durable[disk] = bytes(disk.data)
            pending = [write for write in pending if write[0] is not disk]
            continue
        old = disk.block(sector)
        disk.poke(sector, data[:TORN])
        yield count, "torn"
        disk.poke(sector, data)
        pending.append((disk, sector, data))
        yield count, "written"
        if log[count + 1][1] is None:
            # the worst moment: all that this flush waits for is torn
            now = images(disks)
            put_back(disks, durable)
            for torn_disk, torn_sector, torn_data in pending:
                torn_disk.poke(torn_sector, torn_data[:TORN])
            yield count, "all torn"
            put_back(disks, now)
        if count % 7 == 0:
            now = images(disks)
            put_back(disks, durable)
            for lost_disk, lost_sector, lost_data in chance.sample(pending, len(pending) // 2):
                lost_disk.poke(lost_sector, lost_data)
            yield count, "some lost"
            put_back(disks, now)
        assert len(old) == BLOCK_SIZE


def load(disks):
    """What the kernel's dmr_load() makes of the devices: (states, table), or why it refuses.

    Written after kernel/dm-remap-load.c, not after pyctl. A missing spare that should be there
    is a refusal, too.
    """
    found = [best_superblock(disk) for disk in disks]
    if None in found:
        return "no superblock"
    if len({sb.set_uuid for sb in found}) > 1:
        return "different sets"
    reference = found[0]
    for sb in found:
        if sb.events > reference.events:
            reference = sb
    for sb in found:
        rows = sb.spares
        if reference.spare_idx >= len(rows) or rows[reference.spare_idx].state != (
            SpareState.IN_SYNC
        ):
            return "split"
    present, rows = {}, reference.spares
    for disk, sb in zip(disks, found, strict=True):
        if sb.spare_idx >= len(rows) or rows[sb.spare_idx].uuid != sb.spare_uuid:
            return "no member"
        if rows[sb.spare_idx].state == SpareState.IN_SYNC:
            present[sb.spare_idx] = (disk, sb)
    given = {sb.spare_idx for sb in found}
    for index, row in enumerate(rows):
        if row.state == SpareState.IN_SYNC and index not in given:
            return "missing"
    if not present:
        return "none present"
    return _states(rows), _table(reference, present)


def table_alone(disk):
    """The table as one disk has it: what counts when all others die."""
    own = best_superblock(disk)
    return _table(own, {own.spare_idx: (disk, own)})


def load_any_order(disks):
    """load() in every order of the devices; all must agree, unless one refuses."""
    results = [load(order) for order in itertools.permutations(disks)]
    refused = [result for result in results if isinstance(result, str)]
    assert refused or all(result == results[0] for result in results)
    return refused[0] if refused else results[0]


def _states(rows):
    return tuple(row.state for row in rows)


def _table(reference, present):
    table = {}
    for number in range(reference.nr_leaves):
        best, top = None, 0
        for disk, sb in present.values():
            for replica in range(5):
                block = disk.block(sb.leaf_sector(number, replica))
                code, seq = _probed(block, reference.set_uuid, number)
                if code == FormatCode.OK and seq > top:
                    best, top = block, seq
        if best is None:
            return "lost leaf"
        try:
            entries = _entries(best, reference, number)
        except FormatError as error:
            return str(error)
        table.update({(number, slot): entry for slot, entry in entries.items()})
    return table


@functools.lru_cache(maxsize=4096)
def _probed(block, set_uuid, number):
    return Leaf.probe(block, set_uuid, number)


@functools.lru_cache(maxsize=4096)
def _decoded(block, set_uuid, number, superblock):
    return Leaf.decode(block, superblock, number).entries


# What an entry may be does not depend on what a set counts.
def _entries(block, superblock, number):
    same = replace(superblock, events=1, generation=1, updated=1, copy_idx=0)
    return _decoded(block, superblock.set_uuid, number, same)


def remap(unit, spare_unit, spare=0):
    return Entry(EntryKind.REMAP, unit, spare_unit, spare)


def sample(unit, crc=None):
    return Sample(unit, crc)
