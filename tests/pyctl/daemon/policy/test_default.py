"""The shipped policy: every rule does what docs/policies.md says, and nothing on quiet days.

The histories were written by hand. Each begins with what is nearly enough for its rule.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from pyctl.daemon.events import iso
from pyctl.daemon.policy.loading import load_policy
from pyctl.daemon.policy.replay import gaps, read_history, replay
from tests.pyctl.daemon.policy.making import DAY, HOUR, NOW, event, reading, spare

ROOT = Path(__file__).resolve().parents[4]
POLICY = load_policy(ROOT / "packaging/policy/default.yaml")
DOCS = (ROOT / "docs/policies.md").read_text()
HISTORIES = Path(__file__).parent / "histories"
NOTIFY = "notify act"

# When each rule acts in its history, on what, and with which outcomes.
EXPECTED = {
    "action-failed": [("06-01T08:09", "srv", [NOTIFY])],
    "copied-to-a-new-disk": [("06-01T08:00", "srv", [NOTIFY])],
    "copy-failed": [("06-01T08:00", "srv", [NOTIFY])],
    "data-lost": [("06-01T08:01", "srv", [NOTIFY])],
    "device-failed": [("06-01T08:01", "srv", [NOTIFY])],
    "device-silent": [("06-01T08:29", "srv", [NOTIFY])],
    "empty-weak-spares": [("06-01T09:00", "srv", ["evacuate act", NOTIFY])],
    "errors-everywhere": [("06-01T09:02", "*", [NOTIFY])],
    "expected-to-fail": [("06-01T09:00", "srv", ["scan act", "relocate blocked"])],
    "hot": [("06-02T08:10", "srv", [NOTIFY])],
    "hot-everywhere": [("06-01T08:20", "*", [NOTIFY])],
    "look-at-weak-regions": [
        ("06-01T09:00", "srv", ["scan act"]),
        ("06-02T09:00", "srv", ["scan act"]),
    ],
    "look-around-errors": [("06-02T08:20", "srv", ["scan act", NOTIFY])],
    "more-room": [
        ("06-02T08:00", "srv", ["spare-add act", NOTIFY]),
        ("06-04T08:00", "srv", ["spare-add act", NOTIFY]),
        # the pool has two
        ("06-07T08:00", "srv", ["spare-add blocked", NOTIFY]),
    ],
    "move-bad-copies": [("06-01T09:00", "srv", ["remap act", "scan act"])],
    "move-weak-regions": [("06-01T08:00", "srv", ["relocate act"])],
    "move-what-gave-errors": [
        ("06-01T09:00", "srv", ["remap act"]),
        ("06-01T09:30", "srv", ["remap act"]),
    ],
    "no-room": [("06-01T09:00", "srv", ["spare-add act", NOTIFY])],
    "redundancy-stays-low": [("06-02T10:00", "srv", ["spare-add act", NOTIFY])],
    "replace-lost-spares": [
        ("06-02T08:15", "srv", ["spare-add act", NOTIFY]),
        ("06-04T08:00", "srv", ["spare-add act", NOTIFY]),
    ],
    "replace-soon": [("06-04T10:00", "srv", [NOTIFY])],
    "scan-the-unhealthy-daily": [("06-02T01:00", "srv", ["scan act"])],
    "spare-came-back": [("06-01T08:05", "srv", ["scan act", NOTIFY])],
    "weekly-scan": [("06-09T01:00", "srv", ["scan act"])],
}
RULES = [rule.name for rule in POLICY.rules]


def acts(events, **options):
    return [one for one in replay(POLICY, events, **options).decisions if one.steps]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_and_its_history(name):
    events = read_history(HISTORIES / f"{name}.jsonl")
    assert gaps(events) == []
    done = [
        (
            iso(one.time)[5:16],
            one.device,
            [f"{step.action} {step.outcome}" for step in one.steps],
        )
        for one in acts(events, every=300)
        if one.rule == name
    ]
    assert done == EXPECTED[name]


def test_every_rule_has_a_history_and_every_history_a_rule():
    assert sorted(EXPECTED) == sorted(RULES)
    assert sorted(path.stem for path in HISTORIES.iterdir()) == sorted(RULES)


def test_ten_quiet_days_are_scans_at_night():
    spares = [spare(0), spare(1)]
    events = [
        reading(NOW + minute * 60, health=100, temperature=35, spare_fill=1, lost=0,
                spare_full_in="never", below_redundancy=0, prediction=0.01, spares=spares)
        for minute in range(0, 14_400, 10)
    ]  # fmt: skip
    scans = acts(events, every=600)
    assert {(one.rule, one.steps[0].action.value) for one in scans} == {("weekly-scan", "scan")}
    # nobody tells that the scan has begun or ended, so it is asked for again each night
    assert [one.time - scans[0].time for one in scans] == [night * DAY for night in range(10)]
    events.append(event("scan-done", scans[0].time + HOUR))
    first, second, *_ = acts(events, every=600)
    assert first.time == scans[0].time
    week = scans[7].time + HOUR
    assert week <= second.time <= week + 7 * DAY / 512 + 600


def test_the_table_of_tasks_has_every_rule_and_its_sum_is_right():
    rows = re.findall(r"^\| (.+?) \| (kernel|policy|person) \| ?([a-z-]*) ?\|$", DOCS, re.MULTILINE)
    assert {rule for _, who, rule in rows if who != "kernel"} == set(RULES)
    who = Counter(one for _, one, _ in rows)
    alone = who["kernel"] + who["policy"]
    said = f"{alone} of {len(rows)} kinds of tasks need nobody: {100 * alone / len(rows):.0f} %"
    assert said in DOCS


def test_what_is_called_a_person_s_task_only_tells():
    rows = re.findall(r"^\| .+? \| person \| ([a-z-]+) \|$", DOCS, re.MULTILINE)
    for rule in POLICY.rules:
        if rule.name in rows and rule.name != "more-room":
            assert {next(iter(type(one).model_fields)) for one in rule.do} == {"notify"}
