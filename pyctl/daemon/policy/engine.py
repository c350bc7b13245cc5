"""The decision: (state, policy, events, now) -> (state, decisions), and nothing else.

Rules are asked in the order of the file, for each device in the order of names, so that the first
rule has the first claim on a limit. The same arguments always give the same decisions, and the
events of one call are put in order first, so that it does not matter how they came.
"""

import enum
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pyctl.daemon.events import Action, Event, iso, ordered
from pyctl.daemon.policy.document import FLEET, Limit, Policy, Rule
from pyctl.daemon.policy.doing import Doing, Hook, Notify, action_of
from pyctl.daemon.policy.durations import duration_text
from pyctl.daemon.policy.evaluating import Look, Seen, Truth
from pyctl.daemon.policy.resolving import BlockedError, Subject, resolve
from pyctl.daemon.policy.state import Acted, Fired, Memory, State, observe, prune

__all__ = ["Decision", "Outcome", "Step", "Verdict", "decide", "reason"]


class Outcome(enum.StrEnum):
    """What becomes of one action of a rule."""

    ACT = "act"
    DRY_RUN = "dry-run"
    LIMITED = "limited"
    BLOCKED = "blocked"
    REPEATED = "repeated"


class Verdict(enum.StrEnum):
    """What becomes of a rule: the last four are why it did nothing though its condition held."""

    ACT = "act"
    DRY_RUN = "dry-run"
    NOT_MET = "not-met"
    NOT_KNOWN = "not-known"
    COOLING_DOWN = "cooling-down"
    LIMITED = "limited"
    BLOCKED = "blocked"
    OFF = "off"


@dataclass(frozen=True)
class Step:
    """An action with its parameters, what becomes of it, and why."""

    action: Action
    parameters: dict[str, Any]
    outcome: Outcome
    why: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        plain: dict[str, Any] = {
            "action": self.action.value,
            "parameters": self.parameters,
            "outcome": self.outcome.value,
        }
        return {**plain, "why": self.why} if self.why else plain


@dataclass(frozen=True)
class Decision:
    """What a rule decided about a device (`*`: about all), with what each condition saw."""

    time: float
    rule: str
    device: str
    verdict: Verdict
    why: str
    seen: Seen
    steps: tuple[Step, ...] = ()

    @property
    def acts(self) -> tuple[Step, ...]:
        """What is to be done now."""
        return tuple(one for one in self.steps if one.outcome is Outcome.ACT)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "time": iso(self.time),
            "rule": self.rule,
            "device": self.device,
            "verdict": self.verdict.value,
            "why": self.why,
            "steps": [one.plain() for one in self.steps],
            "seen": self.seen.plain(),
        }


_ALL_THERE: Mapping[Action, str] = MappingProxyType({})


def decide(
    state: State,
    policy: Policy,
    events: Sequence[Event],
    now: float,
    unavailable: Mapping[Action, str] = _ALL_THERE,
) -> tuple[State, tuple[Decision, ...]]:
    """What to do after these events, at this time; `unavailable` says why actions can't be done.

    With events, rules are asked about their devices only; without any, about all devices: do that
    about once a minute. Time that goes back stands still, and an event that claims to come from
    the future is taken to be of now.
    """
    now = max(now, state.now)
    batch = [
        one if one.time <= now else one.model_copy(update={"time": now}) for one in ordered(events)
    ]
    state = prune(observe(state, policy, batch), policy, now)
    by_device: dict[str, list[Event]] = {}
    for one in batch:
        by_device.setdefault(one.device, []).append(one)
    turn = _Turn(policy, state, now, by_device, dict(state.memory), unavailable)
    decisions = tuple(
        turn.decide(rule, device) for rule in policy.rules for device in turn.subjects(rule)
    )
    return turn.after(), decisions


def reason(seen: Seen) -> str:
    """Why a condition holds, in a line: what its parts that hold have seen."""
    return "; ".join(f"{one.asks} ({one.saw})" for one in _holding(seen)) or seen.asks


# The leaves that make it true. Below a `not` it is what is false that counts.
def _holding(seen: Seen, wanted: Truth = Truth.TRUE) -> Iterator[Seen]:
    if seen.truth is not wanted:
        return
    if not seen.below:
        yield seen if wanted is Truth.TRUE else replace(seen, asks=f"not {seen.asks}")
    inside = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}[wanted]
    for one in seen.below:
        yield from _holding(one, inside if seen.asks == "not" else wanted)


# One call of decide(): what has been decided so far counts for what comes after.
@dataclass
class _Turn:
    policy: Policy
    state: State
    now: float
    batch: Mapping[str, Sequence[Event]]
    memory: dict[tuple[str, str, str], Memory]
    unavailable: Mapping[Action, str]
    fired: list[Fired] = field(default_factory=list)
    acted: list[Acted] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    done: set[tuple[object, ...]] = field(default_factory=set)

    def after(self) -> State:
        """The state that remembers all of it."""
        return replace(
            self.state,
            memory=MappingProxyType(self.memory),
            fired=(*self.state.fired, *self.fired),
            acted=(*self.state.acted, *self.acted),
            pool_used=self.state.pool_used | self.taken,
        )

    def subjects(self, rule: Rule) -> list[str]:
        """The devices that a rule is about now; those that were stopped in order are not."""
        if rule.scope == "fleet":
            return [FLEET]
        devices = self.state.devices
        now = set(self.batch) or {name for name, one in devices.items() if not one.stopped}
        return [
            name
            for name in sorted(now)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in rule.devices)
        ]

    def decide(self, rule: Rule, device: str) -> Decision:
        """One rule, one device."""
        look = Look(
            self.policy,
            self.state,
            self.now,
            rule.name,
            None if device == FLEET else device,
            self.batch,
            self.memory,
        )
        seen = look.see(rule.when)
        verdict, why = self._verdict(rule, device, seen)
        if verdict is not Verdict.ACT:
            return Decision(self.now, rule.name, device, verdict, why, seen)
        dry = rule.dry_run or self.policy.dry_run
        subject = Subject(self.policy, self.state, self.now, rule.name, look.device, reason(seen))
        steps = tuple(self._step(doing, subject, device, dry=dry) for doing in rule.do)
        verdict, why = _summary(steps, subject.why)
        if verdict in (Verdict.ACT, Verdict.DRY_RUN):
            self.fired.append(Fired(self.now, rule.name, device, dry))
        return Decision(self.now, rule.name, device, verdict, why, seen, steps)

    # May the rule act at all?
    def _verdict(self, rule: Rule, device: str, seen: Seen) -> tuple[Verdict, str]:
        if not rule.enabled:
            return Verdict.OFF, "the rule is not enabled"
        if seen.truth is Truth.UNKNOWN:
            return Verdict.NOT_KNOWN, "too little is known to say whether the condition holds"
        if seen.truth is Truth.FALSE:
            return Verdict.NOT_MET, "the condition does not hold"
        dry = rule.dry_run or self.policy.dry_run
        times = [
            one.time
            for one in self.state.fired
            if (one.rule, one.device) == (rule.name, device) and (dry or not one.dry)
        ]
        if times and self.now - times[-1] < rule.cool_down:
            left = duration_text(rule.cool_down - (self.now - times[-1]))
            return Verdict.COOLING_DOWN, f"it acted at {iso(times[-1])}, and rests for {left} more"
        if rule.limit:
            recent = sum(self.now - time < rule.limit.within for time in times)
            if recent >= rule.limit.times:
                within = duration_text(rule.limit.within)
                return Verdict.LIMITED, f"it acted {recent} times within {within} already"
        return Verdict.ACT, ""

    def _step(self, doing: Doing, subject: Subject, device: str, *, dry: bool) -> Step:
        action = action_of(doing)
        if action in self.unavailable:
            return Step(action, {}, Outcome.BLOCKED, self.unavailable[action])
        try:
            parameters = resolve(doing, subject, self.state.pool_used | self.taken)
        except BlockedError as error:
            return Step(action, {}, Outcome.BLOCKED, str(error))
        known = self.state.devices.get(device)
        if known and action in known.busy:
            return Step(action, parameters, Outcome.BLOCKED, "it is under way already")
        # of two rules that empty a spare at the same moment one is enough, whatever spare
        free = isinstance(doing, Notify | Hook)
        key = (action, device, dry, repr(parameters) if free else "")
        if key in self.done:
            return Step(action, parameters, Outcome.REPEATED, "another rule does it now")
        why = self._over(action, device, dry=dry)
        if why:
            return Step(action, parameters, Outcome.LIMITED, why)
        self.done.add(key)
        self.acted.append(Acted(self.now, action, device, dry))
        if action is Action.SPARE_ADD and not dry:
            self.taken.add(parameters["device"])
        return Step(action, parameters, Outcome.DRY_RUN if dry else Outcome.ACT)

    # A dry run counts what would have been done; what was only said costs others nothing.
    def _over(self, action: Action, device: str, *, dry: bool) -> str:
        def counts(limit: Limit, one: Acted) -> bool:
            return (
                one.action in limit.actions
                and (limit.per == "host" or one.device == device)
                and (dry or not one.dry)
                and self.now - one.time < limit.within
            )

        for limit in self.policy.limits:
            if action not in limit.actions:
                continue
            recent = sum(counts(limit, one) for one in (*self.state.acted, *self.acted))
            if recent >= limit.times:
                within = duration_text(limit.within)
                return f"the limit of {limit.times} within {within} is reached"
        return ""


# What a rule did, from what became of its actions.
def _summary(steps: Sequence[Step], because: str) -> tuple[Verdict, str]:
    outcomes = {one.outcome for one in steps}
    for outcome, verdict in (
        (Outcome.ACT, Verdict.ACT),
        (Outcome.DRY_RUN, Verdict.DRY_RUN),
    ):
        if outcome in outcomes:
            return verdict, because
    why = "; ".join(f"{one.action}: {one.why}" for one in steps)
    return (Verdict.LIMITED if Outcome.LIMITED in outcomes else Verdict.BLOCKED), why
