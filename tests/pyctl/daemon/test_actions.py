"""Actions are finished or undone, whenever the daemon is killed."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.actions import FINAL, MAX_TRIES, TOO_OLD, Actions, State
from pyctl.daemon.events import Action
from pyctl.daemon.store import Store
from pyctl.errors import PyctlError
from tests.pyctl.daemon.killing import KilledStore, Killer, folder, in_child, whole
from tests.pyctl.daemon.policy.making import NOW, looks, policy, reading, rule

NEVER = Killer(-1)


class World:
    """A folder in which actions leave their traces, with points to be killed at between them."""

    def __init__(self, folder, killer=NEVER):
        self.folder = folder
        self.killer = killer

    def mark(self, name):
        self.killer.point()
        (self.folder / name).touch()
        self.killer.point()

    def unmark(self, name):
        self.killer.point()
        (self.folder / name).unlink(missing_ok=True)
        self.killer.point()

    def has(self, name):
        return (self.folder / name).exists()


class Repeatable:
    """As those of pyctl: whatever was cut off can be run again. Two steps."""

    def __init__(self, world):
        self.world = world

    def repeatable(self, intent):
        return True

    def undoable(self, intent):
        return False

    def run(self, intent):
        self.world.mark(f"{intent.id}-begun")
        self.world.mark(f"{intent.id}-whole")
        return {"before": {"whole": False}, "after": {"whole": True}}

    def undo(self, intent):
        raise AssertionError


class Undoable(Repeatable):
    """Can't be repeated, but taken back."""

    def repeatable(self, intent):
        return False

    def undoable(self, intent):
        return True

    def undo(self, intent):
        self.world.unmark(f"{intent.id}-whole")
        self.world.unmark(f"{intent.id}-begun")


class Once(Repeatable):
    """Neither: a hook that must not run twice."""

    def repeatable(self, intent):
        return False

    def run(self, intent):
        self.world.killer.point()
        with (self.world.folder / f"{intent.id}-ran").open("a") as file:
            file.write("x")
        self.world.killer.point()
        return {}


class Failing(Repeatable):
    def run(self, intent):
        self.world.killer.point()
        raise PyctlError("No room.", hint="Add a spare.")


KINDS = {
    Action.SCAN: Repeatable,
    Action.EVACUATE: Undoable,
    Action.HOOK: Once,
    Action.REMAP: Failing,
}


def actions(store, world, now=NOW):
    return Actions(store, {kind: one(world) for kind, one in KINDS.items()}, lambda: now)


@pytest.fixture
def setting(tmp_path):
    with Store(tmp_path / "db") as store:
        world = World(tmp_path)
        yield actions(store, world), world


def order(made, kind=Action.SCAN):
    return made.order("root", "because", "srv", kind, {"n": 1})


def test_an_action_is_written_down_done_and_told(setting):
    made, world = setting
    intent = order(made)
    assert (intent.state, intent.tries, intent.parameters) == (State.PLANNED, 0, {"n": 1})
    assert made.unfinished() == [intent]
    done = made.run(intent)
    assert (done.state, done.tries) == (State.DONE, 1)
    assert world.has(f"{intent.id}-whole")
    assert made.unfinished() == []
    told = [entry for _, entry in made.store.outbox()]
    assert [entry["what"] for entry in told] == ["scan planned", "scan running", "scan done"]
    assert told[-1]["before"] == {"whole": False}
    assert told[-1]["who"] == "root"


def test_an_action_that_fails_says_why(setting):
    made, _ = setting
    done = made.run(order(made, Action.REMAP))
    assert (done.state, done.result) == (State.FAILED, {"error": "No room. Add a spare."})
    assert made.store.outbox()[-1][1]["error"] == "No room. Add a spare."


def test_a_decision_is_written_down_with_its_actions(setting):
    made, _ = setting
    do = "- scan: {}\n  - evacuate: {}\n  - hook: {program: /bin/x}"
    found, _ = looks(policy(rule("{health: {below: 50}}", do)), (NOW, [reading(health=1)]))
    planned = made.plan(found[0][0])
    # the evacuation was blocked
    assert [one.kind for one in planned] == [Action.SCAN, Action.HOOK]
    assert {one.who for one in planned} == {"policy:r"}
    assert planned[0].why == "health below 50 (1)"
    assert len(list(made.store.decisions())) == 1


def test_what_is_undone_is_told(setting):
    made, world = setting
    intent = order(made, Action.EVACUATE)
    with made.store.transaction():
        made.store.execute("UPDATE actions SET state = 'running', tries = 1")
    world.mark(f"{intent.id}-begun")
    (done,) = made.recover()
    assert done.state is State.UNDONE
    assert not world.has(f"{intent.id}-begun")
    told = [entry["what"] for _, entry in made.store.outbox()]
    assert told == ["evacuate planned", "evacuate undoing", "evacuate undone"]


def test_what_was_planned_long_ago_is_not_done_any_more(setting, tmp_path):
    made, world = setting
    order(made)
    late = actions(made.store, world, NOW + TOO_OLD + 1)
    (one,) = late.recover()
    assert one.state is State.UNDONE
    assert not world.has(f"{one.id}-begun")


def test_what_takes_the_daemon_down_is_not_tried_for_ever(tmp_path):
    Store(tmp_path / "db").close()
    job = scenario(tmp_path, [Action.SCAN])
    # always before the first mark: behind the commits of the plan and of each beginning
    assert in_child(job, 4)
    for _ in range(MAX_TRIES - 1):
        assert in_child(job, 2)
    with Store(tmp_path / "db") as store:
        (one,) = actions(store, World(tmp_path)).recover()
    assert (one.state, one.tries) == (State.FAILED, MAX_TRIES)
    assert "interrupted" in one.result["error"]


def check(place, store):
    """Is everything at its end, and the world as the store says?"""
    for one in actions(store, World(place)).all():
        begun, whole, ran = (
            (place / f"{one.id}-{mark}").exists() for mark in ("begun", "whole", "ran")
        )
        assert one.state in FINAL
        if one.kind is Action.HOOK:
            if ran:
                assert (place / f"{one.id}-ran").read_text() == "x"
            assert ran or one.state is State.FAILED
        elif one.kind is Action.REMAP:
            assert one.state is State.FAILED
        else:
            assert begun == whole == (one.state is State.DONE)
        if one.kind is Action.SCAN:
            assert one.state is State.DONE


def scenario(place, kinds):
    """What a daemon does: first what was left over, then what is new."""

    def job(killer):
        with KilledStore(place / "db") as store:
            made = actions(store, World(place, killer))
            made.recover()
            for kind in kinds[len(made.all()) :]:
                made.run(order(made, kind))

    return job


def killed_twice(kind, first, second):
    """Was it killed at these points? Whatever, it must have come to its end in a third run."""
    with folder() as name:
        place = Path(name)
        Store(place / "db").close()
        job = scenario(place, [kind])
        once = in_child(job, first)
        twice = once and in_child(job, second)
        whole(job)
        with Store(place / "db") as store:
            check(place, store)
            assert len(actions(store, World(place)).all()) == 1
    return once, twice


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_every_point_and_at_every_point_of_the_recovery(kind):
    for first in itertools.count():
        for second in itertools.count():
            once, twice = killed_twice(kind, first, second)
            if not twice:
                break
        if not once:
            break
    # before and behind each of three commits, and two of the work at least
    assert first >= (8 if kind is not Action.REMAP else 7)


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_any_actions_and_any_kills(kinds, kills):
    with folder() as name:
        place = Path(name)
        Store(place / "db").close()
        job = scenario(place, kinds)
        for at in kills:
            in_child(job, at)
        whole(job)
        with Store(place / "db") as store:
            made = actions(store, World(place)).all()
            assert [one.kind for one in made] == kinds
            for one in made:
                assert one.state in FINAL
                told = [e["what"] for _, e in store.outbox() if e["action"] == one.id]
                assert told[0] == f"{one.kind} planned"
                assert told[-1] == f"{one.kind} {one.state}"
                assert sum(word.split()[1] in FINAL for word in told) == 1
            if len(kills) < MAX_TRIES:
                check(place, store)
