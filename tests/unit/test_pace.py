import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

KIB, SECOND = 1024, 10**9
RATES = st.integers(1, 1 << 22)
REQUESTS = st.lists(
    st.tuples(st.integers(0, SECOND), st.integers(1, 1 << 20)), min_size=1, max_size=60
)


@given(REQUESTS, RATES, st.integers(0, 1 << 24))
def test_no_more_is_let_through_than_the_rate_allows(requests, rate, burst):
    bucket = ffi.new("struct dmr_bucket *")
    now, granted = 0, []
    for pause, size in requests:
        now += pause
        while wait := lib.dmr_bucket_take(bucket, now, size, rate, burst):
            now += wait
        granted.append((now, size))
    for i, (start, _) in enumerate(granted):
        total = 0
        for moment, size in granted[i:]:
            total += size
            allowed = (moment - start) * rate * KIB / SECOND + burst + (1 << 20)
            assert total <= allowed + 1


@given(REQUESTS, RATES, st.integers(0, 1 << 24))
def test_the_wait_is_as_long_as_it_says_and_no_longer(requests, rate, burst):
    bucket = ffi.new("struct dmr_bucket *")
    now = 0
    for pause, size in requests:
        now += pause
        wait = lib.dmr_bucket_take(bucket, now, size, rate, burst)
        if wait:
            if wait > 1:
                assert lib.dmr_bucket_take(bucket, now + wait - 1, size, rate, burst) == 1
            assert lib.dmr_bucket_take(bucket, now + wait, size, rate, burst) == 0
            now += wait


def test_the_rate_is_reached():
    bucket = ffi.new("struct dmr_bucket *")
    now, done = 0, 0
    while now < 10 * SECOND:
        wait = lib.dmr_bucket_take(bucket, now, 256 * KIB, 1024, 0)
        done += 0 if wait else 256 * KIB
        now += wait
    assert done == pytest.approx(10 * 1024 * KIB, abs=256 * KIB)


@given(REQUESTS)
def test_without_a_limit_nobody_waits(requests):
    bucket = ffi.new("struct dmr_bucket *")
    for now, size in sorted(requests):
        assert lib.dmr_bucket_take(bucket, now, size, 0, 0) == 0


@given(st.integers(0, 1 << 40), st.integers(1, 100))
def test_a_rest_leaves_the_others_their_share(worked, share):
    rest = lib.dmr_pace_rest(worked, share)
    if share == 100:
        assert rest == 0
        return
    assert lib.DMR_REST_MIN <= rest <= lib.DMR_REST_MAX
    if lib.DMR_REST_MIN < rest < lib.DMR_REST_MAX:
        assert worked / (worked + rest) == pytest.approx(share / 100, rel=0.01)


@given(st.integers(0, 1000), st.integers(0, 100), st.integers(0, 100))
def test_the_interval(hours, score, threshold):
    seconds = lib.dmr_scan_seconds(hours, score, threshold)
    whole = min(max(hours, 1), 168) * 3600
    assert whole // seconds in (1, 2, 4, 8) and seconds >= 450
    assert (seconds == whole) == (score >= threshold)
    if score:
        assert lib.dmr_scan_seconds(hours, score - 1, threshold) <= seconds


@pytest.mark.parametrize(
    ("score", "factor"), [(100, 1), (50, 1), (49, 2), (25, 2), (24, 4), (13, 4), (12, 8), (0, 8)]
)
def test_unhealthy_devices_are_scanned_more_often(score, factor):
    assert lib.dmr_scan_factor(score, 50) == factor
