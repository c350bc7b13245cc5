"""From what a rule wants to what exactly is to be done: which spare, which sectors, which text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyctl.daemon.events import GAUGES, Kind, iso
from pyctl.daemon.policy.document import Policy
from pyctl.daemon.policy.doing import (
    Doing,
    Evacuate,
    Hook,
    Notify,
    Relocate,
    Remap,
    Scan,
    SpareAdd,
)
from pyctl.daemon.policy.durations import duration_text
from pyctl.daemon.policy.evaluating import weakest_spare
from pyctl.daemon.policy.state import DeviceState, Region, State

__all__ = ["BlockedError", "Subject", "merge_ranges", "resolve"]


class BlockedError(Exception):
    """It can't be done as things are; the text says why."""


@dataclass(frozen=True)
class Subject:
    """Who wants it, for which device (None: all), when, and because of what."""

    policy: Policy
    state: State
    now: float
    rule: str
    device: str | None
    why: str

    @property
    def known(self) -> DeviceState:
        """What is known of the device, also if that is nothing."""
        nothing = DeviceState(heard=0)
        return nothing if self.device is None else self.state.devices.get(self.device, nothing)


def resolve(doing: Doing, subject: Subject, pool_used: frozenset[str]) -> dict[str, Any]:
    """The parameters of the action, fit for JSON. Raises BlockedError."""
    match doing:
        case Remap(remap=what):
            return _ranges(subject, [Kind(kind) for kind in what.of], what.within, what.at_most)
        case Relocate(relocate=weak):
            return _ranges(subject, [Kind.WEAK_REGION], weak.within, weak.at_most)
        case Scan(scan=how):
            return {"pattern": how.pattern}
        case Evacuate():
            return _evacuate(subject)
        case SpareAdd(spare_add=source):
            return _from_pool(subject.policy, source.pool, pool_used)
        case Notify(notify=notify):
            return {
                "severity": notify.severity,
                "text": _fill(notify.text, subject),
                "channels": list(notify.channels),
            }
        case Hook(hook=hook):
            return {
                "program": hook.program,
                "arguments": [_fill(one, subject) for one in hook.arguments],
                "timeout": hook.timeout,
                "again": hook.again,
            }


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges (sector, sectors), sorted and apart."""
    merged: list[tuple[int, int]] = []
    for sector, sectors in sorted(ranges):
        if merged and sector <= sum(merged[-1]):
            start = merged[-1][0]
            merged[-1] = (start, max(sum(merged[-1]), sector + sectors) - start)
        else:
            merged.append((sector, sectors))
    return merged


def _ranges(subject: Subject, kinds: Sequence[Kind], within: int, at_most: int) -> dict[str, Any]:
    def recent(region: Region) -> bool:
        return region.kind in kinds and subject.now - region.time < within

    found = merge_ranges((one.sector, one.sectors) for one in subject.known.regions if recent(one))
    if not found:
        raise BlockedError(f"no event of the last {duration_text(within)} named a sector")
    taken: list[list[int]] = []
    left = at_most
    for sector, sectors in found:
        if left:
            taken.append([sector, min(sectors, left)])
            left -= taken[-1][1]
    return {"ranges": taken, "left_out": sum(count for _, count in found) - (at_most - left)}


def _evacuate(subject: Subject) -> dict[str, Any]:
    spares = subject.known.spares
    if spares is None:
        raise BlockedError("there is no reading of the spares")
    if any(one.draining for one in spares):
        raise BlockedError("a spare is being emptied already")
    weakest = weakest_spare(spares)
    others = [one for one in spares if one.state == "in-sync" and one is not weakest]
    if weakest is None or not others:
        raise BlockedError("there is no other spare in sync to move the data to")
    room = sum(one.free for one in others)
    if room < weakest.used:
        raise BlockedError(
            f"the other spares have room for {room} blocks, and spare {weakest.index} has"
            f" {weakest.used}"
        )
    return {"spare": weakest.index}


def _from_pool(policy: Policy, pool: str, used: frozenset[str]) -> dict[str, Any]:
    free = [device for device in policy.pools[pool] if device not in used]
    if not free:
        raise BlockedError(f"the pool {pool} is empty")
    return {"pool": pool, "device": free[0]}


def _fill(template: str, subject: Subject) -> str:
    words: Mapping[str, str] = {
        "device": subject.device or "all devices",
        "rule": subject.rule,
        "time": iso(subject.now),
        "why": subject.why,
        **{name.replace("_", "-"): _gauge(subject, name) for name in GAUGES},
    }
    return template.format_map(words)


def _gauge(subject: Subject, name: str) -> str:
    gauge = subject.known.gauges.get(name)
    if gauge is None:
        return "not known"
    if name == "spare_full_in":
        return duration_text(max(0.0, gauge.value - (subject.now - gauge.time)))
    return f"{gauge.value:g}"
