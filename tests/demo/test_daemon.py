"""The judgement on the demo of the daemon, without a machine."""

import dataclasses
from typing import Any

import pytest

from tests.demo.daemon.story import WANTED, Did, Outcome, Work, missing

GOOD = Work(1000, 0, 0)
BAD = Work(1000, 3, 0)
DID = [Did(rule, kind, "done", "because") for rule, kind, _ in WANTED]


def outcome(**changed: Any) -> Outcome:
    whole = Outcome(
        raw=[GOOD, BAD],
        remap=[GOOD, GOOD],
        did=DID,
        alerts=["look-around-errors", "more-room"],
        messages=2,
        spares=2,
        records=30,
        forgery_found=True,
    )
    return dataclasses.replace(whole, **changed)


def test_all_went_well() -> None:
    assert missing(outcome()) == []


@pytest.mark.parametrize(
    "changed",
    [
        *({"did": DID[:n] + DID[n + 1 :]} for n in range(len(DID))),
        {"did": [*DID, Did("x", "scan", "failed", "because")]},
        {"did": [dataclasses.replace(one, why="") for one in DID]},
        {"remap": [GOOD, BAD]},
        {"remap": [GOOD, dataclasses.replace(GOOD, wrong=1)]},
        # without an error of the bare disk nothing is shown
        {"raw": [GOOD, GOOD]},
        {"alerts": ["more-room"]},
        {"messages": 0},
        {"spares": 1},
        {"lost": 1},
        {"problems": ["the record is cut"]},
        {"records": 0},
        {"forgery_found": False},
    ],
)
def test_what_must_not_be(changed: dict[str, Any]) -> None:
    assert missing(outcome(**changed))
