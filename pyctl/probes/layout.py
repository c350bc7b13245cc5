"""The structures and numbers of maps.c, and what they mean.

All counters only grow, so what happened between two looks is their difference. Sectors have 512
bytes, times are in nanoseconds.
"""

import enum
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = [
    "COUNTERS",
    "DEPTH_SLOTS",
    "FAULT",
    "GROUP",
    "KINDS",
    "LATENCY_SLOTS",
    "LOSSES",
    "STALE_NS",
    "TOLD",
    "Counters",
    "Fault",
    "Loss",
    "What",
    "changed",
    "fault_key",
    "occupied",
    "slot_bounds",
    "under_way",
]

KINDS = ("read", "write", "other")
LATENCY_SLOTS = 32
DEPTH_SLOTS = 16
# A bio that has been under way for so long has ended unseen.
STALE_NS = 600 * 10**9
# Losses of a device in the map of them, of which the first three are in use.
LOSSES = 8

_FIRST_SLOT_NS = 1024
# Of each kind four sums and its latencies, of all together the gaps and the depths.
_SUMS = 4
_OF_KIND = _SUMS + LATENCY_SLOTS
_OF_KINDS = len(KINDS) * _OF_KIND
COUNTERS = struct.Struct(f"={_OF_KINDS + LATENCY_SLOTS + DEPTH_SLOTS}Q")
_WAYS = 4
# Addresses of the bios, then what they are; of those, when they began and the index of the device.
GROUP = struct.Struct("=" + f"{_WAYS}Q" + "Q17xB6x" * _WAYS)
# How many I/Os of a device were given up, and since when it is looked at.
TOLD = struct.Struct("=2Q")
# region, what, kind, code
FAULT = struct.Struct("=IBBBx")


class What(enum.IntEnum):
    """What a fault is."""

    ERROR = 0
    RETRY = 1
    INNER_ERROR = 2
    REMAP = 3


class Loss(enum.IntEnum):
    """Why something was not counted."""

    NO_ROOM = 0
    NO_ROOM_FOR_FAULTS = 1
    REPLACED = 2


def _zeros(number: int) -> list[int]:
    return [0] * number


@dataclass
class Counters:
    """What happened in a region.

    `ios`, `sectors`, `ns` (sums of latencies) and `sequential` are by KINDS; `read`, `write` and
    `gaps` (from one arrival to the next) have LATENCY_SLOTS slots of time, see slot_bounds();
    `depth` has slots of I/Os under way, itself included: 1, 2-3, 4-7, …
    """

    ios: list[int] = field(default_factory=lambda: _zeros(3))
    sectors: list[int] = field(default_factory=lambda: _zeros(3))
    ns: list[int] = field(default_factory=lambda: _zeros(3))
    sequential: list[int] = field(default_factory=lambda: _zeros(3))
    read: list[int] = field(default_factory=lambda: _zeros(LATENCY_SLOTS))
    write: list[int] = field(default_factory=lambda: _zeros(LATENCY_SLOTS))
    gaps: list[int] = field(default_factory=lambda: _zeros(LATENCY_SLOTS))
    depth: list[int] = field(default_factory=lambda: _zeros(DEPTH_SLOTS))

    @classmethod
    def from_values(cls, values: Sequence[int]) -> "Counters":
        """From the numbers of COUNTERS, in the order of maps.c."""
        by_kind = [values[at : at + _OF_KIND] for at in range(0, _OF_KINDS, _OF_KIND)]
        ios, sectors, ns, sequential = ([of[index] for of in by_kind] for index in range(_SUMS))
        read, write, _ = (list(of[_SUMS:]) for of in by_kind)
        rest = list(values[_OF_KINDS:])
        gaps, depth = rest[:LATENCY_SLOTS], rest[LATENCY_SLOTS:]
        return cls(ios, sectors, ns, sequential, read, write, gaps, depth)

    def lists(self) -> tuple[list[int], ...]:
        """All lists, in the order of the fields."""
        return (
            *(self.ios, self.sectors, self.ns, self.sequential),
            *(self.read, self.write, self.gaps, self.depth),
        )

    def add(self, other: "Counters") -> None:
        """Add what happened later, or elsewhere."""
        for mine, theirs in zip(self.lists(), other.lists(), strict=True):
            for index, value in enumerate(theirs):
                mine[index] += value

    @property
    def total(self) -> int:
        """I/Os of all kinds."""
        return sum(self.ios)


@dataclass(frozen=True)
class Fault:
    """Something that failed, was tried again, or was moved.

    `region` counts over all devices. `kind` is an index of KINDS; `code` a status of the block
    layer for errors and retries, an errno for inner errors, a kind of entry for remaps.
    """

    region: int
    what: What
    kind: int
    code: int


def fault_key(data: bytes) -> Fault:
    """A key of the map of faults."""
    region, what, kind, code = FAULT.unpack(data)
    return Fault(region, What(what), kind, code)


def slot_bounds(slot: int) -> tuple[int, int]:
    """The shortest time of a slot and the shortest that is too long; of the last one, its half."""
    return (_FIRST_SLOT_NS << slot - 1 if slot else 0, _FIRST_SLOT_NS << slot)


def occupied(look: bytes) -> list[int]:
    """Which GROUPs in a look at all of them have a bio."""
    numbers = memoryview(look).cast("Q")
    found: set[int] = set()
    # There are many, and hardly any has one: that is for C to see.
    for way in range(_WAYS):
        bios = numbers[way :: GROUP.size // 8].tolist()
        if any(bios):
            found.update(index for index, bio in enumerate(bios) if bio)
    return sorted(found)


def under_way(look: bytes) -> Iterator[tuple[int, int]]:
    """The I/Os in a look at all GROUPs: when each began, by the monotonic clock, and its device."""
    for index in occupied(look):
        values = GROUP.unpack_from(look, index * GROUP.size)
        bios, flights = values[:_WAYS], values[_WAYS:]
        for bio, began, device in zip(bios, flights[::2], flights[1::2], strict=True):
            if bio and began:
                yield began, device


def changed(before: bytes, now: bytes, cpus: int) -> Iterator[tuple[int, Counters]]:
    """The regions that differ between two looks, and by how much.

    A look has the COUNTERS of each region in turn, for each of `cpus` processors. `before` may be
    empty: everything was 0 then.
    """
    size = COUNTERS.size * cpus
    before = before or bytes(len(now))
    for region, at in enumerate(range(0, len(now), size)):
        old, new = before[at : at + size], now[at : at + size]
        if old != new:
            yield region, Counters.from_values(_difference(old, new))


def _difference(old: bytes, new: bytes) -> list[int]:
    sums = [0] * (COUNTERS.size // 8)
    for then, later in zip(COUNTERS.iter_unpack(old), COUNTERS.iter_unpack(new), strict=True):
        sums = [sum_ + after - first for sum_, first, after in zip(sums, then, later, strict=True)]
    return sums
