"""Writes of metadata blocks that power cuts off: a block is old, new or refused, never a mixture.

A disk writes sectors of 512 bytes as a whole, in any order: what is left of a cut write is any of
the block's eight sectors, new, among the old ones.
"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib
from tests.unit.test_format import decode, encode
from tests.unit.test_format import exactly as whole
from tests.unit.test_records import (
    UUID,
    decode_gen,
    decode_state,
    encode_gen,
    encode_state,
    generation,
    state,
)

SECTOR, SECTORS = lib.DMR_SECTOR_SIZE, lib.DMR_BLOCK_SECTORS
PIECES = [
    frozenset(pieces)
    for count in range(SECTORS + 1)
    for pieces in itertools.combinations(range(SECTORS), count)
]
# Cut anywhere: the head is new and the tail old, or the other way round.
CUTS = [frozenset(range(cut)) for cut in range(SECTORS + 1)]
CUTS += [frozenset(range(cut, SECTORS)) for cut in range(1, SECTORS)]
SPARE_SECTORS = 1 << 20


def torn(old, new, pieces):
    """The old block with some sectors of the new one."""
    return b"".join(
        (new if i in pieces else old)[i * SECTOR : (i + 1) * SECTOR] for i in range(SECTORS)
    )


def leaf(seq, entries, number=0):
    block = ffi.new("char[]", lib.DMR_BLOCK_SIZE)
    lib.dmr_leaf_init(block, number)
    for slot, unit in entries.items():
        e = ffi.new("struct dmr_entry *")
        e.kind, e.main_unit, e.spare_unit = lib.DMR_KIND_REMAP, unit, 20000 + unit
        lib.dmr_leaf_set(block, slot, e)
    lib.dmr_leaf_seal(block, UUID, seq, 1)
    return bytes(ffi.buffer(block))


def superblock(events, copy=0, **fields):
    sb = ffi.new("struct dmr_sb *")
    sb.set_uuid, sb.nr_spares, sb.main_sectors, sb.main_lbs = UUID, 8, 1 << 20, 512
    sb.max_remaps, sb.copy_idx = lib.DMR_DEFAULT_MAX_REMAPS, copy
    for i in range(8):
        row = sb.spare[i]
        row.uuid, row.sectors, row.events = bytes([i + 1] * 16), SPARE_SECTORS, events
        row.state = lib.DMR_SPARE_IN_SYNC
    sb.spare_uuid = bytes(sb.spare[0].uuid)
    sb.events = events
    sb.identity = b"serial=%d" % events
    for name, value in fields.items():
        setattr(sb, name, value)
    assert lib.dmr_sb_layout(sb) == lib.DMR_FMT_OK
    return encode(sb)


def sampled(seq, **fields):
    made = state(seq, **fields)
    for i in range(lib.DMR_NR_SAMPLES):
        made.sample[i].unit, made.sample[i].crc, made.sample[i].valid = i, seq, True
    return encode_state(made)


def check_leaf(block, _place=0):
    return lib.dmr_leaf_check(whole(block), UUID, 0)


def check_superblock(block, copy=0):
    return decode(block, copy, SPARE_SECTORS)[0]


def check_generation(block, place=1):
    return decode_gen(block, place)[0]


def check_state(block, place=1):
    return decode_state(block, place)[0]


# Old and new versions of one place on a spare, and who judges it.
BLOCKS = {
    "leaf, in one sector": (leaf(1, {}), leaf(2, {0: 7}), check_leaf),
    "leaf, last entry": (leaf(1, {0: 7}), leaf(2, {0: 7, 251: 8}), check_leaf),
    "leaf, all entries": (
        leaf(1, {i: i for i in range(252)}),
        leaf(2, {i: 251 - i for i in range(252)}),
        check_leaf,
    ),
    "superblock": (superblock(1), superblock(2), check_superblock),
    "superblock, in one sector": (
        superblock(1, updated=1),
        superblock(1, updated=2),
        check_superblock,
    ),
    "first generation": (
        bytes(lib.DMR_BLOCK_SIZE),
        encode_gen(generation(1, nr_spares=8)),
        check_generation,
    ),
    "generation over an older one": (
        encode_gen(generation(1, nr_spares=1)),
        encode_gen(generation(33, reason=2, nr_spares=8)),
        check_generation,
    ),
    "first state": (bytes(lib.DMR_BLOCK_SIZE), sampled(1), check_state),
    "state over an older one": (
        sampled(1, flags=lib.DMR_STATE_CLEAN),
        sampled(3, counter=list(range(lib.DMR_NR_COUNTERS))),
        check_state,
    ),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_torn_block_is_old_new_or_refused(kind):
    """Whatever sectors of it were written."""
    old, new, check = BLOCKS[kind]
    assert check(new) == lib.DMR_FMT_OK
    assert check(old) in (lib.DMR_FMT_OK, lib.DMR_FMT_BLANK)
    mixed = 0
    for pieces in PIECES:
        block = torn(old, new, pieces)
        if block in (old, new):
            continue
        mixed += 1
        assert check(block) in (lib.DMR_FMT_CRC, lib.DMR_FMT_MAGIC), sorted(pieces)
    changed = sum(old[i : i + SECTOR] != new[i : i + SECTOR] for i in range(0, len(old), SECTOR))
    assert mixed == (2**changed - 2) * 2 ** (SECTORS - changed)
    # A block that changes in one sector only can't be torn.
    assert (changed == 1) == kind.endswith("in one sector")


@given(
    st.dictionaries(st.integers(0, 251), st.integers(0, 1000)),
    st.dictionaries(st.integers(0, 251), st.integers(0, 1000)),
    st.sampled_from(PIECES),
)
def test_torn_leaf_of_any_content_is_old_new_or_refused(before, after, pieces):
    old, new = leaf(1, before), leaf(2, after)
    block = torn(old, new, pieces)
    assert block in (old, new) or check_leaf(block) == lib.DMR_FMT_CRC


def phases(blocks):
    """Every state of five copies when power goes: (copies, whether all of phase A are new).

    Copies 0, 2 and 4 are in flight together, then 1 and 3; each of them is cut somewhere.
    """
    for flight, done in (((0, 2, 4), ()), ((1, 3), (0, 2, 4))):
        for cuts in itertools.product(CUTS, repeat=len(flight)):
            cut = {c: torn(*blocks[c], pieces) for c, pieces in zip(flight, cuts, strict=True)}
            copies = [
                cut.get(copy, new if copy in done else old)
                for copy, (old, new) in enumerate(blocks)
            ]
            yield copies, bool(done)


def test_torn_leaf_never_costs_the_table():
    """The newest valid replica is the old or the new table, and the new one after phase A."""
    old, new = leaf(1, {0: 7, 200: 8}), leaf(2, {0: 7, 1: 9, 251: 10})
    valid = {}
    outcomes = set()
    for copies, durable in phases([(old, new)] * lib.DMR_REPLICAS):
        for block in copies:
            if block not in valid:
                valid[block] = check_leaf(block) == lib.DMR_FMT_OK
        best = max((b for b in copies if valid[b]), key=lambda b: lib.dmr_leaf_seq(whole(b)))
        assert best == new if durable else best in (old, new)
        outcomes.add((best == new, durable))
    assert outcomes == {(False, False), (True, False), (True, True)}


def test_torn_superblock_never_costs_the_set():
    """The same for superblocks, each of which says which copy it is."""
    blocks = [(superblock(1, copy), superblock(2, copy)) for copy in range(lib.DMR_REPLICAS)]
    events = {}
    outcomes = set()
    for copies, durable in phases(blocks):
        for copy, block in enumerate(copies):
            if block not in events:
                code, sb = decode(block, copy, SPARE_SECTORS)
                events[block] = sb.events if code == lib.DMR_FMT_OK else 0
        newest = max(events[block] for block in copies)
        assert newest == 2 if durable else newest in (1, 2)
        outcomes.add((newest, durable))
    assert outcomes == {(1, False), (2, False), (2, True)}
