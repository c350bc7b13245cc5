import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.events import MAX_SEQ, Event, Kind, iso, ordered, parse_time
from pyctl.daemon.policy.replay import Gap, gaps, read_history, replay
from pyctl.errors import NotFoundError, UsageError
from tests.pyctl.daemon.policy.making import NOW, event, policy, reading, rule


def test_a_history_is_read_in_order_of_time(tmp_path):
    file = tmp_path / "h"
    lines = [event("lost", NOW + 5).line(), "", event("remap", NOW).line()]
    file.write_text("\n".join(lines))
    assert [one.kind for one in read_history(file)] == [Kind.REMAP, Kind.LOST]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "EOF"),
        ("[]", "object"),
        ('{"time": 1, "kind": "lost"}', "device: "),
        ('{"time": 1, "kind": "rain", "device": "d"}', "kind: "),
        ('{"time": "2026-01-01T00:00:00", "kind": "lost", "device": "d"}', "no time zone"),
        ('{"time": 1, "kind": "lost", "device": "d", "x": 1}', "x: "),
        ('{"time": 1, "kind": "lost", "device": "d", "seq": 18446744073709551616}', "seq: "),
        ('{"time": 1, "kind": "reading", "device": "d", "reading": {"health": 101}}', "health: "),
        ('{"time": 1e999, "kind": "lost", "device": "d"}', "time: "),
        ("\ud800", "Invalid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, words):
    file = tmp_path / "h"
    good = event("lost").line().encode()
    file.write_bytes(good + b"\n\n" + line.encode(errors="surrogatepass") + b"\n")
    with pytest.raises(UsageError, match=f"{file}:3: .*{words}"):
        read_history(file)


def test_a_history_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError):
        read_history(tmp_path / "none")


events = st.builds(
    Event,
    time=st.floats(0, 4e9) | st.integers(0, 10),
    kind=st.sampled_from(Kind),
    device=st.sampled_from("ab"),
    source=st.sampled_from(["", "kernel"]),
    seq=st.none() | st.integers(0, MAX_SEQ),
    count=st.integers(1, 5),
)


@given(events)
def test_a_line_and_back(one):
    assert Event.model_validate_json(one.line()) == one


@given(st.floats(0, 4e9).map(lambda value: round(value, 6)))
def test_time_and_back(seconds):
    assert parse_time(iso(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.lists(events, max_size=9), st.randoms(use_true_random=False))
def test_there_is_one_order(some, chance):
    assert ordered(chance.sample(some, len(some))) == ordered(some)


def test_what_is_missing_is_noticed():
    numbered = [event("lost", source="k", seq=n) for n in (5, 6, 9, 9, 12)]
    others = [event("lost"), event("lost", source="j", seq=MAX_SEQ)]
    assert gaps([*numbered, *others]) == [Gap("k", 7, 8), Gap("k", 10, 11)]


def test_time_passes_between_events_and_after_them():
    made = policy(rule("{silent: 10m}"))
    done = replay(made, [reading(NOW, health=1)], every=60, until=NOW + 700)
    assert [(one.time - NOW, one.verdict.value) for one in done.decisions] == [
        (600, "act"),
        (660, "cooling-down"),
    ]
    assert done.looks == 13
    assert done.counts["r"] == {"not-met": 10, "act": 1, "cooling-down": 2}
    assert not replay(made, [reading(NOW, health=1)], every=60).decisions
