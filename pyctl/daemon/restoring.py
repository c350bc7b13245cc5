"""What the engine knew before a restart, from the store.

Limits, cool-downs and given-away spares are as they were. How long a condition has held is not: a
`held` begins anew, which can only delay an action.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pyctl.daemon.events import Action, parse_time
from pyctl.daemon.policy.document import Policy
from pyctl.daemon.policy.engine import Outcome, Verdict
from pyctl.daemon.policy.state import Acted, Fired, State, observe, prune
from pyctl.daemon.store import Store

__all__ = ["restored"]

_OUTCOMES = {Outcome.ACT.value: False, Outcome.DRY_RUN.value: True}
_VERDICTS = {Verdict.ACT.value: False, Verdict.DRY_RUN.value: True}
# Events that are in memory at a time.
_PAGE = 1000


def restored(store: Store, policy: Policy, now: float) -> State:
    """The state after all events and decisions that the store keeps.

    To be called when Actions.recover has ended what was under way.
    """
    state = _decided(store, now - policy.memory_seconds())
    events = store.events()
    while page := list(itertools.islice(events, _PAGE)):
        state = observe(state, policy, page)
    # what was under way has been brought to its end by now
    idle = {name: replace(one, busy=frozenset()) for name, one in state.devices.items()}
    return prune(replace(state, devices=MappingProxyType(idle)), policy, now)


def _decided(store: Store, since: float) -> State:
    fired, acted = [], []
    for one in store.decisions(since):
        time, device = _time(one), str(one["device"])
        if one["verdict"] in _VERDICTS:
            fired.append(Fired(time, one["rule"], device, _VERDICTS[one["verdict"]]))
        acted += [
            Acted(time, Action(step["action"]), device, _OUTCOMES[step["outcome"]])
            for step in one["steps"]
            if step["outcome"] in _OUTCOMES
        ]
    return State(fired=tuple(fired), acted=tuple(acted), pool_used=_given_away(store))


def _given_away(store: Store) -> frozenset[str]:
    found = store.rows("SELECT parameters FROM actions WHERE kind = ?", (Action.SPARE_ADD.value,))
    return frozenset(str(json.loads(row["parameters"])["device"]) for row in found)


def _time(decision: Mapping[str, Any]) -> float:
    return float(str(parse_time(decision["time"])))
