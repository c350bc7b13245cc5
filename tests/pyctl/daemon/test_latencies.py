"""From what the probes have counted to what the predictor is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.latencies import LEAST_READS, observations, tail, typical
from pyctl.probes.frames import Frame
from pyctl.probes.layout import What
from tests.pyctl.daemon.probed import READ, failed, reads

WRITE = 1


def a_part(*microseconds):
    return reads(Frame(1.0, 1.0), 0, *microseconds)


@given(st.integers(2, 1_000_000), st.floats(1.2, 4))
def test_what_takes_longer_is_seen_however_wide_a_slot_is(each, times):
    before, after = a_part(*[each] * 9), a_part(*[int(each * times) + 1] * 9)
    assert typical(after) / typical(before) == pytest.approx(times, rel=0.5 / each + 0.2)


def test_one_slow_read_is_not_what_is_typical():
    assert typical(a_part(*[100] * 19, 900_000)) <= 131.072 * 1000
    assert tail(a_part(*[100] * 19, 900_000)) < 200_000
    assert tail(a_part(*[100] * 17, *[900_000] * 3)) > 500_000_000


def test_regions_in_which_little_was_read_have_no_latency():
    frame = Frame(at=10.0, seconds=5.0)
    reads(frame, 1, *[100] * LEAST_READS)
    reads(frame, 2, *[100] * (LEAST_READS - 1))
    reads(frame, 3, *[100] * 9, device=1)
    # flushes and the like have no place
    reads(frame, 8, *[100] * 9)
    found = observations(frame, 0, 8)
    assert set(found) == {1, 2}
    assert found[1].latency == pytest.approx(100_000)
    assert found[1].load == LEAST_READS * 8 / 5
    assert found[2].latency is None


def test_failures_are_counted_for_what_is_known_of_them():
    frame = Frame(at=10.0, seconds=5.0)
    for region in range(4):
        reads(frame, region, *[100] * 9)
    # all attempts at one block that could be read at last
    failed(frame, 0, count=7)
    # one that nobody could read, with all attempts
    failed(frame, 1, count=9)
    failed(frame, 1, what=What.ERROR, count=2)
    # what a write meets is moved at once, and what is moved on request is none
    failed(frame, 2, kind=WRITE)
    failed(frame, 3, what=What.REMAP, kind=2)
    found = observations(frame, 0, 8)
    assert [(one.errors, one.retries) for one in found.values()] == [(0, 1), (2, 0), (0, 0), (0, 0)]
    assert READ != WRITE
