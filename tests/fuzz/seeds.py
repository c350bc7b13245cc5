"""Inputs to start from: whole and sane blocks of many shapes. input.h says what an input is."""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import replace

from pyctl.format import (
    COUNTERS,
    Entry,
    EntryFlag,
    EntryKind,
    Generation,
    Leaf,
    MainGeometry,
    Noted,
    Reason,
    Sample,
    Scanned,
    SpareDesc,
    SpareState,
    State,
    Superblock,
    plan_set,
)

SUPERBLOCK, LEAF, GENERATION, STATE, REGION, BITMAP, HEALTH, ORDER, MARKS = range(9)
FIX = 128
HEADER = 32

# format.c has the same.
SET_UUID = uuid.UUID(bytes=b"dm-remap fuzzer\0")
_DATA_START, _MIN_SPARE, _MAIN = 10240, 12288, 1 << 20


def all_seeds() -> Iterator[bytes]:
    """Every seed; the same ones each time."""
    yield from _superblocks()
    yield from _hostile_superblocks()
    yield from _leaves()
    yield from _hostile_leaves()
    yield from _records()
    yield from _memory()


def _seed(kind: int, parameters: bytes, body: bytes) -> bytes:
    # What is missing at the end counts as zeros.
    return bytes([kind]) + parameters.ljust(HEADER - 1, b"\0") + body.rstrip(b"\0")


def _sets() -> Iterator[tuple[int, Superblock]]:
    shapes: list[tuple[list[int], int, int]] = [
        ([_MIN_SPARE], 512, 1),
        ([16384], 512, 32004),
        ([1 << 22], 512, 100_000),
        ([1 << 22, 1 << 21], 4096, 1_000_000),
        ([20000] * 3, 4096, 32004),
    ]
    for spares, unit, max_remaps in shapes:
        main = MainGeometry(1 << 21, min(unit, 512), "WWID=t10.x;SERIAL=1")
        for superblock in plan_set(
            main, spares, unit_bytes=unit, max_remaps=max_remaps, set_uuid=SET_UUID, now=1
        ):
            yield spares[superblock.spare_idx], superblock


def _superblocks() -> Iterator[bytes]:
    for number, (device, superblock) in enumerate(_sets()):
        yield _superblock_seed(number % 5, device, superblock)


def _superblock_seed(copy: int, device: int, superblock: Superblock) -> bytes:
    parameters = struct.pack("<BQIQ", copy, device, 200, 1280)
    return _seed(SUPERBLOCK | FIX, parameters, superblock.encode(copy))


# One field beyond its bound, in a superblock with extents: what a forgotten check lets through.
def _hostile_superblocks() -> Iterator[bytes]:
    (row,) = (SpareDesc(uuid.UUID(int=1), 1 << 20),)
    (sane,) = plan_set(MainGeometry(1 << 21, 512), [row.sectors], max_remaps=40_000, now=1)
    sane = replace(sane, set_uuid=SET_UUID, spare_uuid=row.uuid, spares=(row,))
    each = (sane.nr_leaves - 127) * 8
    first, second, *others = sane.overflow
    last = row.sectors - each
    twins = (row, replace(row, events=5))
    changes: list[dict[str, object]] = [
        {"overflow": (first, first + 8, *others)},
        {"overflow": (second, first, *others)},
        {"overflow": (first - 8, second, *others)},
        {"overflow": (first, second, *others[:2], last + 8)},
        {"overflow": (first, second + 1, *others)},
        {"overflow": (first, second, *others[:2], (1 << 64) - 8)},
        {"overflow": (0,) * 5},
        {"nr_leaves": 126},
        {"nr_leaves": sane.nr_leaves + 4096},
        {"nr_leaves": (1 << 32) - 1},
        {"max_remaps": sane.nr_leaves * 252 + 1},
        {"main_sectors": 1 << 48},
        {"main_sectors": (1 << 20) + 1, "unit_shift": 3},
        {"unit_shift": 2},
        {"spare_idx": 1},
        {"spares": twins},
        {"spares": (row, replace(row, uuid=uuid.UUID(int=2), sectors=1 << 40))},
        {"spares": (replace(row, sectors=row.sectors + 1),)},
        {"spares": (replace(row, state=SpareState.NONE),)},
        {"redundancy": 2},
        {"redundancy": 3, "feature_incompat": 1},
        {"redundancy": 2, "feature_incompat": 1},
        {"feature_incompat": 2},
    ]
    for change in changes:
        yield _superblock_seed(0, row.sectors, replace(sane, **change))  # type: ignore[arg-type]


# The parameters of make_superblock() in format.c: shape, main, max_remaps, two lengths of spares.
def _leaves() -> Iterator[bytes]:
    for shape in (0b0000000, 0b0000001, 0b0010010, 0b0011111):
        shift = 3 if shape & 1 else 0
        unit = _DATA_START >> shift
        header = _leaf_parameters(shape)
        several = {
            0: Entry(EntryKind.REMAP, 0, unit, 0),
            1: Entry(EntryKind.REMAP, 1, unit + 1, 0, EntryFlag.MANUAL),
            100: Entry(EntryKind.LOST, 77),
            251: Entry(EntryKind.BAD, 0, unit + 9),
        }
        for entries in ({}, several):
            yield _seed(LEAF | FIX, header, Leaf(5, 9, 3, entries).encode(SET_UUID))
    two = {0: Entry(EntryKind.REMAP, 9, _DATA_START), 5: Entry(EntryKind.MIRROR, 9, _DATA_START, 1)}
    for shape in (0b10000010, 0b00000010):
        yield _seed(LEAF | FIX, _leaf_parameters(shape), Leaf(5, 9, 3, two).encode(SET_UUID))
    full = {i: Entry(EntryKind.REMAP, 2 * i, _DATA_START + i, 0) for i in range(252)}
    yield _seed(LEAF | FIX, _leaf_parameters(0), Leaf(5, 9, 3, full).encode(SET_UUID))


def _leaf_parameters(shape: int) -> bytes:
    lengths = (4096).to_bytes(5, "little") * 2
    return struct.pack("<IB", 5, shape) + _MAIN.to_bytes(6, "little") + b"\1\0\0\0" + lengths


def _hostile_leaves() -> Iterator[bytes]:
    for shape in (0, 1):
        unit, shift = _DATA_START >> (3 * shape), 3 * shape
        behind = (_MIN_SPARE + 4096) >> shift
        for entry in (
            Entry(EntryKind.REMAP, _MAIN >> shift, unit),
            Entry(EntryKind.LOST, _MAIN >> shift),
            Entry(EntryKind.LOST, 1, unit),
            Entry(EntryKind.BAD, 1, unit),
            Entry(EntryKind.BAD, 0, behind),
            Entry(EntryKind.REMAP, 1, behind),
            Entry(EntryKind.REMAP, 1, unit - 1),
            Entry(EntryKind.REMAP, 1, unit, 1),
            Entry(EntryKind.REMAP, 1, unit, 0, EntryFlag(4)),
        ):
            block = Leaf(5, 9, 3, {0: entry}).encode(SET_UUID)
            yield _seed(LEAF | FIX, _leaf_parameters(shape), block)
    for entry in (
        Entry(EntryKind.MIRROR, 1, _DATA_START, 0, EntryFlag.MANUAL),
        Entry(EntryKind.MIRROR, _MAIN, _DATA_START),
        Entry(EntryKind.MIRROR, 1, _DATA_START - 1),
    ):
        block = Leaf(5, 9, 3, {0: entry}).encode(SET_UUID)
        yield _seed(LEAF | FIX, _leaf_parameters(0b10000000), block)
    # Entries that cannot be made: of kind FREE but not empty, with a run, and too few counted.
    empty = Leaf(5, 9, 3).encode(SET_UUID)
    for at, byte in ((64, 1), (64 + 13, 1), (64 + 6, 4), (28, 1), (28, 253)):
        changed = empty[:at] + bytes([byte]) + empty[at + 1 :]
        yield _seed(LEAF | FIX, _leaf_parameters(0), changed)


def _records() -> Iterator[bytes]:
    for _, superblock in _sets():
        if superblock.spare_idx == 0:
            record = Generation.of(superblock, Reason.SPARE_FAILED, remaps=3, lost=1)
            for place in (record.number % 32, record.number % 32 + 1):
                yield _seed(GENERATION | FIX, bytes([place]), record.encode(SET_UUID))
    counters = {name: 1 << number for number, name in enumerate(COUNTERS)}
    samples = tuple(Sample(i * 1000, i if i % 2 else None) for i in range(24))
    for seq in (1, 2):
        noted = tuple(Noted(i // 8, i * 99, 1 << i, i, i) for i in range(30 + seq))
        scan = Scanned(True, seq == 1, seq, seq, 3, 500, 7, 10, 10, 10, noted=noted)
        block = State(seq, 12, seq == 1, counters, samples, scan=scan).encode(SET_UUID)
        yield _seed(STATE | FIX, bytes([seq % 2]), block)
        for count in (len(COUNTERS) + 1, 248, 249):
            other = block[:28] + struct.pack("<I", count) + block[32:]
            yield _seed(STATE | FIX, bytes([seq % 2]), other)
        for at, value in ((3568, 33), (3460, 4), (3464, 9), (3584, 1 << 31)):
            other = block[:at] + struct.pack("<I", value) + block[at + 4 :]
            yield _seed(STATE | FIX, bytes([seq % 2]), other)
        yield _seed(STATE | FIX, bytes([1 - seq % 2]), block)


def _memory() -> Iterator[bytes]:
    remap = bytes([5, 0x12, 7, 0])
    run = b"".join(bytes([5, 0x12, 7 + i, 0]) for i in range(64))
    removal = bytes([5, 0, 0])
    for base in (0, 31744):
        yield _seed(REGION, struct.pack("<H", base), b"\x10\0" + remap * 8)
        # The spare units of a run, with a hole between the main units.
        yield _seed(REGION, struct.pack("<H", base), bytes([1, 0, 5, 0x12, 7, 32, 5, 0x12, 8]))
        yield _seed(REGION, struct.pack("<H", base), b"\x10\0" + run + b"\x12\0" + removal * 9)
    fill = bytes([2, 0, 0])
    for size in (1, 63, 64, 65, 130, 4097):
        some = b"".join(bytes([op % 4]) + struct.pack("<H", op * 7) for op in range(60))
        yield _seed(BITMAP, struct.pack("<H", size - 1), fill * (size % 140 + 1) + some)
    yield _seed(HEALTH, bytes(range(1, 29)), b"")
    bad = b"".join(struct.pack("<H", region * 37 % 800) for region in range(40))
    for pattern in range(4):
        for regions in (1, 15, 16, 140, 801):
            yield _seed(ORDER, struct.pack("<BHQQ", pattern, regions, 99, regions // 2), bad)
    looks = [(n % 20, 32 * (n % 3), 63 * (n % 5), n * 3, 700 + n % 2, n % 4) for n in range(60)]
    clear = [(n % 20, 0, 0, 0x0003, 7, 0) for n in range(20)]
    for room in (0, 1, 5, 16):
        found = b"".join(struct.pack("<BBBHHB", *look) for look in looks + clear + looks)
        yield _seed(MARKS, bytes([room]), found)
