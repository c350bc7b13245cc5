"""What is foretold of a place is acted on, and the reasons are in all that is said of it."""

from pathlib import Path

from pyctl.daemon.events import Action, Foretold
from pyctl.daemon.policy.engine import Verdict, decide
from pyctl.daemon.policy.loading import load_policy
from pyctl.daemon.policy.state import State
from tests.pyctl.daemon.policy.making import NOW, event

ROOT = Path(__file__).resolve().parents[4]
POLICY = load_policy(ROOT / "packaging/policy/default.yaml")
SAID = "the region of 1 MiB at sector 4096 may fail within 48 h: it takes 2.1 times what it used to"


def weak(**changed):
    said = Foretold(score=0.9, confidence=0.5, hours=48, reasons=("it takes 2.1 times",))
    more = {"sector": 4096, "sectors": 2048, "text": SAID, "foretold": said, **changed}
    return event("weak-region", source="prediction", **more)


def decided(*events):
    _, decisions = decide(State(), POLICY, events, NOW)
    return {one.rule: one for one in decisions}


def test_the_shipped_policy_moves_it_and_says_why():
    one = decided(weak())["move-weak-regions"]
    assert one.verdict is Verdict.ACT
    (step,) = one.acts
    assert step.action is Action.RELOCATE
    assert step.parameters == {"ranges": [[4096, 2048]], "left_out": 0}
    assert one.why.startswith(f"weak-region within 1d: at least 1 (1; {SAID}); ")


def test_the_last_reasons_are_told_and_only_what_was_foretold():
    kernel = event("weak-region", source="netlink", sector=9, sectors=1, text="x")
    one = decided(weak(time=NOW - 1, text="earlier", sector=0), weak(), kernel)["move-weak-regions"]
    assert one.why.startswith(f"weak-region within 1d: at least 1 (3; {SAID}); ")
    assert one.acts[0].parameters["ranges"] == [[0, 2048], [4096, 2048]]


def test_a_region_without_a_place_is_not_moved():
    one = decided(weak(sector=None, sectors=None))["move-weak-regions"]
    assert one.verdict is Verdict.BLOCKED
    assert "named a sector" in one.why
