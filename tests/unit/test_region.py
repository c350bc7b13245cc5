from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

UNITS = lib.DMR_REGION_UNITS


@st.composite
def remaps(draw):
    e = ffi.new("struct dmr_entry *")
    e.kind = draw(st.sampled_from([lib.DMR_KIND_REMAP, lib.DMR_KIND_LOST]))
    if e.kind == lib.DMR_KIND_REMAP:
        # close together, so that runs occur
        e.spare_unit = draw(st.integers(1280, 1290) | st.integers(1280, (1 << 40) - 1))
        e.spare_idx = draw(st.integers(0, 7))
    e.flags = draw(st.integers(0, 3))
    return lib.dmr_val(e)


def offsets():
    return st.integers(0, 20) | st.integers(UNITS - 20, UNITS - 1)


def regions():
    """{offset: (value, place)}, with stretches whose spare units follow each other."""
    single = st.dictionaries(offsets(), st.tuples(remaps(), st.integers(0, 2**32 - 1)), max_size=30)

    def stretch(args):
        base, start, length, place = args
        step = 1 if base >> 44 & 0xF == lib.DMR_KIND_REMAP else 0
        return {start + i: (base + i * step, place) for i in range(length)}

    stretches = st.tuples(
        remaps().filter(lambda v: v & ((1 << 40) - 1) < 1 << 39),
        st.integers(0, 10),
        st.integers(1, 10),
        st.integers(0, 2**32 - 1),
    ).map(stretch)
    return st.tuples(single, stretches).map(lambda pair: {**pair[0], **pair[1]})


def view(model):
    memory = ffi.new("u64[]", max(1, -(-lib.dmr_region_bytes(len(model)) // 8)))
    v = ffi.new(
        "struct dmr_rview *",
        lib.dmr_region_view(memory, len(model), lib.dmr_region_shift(len(model))),
    )
    for i, off in enumerate(sorted(model)):
        v.key[i], (v.val[i], v.place[i]) = off, model[off]
    lib.dmr_region_map(v)
    return v, memory


def contents(v):
    return {v.key[i]: (v.val[i], v.place[i]) for i in range(v.n)}


def entry(value, unit=0):
    e = ffi.new("struct dmr_entry *")
    lib.dmr_val_entry(value, unit, e)
    return e


@given(
    st.sampled_from([lib.DMR_KIND_REMAP, lib.DMR_KIND_LOST]),
    st.integers(0, (1 << 40) - 1),
    st.integers(0, 7),
    st.integers(0, 3),
    st.integers(0, (1 << 48) - 1),
)
def test_value_round_trip(kind, spare_unit, idx, flags, unit):
    e = ffi.new("struct dmr_entry *", [unit, spare_unit, idx, kind, flags])
    value = lib.dmr_val(e)
    assert value
    back = entry(value, unit)
    assert (back.main_unit, back.spare_unit, back.spare_idx, back.kind, back.flags) == (
        unit,
        spare_unit,
        idx,
        kind,
        flags,
    )


@given(st.integers(0, (1 << 40) - 1), st.integers(0, 7), st.integers(0, 3))
def test_a_second_copy_is_known_of_a_value_and_not_of_the_entry(spare_unit, idx, flags):
    e = ffi.new("struct dmr_entry *", [9, spare_unit, idx, lib.DMR_KIND_REMAP, flags])
    alone = lib.dmr_val(e)
    mirrored = alone | 4 << 48
    known = not flags & lib.DMR_ENTRY_UNKNOWN
    assert not lib.dmr_val_mirrored(alone)
    assert lib.dmr_val_mirrored(mirrored)
    assert (lib.dmr_val_plain(alone), lib.dmr_val_plain(mirrored)) == (known, known)
    assert (lib.dmr_val_alone(alone), lib.dmr_val_alone(mirrored)) == (known, False)
    assert (entry(mirrored, 9).kind, entry(mirrored, 9).flags) == (lib.DMR_KIND_REMAP, flags)
    e.kind = lib.DMR_KIND_MIRROR
    assert not lib.dmr_val_plain(lib.dmr_val(e))


def test_no_value_is_a_free_entry():
    e = entry(0, 9)
    assert (e.main_unit, e.kind, e.flags, e.spare_unit) == (9, lib.DMR_KIND_FREE, 0, 0)


def test_fourteen_bytes_an_entry():
    # a bitmap of 1, 1 and 256 words besides
    assert [lib.dmr_region_bytes(n) for n in (0, 1, 1000)] == [8, 22, 16048]


@given(st.integers(0, 1 << 20), st.integers(0, 251))
def test_place_round_trip(leaf, slot):
    # the macros of the header, which cffi cannot see
    place = leaf << 8 | slot
    assert (place >> 8, place & 0xFF) == (leaf, slot)
    assert slot < lib.DMR_LEAF_ENTRIES <= 256


@given(st.integers(1, UNITS))
def test_bitmaps_have_ten_to_twenty_two_bits_for_an_entry(n):
    bits = UNITS >> lib.dmr_region_shift(n)
    assert 64 <= bits <= UNITS
    assert bits <= max(64, 64 * n / 3)
    assert bits >= min(UNITS, 64 * n / 6)


@given(regions(), offsets(), offsets() | st.integers(0, 4 * UNITS))
def test_a_range_is_far_when_its_bit_has_no_entry(model, one, other):
    v, _memory = view(model)
    first, last = one, max(one, other)
    size = 1 << v.shift
    bit = range(first // size * size, (first // size + 1) * size)
    expected = last in bit and not any(off in bit for off in model)
    assert lib.dmr_region_far(v.bits, v.shift, first, last) == expected
    # never where there is one
    assert not (expected and any(first <= off <= last for off in model))


@given(regions(), offsets())
def test_lower_finds_the_first_at_or_behind(model, off):
    v, _memory = view(model)
    assert lib.dmr_region_lower(v, off) == sum(key < off for key in model)


def run_model(model, off, limit):
    """How long the run at `off` is: unit by unit, by the words of the header."""
    length = 1
    while length < limit:
        before, here = (model.get(off + length - 1 + i, (0, 0))[0] for i in (0, 1))
        if not before or not here:
            if before or here:
                break
        else:
            a, b = entry(before), entry(here)
            step = 1 if a.kind == lib.DMR_KIND_REMAP else 0
            if (a.kind, a.flags, a.spare_idx) != (b.kind, b.flags, b.spare_idx):
                break
            if b.spare_unit != a.spare_unit + step:
                break
        length += 1
    return length


@given(regions(), offsets(), st.integers(1, 40))
def test_runs_are_as_the_header_says(model, off, limit):
    v, _memory = view(model)
    value = ffi.new("u64 *", 99)
    length = lib.dmr_region_run(v, off, limit, value)
    assert value[0] == model.get(off, (0, 0))[0]
    assert length == run_model(model, off, limit)


@given(regions(), offsets(), st.integers(1, 8))
def test_a_range_is_whole_without_entries_or_on_a_spare(model, off, n):
    v, _memory = view(model)
    value = ffi.new("u64 *")
    values = [model.get(off + i, (0, 0))[0] for i in range(n)]
    rising = bool(values[0]) and values == [values[0] + i for i in range(n)]
    assert lib.dmr_region_whole(v, off, n, value) == (rising or not any(values))
    assert not any(values) or not rising or value[0] == values[0]
    assert any(values) or not value[0]


@given(regions(), st.integers(1, UNITS))
def test_runs_cover_a_range_once(model, limit):
    v, _memory = view(model)
    value = ffi.new("u64 *")
    off, seen = 0, {}
    while off < limit:
        length = lib.dmr_region_run(v, off, limit - off, value)
        assert 1 <= length <= limit - off
        if value[0]:
            step = 1 if entry(value[0]).kind == lib.DMR_KIND_REMAP else 0
            seen.update({off + i: value[0] + i * step for i in range(length)})
        off += length
    assert seen == {key: val for key, (val, _) in model.items() if key < limit}


@given(
    regions(),
    st.dictionaries(offsets(), st.tuples(remaps() | st.just(0), st.integers(0, 99)), max_size=20),
)
def test_merge_is_like_updating_a_dictionary(model, changes):
    v, _memory = view(model)
    c = ffi.new("struct dmr_change[]", max(1, len(changes)))
    for row, off in zip(c, sorted(changes), strict=False):
        row.off, (row.val, row.place) = off, changes[off]
    expected = {k: pair for k, pair in {**model, **changes}.items() if pair[0]}
    n = lib.dmr_region_merged(v, c, len(changes))
    assert n == len(expected)
    # exactly the memory that is asked for
    memory = ffi.new("char[]", max(1, lib.dmr_region_bytes(n)))
    new = ffi.new("struct dmr_rview *", lib.dmr_region_view(memory, n, lib.dmr_region_shift(n)))
    lib.dmr_region_merge(new, v, c, len(changes))
    assert contents(new) == expected
    assert list(contents(new)) == sorted(expected)
    assert contents(v) == model


@given(
    st.lists(offsets(), max_size=60) | st.permutations(range(0, UNITS, 37)),
    st.randoms(use_true_random=False),
)
def test_sort_orders_all_three_arrays_together(keys, random):
    n = len(keys)
    memory = ffi.new("u64[]", max(1, -(-lib.dmr_region_bytes(n) // 8)))
    v = ffi.new("struct dmr_rview *", lib.dmr_region_view(memory, n, lib.dmr_region_shift(n)))
    entries = [(key, random.getrandbits(64), random.getrandbits(32)) for key in keys]
    for i, (key, val, place) in enumerate(entries):
        v.key[i], v.val[i], v.place[i] = key, val, place
    lib.dmr_region_sort(v)
    after = [(v.key[i], v.val[i], v.place[i]) for i in range(n)]
    assert list(v.key[0:n]) == sorted(keys)
    # a key may stand there twice: its entries in any order
    assert sorted(after) == sorted(entries)
