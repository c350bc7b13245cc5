import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.probes.layout import (
    COUNTERS,
    FAULT,
    LATENCY_SLOTS,
    Counters,
    Fault,
    What,
    changed,
    fault_key,
    slot_bounds,
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
            expected[region] = sums
    assert {region: flat(counters) for region, counters in changed(before, now, cpus)} == expected


def test_before_the_first_look_all_was_zero():
    now = packed({0: 7}) + packed({})
    ((region, counters),) = changed(b"", now, 1)
    assert (region, counters.ios) == (0, [7, 0, 0])


@given(st.lists(NUMBER, min_size=VALUES, max_size=VALUES))
def test_counters_keep_their_order(values):
    assert flat(Counters.from_values(values)) == values


@given(SPARSE, SPARSE)
def test_adding(one, other):
    total = Counters.from_values([one.get(index, 0) for index in range(VALUES)])
    total.add(Counters.from_values([other.get(index, 0) for index in range(VALUES)]))
    assert flat(total) == [one.get(index, 0) + other.get(index, 0) for index in range(VALUES)]


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
