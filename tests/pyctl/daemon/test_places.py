"""Places go to what was counted, are told once, and take no more memory than they may."""

from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.events import Event, Kind
from pyctl.daemon.places import Places


def event(kind=Kind.READ_ERROR, count=1, device="d"):
    return Event(time=1, kind=kind, device=device, count=count)


def told(events):
    return [(one.sector, one.sectors, one.count) for one in events]


def test_what_was_heard_before_a_look_belongs_to_it():
    places = Places()
    places.put("d", Kind.READ_ERROR, 800, 8, 1)
    places.put("d", Kind.READ_ERROR, 1600, 8, 1)
    assert told(places.named([event(count=2)])) == [(None, None, 2)]
    places.seal("d")
    places.put("d", Kind.READ_ERROR, 5000, 8, 1)
    for _ in range(2):
        assert told(places.named([event(count=3)])) == [(800, 8, 1), (1600, 8, 1), (None, None, 1)]
    places.told(["d"])
    assert told(places.named([event()])) == [(None, None, 1)]
    places.seal("d")
    assert told(places.named([event()])) == [(5000, 8, 1)]


def test_kinds_and_devices_are_apart():
    places = Places()
    places.put("d", Kind.REMAP, 800, 8, 1)
    places.put("e", Kind.READ_ERROR, 900, 8, 1)
    places.seal("d")
    places.seal("e")
    asked = [event(), event(Kind.REMAP), event(device="e"), event(Kind.SPACE_LOW)]
    found = places.named(asked)
    assert [one.sector for one in found] == [None, 800, 900, None]
    places.told(["d"])
    assert [one.sector for one in places.named(asked)] == [None, None, 900, None]


def test_what_goes_on_or_repeats_is_one_range():
    places = Places()
    for sector in (800, 808, 816, 800, 900):
        places.put("d", Kind.READ_ERROR, sector, 8, 1)
    places.seal("d")
    assert told(places.named([event(count=5)])) == [(800, 24, 4), (900, 8, 1)]


def test_a_count_that_is_less_than_was_heard():
    places = Places()
    places.put("d", Kind.READ_ERROR, 800, 8, 5)
    places.seal("d")
    assert told(places.named([event(count=2)])) == [(800, 8, 2)]


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 64), st.integers(1, 5))),
    st.integers(1, 1000),
)
def test_no_count_changes_and_memory_is_bounded(puts, count):
    places = Places(room=8)
    for sector, sectors, often in puts:
        places.put("d", Kind.LOST, sector, sectors, often)
        assert len(places) <= 8
    places.seal("d")
    found = places.named([event(Kind.LOST, count)])
    assert sum(one.count for one in found) == count
    covered = {one for sector, sectors, _ in puts for one in range(sector, sector + sectors)}
    for one in found:
        if one.sector is not None:
            assert set(range(one.sector, one.sector + one.sectors)) <= covered
