"""What each condition sees: true, false, or not known."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.policy.state import BUCKETS, Tally
from tests.pyctl.daemon.policy.making import (
    DAY,
    HOUR,
    NOW,
    event,
    looks,
    policy,
    reading,
    rule,
    spare,
    truth,
)


@pytest.mark.parametrize(
    ("when", "told", "expected"),
    [
        ("{health: {below: 50}}", {"health": 49}, "true"),
        ("{health: {below: 50}}", {"health": 50}, "false"),
        ("{health: {at-most: 50}}", {"health": 50}, "true"),
        ("{health: {above: 20, below: 50}}", {"health": 20}, "false"),
        ("{health: {below: 50}}", {"temperature": 30}, "unknown"),
        ("{prediction: {at-least: 0.8}}", {"prediction": 0.8}, "true"),
        ("{temperature: {above: 55}}", {"temperature": 55.5}, "true"),
        ("{spare-fill: {at-least: 80}}", {"spare_fill": 79.9}, "false"),
        ("{spare-forecast: {below: 30d}}", {"spare_full_in": 29 * DAY}, "true"),
        ("{spare-forecast: {below: 30d}}", {"spare_full_in": "never"}, "false"),
        ("{below-redundancy: {above: 0}}", {"below_redundancy": 3}, "true"),
        ("{lost: {above: 0}}", {"lost": 0}, "false"),
        ("{spare-health: {below: 60}}", {"spares": [spare(0), spare(1, health=59)]}, "true"),
        (
            "{spare-health: {below: 60}}",
            {"spares": [spare(0), spare(1, health=5, draining=True)]},
            "false",
        ),
        ("{spare-health: {below: 60}}", {"spares": [spare(0, "failed", health=1)]}, "unknown"),
        ("{spares-missing: {above: 0}}", {"spares": [spare(0), spare(1, "missing")]}, "true"),
        ("{spares-missing: {above: 0}}", {"health": 3}, "unknown"),
        ("{not: {health: {below: 50}}}", {"health": 49}, "false"),
        ("{not: {health: {below: 50}}}", {"lost": 1}, "unknown"),
    ],
)
def test_a_reading(when, told, expected):
    assert truth(when, reading(**told)) == expected


@pytest.mark.parametrize("when", ["{health: {below: 50}}", "{spare-health: {below: 50}}"])
def test_an_old_reading_says_nothing(when):
    told = reading(health=1, spares=[spare(0, health=1)])
    made = policy(rule(when), "stale-after: 10m")
    (now, ten, later), _ = looks(made, (NOW, [told]), (NOW + 600, []), (NOW + 601, []))
    assert [one[0].seen.truth.value for one in (now, ten, later)] == ["true", "true", "unknown"]


def test_a_forecast_comes_nearer_while_no_reading_comes():
    made = policy(rule("{spare-forecast: {below: 1h}}", more="cool-down: 1s"))
    told = reading(spare_full_in=HOUR + 100)
    (now, later), _ = looks(made, (NOW, [told]), (NOW + 101, []))
    assert [one[0].seen.truth.value for one in (now, later)] == ["false", "true"]


def test_a_reading_that_comes_late_does_not_undo_a_newer_one():
    made = policy(rule("{health: {below: 50}}"))
    turns = (NOW, [reading(NOW, health=90)]), (NOW + 5, [reading(NOW - 5, health=10)])
    (_, last), _ = looks(made, *turns)
    assert last[0].seen.saw == "90"


@pytest.mark.parametrize(
    ("kind", "expected"), [("read", "false"), ("write", "true"), ("any", "true")]
)
def test_errors_are_counted_by_kind(kind, expected):
    told = [event("write-error", count=3), event("read-error", count=2)]
    assert truth(f"{{errors: {{kind: {kind}, at-least: 3, within: 1h}}}}", *told) == expected


def test_errors_as_a_rate():
    told = [event("write-error", NOW - number * HOUR, count=10) for number in range(24)]
    when = "{errors: {above: 9, per: 1h, within: 1d}}"
    assert truth(when, *told) == "true"
    assert truth(when.replace("9", "10"), *told) == "false"


def test_errors_leave_the_window():
    made = policy(rule("{errors: {at-least: 2, within: 10m}}", more="cool-down: 1s"))
    told = [event("read-error", NOW), event("read-error", NOW + 300)]
    turns = (NOW + 300, told), (NOW + 599, []), (NOW + 605, [])
    found, _ = looks(made, *turns)
    assert [one[0].seen.truth.value for one in found] == ["true", "true", "false"]


# The sum of what a list of events holds, against the buckets.
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 9)), max_size=60),
    st.integers(1, 4000),
    st.integers(0, 6000),
)
def test_a_tally_is_never_too_low_and_hardly_too_high(added, within, now):
    tally = Tally(within)
    for time, count in added:
        tally = tally.add(time, count)
    # what is older than the newest by more than the window may be forgotten
    newest = max((time for time, _ in added), default=0)
    now = max(now, newest)
    exact = sum(count for time, count in added if now - within < time <= now)
    most = sum(count for time, count in added if now - within - tally.width < time <= now)
    assert exact <= tally.total(now) <= most
    assert len(tally.buckets) <= BUCKETS + 2


def test_a_bucket_that_is_half_in_the_window_counts():
    tally = Tally(10 * BUCKETS).add(105, 1)
    assert tally.width == 10
    # the window begins right before the event, within its bucket
    assert tally.total(104 + 10 * BUCKETS) == 1
    assert tally.total(109 + 10 * BUCKETS) == 1
    assert tally.total(110 + 10 * BUCKETS) == 0


def test_an_event_is_true_for_one_look():
    made = policy(rule("{event: [spare-failed, lost]}"))
    turns = (NOW, [event("lost")]), (NOW + 1, []), (NOW + 2, [event("remap")])
    found, _ = looks(made, *turns)
    assert [one[0].seen.truth.value for one in found] == ["true", "false", "false"]


def test_events_of_another_device_are_not_mine():
    made = policy(rule("{event: [lost]}"))
    (found,), _ = looks(made, (NOW, [event("lost", device="a"), event("remap", device="b")]))
    assert {one.device: one.seen.truth.value for one in found} == {"a": "true", "b": "false"}


def test_silence():
    made = policy(rule("{silent: 15m}"))
    found, _ = looks(made, (NOW, [reading(health=9)]), (NOW + 899, []), (NOW + 900, []))
    assert [one[0].seen.truth.value for one in found] == ["false", "false", "true"]


def at(text, zone="Europe/Berlin"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ('from: "08:00", to: "18:00"', "2026-11-20T08:00", "true"),
        ('from: "08:00", to: "18:00"', "2026-11-20T17:59", "true"),
        ('from: "08:00", to: "18:00"', "2026-11-20T18:00", "false"),
        ('from: "22:00", to: "06:00"', "2026-11-20T23:00", "true"),
        ('from: "22:00", to: "06:00"', "2026-11-20T05:59", "true"),
        ('from: "22:00", to: "06:00"', "2026-11-20T12:00", "false"),
        # over midnight it belongs to the day it began: Friday night, not Thursday night
        ('from: "22:00", to: "06:00", days: [fri]', "2026-11-20T23:00", "true"),
        ('from: "22:00", to: "06:00", days: [fri]', "2026-11-21T05:00", "true"),
        ('from: "22:00", to: "06:00", days: [fri]', "2026-11-20T05:00", "false"),
        ("days: [sat, sun]", "2026-11-21T00:00", "true"),
        ("days: [sat, sun]", "2026-11-20T23:59", "false"),
        # the clocks go back on this day: it is the clock on the wall that counts
        ('from: "02:00", to: "03:00"', "2026-10-25T02:30", "true"),
    ],
)
def test_time_of_day(window, moment, expected):
    when = f"{{time: {{{window}, timezone: Europe/Berlin}}}}"
    assert truth(when, event("remap", at(moment)), now=at(moment)) == expected


def test_the_hour_that_comes_twice_and_the_one_that_never_comes():
    when = '{time: {from: "02:00", to: "03:00", timezone: Europe/Berlin}}'
    first = at("2026-10-25T02:30")
    assert truth(when, event("remap", first + HOUR), now=first + HOUR) == "true"
    spring = at("2026-03-29T01:59")
    assert truth(when, event("remap", spring + 60), now=spring + 60) == "false"


def test_the_time_zone_is_that_of_the_policy_unless_the_window_has_one():
    when = '{time: {from: "12:00", to: "13:00"}}'
    noon = at("2026-11-20T12:00")
    made = policy(rule(when), "timezone: Europe/Berlin")
    (found,), _ = looks(made, (noon, [event("remap", noon)]))
    assert found[0].seen.truth.value == "true"
    assert truth(when, event("remap", noon), now=noon) == "false"


TRUTHS = {"true": "{lost: {above: 0}}", "false": "{lost: {below: 0}}"}
TRUTHS["unknown"] = "{temperature: {above: 0}}"


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted(TRUTHS)), min_size=1, max_size=5), st.data())
def test_combinations_are_those_of_kleene(truths, data):
    number = {"false": 0.0, "unknown": 0.5, "true": 1.0}
    name = {value: key for key, value in number.items()}
    values = sorted((number[one] for one in truths), reverse=True)
    of = "[" + ", ".join(TRUTHS[one] for one in truths) + "]"
    told = reading(lost=1)
    assert truth(f"{{all: {of}}}", told) == name[values[-1]]
    assert truth(f"{{any: {of}}}", told) == name[values[0]]
    least = data.draw(st.integers(1, len(truths)))
    # the k-th best decides
    assert truth(f"{{quorum: {{at-least: {least}, of: {of}}}}}", told) == name[values[least - 1]]
    assert truth(f"{{not: {{all: {of}}}}}", told) == name[1 - values[-1]]


def test_a_quorum_over_a_time():
    of = "[{event: [read-error]}, {event: [write-error]}, {temperature: {above: 60}}]"
    when = f"{{quorum: {{at-least: 2, within: 10m, of: {of}}}}}"
    made = policy(rule(when, more="cool-down: 1s"))
    turns = [(NOW, [event("read-error")]), (NOW + 599, [event("write-error", NOW + 599)])]
    found, _ = looks(made, *turns)
    assert [one[0].seen.truth.value for one in found] == ["unknown", "true"]
    turns[1] = (NOW + 600, [event("write-error", NOW + 600)])
    found, _ = looks(made, *turns)
    assert found[1][0].seen.truth.value == "unknown"


def test_a_quorum_of_devices():
    when = "{devices: {at-least: 2, names: ['d*'], where: {temperature: {above: 60}}}}"
    made = policy(rule(when, "- notify: {text: hot}", "scope: fleet"))
    hot = [reading(device=name, temperature=70) for name in ("d1", "e1")]
    (found,), _ = looks(made, (NOW, hot))
    assert (found[0].device, found[0].seen.truth.value) == ("*", "false")
    (found,), _ = looks(made, (NOW, [*hot, reading(device="d2", temperature=61)]))
    assert found[0].seen.truth.value == "true"
    assert found[0].seen.saw == "2 of 2"


def test_held_for_a_time():
    when = "{held: {for: 10m, condition: {temperature: {above: 60}}}}"
    made = policy(rule(when, more="cool-down: 1s"))

    def turn(after, degrees):
        return NOW + after, [reading(NOW + after, temperature=degrees)]

    found, _ = looks(made, turn(0, 61), turn(599, 62), turn(600, 63))
    assert [one[0].seen.truth.value for one in found] == ["false", "false", "true"]
    # a break begins it anew
    found, _ = looks(made, turn(0, 61), turn(300, 50), turn(301, 61), turn(600, 63), turn(901, 63))
    assert [one[0].seen.truth.value for one in found][-2:] == ["false", "true"]


def test_what_it_saw_is_told_for_every_part():
    when = "{any: [{health: {below: 50}}, {not: {lost: {above: 0}}}]}"
    made = policy(rule(when))
    (found,), _ = looks(made, (NOW, [reading(health=40, lost=2)]))
    seen = found[0].seen.plain()
    assert seen["saw"] == "1 of 2"
    health, lost = seen["below"]
    assert health == {
        "path": "when.any[0]",
        "asks": "health below 50",
        "truth": "true",
        "saw": "40",
    }
    assert lost["below"][0]["saw"] == "2"
    assert found[0].why == "health below 50 (40)"
