"""What each condition of a rule sees at a moment: true, false, or not known.

Nothing is left out: every condition below is looked at, so that the answer explains itself and
what is remembered does not depend on the order. What is not known is never acted on.
"""

import enum
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyctl.daemon.events import Event, SpareReading, iso
from pyctl.daemon.policy.conditions import (
    GAUGE_CONDITIONS,
    AllOf,
    AnyOf,
    Condition,
    DeviceQuorum,
    Devices,
    ErrorsAre,
    EventIs,
    EventsAre,
    Held,
    HeldFor,
    Not,
    Quorum,
    QuorumOf,
    Silent,
    SpareHealth,
    SparesMissing,
    TimeIs,
    children,
)
from pyctl.daemon.policy.document import Policy
from pyctl.daemon.policy.durations import duration_text
from pyctl.daemon.policy.schema import Threshold, time_bounds
from pyctl.daemon.policy.state import DeviceState, Memory, State, Tally

__all__ = ["Look", "Seen", "Truth", "weakest_spare"]


class Truth(enum.StrEnum):
    """Kleene's three values."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, value: bool) -> "Truth":
        """Of what is known."""
        return cls.TRUE if value else cls.FALSE


@dataclass(frozen=True)
class Seen:
    """What a condition saw: its place in the rule, what it asks, what there was, and below it."""

    path: str
    asks: str
    truth: Truth
    saw: str
    below: tuple["Seen", ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        plain: dict[str, Any] = {
            "path": self.path,
            "asks": self.asks,
            "truth": self.truth.value,
            "saw": self.saw,
        }
        if self.below:
            plain["below"] = [one.plain() for one in self.below]
        return plain


_GAUGE_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "health": ("health", "{:g}".format),
    "prediction": ("probability of a failure", "{:g}".format),
    "temperature": ("temperature", "{:g} °C".format),
    "spare_fill": ("fill of the spares", "{:g} %".format),
    "spare_full_in": ("time until the spares are full", duration_text),
    "below_redundancy": ("blocks below their redundancy", "{:g}".format),
    "lost": ("lost blocks", "{:g}".format),
}


@dataclass
class Look:
    """One look at a device (None: at all of them) for a rule.

    `batch` has the events of this look by their devices, `memory` is what it leaves behind.
    """

    policy: Policy
    state: State
    now: float
    rule: str
    device: str | None
    batch: Mapping[str, Sequence[Event]]
    memory: dict[tuple[str, str, str], Memory] = field(default_factory=dict)

    def see(self, condition: Condition, path: str = "when") -> Seen:
        """What the condition sees."""
        if isinstance(condition, Devices):
            return self._devices(condition.devices, path)
        below = tuple(self.see(one, f"{path}.{place}") for place, one in children(condition))
        match condition:
            case AllOf():
                return Seen(path, "all of", *_all(below), below)
            case AnyOf():
                return Seen(path, "any of", *_any(below), below)
            case Not():
                return Seen(path, "not", _opposite(below[0].truth), "", below)
            case Quorum(quorum=quorum):
                return self._quorum(quorum, path, below)
            case Held(held=held):
                return self._held(held, path, below[0])
            case TimeIs():
                return self._time(condition, path)
            case _:
                return self._leaf(condition, path)

    # What needs a device.
    def _leaf(self, condition: Condition, path: str) -> Seen:
        known = self.state.devices.get(self.device) if self.device is not None else None
        if known is None:
            return Seen(path, type(condition).__name__, Truth.UNKNOWN, "nothing is known of it")
        match condition:
            case EventIs():
                return self._event(condition, path)
            case ErrorsAre() | EventsAre():
                return self._count(condition, path, known)
            case Silent(after=after):
                quiet = self.now - known.heard
                asks = f"silent for {duration_text(after)}"
                saw = f"last heard {duration_text(quiet)} ago"
                return Seen(path, asks, Truth.of(quiet >= after), saw)
            case SpareHealth() | SparesMissing():
                return self._spares(condition, path, known)
            case _:
                name = GAUGE_CONDITIONS[type(condition)]
                return self._gauge(name, getattr(condition, "value"), path, known)  # noqa: B009

    def _gauge(self, name: str, threshold: Threshold, path: str, known: DeviceState) -> Seen:
        words, show = _GAUGE_WORDS[name]
        bounds = time_bounds(threshold) if name == "spare_full_in" else threshold.text()
        asks = f"{words} {bounds}"
        gauge = known.gauges.get(name)
        if gauge is None:
            return Seen(path, asks, Truth.UNKNOWN, "no reading")
        age = self.now - gauge.time
        value = gauge.value
        if name == "spare_full_in":
            value = max(0.0, value - age)
        if age > self.policy.stale_after:
            return Seen(path, asks, Truth.UNKNOWN, f"the last reading is {duration_text(age)} old")
        saw = f"{show(value)}; {gauge.why}" if gauge.why else show(value)
        return Seen(path, asks, Truth.of(threshold.holds(value)), saw)

    def _event(self, condition: EventIs, path: str) -> Seen:
        asks = "one of " + ", ".join(condition.kinds)
        mine = self.batch.get(self.device or "", ())
        found = [one.kind.value for one in mine if one.kind in condition.kinds]
        return Seen(path, asks, Truth.of(bool(found)), ", ".join(found) or "none of them now")

    def _count(self, condition: ErrorsAre | EventsAre, path: str, known: DeviceState) -> Seen:
        count = condition.count
        if isinstance(condition, ErrorsAre):
            what = f"{condition.count.kind} errors"
        else:
            what = ", ".join(condition.kinds)
        tally = known.tallies.get((tuple(sorted(condition.kinds)), count.within))
        total = (tally or Tally(count.within)).total(self.now)
        value = float(total)
        asks = f"{what} within {duration_text(count.within)}: {count.text()}"
        saw = f"{total}"
        if count.per is not None:
            value = total * count.per / count.within
            asks += f" per {duration_text(count.per)}"
            saw += f", {value:g} per {duration_text(count.per)}"
        said = [one.why for one in known.regions if one.why and one.kind in condition.kinds]
        if total and said:
            saw += f"; {said[-1]}"
        return Seen(path, asks, Truth.of(count.holds(value)), saw)

    def _spares(
        self, condition: SpareHealth | SparesMissing, path: str, known: DeviceState
    ) -> Seen:
        missing = isinstance(condition, SparesMissing)
        words = "spares that are failed or missing" if missing else "health of the weakest spare"
        asks = f"{words} {condition.value.text()}"
        age = self.now - known.spares_read
        if known.spares is None:
            return Seen(path, asks, Truth.UNKNOWN, "no reading")
        if age > self.policy.stale_after:
            return Seen(path, asks, Truth.UNKNOWN, f"the last reading is {duration_text(age)} old")
        if missing:
            gone = sum(one.state in ("failed", "missing") for one in known.spares)
            return Seen(path, asks, Truth.of(condition.value.holds(gone)), str(gone))
        weakest = weakest_spare(known.spares)
        if weakest is None:
            return Seen(path, asks, Truth.UNKNOWN, "no spare is in sync")
        saw = f"spare {weakest.index}: {weakest.health:g}"
        return Seen(path, asks, Truth.of(condition.value.holds(weakest.health)), saw)

    def _time(self, condition: TimeIs, path: str) -> Seen:
        window = condition.window
        zone = window.timezone or self.policy.timezone
        moment = datetime.fromtimestamp(self.now, tz=UTC).astimezone(ZoneInfo(zone))
        hours = f"{window.start:%H:%M} to {window.end:%H:%M} " if window.start else ""
        asks = f"{hours}on {', '.join(window.days)} ({zone})"
        return Seen(path, asks, Truth.of(window.contains(moment)), f"{moment:%a %H:%M}")

    def _quorum(self, quorum: QuorumOf, path: str, below: tuple[Seen, ...]) -> Seen:
        below = tuple(self._of_late(one, quorum.within) for one in below)
        late = f", within {duration_text(quorum.within)}" if quorum.within else ""
        asks = f"at least {quorum.at_least} of {len(below)}{late}"
        return Seen(path, asks, *_at_least(quorum.at_least, below), below)

    def _devices(self, quorum: DeviceQuorum, path: str) -> Seen:
        place = f"{path}.devices.where"
        below = []
        for name in sorted(self.state.devices):
            named = any(fnmatch.fnmatchcase(name, pattern) for pattern in quorum.names)
            if not named or self.state.devices[name].stopped:
                continue
            look = Look(self.policy, self.state, self.now, self.rule, name, self.batch, self.memory)
            seen = look.see(quorum.where, f"{place}[{name}]")
            below.append(self._of_late(seen, quorum.within))
        late = f", within {duration_text(quorum.within)}" if quorum.within else ""
        asks = f"at least {quorum.at_least} devices{late}"
        return Seen(path, asks, *_at_least(quorum.at_least, below), tuple(below))

    # True if it was so within the time, whatever it is now.
    def _of_late(self, seen: Seen, within: int | None) -> Seen:
        last = self._remember(seen).last
        if within is None or last is None or last == self.now or self.now - last >= within:
            return seen
        return replace(seen, truth=Truth.TRUE, saw=f"now {seen.saw}; it was so at {iso(last)}")

    def _held(self, held: HeldFor, path: str, seen: Seen) -> Seen:
        memory = self._remember(seen)
        asks = f"for {duration_text(held.for_)}"
        if memory.since is None:
            return Seen(path, asks, seen.truth, "it does not hold now", (seen,))
        lasted = self.now - memory.since
        saw = f"since {iso(memory.since)}, {duration_text(lasted)}"
        return Seen(path, asks, Truth.of(lasted >= held.for_), saw, (seen,))

    def _remember(self, seen: Seen) -> Memory:
        key = (self.rule, self.device or "", seen.path)
        before = self.state.memory.get(key, Memory())
        if seen.truth is Truth.TRUE:
            since = self.now if before.since is None else before.since
            self.memory[key] = Memory(since, self.now)
        else:
            self.memory[key] = Memory(None, before.last)
        return self.memory[key]


def weakest_spare(spares: Iterable[SpareReading]) -> SpareReading | None:
    """The spare in sync with the lowest health that is not being emptied."""
    usable = [one for one in spares if one.state == "in-sync" and not one.draining]
    return min(usable, key=lambda one: (one.health, one.index), default=None)


def _opposite(truth: Truth) -> Truth:
    if truth is Truth.UNKNOWN:
        return truth
    return Truth.of(truth is Truth.FALSE)


def _all(below: Sequence[Seen]) -> tuple[Truth, str]:
    return _at_least(len(below), below)


def _any(below: Sequence[Seen]) -> tuple[Truth, str]:
    return _at_least(1, below)


# True or false as soon as what is not known can't change it any more.
def _at_least(wanted: int, below: Sequence[Seen]) -> tuple[Truth, str]:
    true = sum(one.truth is Truth.TRUE for one in below)
    unknown = sum(one.truth is Truth.UNKNOWN for one in below)
    saw = f"{true} of {len(below)}" + (f", {unknown} not known" if unknown else "")
    if true >= wanted:
        return Truth.TRUE, saw
    return (Truth.FALSE if true + unknown < wanted else Truth.UNKNOWN), saw
