"""The daemon without its surroundings: hear, decide, act, tell; killed anywhere, it goes on.

An event and the actions that it leads to are one transaction: an event is either not known, or
everything that follows from it is written down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pyctl.daemon.actions import FINAL, Actions, Intent, State, Work
from pyctl.daemon.alerts import Alerts
from pyctl.daemon.audit import Audit, deliver
from pyctl.daemon.deeds import deeds
from pyctl.daemon.events import Action, Event, Kind, iso
from pyctl.daemon.policy.document import FLEET, Policy
from pyctl.daemon.policy.engine import Decision, Verdict, decide
from pyctl.daemon.restoring import restored
from pyctl.daemon.store import Gap, Store

__all__ = ["Core"]

# What is remembered of decisions: those that did something, or would have.
_KEPT = (Verdict.ACT, Verdict.DRY_RUN)
_SOURCE = "dm-remapd"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Core:
    """Store, audit log, alerts and policy, put together. Not for several threads."""

    def __init__(
        self,
        store: Store,
        audit: Audit,
        alerts: Alerts,
        policy: Policy,
        works: Mapping[Action, Work],
        clock: Callable[[], float],
        *,
        later: bool = False,
    ) -> None:
        """Brings what was under way at the end of the last run to its end.

        With `later`, the caller does what takes time of that: `pending` has it.
        """
        self.store = store
        self.audit = audit
        self.alerts = alerts
        self.policy = policy
        self.clock = clock
        self.actions = Actions(store, works, clock)
        alerts.recover()
        self.recovered = self.actions.recover(later=later)
        self._left = {one.id: one for one in self.recovered if one.state not in FINAL}
        self.unavailable: Mapping[Action, str] = MappingProxyType({})
        deliver(store, audit)
        self.state = restored(store, policy, clock())
        self.last: Mapping[tuple[str, str], Decision] = MappingProxyType({})

    def hear(self, events: Sequence[Event], seen: Mapping[str, str] = _NOTHING) -> list[Intent]:
        """Take events, decide, and write down what is to be done; returns that.

        Without events, time passes: to be called about once a minute. `seen` is how the devices
        are that the events are about; it is known from then on if and only if the events are.
        """
        with self.store.transaction():
            was = self.store.seen() if seen else {}
            self.store.see(seen)
            heard = self.store.add_events(events)
            for deed in deeds(heard.new, was, seen):
                self.store.post(deed)
            lost = [one for gap in heard.gaps for one in self._lost(gap)]
            new = [*heard.new, *self.store.add_events(lost).new]
            if events and not new:
                return []
            state, decisions = decide(self.state, self.policy, new, self.clock(), self.unavailable)
            kept = [one for one in decisions if one.verdict in _KEPT]
            intents = [intent for one in kept for intent in self.actions.plan(one)]
        self.state = state
        self.last = MappingProxyType(
            {**self.last, **{(one.rule, one.device): one for one in decisions}}
        )
        deliver(self.store, self.audit)
        return intents

    def pending(self) -> list[Intent]:
        """What is written down and not begun, oldest first; also what came while others ran.

        And what is left of the last run, until it is begun.
        """
        return [
            one
            for one in self.actions.unfinished()
            if one.state is State.PLANNED or one.id in self._left
        ]

    def run(self, intent: Intent) -> Intent:
        """Do an action that was written down; rules hear that it begins and how it ends."""
        begun = self.begin(intent)
        done = self.actions.finish(begun, self.actions.perform(begun))
        self.ended(done)
        return done

    def begin(self, intent: Intent) -> Intent:
        """Write down that an action is being done; `actions.perform` does it."""
        self._tell(Kind.ACTION_STARTED, intent)
        begun = self.actions.begin(intent)
        self._left.pop(intent.id, None)
        return begun

    def ended(self, done: Intent) -> None:
        """Have rules hear how an action has ended."""
        good = done.state is State.DONE
        told = str(done.result.get("error", ""))[:4096]
        self._tell(Kind.ACTION_DONE if good else Kind.ACTION_FAILED, done, told)

    def deliver(self) -> None:
        """Write into the audit log what is not there yet. Raises PyctlError."""
        deliver(self.store, self.audit)

    def note(self, what: str, why: str, who: str = _SOURCE) -> None:
        """Have something that the daemon itself did in the audit log."""
        self.store.post({"time": iso(self.clock()), "who": who, "what": what, "why": why})
        self.deliver()

    def explain(self, rule: str, device: str = FLEET) -> Decision | None:
        """Why a rule acted on a device or did not, when it was last asked."""
        return self.last.get((rule, device))

    def use(self, policy: Policy) -> None:
        """Decide by another policy from now on; limits and cool-downs of the past count.

        What is under way stays so. Raises StoreError: then all is as before.
        """
        state = restored(self.store, policy, self.clock())
        busy = {name: one.busy for name, one in self.state.devices.items()}
        devices = {
            name: replace(one, busy=busy.get(name, frozenset()))
            for name, one in state.devices.items()
        }
        self.policy = policy
        self.state = replace(state, devices=MappingProxyType(devices))

    def reading(self, device: str, name: str) -> float | None:
        """What was read of a device, if it is known and not older than the policy allows."""
        known = self.state.devices.get(device)
        gauge = known.gauges.get(name) if known else None
        if gauge is None or self.clock() - gauge.time > self.policy.stale_after:
            return None
        return gauge.value

    # What is about all devices is no event of any.
    def _tell(self, kind: Kind, intent: Intent, text: str = "") -> None:
        if intent.device != FLEET:
            self.hear([self._event(kind, intent.device, action=intent.kind, text=text)])

    # Nobody knows whose events did not come, so every device may have lost some.
    def _lost(self, gap: Gap) -> list[Event]:
        text = f"{gap.source}: {gap.first} to {gap.last}"
        return [self._event(Kind.EVENTS_LOST, one, text=text) for one in self.state.devices]

    def _event(
        self, kind: Kind, device: str, *, action: Action | None = None, text: str = ""
    ) -> Event:
        return Event(
            time=self.clock(), kind=kind, device=device, source=_SOURCE, action=action, text=text
        )
