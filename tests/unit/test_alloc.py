import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

SIZES = st.integers(1, 300) | st.sampled_from([63, 64, 65, 4095, 4096, 4097, 64**2 + 1, 262145])


def make(size):
    # exactly the memory that is asked for, so that a sanitizer sees one word too many
    memory = ffi.new("u64[]", lib.dmr_alloc_bytes(size) // 8)
    a = ffi.new("struct dmr_alloc *")
    lib.dmr_alloc_init(a, memory, size)
    return a, memory


def take(a):
    unit = ffi.new("u64 *")
    return unit[0] if lib.dmr_alloc_get(a, unit) else None


@given(SIZES)
def test_all_units_are_free_at_first(size):
    a, _memory = make(size)
    assert a.nr_free == size
    assert a.size == size
    assert not any(lib.dmr_alloc_test(a, unit) for unit in range(min(size, 500)))


@given(st.integers(1, 1 << 40))
def test_memory_is_about_a_bit_per_unit(size):
    needed = lib.dmr_alloc_bytes(size)
    assert needed % 8 == 0
    assert size / 8 <= needed <= size / 8 * 64 / 63 + 8 * lib.DMR_ALLOC_LEVELS


def test_levels_suffice_for_the_largest_spare():
    bits, levels = 1 << 40, 0
    while True:
        bits, levels = -(-bits // 64), levels + 1
        if bits == 1:
            break
    assert levels <= lib.DMR_ALLOC_LEVELS


@given(st.integers(1, 5000))
def test_units_are_given_out_once_and_in_order(size):
    a, _memory = make(size)
    assert [take(a) for _ in range(size)] == list(range(size))
    assert take(a) is None
    assert a.nr_free == 0


@given(
    SIZES,
    st.lists(
        st.tuples(st.sampled_from(["set", "clear", "get"]), st.integers(0, 2**64 - 1)),
        max_size=200,
    ),
)
def test_it_behaves_like_a_set_of_numbers(size, steps):
    a, _memory = make(size)
    used = set()
    for what, number in steps:
        unit = number if number % 7 == 0 else number % (size + 2)
        if what == "get":
            expected = next((u for u in range(size) if u not in used), None)
            assert take(a) == expected
            used.add(expected)
            used.discard(None)
        elif what == "set":
            assert lib.dmr_alloc_set(a, unit) == (unit < size and unit not in used)
            if unit < size:
                used.add(unit)
        else:
            assert lib.dmr_alloc_clear(a, unit) == (unit in used)
            used.discard(unit)
        assert a.nr_free == size - len(used)
    assert {u for u in range(min(size, 400)) if lib.dmr_alloc_test(a, u)} == {
        u for u in used if u < 400
    }


@pytest.mark.parametrize("size", [64, 65, 4096, 4097])
@given(data=st.data())
def test_a_freed_unit_of_a_full_bitmap_is_found(size, data):
    a, _memory = make(size)
    for unit in range(size):
        assert lib.dmr_alloc_set(a, unit)
    holes = data.draw(st.sets(st.integers(0, size - 1), max_size=5))
    for hole in holes:
        assert lib.dmr_alloc_clear(a, hole)
    assert [take(a) for _ in holes] == sorted(holes)
    assert take(a) is None
