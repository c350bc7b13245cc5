"""What is known of the devices, as far as a policy asks: a value, made anew by every event.

It is bounded: counts are kept in 512 buckets a window, places of errors up to 256 a device.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from pyctl.daemon.events import GAUGES, Action, Event, Kind, SpareReading
from pyctl.daemon.policy.document import Policy

__all__ = [
    "REGIONS",
    "Acted",
    "DeviceState",
    "Fired",
    "Gauge",
    "Memory",
    "Region",
    "State",
    "Tally",
    "observe",
    "prune",
]

BUCKETS: Final = 512
REGIONS: Final = 256
_PLACED = (
    Kind.READ_ERROR,
    Kind.WRITE_ERROR,
    Kind.LOST,
    Kind.VERIFY_ERROR,
    Kind.WEAK_REGION,
)


@dataclass(frozen=True)
class Gauge:
    """A number, when it was read, and what was said of it, if anything was."""

    time: float
    value: float
    why: str = ""


@dataclass(frozen=True)
class Region:
    """Where something was wrong, and when; `why` is what was said of it, if anything was."""

    time: float
    kind: Kind
    sector: int
    sectors: int
    why: str = ""


@dataclass(frozen=True)
class Tally:
    """How many within the last `within` seconds: buckets (number, count), oldest first.

    A bucket is `within` / 512 long, at least a second, and counts as long as a part of it is in
    the window; so up to a bucket's length too much is counted, and never too little.
    """

    within: int
    buckets: tuple[tuple[int, int], ...] = ()

    @property
    def width(self) -> int:
        """Seconds of a bucket."""
        return max(1, -(-self.within // BUCKETS))

    def add(self, time: float, count: int) -> "Tally":
        """With so many more at a time."""
        number = int(time // self.width)
        if self.buckets and self.buckets[-1][0] < number:
            added = (*self.buckets, (number, count))
        else:
            merged = dict(self.buckets)
            merged[number] = merged.get(number, 0) + count
            added = tuple(sorted(merged.items()))
        first = added[-1][0] - BUCKETS - 1
        return replace(self, buckets=tuple(one for one in added if one[0] >= first))

    def total(self, now: float) -> int:
        """How many in the window that ends now."""
        start = now - self.within
        return sum(
            count
            for number, count in self.buckets
            if (number + 1) * self.width > start and number * self.width <= now
        )


@dataclass(frozen=True)
class DeviceState:
    """What is known of a device; `busy` are the actions under way.

    `stopped`: somebody stopped it in order, so it is asked for nothing until it is heard again.
    """

    heard: float
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    spares: tuple[SpareReading, ...] | None = None
    spares_read: float = 0
    tallies: Mapping[tuple[tuple[str, ...], int], Tally] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    busy: frozenset[Action] = frozenset()
    stopped: bool = False


@dataclass(frozen=True)
class Fired:
    """A rule has acted on a device; `dry` if it only said so."""

    time: float
    rule: str
    device: str
    dry: bool


@dataclass(frozen=True)
class Acted:
    """An action was decided, that counts against limits."""

    time: float
    action: Action
    device: str
    dry: bool


@dataclass(frozen=True)
class Memory:
    """Since when a condition has held without a break, and when it did last."""

    since: float | None = None
    last: float | None = None


@dataclass(frozen=True)
class State:
    """Everything that decisions depend on, beside the policy and the events of the moment.

    `now` never goes back. `pool_used` are the devices that were given away.
    """

    now: float = 0
    devices: Mapping[str, DeviceState] = field(default_factory=dict)
    fired: tuple[Fired, ...] = ()
    acted: tuple[Acted, ...] = ()
    memory: Mapping[tuple[str, str, str], Memory] = field(default_factory=dict)
    pool_used: frozenset[str] = frozenset()


def observe(state: State, policy: Policy, events: Sequence[Event]) -> State:
    """The state after these events, which are in order."""
    wanted = policy.counted()
    devices = dict(state.devices)
    for event in events:
        known = devices.get(event.device, DeviceState(heard=event.time))
        devices[event.device] = _heard(known, event, wanted)
    return replace(state, devices=MappingProxyType(devices))


def prune(state: State, policy: Policy, now: float) -> State:
    """The state without what no limit and no cool-down looks at any more."""
    oldest = now - policy.memory_seconds()
    return replace(
        state,
        now=now,
        fired=tuple(one for one in state.fired if one.time > oldest),
        acted=tuple(one for one in state.acted if one.time > oldest),
    )


def _heard(
    known: DeviceState, event: Event, wanted: Mapping[int, Iterable[tuple[str, ...]]]
) -> DeviceState:
    stopped = event.kind is Kind.SET_STOPPED
    known = replace(known, heard=max(known.heard, event.time), stopped=stopped)
    if event.kind is Kind.READING:
        return _read(known, event)
    known = replace(known, tallies=_counted(known, event, wanted), busy=_busy(known, event))
    if event.kind in _PLACED and event.sector is not None:
        why = event.text if event.foretold else ""
        region = Region(event.time, event.kind, event.sector, event.sectors or 1, why)
        known = replace(known, regions=(*known.regions, region)[-REGIONS:])
    return known


# An older reading that comes late says nothing against a newer one.
def _read(known: DeviceState, event: Event) -> DeviceState:
    reading = event.reading
    if reading is None:
        return known
    gauges = dict(known.gauges)
    for name in GAUGES:
        value = getattr(reading, name)
        before = gauges.get(name)
        if value is not None and (before is None or before.time <= event.time):
            why = event.text if name == "prediction" else ""
            gauges[name] = Gauge(event.time, value, why)
    known = replace(known, gauges=gauges)
    if reading.spares is not None and known.spares_read <= event.time:
        known = replace(known, spares=reading.spares, spares_read=event.time)
    return known


def _counted(
    known: DeviceState, event: Event, wanted: Mapping[int, Iterable[tuple[str, ...]]]
) -> Mapping[tuple[tuple[str, ...], int], Tally]:
    tallies = dict(known.tallies)
    for within, groups in wanted.items():
        for kinds in groups:
            if event.kind in kinds:
                key = (kinds, within)
                tallies[key] = tallies.get(key, Tally(within)).add(event.time, event.count)
    return tallies


def _busy(known: DeviceState, event: Event) -> frozenset[Action]:
    if event.action is None:
        return known.busy
    if event.kind is Kind.ACTION_STARTED:
        return known.busy | {event.action}
    if event.kind in (Kind.ACTION_DONE, Kind.ACTION_FAILED):
        return known.busy - {event.action}
    return known.busy
