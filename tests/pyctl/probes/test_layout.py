import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.probes.layout import (
    COUNTERS,
    FAULT,
    GROUP,
    LATENCY_SLOTS,
    Counters,
    Fault,
    What,
    changed,
    fault_key,
    occupied,
    slot_bounds,
    under_way,
)

VALUES = COUNTERS.size // 8
NUMBER = st.integers(0, 2**40)
SPARSE = st.dictionaries(st.integers(0, VALUES - 1), NUMBER, max_size=5)


def packed(sparse):
    return COUNTERS.pack(*(sparse.get(index, 0) for index in range(VALUES)))


def flat(counters):
    return [value for values in counters.lists() for value in values]


@given(
    st.integers(1, 3).flatmap(
        lambda cpus: st.tuples(
            st.just(cpus),
            st.lists(st.lists(st.tuples(SPARSE, SPARSE), min_size=cpus, max_size=cpus), max_size=4),
        )
    )
)
def test_what_changed_is_the_sum_over_processors(case):
    cpus, regions = case
    before = b"".join(packed(old) for each in regions for old, _ in each)
    grown = [
        [{key: old.get(key, 0) + more.get(key, 0) for key in old | more} for old, more in each]
        for each in regions
    ]
    now = b"".join(packed(new) for each in grown for new in each)
    expected = {}
    for region, each in enumerate(regions):
        sums = [sum(more.get(index, 0) for _, more in each) for index in range(VALUES)]
        if any(sums):
            expected[region] = flat(Counters.from_values(sums))
    assert {region: flat(counters) for region, counters in changed(before, now, cpus)} == expected


def test_before_the_first_look_all_was_zero():
    now = packed({0: 7}) + packed({})
    ((region, counters),) = changed(b"", now, 1)
    assert (region, counters.ios) == (0, [7, 0, 0])


def test_the_kernel_has_sums_by_kinds_and_python_kinds_by_sums():
    found = Counters.from_values(range(VALUES))
    assert (found.ios, found.sequential) == ([0, 36, 72], [3, 39, 75])
    assert (found.read, found.write) == ([*range(4, 36)], [*range(40, 72)])
    # Of the others' latencies nobody wants to know.
    assert found.gaps + found.depth == [*range(108, VALUES)]


@given(SPARSE, SPARSE)
def test_adding(one, other):
    total = Counters.from_values([one.get(index, 0) for index in range(VALUES)])
    total.add(Counters.from_values([other.get(index, 0) for index in range(VALUES)]))
    sums = [one.get(index, 0) + other.get(index, 0) for index in range(VALUES)]
    assert total == Counters.from_values(sums)


def test_slots_of_time_leave_no_gap():
    assert slot_bounds(0) == (0, 1024)
    for slot in range(1, LATENCY_SLOTS):
        low, high = slot_bounds(slot)
        assert low == slot_bounds(slot - 1)[1]
        assert high == 2 * low


def test_a_fault():
    data = struct.pack("<IBBBB", 70, 1, 0, 10, 0)
    assert len(data) == FAULT.size
    assert fault_key(data) == Fault(70, What.RETRY, 0, 10)
    with pytest.raises(ValueError, match="9"):
        fault_key(struct.pack("<IBBBB", 70, 9, 0, 10, 0))


def test_who_is_under_way_where():
    # Whoever was there left numbers behind, but no address.
    left = (0, 0, 0, 0, 7, 1, 7, 1, 7, 1, 7, 1)
    # One has taken a place and has not begun yet.
    here = (5, 0, 0, 6, 100, 2, 7, 1, 7, 1, 0, 3)
    last = (0, 0, 8, 0, 7, 1, 7, 1, 300, 4, 7, 1)
    look = b"".join(GROUP.pack(*each) for each in (left, here, left, last))
    assert occupied(look) == [1, 3]
    assert list(under_way(look)) == [(100, 2), (300, 4)]
    assert occupied(GROUP.pack(*left) * 3) == []
