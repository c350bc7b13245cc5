"""All parts together: from an event to the audit log, and killed on the way."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.actions import Actions, State
from pyctl.daemon.alerts import Alerts, Level, Routes
from pyctl.daemon.audit import Audit, read, verify
from pyctl.daemon.core import Core
from pyctl.daemon.events import Action
from pyctl.daemon.senders import Severity
from pyctl.daemon.store import Gap, Store
from pyctl.daemon.works import Notices
from pyctl.errors import PyctlError
from tests.pyctl.daemon.killing import KilledStore, folder, in_child, whole
from tests.pyctl.daemon.policy.making import NOW, event, policy, reading, rule
from tests.pyctl.daemon.test_actions import NEVER, Failing, Repeatable, Undoable, World
from tests.pyctl.daemon.test_alerts import Box, arrived
from tests.pyctl.daemon.test_audit import KilledAudit

MADE = policy(
    rule(
        "{event: [lost]}",
        "- scan: {}\n  - notify: {text: lost}",
        "cool-down: 1s",
    )
    + rule("{event: [action-failed]}", "- notify: {text: failed}", name="failed")
    + rule("{event: [events-lost]}", "- notify: {text: gap}", name="gap")
)
ROUTES = Routes(levels={one: (Level(0, ("box",)),) for one in Severity})


class Clock:
    now = float(NOW)

    def __call__(self):
        return self.now


def core(place, store, log, killer=NEVER, scan=Repeatable, made=MADE, clock=None, later=False):
    clock = clock or Clock()
    alerts = Alerts(store, ROUTES, {"box": Box(place, killer)}, clock)
    works = {Action.SCAN: scan(World(place, killer)), Action.NOTIFY: Notices(alerts)}
    return Core(store, log, alerts, made, works, clock, later=later)


@pytest.fixture
def opened(tmp_path):
    with Store(tmp_path / "db") as store, Audit(tmp_path) as log:
        yield tmp_path, store, log


def seen(lost):
    return json.dumps({"remapped": 0, "lost": lost})


def numbered(*numbers, kind="lost"):
    return [event(kind, NOW, source="k", seq=number) for number in numbers]


def test_from_an_event_to_the_audit_log(opened):
    place, *_ = opened
    made = core(*opened)
    intents = made.hear(numbered(1))
    assert [one.kind for one in intents] == [Action.SCAN, Action.NOTIFY]
    assert [made.run(one).state for one in intents] == [State.DONE] * 2
    assert made.alerts.send_due() == 1
    told = [(one["what"], one["who"]) for one in read(place)]
    # the last change is delivered with what comes next
    assert [what for what, _ in told] == [
        *("lost", "scan planned", "notify planned"),
        *("scan running", "scan done", "notify running", "notify done"),
    ]
    assert [who for _, who in told] == ["kernel", *["policy:r"] * 6]
    assert read(place)[1]["why"] == "one of lost (lost)"
    assert verify(place).problems == ()
    assert made.explain("r", "d").verdict == "not-met"


def test_what_is_heard_twice_is_acted_on_once(opened):
    made = core(*opened)
    assert len(made.hear(numbered(1))) == 2
    made.clock.now += 60
    assert made.hear(numbered(1)) == []
    assert len(made.hear(numbered(1, 2))) == 2


def test_what_is_missing_is_an_event(opened):
    made = core(*opened)
    made.hear(numbered(1, kind="remap"))
    (intent,) = made.hear(numbered(5, kind="remap"))
    assert intent.parameters["text"] == "gap"
    assert made.store.gaps() == [Gap("k", 2, 4)]


def test_a_rule_hears_that_an_action_failed(opened):
    made = core(*opened, scan=Failing)
    scan, _ = made.hear(numbered(1))
    assert made.run(scan).state is State.FAILED
    assert [one.who for one in made.pending()] == ["policy:r", "policy:failed"]


def test_a_dry_run_is_remembered_and_nothing_is_done(opened):
    dry = MADE.model_copy(update={"dry_run": True})
    made = core(*opened, made=dry)
    assert made.hear(numbered(1)) == []
    (kept,) = made.store.decisions()
    assert kept["verdict"] == "dry-run"
    assert made.actions.all() == []


def test_another_policy_does_not_forget_the_limits(opened):
    made = core(*opened, made=policy(rule("{health: {below: 50}}")))
    assert len(made.hear([reading(NOW, health=1)])) == 1
    made.use(policy(rule("{health: {below: 60}}")))
    assert made.hear(()) == []
    assert made.explain("r", "d").verdict == "cooling-down"


def test_an_audit_log_that_cannot_be_written_loses_no_action(opened, monkeypatch):
    place, _, log = opened
    made = core(*opened)

    def fail(*_, **__):
        raise PyctlError("No space.")

    monkeypatch.setattr(log, "extend", fail)
    with pytest.raises(PyctlError, match="No space"):
        made.hear(numbered(1))
    monkeypatch.undo()
    assert len(made.actions.unfinished()) == 2
    assert made.hear(()) == []
    assert [one["what"] for one in read(place)] == ["lost", "scan planned", "notify planned"]


def test_what_was_cut_off_can_be_left_for_later(opened):
    """A daemon must be up soon, whatever it has to do then."""
    place, *_ = opened
    made = core(*opened)
    scan, notify = made.hear(numbered(1))
    made.begin(scan)
    again = core(*opened, later=True)
    assert not World(place).has(f"{scan.id}-whole")
    assert [(one.id, one.state) for one in again.pending()] == [
        (scan.id, State.RUNNING),
        (notify.id, State.PLANNED),
    ]
    begun = again.begin(again.pending()[0])
    assert begun.tries == 2
    # what is being done is not pending
    assert [one.id for one in again.pending()] == [notify.id]
    again.actions.finish(begun, again.actions.perform(begun))
    again.run(notify)
    assert again.pending() == []
    assert [one.state for one in again.actions.all()] == [State.DONE] * 2


def test_what_has_to_be_undone_can_be_left_for_later(opened):
    place, *_ = opened
    made = core(*opened, scan=Undoable)
    begun = made.begin(made.hear(numbered(1))[0])
    made.actions.perform(begun)
    for _ in range(2):
        again = core(*opened, scan=Undoable, later=True)
        assert again.pending()[0].state is State.UNDOING
        assert World(place).has(f"{begun.id}-whole")
    assert again.run(again.pending()[0]).state is State.UNDONE
    assert not World(place).has(f"{begun.id}-whole")


def test_what_is_under_way_stays_so_with_another_policy(opened):
    made = core(*opened)
    scan, _ = made.hear(numbered(1))
    made.begin(scan)
    made.use(MADE)
    made.clock.now += 60
    made.hear(numbered(2))
    told = made.explain("r", "d").steps[0]
    assert (told.outcome, told.why) == ("blocked", "it is under way already")


def test_what_cannot_be_done_is_not_tried(opened):
    made = core(*opened)
    made.unavailable = {Action.SCAN: "there is no scanner"}
    assert [one.kind for one in made.hear(numbered(1))] == [Action.NOTIFY]
    (step, _) = made.explain("r", "d").steps
    assert (step.outcome, step.why) == ("blocked", "there is no scanner")


def test_how_devices_are_is_known_with_their_events_or_not_at_all(opened, monkeypatch):
    made = core(*opened)
    made.hear(numbered(1), {"d": seen(1)})
    assert made.store.seen() == {"d": seen(1)}

    def fail(*_):
        raise PyctlError("No.")

    monkeypatch.setattr(made.actions, "plan", fail)
    made.clock.now += 60
    with pytest.raises(PyctlError):
        made.hear(numbered(2), {"d": seen(2), "e": seen(1)})
    assert made.store.seen() == {"d": seen(1)}
    assert len(list(made.store.events())) == 1


def scenario(place, count):
    """A daemon that is told all events at its start, as a dump of the kernel would."""

    def job(killer):
        with KilledStore(place / "db") as store, KilledAudit(place) as log:
            clock = Clock()
            made = core(place, store, log, killer, clock=clock)
            for number in range(1, count + 1):
                clock.now = NOW + 60 * number
                for intent in made.hear(numbered(*range(1, number + 1))):
                    made.run(intent)
            made.alerts.send_due()
            made.hear(())

    return job


def check(place, count):
    """Every event led to one decision and to one action of each kind, which are at their end."""
    with Store(place / "db") as store:
        actions = Actions(store, {}, lambda: NOW).all()
        kinds = Counter((one.kind, one.state) for one in actions)
        assert kinds[Action.SCAN, State.DONE] == count
        assert kinds[Action.NOTIFY, State.DONE] == count
        assert len(list(store.decisions())) == count
        assert len(list(store.events())) >= count
        assert store.outbox() == []
    assert verify(place).problems == ()
    told = Counter((one["action"], one["what"]) for one in read(place) if "action" in one)
    for one in actions:
        assert told[one.id, f"{one.kind} planned"] == 1
        assert told[one.id, f"{one.kind} done"] == 1
    assert max(arrived(place).values(), default=1) == 1


def test_killed_at_every_point():
    for at in itertools.count():
        with folder() as name:
            place = Path(name)
            Store(place / "db").close()
            Audit(place).close()
            job = scenario(place, 1)
            killed = in_child(job, at)
            whole(job)
            check(place, 1)
        if not killed:
            break
    # commits, heads, steps of the work, deliveries
    assert at > 40


@settings(max_examples=15)
@given(st.integers(1, 3), st.lists(st.integers(0, 120), max_size=2))
def test_killed_several_times(count, kills):
    with folder() as name:
        place = Path(name)
        Store(place / "db").close()
        Audit(place).close()
        job = scenario(place, count)
        for at in kills:
            in_child(job, at)
        whole(job)
        check(place, count)


def test_the_daemon_s_records_are_json(opened):
    made = core(*opened)
    for intent in made.hear(numbered(1)):
        made.run(intent)
    for line in (opened[0] / "audit.jsonl").read_text().splitlines():
        assert json.loads(line)["device"] == "d"
