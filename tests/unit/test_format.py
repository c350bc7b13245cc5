import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import codes, ffi, lib

BLOCK = lib.DMR_BLOCK_SIZE
U48 = (1 << 48) - 1
# What docs and other programs rely on: a change is a change of the format.
ON_DISK = {
    "DMR_SECTOR_SIZE": 512,
    "DMR_BLOCK_SIZE": 4096,
    "DMR_REPLICAS": 5,
    "DMR_MAX_SPARES": 8,
    "DMR_SLOT_SECTORS": 1024,
    "DMR_INLINE_LEAVES": 127,
    "DMR_LEAF_ENTRIES": 252,
    "DMR_DATA_START": 10240,
    "DMR_FORMAT_VERSION": 1,
    "DMR_IDENTITY_LEN": 256,
    "DMR_DEFAULT_MAX_REMAPS": 32004,
    "DMR_SPARE_IN_SYNC": 1,
    "DMR_SPARE_FAILED": 2,
    "DMR_SPARE_MISSING": 3,
    "DMR_KIND_REMAP": 1,
    "DMR_KIND_LOST": 2,
    "DMR_KIND_BAD": 3,
    "DMR_KIND_MIRROR": 4,
    "DMR_FEATURE_MIRRORS": 1,
    "DMR_ENTRY_UNKNOWN": 1,
    "DMR_ENTRY_MANUAL": 2,
    "DMR_MOVE_RUNNING": 1,
    "DMR_MOVE_STOPPED": 2,
}
# offset and length of every field of a superblock, in bytes
CRC, VERSION = 8, 12


def seal(block):
    crc = lib.dmr_crc32c(0xFFFFFFFF, bytes(block[VERSION:]), BLOCK - VERSION)
    block[CRC : CRC + 4] = crc.to_bytes(4, "little")
    return bytes(block)


def encode(sb):
    block = ffi.new("char[]", BLOCK)
    lib.dmr_sb_encode(sb, block)
    return bytes(ffi.buffer(block))


def decode(block, copy, sectors):
    sb = ffi.new("struct dmr_sb *")
    return lib.dmr_sb_decode(exactly(block), copy, sectors, sb), sb


def exactly(block):
    # memory of the very size, so that a sanitizer sees one byte too many
    raw = ffi.new("char[]", BLOCK)
    ffi.memmove(raw, block, BLOCK)
    return raw


def own(sb):
    return sb.spare[sb.spare_idx].sectors


def leaves_of(max_remaps):
    return -(-max_remaps // lib.DMR_LEAF_ENTRIES)


def room_of(max_remaps):
    """Sectors that a spare has at least: half of its data area is left for data."""
    beyond = max(0, leaves_of(max_remaps) - lib.DMR_INLINE_LEAVES)
    return lib.DMR_MIN_SPARE_SECTORS + 2 * lib.DMR_REPLICAS * beyond * 8


inline_only = st.integers(1, lib.DMR_DEFAULT_MAX_REMAPS)
with_overflow = st.integers(lib.DMR_DEFAULT_MAX_REMAPS + 1, 1 << 20)


# Every draw is valid as it is drawn: with much to filter out, hypothesis gives up now and then.
@st.composite
def superblocks(draw, max_remaps=inline_only | with_overflow, spares=(1, lib.DMR_MAX_SPARES)):
    sb = ffi.new("struct dmr_sb *")
    sb.unit_shift = draw(st.sampled_from([0, 3]))
    sb.max_remaps = draw(max_remaps)
    smallest = room_of(sb.max_remaps)
    sb.nr_spares = draw(st.integers(*spares))
    sb.spare_idx = draw(st.integers(0, sb.nr_spares - 1))
    sb.set_uuid = draw(st.binary(min_size=16, max_size=16))
    for i in range(sb.nr_spares):
        sb.spare[i].uuid = bytes([i]) + draw(st.binary(min_size=15, max_size=15))
        sb.spare[i].sectors = 8 * draw(
            st.integers(smallest // 8, (1 << 37) - 1) | st.integers(smallest // 8, 1 << 18)
        )
        sb.spare[i].events = draw(st.integers(0, 2**64 - 1))
        sb.spare[i].state = draw(st.integers(1, lib.DMR_SPARE_NR_STATES - 1))
    sb.spare_uuid = bytes(sb.spare[sb.spare_idx].uuid)
    sb.main_sectors = draw(st.integers(8, U48)) & ~7
    sb.main_lbs = draw(st.sampled_from([512, 1024, 2048, 4096]))
    sb.created, sb.updated = (draw(st.integers(0, 2**64 - 1)) for _ in range(2))
    sb.events, sb.generation = (draw(st.integers(0, lib.DMR_MAX_NUMBER)) for _ in range(2))
    sb.feature_compat = draw(st.integers(0, 2**64 - 1))
    sb.feature_incompat = draw(st.sampled_from([0, lib.DMR_FEATURE_MIRRORS]))
    sb.redundancy = draw(st.integers(0, 2 if sb.feature_incompat else 1))
    sb.identity = draw(st.binary(max_size=lib.DMR_IDENTITY_LEN - 1)).replace(b"\0", b"\1")
    sb.copy_idx = draw(st.integers(0, lib.DMR_REPLICAS - 1))
    sb.move_state = draw(st.integers(0, lib.DMR_NR_MOVES - 1))
    sb.move_id = draw(st.integers(0, 2**32 - 1))
    sb.move_units = draw(st.integers(0, sb.main_sectors >> sb.unit_shift))
    sb.move_sectors = draw(st.integers(sb.main_sectors, 2**64 - 1))
    assert lib.dmr_sb_layout(sb) == lib.DMR_FMT_OK
    return sb


@st.composite
def entries(draw, sb=None):
    e = ffi.new("struct dmr_entry *")
    e.kind = draw(st.integers(1, lib.DMR_KIND_NR - 1))
    e.main_unit = draw(st.integers(0, U48))
    e.spare_unit = draw(st.integers(0, (1 << 40) - 1))
    e.spare_idx = draw(st.integers(0, 15))
    e.flags = draw(st.integers(0, lib.DMR_ENTRY_FLAGS_KNOWN))
    return e


def values(e):
    return (e.main_unit, e.spare_unit, e.spare_idx, e.kind, e.flags)


def test_numbers_of_the_format():
    assert {name: getattr(lib, name) for name in ON_DISK} == ON_DISK
    assert [lib.dmr_slot_sector(i) for i in range(5)] == [0, 1024, 2048, 4096, 8192]


def test_offsets_of_the_format():
    sb = ffi.new("struct dmr_sb *")
    sb.spare_idx, sb.nr_spares, sb.unit_shift, sb.copy_idx = 1, 2, 3, 4
    sb.set_uuid, sb.spare_uuid = b"S" * 16, b"B" * 16
    sb.events, sb.main_sectors, sb.main_lbs = 0x0102030405060708, 0x1122, 4096
    sb.nr_leaves, sb.max_remaps, sb.identity = 0x33, 0x44, b"wwid=x"
    sb.spare[1].sectors, sb.spare[1].state, sb.spare[1].uuid = 0x5566, 2, b"B" * 16
    block = encode(sb)
    assert block[:8] == b"DMREMAP4"
    assert block[12:16] == b"\1\0\0\0"
    assert block[40:56] == b"S" * 16
    assert block[56:72] == b"B" * 16
    assert block[72:80] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert block[80:84] == bytes([4, 1, 2, 3])
    assert block[84:88] == b"\x33\0\0\0"
    assert block[88:90] == b"\x22\x11"
    assert block[96:100] == b"\0\x10\0\0"
    assert block[256:262] == b"wwid=x"
    row = block[512 + 64 : 512 + 128]
    assert row[:16] == b"B" * 16
    assert row[16:18] == b"\x66\x55"
    assert row[32:36] == b"\2\0\0\0"


def test_crc_of_the_standard_vector():
    assert lib.dmr_crc32c(0xFFFFFFFF, b"123456789", 9) ^ 0xFFFFFFFF == 0xE3069283


@given(st.binary(max_size=200), st.integers(0, 200))
def test_crc_goes_on_where_it_stopped(data, cut):
    head, tail = data[:cut], data[cut:]
    whole = lib.dmr_crc32c(0xFFFFFFFF, data, len(data))
    part = lib.dmr_crc32c(0xFFFFFFFF, head, len(head))
    assert lib.dmr_crc32c(part, tail, len(tail)) == whole


@given(superblocks())
def test_superblock_round_trip(sb):
    block = encode(sb)
    code, back = decode(block, sb.copy_idx, own(sb))
    assert code == lib.DMR_FMT_OK
    assert bytes(ffi.buffer(back)) == bytes(ffi.buffer(sb))
    assert encode(back) == block


@given(superblocks(), st.integers(0, BLOCK * 8 - 1))
def test_any_flipped_bit_of_a_superblock_is_refused(sb, bit):
    block = bytearray(encode(sb))
    block[bit // 8] ^= 1 << bit % 8
    code, _ = decode(bytes(block), sb.copy_idx, own(sb))
    assert code == (lib.DMR_FMT_MAGIC if bit < 64 else lib.DMR_FMT_CRC)


@given(superblocks(), st.integers(1, 4))
def test_a_copy_in_the_wrong_place_is_refused(sb, away):
    copy = (sb.copy_idx + away) % lib.DMR_REPLICAS
    assert decode(encode(sb), copy, own(sb))[0] == lib.DMR_FMT_COPY


@given(superblocks())
def test_a_smaller_device_is_refused(sb):
    assert decode(encode(sb), sb.copy_idx, own(sb) - 1)[0] == lib.DMR_FMT_SPARE_SIZE


def test_blank_is_told_from_foreign():
    assert decode(bytes(BLOCK), 0, 1 << 20)[0] == lib.DMR_FMT_BLANK
    assert decode(bytes(BLOCK - 1) + b"\1", 0, 1 << 20)[0] == lib.DMR_FMT_MAGIC


def broken(field, value, code):
    return pytest.param(field, value, code, id=f"{field}={value}")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        broken("feature_incompat", 2, lib.DMR_FMT_FEATURE),
        broken("redundancy", 3, lib.DMR_FMT_REDUNDANCY),
        broken("redundancy", 255, lib.DMR_FMT_REDUNDANCY),
        broken("feature_incompat", 1 << 63, lib.DMR_FMT_FEATURE),
        broken("feature_ro_compat", 1, lib.DMR_FMT_FEATURE),
        broken("unit_shift", 1, lib.DMR_FMT_UNIT),
        broken("unit_shift", 63, lib.DMR_FMT_UNIT),
        broken("unit_shift", 255, lib.DMR_FMT_UNIT),
        broken("main_lbs", 0, lib.DMR_FMT_UNIT),
        broken("main_lbs", 8192, lib.DMR_FMT_UNIT),
        broken("main_lbs", 1536, lib.DMR_FMT_UNIT),
        broken("main_sectors", 0, lib.DMR_FMT_MAIN),
        broken("main_sectors", 1 << 48, lib.DMR_FMT_MAIN),
        broken("main_sectors", 2**64 - 8, lib.DMR_FMT_MAIN),
        broken("nr_spares", 0, lib.DMR_FMT_SPARES),
        broken("nr_spares", 9, lib.DMR_FMT_SPARES),
        broken("nr_spares", 255, lib.DMR_FMT_SPARES),
        broken("spare_idx", 8, lib.DMR_FMT_SPARES),
        broken("spare_idx", 255, lib.DMR_FMT_SPARES),
        broken("spare_uuid", b"not in the table", lib.DMR_FMT_SPARES),
        broken("nr_leaves", 0, lib.DMR_FMT_LEAVES),
        broken("nr_leaves", 126, lib.DMR_FMT_LEAVES),
        broken("nr_leaves", lib.DMR_MAX_LEAVES + 1, lib.DMR_FMT_LEAVES),
        broken("nr_leaves", 2**32 - 1, lib.DMR_FMT_LEAVES),
        broken("max_remaps", 0, lib.DMR_FMT_LEAVES),
        broken("max_remaps", 2**32 - 1, lib.DMR_FMT_LEAVES),
        broken("copy_idx", 5, lib.DMR_FMT_COPY),
        broken("events", lib.DMR_MAX_NUMBER + 1, lib.DMR_FMT_NUMBER),
        broken("generation", 2**64 - 1, lib.DMR_FMT_NUMBER),
        broken("move_state", lib.DMR_NR_MOVES, lib.DMR_FMT_MOVE),
        broken("move_state", 255, lib.DMR_FMT_MOVE),
        broken("move_units", 1 << 48, lib.DMR_FMT_MOVE),
    ],
)
@given(sb=superblocks())
def test_a_sealed_field_out_of_bounds_is_refused(field, value, code, sb):
    setattr(sb, field, value)
    copy = sb.copy_idx if field != "copy_idx" else 0
    sectors = 1 << 40
    assert decode(encode(sb), copy, sectors)[0] == code


@given(superblocks())
def test_a_replacement_that_is_shorter_than_main_is_refused(sb):
    sb.move_state = lib.DMR_MOVE_STOPPED
    sb.move_sectors = sb.main_sectors - 1
    assert decode(encode(sb), sb.copy_idx, own(sb))[0] == lib.DMR_FMT_MOVE
    sb.move_state = lib.DMR_MOVE_NONE
    assert decode(encode(sb), sb.copy_idx, own(sb))[0] == lib.DMR_FMT_OK


@given(superblocks(), st.integers(2, 2**32 - 1) | st.just(0))
def test_an_unknown_version_is_refused(sb, version):
    block = bytearray(encode(sb))
    block[VERSION : VERSION + 4] = version.to_bytes(4, "little")
    assert decode(seal(block), sb.copy_idx, own(sb))[0] == lib.DMR_FMT_VERSION


@given(superblocks(spares=(2, lib.DMR_MAX_SPARES - 1)), st.data())
def test_a_bad_row_of_the_spare_table_is_refused(sb, data):
    row = data.draw(st.integers(0, sb.nr_spares - 1))
    what = data.draw(st.sampled_from(["state", "none", "small", "huge", "twin", "beyond"]))
    if what == "state":
        sb.spare[row].state = data.draw(st.integers(lib.DMR_SPARE_NR_STATES, 2**32 - 1))
    elif what == "none":
        sb.spare[row].state = lib.DMR_SPARE_NONE
    elif what == "small":
        sb.spare[row].sectors = data.draw(st.integers(0, lib.DMR_MIN_SPARE_SECTORS - 1))
    elif what == "huge":
        sb.spare[row].sectors = data.draw(st.integers(1 << 40, 2**64 - 1))
    elif what == "twin":
        sb.spare[row].uuid = bytes(sb.spare[(row + 1) % sb.nr_spares].uuid)
        sb.spare_uuid = bytes(sb.spare[sb.spare_idx].uuid)
    else:
        sb.spare[sb.nr_spares].state = lib.DMR_SPARE_IN_SYNC
    assert decode(encode(sb), sb.copy_idx, 2**63)[0] == lib.DMR_FMT_SPARES


@given(superblocks(with_overflow), st.data())
def test_a_bad_overflow_extent_is_refused(sb, data):
    which = data.draw(st.integers(0, 4))
    each = (sb.nr_leaves - lib.DMR_INLINE_LEAVES) * 8
    wrong = [0, 8192, sb.overflow[which] + 1, own(sb), own(sb) - each + 8, 2**64 - 8]
    if which:
        wrong += [sb.overflow[which - 1], sb.overflow[which - 1] + each - 8]
    sb.overflow[which] = data.draw(st.sampled_from(wrong))
    assert decode(encode(sb), sb.copy_idx, own(sb))[0] == lib.DMR_FMT_EXTENT


@given(superblocks(inline_only), st.integers(1, 2**64 - 1))
def test_an_extent_that_nobody_needs_is_refused(sb, sector):
    sb.overflow[2] = sector
    assert decode(encode(sb), sb.copy_idx, own(sb))[0] == lib.DMR_FMT_EXTENT


def metadata_ranges(sb):
    """Every sector range that holds metadata, as (first, behind the last)."""
    first = [
        (lib.dmr_leaf_sector(sb, no, r), lib.dmr_leaf_sector(sb, no, r) + 8)
        for r in range(lib.DMR_REPLICAS)
        for no in {0, 1, 126, *range(127, sb.nr_leaves, max(1, sb.nr_leaves // 50))}
        | {sb.nr_leaves - 1}
    ]
    return first + [(lib.dmr_slot_sector(i), lib.dmr_slot_sector(i) + 8) for i in range(5)]


@given(superblocks())
def test_metadata_overlaps_neither_itself_nor_data(sb):
    ranges = sorted(metadata_ranges(sb))
    assert ranges[0][0] == 0
    for (_, end), (start, _) in itertools.pairwise(ranges):
        assert end <= start
    assert ranges[-1][1] <= own(sb)
    for start, end in ranges:
        assert start % 8 == 0
        for sector in (start, end - 1):
            assert not lib.dmr_spare_unit_usable(sb, sector >> sb.unit_shift)


@given(superblocks(), st.integers(0, 2**64 - 1))
def test_usable_units_lie_in_the_data_area(sb, unit):
    sector = unit << sb.unit_shift
    if lib.dmr_spare_unit_usable(sb, unit):
        assert sector >= lib.DMR_DATA_START
        assert sector + (1 << sb.unit_shift) <= own(sb)
    if sector >= own(sb):
        assert not lib.dmr_spare_unit_usable(sb, unit)


@given(superblocks())
def test_half_of_the_data_area_is_left_for_data(sb):
    each = max(sb.nr_leaves - lib.DMR_INLINE_LEAVES, 0) * 8
    assert 2 * lib.DMR_REPLICAS * each <= own(sb) - lib.DMR_DATA_START
    assert lib.dmr_spare_unit_usable(sb, _first_free(sb) >> sb.unit_shift)


def _first_free(sb):
    each = max(sb.nr_leaves - lib.DMR_INLINE_LEAVES, 0) * 8
    return lib.DMR_DATA_START + each


@given(st.integers(0, 2**64), st.integers(0, 4), st.integers(0, 2**64 - 1))
def test_random_bytes_are_refused(seed, copy, sectors):
    block = random.Random(seed).randbytes(BLOCK)
    code, _ = decode(block, copy, sectors)
    assert code in (lib.DMR_FMT_MAGIC, lib.DMR_FMT_BLANK)


@given(superblocks(), st.data())
def test_a_hostile_superblock_is_refused_or_harmless(sb, data):
    block = bytearray(encode(sb))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(16, 199) | st.integers(512, 1023))
        block[at] = data.draw(st.integers(0, 255))
    sectors = data.draw(st.sampled_from([own(sb), 1 << 21, 2**64 - 1]))
    code, back = decode(seal(block), sb.copy_idx, sectors)
    assert code in codes()
    if code == lib.DMR_FMT_OK:
        assert max(end for _, end in metadata_ranges(back)) <= sectors
        assert 1 <= back.nr_spares <= lib.DMR_MAX_SPARES
        assert back.spare_idx < back.nr_spares
        assert lib.dmr_main_units(back) << back.unit_shift == back.main_sectors


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_code_has_words(code):
    words = ffi.string(lib.dmr_fmt_strerror(code)).decode()
    assert (words == "unknown format error") == (not 0 <= code < lib.DMR_FMT_NR_ERRORS)


def test_words_of_different_codes_differ():
    words = {ffi.string(lib.dmr_fmt_strerror(i)) for i in range(lib.DMR_FMT_NR_ERRORS)}
    assert len(words) == lib.DMR_FMT_NR_ERRORS


@pytest.mark.parametrize("max_remaps", [0, 2**32 - 1])
def test_layout_refuses_an_impossible_number_of_remaps(max_remaps):
    sb = ffi.new("struct dmr_sb *", {"max_remaps": max_remaps, "nr_spares": 1})
    sb.spare[0].sectors = 1 << 39
    assert lib.dmr_sb_layout(sb) == lib.DMR_FMT_LEAVES


@given(st.integers(0, 1 << 24), st.integers(1, lib.DMR_MAX_MAX_REMAPS))
def test_layout_refuses_what_does_not_fit(sectors, max_remaps):
    sb = ffi.new("struct dmr_sb *", {"max_remaps": max_remaps, "nr_spares": 1})
    sb.spare[0].sectors = sectors
    code = lib.dmr_sb_layout(sb)
    leaves = max(127, -(-max_remaps // 252))
    fits = sectors >= lib.DMR_MIN_SPARE_SECTORS + 2 * 5 * (leaves - 127) * 8
    assert code == (lib.DMR_FMT_OK if fits else lib.DMR_FMT_SPARE_SIZE)
    assert not fits or sb.nr_leaves == leaves


# leaves

UUID = bytes(range(16))


def new_leaf(number=0):
    leaf = ffi.new("char[]", BLOCK)
    lib.dmr_leaf_init(leaf, number)
    return leaf


def get(leaf, slot):
    e = ffi.new("struct dmr_entry *")
    return lib.dmr_leaf_get(leaf, slot, e), e


@pytest.mark.parametrize("seq", [0, lib.DMR_MAX_NUMBER + 1, 2**64 - 1])
def test_leaf_whose_next_number_could_wrap_is_refused(seq):
    leaf = new_leaf(3)
    lib.dmr_leaf_seal(leaf, bytes(16), seq, 7)
    assert lib.dmr_leaf_check(leaf, bytes(16), 3) == lib.DMR_FMT_NUMBER


@given(
    st.dictionaries(st.integers(0, 251), entries(), max_size=252),
    st.integers(0, 2**32 - 1),
    st.integers(1, lib.DMR_MAX_NUMBER),
    st.binary(min_size=16, max_size=16),
)
def test_leaf_round_trip(table, number, seq, uuid):
    leaf = new_leaf(number)
    for slot, e in table.items():
        lib.dmr_leaf_set(leaf, slot, e)
    lib.dmr_leaf_seal(leaf, uuid, seq, 7)
    assert lib.dmr_leaf_check(leaf, uuid, number) == lib.DMR_FMT_OK
    assert lib.dmr_leaf_seq(leaf) == seq
    assert lib.dmr_leaf_used(leaf) == len(table)
    for slot in range(lib.DMR_LEAF_ENTRIES):
        code, e = get(leaf, slot)
        assert code == lib.DMR_FMT_OK
        assert values(e) == (values(table[slot]) if slot in table else (0, 0, 0, 0, 0))


@given(st.lists(st.tuples(st.integers(0, 5), entries() | st.none()), max_size=30))
def test_the_count_of_used_entries_follows_every_change(changes):
    leaf, model = new_leaf(), {}
    for slot, e in changes:
        lib.dmr_leaf_set(leaf, slot, e if e is not None else ffi.new("struct dmr_entry *"))
        model[slot] = values(e) if e is not None else None
        assert lib.dmr_leaf_used(leaf) == sum(value is not None for value in model.values())


@given(st.integers(0, BLOCK * 8 - 1), st.lists(entries(), max_size=5))
def test_any_flipped_bit_of_a_leaf_is_refused(bit, table):
    leaf = new_leaf(3)
    for slot, e in enumerate(table):
        lib.dmr_leaf_set(leaf, slot, e)
    lib.dmr_leaf_seal(leaf, UUID, 5, 1)
    raw = ffi.buffer(leaf)
    raw[bit // 8] = bytes([raw[bit // 8][0] ^ 1 << bit % 8])
    code = lib.dmr_leaf_check(leaf, UUID, 3)
    assert code == (lib.DMR_FMT_MAGIC if bit < 32 else lib.DMR_FMT_CRC)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1))
def test_a_leaf_of_another_set_or_place_is_refused(uuid, number):
    leaf = new_leaf(3)
    lib.dmr_leaf_seal(leaf, UUID, 1, 1)
    code = lib.dmr_leaf_check(leaf, uuid, number)
    if uuid != UUID:
        assert code == lib.DMR_FMT_CRC
    else:
        assert code == (lib.DMR_FMT_OK if number == 3 else lib.DMR_FMT_LEAF_NO)
    assert lib.dmr_leaf_check(leaf, UUID, 4) == lib.DMR_FMT_LEAF_NO


@given(st.integers(lib.DMR_LEAF_ENTRIES + 1, 2**32 - 1))
def test_an_impossible_count_in_a_sealed_leaf_is_refused(count):
    leaf = new_leaf()
    ffi.buffer(leaf)[28:32] = count.to_bytes(4, "little")
    lib.dmr_leaf_seal(leaf, UUID, 1, 1)
    assert lib.dmr_leaf_check(leaf, UUID, 0) == lib.DMR_FMT_NR_USED


def test_a_blank_leaf_is_told_from_a_foreign_one():
    assert lib.dmr_leaf_check(bytes(BLOCK), UUID, 0) == lib.DMR_FMT_BLANK
    assert lib.dmr_leaf_check(bytes(BLOCK - 1) + b"x", UUID, 0) == lib.DMR_FMT_MAGIC


@given(superblocks(), st.binary(min_size=16, max_size=16), st.integers(0, 251))
def test_a_hostile_entry_is_refused_or_in_bounds(sb, raw, slot):
    leaf = new_leaf()
    ffi.buffer(leaf)[64 + slot * 16 : 80 + slot * 16] = raw
    code, e = get(leaf, slot)
    assert code in (lib.DMR_FMT_OK, lib.DMR_FMT_KIND, lib.DMR_FMT_RUN)
    if code != lib.DMR_FMT_OK:
        return
    code = lib.dmr_entry_check(sb, e)
    assert code in codes()
    if code != lib.DMR_FMT_OK:
        return
    if e.kind in (lib.DMR_KIND_REMAP, lib.DMR_KIND_LOST, lib.DMR_KIND_MIRROR):
        assert e.main_unit < lib.dmr_main_units(sb)
    if e.kind == lib.DMR_KIND_MIRROR:
        assert sb.feature_incompat & lib.DMR_FEATURE_MIRRORS
    if e.kind in (lib.DMR_KIND_REMAP, lib.DMR_KIND_BAD, lib.DMR_KIND_MIRROR):
        assert e.spare_idx < sb.nr_spares
        end = (e.spare_unit + 1) << sb.unit_shift
        assert lib.DMR_DATA_START < end <= sb.spare[e.spare_idx].sectors


@given(superblocks(), st.data())
def test_every_field_of_an_entry_is_bounded(sb, data):
    idx = data.draw(st.integers(0, sb.nr_spares - 1))
    units = sb.spare[idx].sectors >> sb.unit_shift
    good = {
        "kind": lib.DMR_KIND_REMAP,
        "main_unit": data.draw(st.integers(0, lib.dmr_main_units(sb) - 1)),
        "spare_unit": data.draw(st.integers(lib.DMR_DATA_START >> sb.unit_shift, units - 1)),
        "spare_idx": idx,
        "flags": data.draw(st.integers(0, 3)),
    }

    def check(**change):
        return lib.dmr_entry_check(sb, ffi.new("struct dmr_entry *", {**good, **change}))

    assert check() == lib.DMR_FMT_OK
    assert check(kind=lib.DMR_KIND_NR) == lib.DMR_FMT_KIND
    assert check(flags=4) == lib.DMR_FMT_KIND
    assert check(main_unit=lib.dmr_main_units(sb)) == lib.DMR_FMT_MAIN_RANGE
    assert check(spare_idx=sb.nr_spares) == lib.DMR_FMT_SPARE_IDX
    assert check(spare_unit=units) == lib.DMR_FMT_SPARE_RANGE
    assert check(spare_unit=(lib.DMR_DATA_START >> sb.unit_shift) - 1) == lib.DMR_FMT_SPARE_RANGE
    assert check(kind=lib.DMR_KIND_FREE) == lib.DMR_FMT_KIND
    assert check(kind=lib.DMR_KIND_LOST) == lib.DMR_FMT_SPARE_RANGE
    assert check(kind=lib.DMR_KIND_LOST, spare_unit=0, spare_idx=0) == lib.DMR_FMT_OK
    assert check(kind=lib.DMR_KIND_BAD, main_unit=0, flags=0) == lib.DMR_FMT_OK
    assert check(kind=lib.DMR_KIND_BAD, main_unit=0, flags=1) == lib.DMR_FMT_KIND
    sb.feature_incompat = 0
    assert check(kind=lib.DMR_KIND_MIRROR, flags=0) == lib.DMR_FMT_KIND
    sb.feature_incompat = lib.DMR_FEATURE_MIRRORS
    assert check(kind=lib.DMR_KIND_MIRROR, flags=0) == lib.DMR_FMT_OK
    assert check(kind=lib.DMR_KIND_MIRROR, flags=1) == lib.DMR_FMT_KIND
    assert check(kind=lib.DMR_KIND_MIRROR, flags=0, spare_unit=units) == lib.DMR_FMT_SPARE_RANGE
    units = lib.dmr_main_units(sb)
    assert check(kind=lib.DMR_KIND_MIRROR, flags=0, main_unit=units) == lib.DMR_FMT_MAIN_RANGE


@given(superblocks())
def test_two_copies_need_the_feature(sb):
    sb.redundancy, sb.feature_incompat = 2, 0
    assert decode(encode(sb), sb.copy_idx, 1 << 40)[0] == lib.DMR_FMT_REDUNDANCY
    sb.feature_incompat = lib.DMR_FEATURE_MIRRORS
    assert decode(encode(sb), sb.copy_idx, 1 << 40)[0] == lib.DMR_FMT_OK
