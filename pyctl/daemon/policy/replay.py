"""Recorded events, run through a policy: what would it have done, and why?"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pyctl.daemon.events import Event, ordered
from pyctl.daemon.policy.document import Policy
from pyctl.daemon.policy.engine import Decision, Verdict, decide
from pyctl.daemon.policy.state import State
from pyctl.errors import UsageError, from_os_error

__all__ = ["Gap", "Replay", "gaps", "read_history", "replay", "rounds"]

_SILENT = (Verdict.NOT_MET, Verdict.NOT_KNOWN, Verdict.OFF)


@dataclass(frozen=True)
class Gap:
    """Events of a source that are not in the history: the numbers `first` to `last`."""

    source: str
    first: int
    last: int


@dataclass
class Replay:
    """What came of it. Of the same answer of a rule, repeated at every look, the first is kept.

    `counts` has how often each rule gave each verdict.
    """

    events: int = 0
    looks: int = 0
    first: float = 0
    last: float = 0
    decisions: list[Decision] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)


def read_history(path: Path) -> list[Event]:
    """The events of a file of JSON Lines, in order. Raises UsageError with file and line."""
    events = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    events.append(_event(path, number, line))
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error
    return ordered(events)


def gaps(events: Iterable[Event]) -> list[Gap]:
    """Numbers that are missing between the first and the last of each source."""
    numbers: dict[str, list[int]] = {}
    for one in events:
        if one.seq is not None:
            numbers.setdefault(one.source, []).append(one.seq)
    return [
        Gap(source, before + 1, after - 1)
        for source, found in sorted(numbers.items())
        for before, after in itertools.pairwise(sorted(set(found)))
        if after > before + 1
    ]


def rounds(
    policy: Policy, events: Sequence[Event], every: int, until: float | None = None
) -> Iterator[tuple[float, tuple[Decision, ...]]]:
    """Time and decisions of every look: at each event, and every `every` seconds between."""
    state = State()
    last: float | None = None
    for time, group in itertools.groupby(ordered(events), key=lambda one: one.time):
        if until is not None and time > until:
            break
        while last is not None and last + every < time:
            last += every
            state, decisions = decide(state, policy, (), last)
            yield last, decisions
        last = time
        state, decisions = decide(state, policy, list(group), time)
        yield time, decisions
    while until is not None and last is not None and last < until:
        last = min(last + every, until)
        state, decisions = decide(state, policy, (), last)
        yield last, decisions


def replay(
    policy: Policy, events: Sequence[Event], every: int = 60, until: float | None = None
) -> Replay:
    """What the policy would have done; `until` also looks at the time after the last event."""
    done = Replay(counts={rule.name: Counter() for rule in policy.rules})
    before: dict[tuple[str, str], Verdict] = {}
    done.events = sum(until is None or one.time <= until for one in events)
    for time, decisions in rounds(policy, events, every, until):
        done.first = done.first if done.looks else time
        done.last = time
        done.looks += 1
        for one in decisions:
            done.counts[one.rule][one.verdict.value] += 1
            key = (one.rule, one.device)
            new = before.get(key) is not one.verdict
            before[key] = one.verdict
            if one.verdict not in _SILENT and (new or one.steps):
                done.decisions.append(one)
    return done


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        return Event.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UsageError(
            f"{path}:{number}: {where + ': ' if where else ''}{first['msg']}.",
            hint="docs/policies.md tells what an event looks like."
            f" `pyctl policy test` needs a line such as: {_EXAMPLE}",
        ) from None


_EXAMPLE = Event.model_validate(
    {"time": 0, "kind": "reading", "device": "srv", "reading": {"health": 97}}
).line()
