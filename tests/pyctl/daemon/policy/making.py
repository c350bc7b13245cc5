"""Policies and events in few words."""

from pyctl.daemon.events import Event
from pyctl.daemon.policy.engine import decide
from pyctl.daemon.policy.loading import parse_policy
from pyctl.daemon.policy.state import State

NOW = 1_800_000_000
HOUR = 3600
DAY = 86_400


def policy(rules, head=""):
    """A policy with these rules, as YAML that begins in the first column."""
    text = f"version: 1\nname: test\n{head}\nrules:\n{rules}"
    return parse_policy(text.encode(), "test.yaml")


def rule(when, do="- scan: {}", more="", name="r"):
    """The YAML of one rule."""
    return f"- name: {name}\n  when: {when}\n  do:\n  {do}\n  {more}\n"


def event(kind, time=NOW, device="d", **more):
    return Event.model_validate({"kind": kind, "time": time, "device": device, **more})


def reading(time=NOW, device="d", **numbers):
    return event("reading", time, device, reading=numbers)


def spare(index, state="in-sync", **more):
    return {"index": index, "state": state, "free": 1000, **more}


def looks(made, *turns):
    """Runs (time, events) one after the other; the decisions of each, and the state at the end."""
    state, found = State(), []
    for now, events in turns:
        state, decisions = decide(state, made, events, now)
        found.append(decisions)
    return found, state


def truth(when, *events, now=NOW, device="d"):
    """What a condition says of a device after some events, all heard at `now`."""
    made = policy(rule(when))
    (decisions,), _ = looks(made, (now, events))
    (one,) = [each for each in decisions if each.device == device]
    return one.seen.truth.value
