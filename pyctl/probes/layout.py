"""The structures and numbers of program.c, and what they mean.

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
    "KINDS",
    "LATENCY_SLOTS",
    "LOSSES",
    "Counters",
    "Fault",
    "Loss",
    "What",
    "changed",
    "fault_key",
    "slot_bounds",
]

KINDS = ("read", "write", "other")
LATENCY_SLOTS = 32
DEPTH_SLOTS = 16
# Losses of a device in the map of them, of which the first four are in use.
LOSSES = 8

_FIRST_SLOT_NS = 1024
_PARTS = (3, 3, 3, 3, LATENCY_SLOTS, LATENCY_SLOTS, LATENCY_SLOTS, DEPTH_SLOTS)
COUNTERS = struct.Struct(f"={sum(_PARTS)}Q")
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
    UNKNOWN = 3


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
        """From the numbers of COUNTERS."""
        lists = []
        at = 0
        for length in _PARTS:
            lists.append(list(values[at : at + length]))
            at += length
        return cls(*lists)

    def lists(self) -> tuple[list[int], ...]:
        """All lists, in the order of program.c."""
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
