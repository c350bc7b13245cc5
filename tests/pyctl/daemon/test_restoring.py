"""A restart is no way around a limit."""

import itertools
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.actions import Actions
from pyctl.daemon.events import Action
from pyctl.daemon.policy.engine import decide
from pyctl.daemon.policy.state import State
from pyctl.daemon.restoring import restored
from pyctl.daemon.store import Store
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.policy.making import HOUR, NOW, event, policy, reading, rule
from tests.pyctl.daemon.policy.test_engine import (
    DEVICES,
    RANDOM,
    histories,
    most_within,
    steps,
    turns,
)

KEPT = ("act", "dry-run")


def lived(place, made, history, restarts):
    """The decisions of a daemon that is started anew before some of the turns."""
    found = []
    with Store(place / "db") as store:
        state = State()
        for number, (now, batch) in enumerate(history):
            if number in restarts:
                state = restored(store, made, now)
            store.add_events(batch)
            state, decisions = decide(state, made, batch, now)
            found.append(decisions)
            for one in decisions:
                if one.verdict in KEPT:
                    Actions(store, {}, lambda now=now: now).plan(one)
    return found, state


@settings(max_examples=40)
@given(histories, st.sets(st.integers(0, 25)))
def test_limits_cool_downs_and_pools_hold_over_restarts(history, restarts):
    with folder() as name:
        found, _ = lived(Path(name), RANDOM, turns(history), restarts)
    changing = [one for one in Action if one is not Action.NOTIFY]
    for outcome in KEPT:
        acted = steps(found, outcome, *changing)
        assert most_within([time for time, _ in acted], HOUR // 2) <= 4
    for each, device in itertools.product(RANDOM.rules, (*DEVICES, "*")):
        fired = [
            one.time
            for decisions in found
            for one in decisions
            if (one.rule, one.device) == (each.name, device) and one.verdict in KEPT
        ]
        assert all(b - a >= each.cool_down for a, b in itertools.pairwise(fired))
    given_away = [
        step.parameters["device"]
        for decisions in found
        for one in decisions
        for step in one.acts
        if step.action is Action.SPARE_ADD
    ]
    assert len(given_away) == len(set(given_away))


# Only `held` and `within` remember more than the store.
@settings(max_examples=40)
@given(histories, st.sets(st.integers(0, 25)))
def test_decisions_are_those_of_a_daemon_that_never_stopped(history, restarts):
    made = RANDOM.model_copy(
        update={"rules": tuple(one for one in RANDOM.rules if one.scope == "device")}
    )
    with folder() as name, folder() as other:
        found, _ = lived(Path(name), made, turns(history), restarts)
        expected, _ = lived(Path(other), made, turns(history), set())
    assert found == expected


def test_what_was_under_way_blocks_nothing_after_a_restart(tmp_path):
    made = policy(rule("{health: {at-least: 0}}"))
    begun = event("action-started", action="scan")
    found, _ = lived(tmp_path, made, [(NOW, [reading(health=1), begun])], set())
    assert found[0][0].verdict == "blocked"
    with Store(tmp_path / "db") as store:
        _, again = decide(restored(store, made, NOW), made, (), NOW + 1)
    assert again[0].verdict == "act"
