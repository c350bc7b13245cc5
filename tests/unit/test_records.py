"""Generation records and state blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib
from tests.unit.test_format import BLOCK, ON_DISK, U48, exactly

UUID = bytes(range(16))
U64 = (1 << 64) - 1
ON_DISK_HERE = {
    "DMR_GEN_SECTOR": 9216,
    "DMR_GEN_RECORDS": 32,
    "DMR_GEN_COPIES": 2,
    "DMR_STATE_SECTOR": 9728,
    "DMR_STATE_BLOCKS": 2,
    "DMR_NR_SAMPLES": 24,
    "DMR_NR_USAGE": 64,
    "DMR_NR_NOTED": 32,
    "DMR_REASON_CREATED": 1,
    "DMR_REASON_SPARE_FAILED": 2,
    "DMR_REASON_SPARE_MISSING": 3,
    "DMR_REASON_RESTORED": 4,
    "DMR_REASON_ROLLED_BACK": 5,
    "DMR_REASON_IDENTITY": 6,
    "DMR_REASON_SPARE_ADDED": 7,
    "DMR_REASON_SPARE_REMOVED": 8,
    "DMR_REASON_SPARE_RESYNCED": 9,
    "DMR_STATE_CLEAN": 1,
    "DMR_SCAN_RUNNING": 1,
    "DMR_SCAN_PAUSED": 2,
    "DMR_PATTERN_SEQUENTIAL": 0,
    "DMR_PATTERN_RANDOM": 1,
    "DMR_PATTERN_STAGGERED": 2,
    "DMR_PATTERN_FOCUSED": 3,
    "DMR_KEY_SHIFT": 56,
}


def seal(block):
    seed = lib.dmr_crc32c(0xFFFFFFFF, UUID, 16)
    crc = lib.dmr_crc32c(seed, bytes(block[8:]), BLOCK - 8)
    block[4:8] = crc.to_bytes(4, "little")
    return bytes(block)


def generation(number=1, reason=1, nr_spares=2):
    gen = ffi.new("struct dmr_gen *")
    gen.number, gen.events, gen.time, gen.reason = number, 7, 1_700_000_000, reason
    gen.remaps, gen.lost, gen.bad = 5, 6, 7
    gen.main_sectors = 1 << 20
    gen.nr_spares = nr_spares
    gen.spare_idx = nr_spares - 1
    for i in range(nr_spares):
        gen.spare[i].uuid = bytes([i + 1] * 16)
        gen.spare[i].sectors = lib.DMR_MIN_SPARE_SECTORS
        gen.spare[i].state = lib.DMR_SPARE_IN_SYNC
    gen.identity = b"serial=1234"
    return gen


def encode_gen(gen):
    block = ffi.new("char[]", BLOCK)
    lib.dmr_gen_encode(gen, UUID, block)
    return bytes(ffi.buffer(block))


def decode_gen(block, place, uuid=UUID):
    gen = ffi.new("struct dmr_gen *")
    return lib.dmr_gen_decode(exactly(block), uuid, place, gen), gen


def state(seq=1, **values):
    made = ffi.new("struct dmr_state *")
    made.seq = seq
    for name, value in values.items():
        setattr(made, name, value)
    return made


def encode_state(made):
    block = ffi.new("char[]", BLOCK)
    lib.dmr_state_encode(made, UUID, block)
    return bytes(ffi.buffer(block))


def decode_state(block, place, uuid=UUID):
    made = ffi.new("struct dmr_state *")
    return lib.dmr_state_decode(exactly(block), uuid, place, made), made


def test_constants_are_those_on_disk():
    assert {name: getattr(lib, name) for name in ON_DISK_HERE} == ON_DISK_HERE


def test_records_lie_behind_the_slots_and_before_the_data():
    sectors = [
        lib.dmr_gen_sector(number, copy)
        for number in range(lib.DMR_GEN_RECORDS)
        for copy in range(lib.DMR_GEN_COPIES)
    ] + [lib.dmr_state_sector(seq) for seq in range(lib.DMR_STATE_BLOCKS)]
    assert len(set(sectors)) == len(sectors)
    assert all(sector % lib.DMR_BLOCK_SECTORS == 0 for sector in sectors)
    last_slot = lib.dmr_slot_sector(lib.DMR_REPLICAS - 1) + lib.DMR_SLOT_SECTORS
    assert min(sectors) >= last_slot
    assert max(sectors) + lib.DMR_BLOCK_SECTORS <= ON_DISK["DMR_DATA_START"]


@given(
    number=st.integers(1, lib.DMR_MAX_NUMBER),
    reason=st.integers(1, lib.DMR_REASON_NR - 1),
    nr_spares=st.integers(1, 8),
)
def test_generation_survives_the_round_trip(number, reason, nr_spares):
    gen = generation(number, reason, nr_spares)
    code, back = decode_gen(encode_gen(gen), number % lib.DMR_GEN_RECORDS)
    assert code == lib.DMR_FMT_OK
    assert bytes(ffi.buffer(back)) == bytes(ffi.buffer(gen))


def test_generation_of_another_place_or_set_is_refused():
    block = encode_gen(generation(5))
    assert decode_gen(block, 6)[0] == lib.DMR_FMT_COPY
    assert decode_gen(block, 5, bytes(16))[0] == lib.DMR_FMT_CRC
    assert decode_gen(bytes(BLOCK), 5)[0] == lib.DMR_FMT_BLANK
    assert decode_gen(b"\xff" * BLOCK, 5)[0] == lib.DMR_FMT_MAGIC


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"number": 0}, "DMR_FMT_COPY"),
        ({"number": (1 << 62) + 1}, "DMR_FMT_NUMBER"),
        ({"events": (1 << 62) + 1}, "DMR_FMT_NUMBER"),
        ({"reason": 0}, "DMR_FMT_GENERATION"),
        ({"reason": 99}, "DMR_FMT_GENERATION"),
        ({"main_sectors": 0}, "DMR_FMT_MAIN"),
        ({"main_sectors": 1 << 48}, "DMR_FMT_MAIN"),
        ({"nr_spares": 0}, "DMR_FMT_SPARES"),
        ({"nr_spares": 9}, "DMR_FMT_SPARES"),
        ({"nr_spares": 1}, "DMR_FMT_SPARES"),
        ({"spare_idx": 2}, "DMR_FMT_SPARES"),
    ],
)
def test_generation_out_of_bounds_is_refused(change, code):
    gen = generation()
    for name, value in change.items():
        setattr(gen, name, value)
    place = gen.number % lib.DMR_GEN_RECORDS
    assert decode_gen(encode_gen(gen), place)[0] == getattr(lib, code)


@given(
    seq=st.integers(1, lib.DMR_MAX_NUMBER),
    flags=st.integers(0, 1),
    counters=st.lists(
        st.integers(0, U64), min_size=lib.DMR_NR_COUNTERS, max_size=lib.DMR_NR_COUNTERS
    ),
    units=st.lists(st.integers(0, U48), min_size=lib.DMR_NR_SAMPLES, max_size=lib.DMR_NR_SAMPLES),
)
def test_state_survives_the_round_trip(seq, flags, counters, units):
    made = state(seq, flags=flags, counter=counters, time=9)
    for i, unit in enumerate(units):
        made.sample[i].unit, made.sample[i].crc, made.sample[i].valid = unit, unit & 0xFFFF, i % 2
    code, back = decode_state(encode_state(made), seq % lib.DMR_STATE_BLOCKS)
    assert code == lib.DMR_FMT_OK
    assert list(back.counter) == counters
    assert (back.seq, back.time, back.flags) == (seq, 9, flags)
    got = [(s.unit, s.crc, s.valid) for s in back.sample]
    assert got == [(unit, unit & 0xFFFF, i % 2 == 1) for i, unit in enumerate(units)]


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [
        (8, 0, "DMR_FMT_COPY"),
        (14, 1 << 15, "DMR_FMT_NUMBER"),
        (24, 2, "DMR_FMT_STATE"),
        (28, 249, "DMR_FMT_STATE"),
        (2048 + 12, 2, "DMR_FMT_STATE"),
        (2048 + 6, 1, "DMR_FMT_STATE"),
        (3456, 4, "DMR_FMT_STATE"),
        (3460, 4, "DMR_FMT_STATE"),
        (3464, 9, "DMR_FMT_STATE"),
        *((at + 6, 1 << 15, "DMR_FMT_STATE") for at in range(3488, 3568, 8)),
        (3568, 33, "DMR_FMT_STATE"),
        # one region twice; no such device; a region behind the last
        (3568, 2, "DMR_FMT_STATE"),
    ],
)
def test_state_out_of_bounds_is_refused(offset, value, code):
    block = bytearray(encode_state(state(2)))
    block[offset : offset + 2] = value.to_bytes(2, "little")
    assert decode_state(seal(block), 0)[0] == getattr(lib, code)


@given(known=st.integers(0, 248))
def test_counters_that_the_writer_did_not_know_are_zero(known):
    made = state(2, counter=[5] * lib.DMR_NR_COUNTERS)
    block = bytearray(encode_state(made))
    block[28:32] = known.to_bytes(4, "little")
    code, back = decode_state(seal(block), 0)
    assert code == lib.DMR_FMT_OK
    wanted = [5 if i < known else 0 for i in range(lib.DMR_NR_COUNTERS)]
    assert list(back.counter) == wanted


@given(flips=st.binary(min_size=1, max_size=64).filter(any), at=st.integers(0, BLOCK - 64))
def test_damage_is_found(flips, at):
    for block, decode in (
        (encode_gen(generation(3)), lambda b: decode_gen(b, 3)[0]),
        (encode_state(state(3)), lambda b: decode_state(b, 1)[0]),
    ):
        damaged = bytearray(block)
        for i, flip in enumerate(flips, at):
            damaged[i] ^= flip
        assert decode(bytes(damaged)) != lib.DMR_FMT_OK


@given(units=st.integers(1, U48), shift=st.sampled_from([0, 3]))
def test_samples_lie_on_main(units, shift):
    sb = ffi.new("struct dmr_sb *")
    sb.unit_shift = shift
    sb.main_sectors = min(units << shift, U48)
    chosen = [lib.dmr_sample_unit(sb, i) for i in range(lib.DMR_NR_SAMPLES)]
    assert all(unit < lib.dmr_main_units(sb) for unit in chosen)
    assert chosen[0] == 0
    assert lib.dmr_main_units(sb) - 1 in chosen
    if lib.dmr_main_units(sb) > 1 << 16:
        # the spread ones are different places
        assert len(set(chosen[8:])) == 16


def test_every_counter_and_reason_has_a_name():
    counters = [ffi.string(lib.dmr_counter_name(i)) for i in range(lib.DMR_NR_COUNTERS)]
    reasons = [ffi.string(lib.dmr_reason_name(i)) for i in range(lib.DMR_REASON_NR)]
    assert len(set(counters)) == lib.DMR_NR_COUNTERS
    assert len(set(reasons)) == lib.DMR_REASON_NR
    assert b"unknown" not in counters + reasons
    assert ffi.string(lib.dmr_counter_name(lib.DMR_NR_COUNTERS)) == b"unknown"
    assert ffi.string(lib.dmr_reason_name(lib.DMR_REASON_NR)) == b"unknown"


def usage_of(made):
    return [(note.time, note.used) for note in list(made.usage)[: made.nr_usage]]


def test_usage_survives_the_round_trip():
    made = state()
    for hour, used in enumerate((0, 5, 9)):
        lib.dmr_usage_add(made, hour * lib.DMR_USAGE_SECONDS, used)
    code, back = decode_state(encode_state(made), 1)
    assert code == lib.DMR_FMT_OK
    assert usage_of(back) == [(0, 0), (3600, 5), (7200, 9)]


def test_changes_within_an_hour_share_a_note():
    made = state()
    for time, used in ((0, 0), (1, 1), (2, 2), (3000, 3), (3601, 4), (3602, 4)):
        lib.dmr_usage_add(made, time, used)
    assert usage_of(made) == [(0, 0), (1, 3), (3601, 4)]


@pytest.mark.parametrize("note", [(5, 0), (1 << 63, 0), (20, 1 << 63)])
def test_a_wrong_history_of_usage_is_refused(note):
    made = state()
    lib.dmr_usage_add(made, 10, 1)
    lib.dmr_usage_add(made, 10 + lib.DMR_USAGE_SECONDS, 2)
    made.usage[1].time, made.usage[1].used = note
    assert decode_state(encode_state(made), 1)[0] == lib.DMR_FMT_STATE
    made = state(nr_usage=0)
    block = bytearray(encode_state(made))
    block[32] = lib.DMR_NR_USAGE + 1
    assert decode_state(seal(block), 1)[0] == lib.DMR_FMT_STATE


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=400))
def test_the_history_has_room_for_ever(steps):
    made = state()
    time = 0
    for forward, used in steps:
        time += forward - 10**5
        lib.dmr_usage_add(made, max(time, 0), used)
    notes = usage_of(made)
    assert len(notes) <= lib.DMR_NR_USAGE
    assert notes == sorted(notes, key=lambda note: note[0])
    if steps:
        assert notes[-1][1] == steps[-1][1]
        assert notes[0][0] == max(steps[0][0] - 10**5, 0)
    assert usage_of(decode_state(encode_state(made), 1)[1]) == notes


SCAN = {
    name: st.integers(0, lib.DMR_MAX_NUMBER)
    for name in (
        *("began", "since", "ended", "errors", "rescued", "slow", "blanks", "relocated"),
        *("found", "found_before"),
    )
} | {
    "flags": st.integers(0, 3),
    "pattern": st.integers(0, 3),
    "device": st.integers(0, 8),
    "pass": st.integers(0, 0xFFFFFFFF),
    "place": st.integers(0, U64),
    "seed": st.integers(0, U64),
}
KEYS = st.tuples(st.integers(0, 8), st.integers(0, (1 << 37) - 1)).map(
    lambda key: key[0] << 56 | key[1]
)
NOTED = st.tuples(KEYS, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))


def note(made, *regions):
    made.scan.nr_noted = len(regions)
    for slot, (key, slow, errors, retries) in zip(made.scan.noted, regions, strict=False):
        slot.key, slot.slow, slot.errors, slot.retries = key, slow, errors, retries


@given(
    st.fixed_dictionaries(SCAN),
    st.lists(NOTED, max_size=lib.DMR_NR_NOTED, unique_by=lambda region: region[0]),
)
def test_the_scan_survives_the_round_trip(scan, regions):
    made = state(2)
    for name, value in scan.items():
        setattr(made.scan, name, value)
    note(made, *sorted(regions))
    code, back = decode_state(encode_state(made), 0)
    assert code == lib.DMR_FMT_OK
    assert bytes(ffi.buffer(back)) == bytes(ffi.buffer(made))


@pytest.mark.parametrize(
    "regions",
    [
        [(5, 0, 0, 0), (5, 0, 0, 0)],
        [(6, 0, 0, 0), (5, 0, 0, 0)],
        [(9 << 56, 0, 0, 0)],
        [(1 << 37, 0, 0, 0)],
        [(8 << 56 | 1 << 37, 0, 0, 0)],
    ],
)
def test_noted_regions_out_of_bounds_are_refused(regions):
    made = state(2)
    note(made, *regions)
    assert decode_state(encode_state(made), 0)[0] == lib.DMR_FMT_STATE


def test_a_state_of_a_time_without_scans_has_none():
    block = encode_state(state(2))
    assert not any(block[3456:])
