"""What the worker says, and what a recording holds: lines of JSON.

The first line is a header, the last one says how it ended; between them each line is a frame: what
has happened since the one before. Zeros are left out. A line with another version is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pyctl.errors import PyctlError
from pyctl.probes.layout import KINDS, Counters, What

__all__ = ["FORMAT", "VERSION", "Device", "End", "Frame", "Header", "Part", "parse"]

FORMAT = "dm-remap probes"
VERSION = 1
_FIELDS = ("ios", "sectors", "ns", "sequential", "read", "write", "gaps", "depth")
_FIXED = 4


@dataclass(frozen=True)
class Device:
    """A device that is looked at, in sectors; `regions` of them besides the one without a place.

    `number` is MAJOR:MINOR.
    """

    name: str
    number: str
    sectors: int
    region_sectors: int
    regions: int

    @property
    def elsewhere(self) -> int:
        """The region of what has no place on the device: flushes, I/O beyond its end."""
        return self.regions


@dataclass(frozen=True)
class Header:
    """What is recorded, and how.

    `source` is bpf or counters, and `why` says why it is the latter. `statuses` names those of the
    block layer. `started` is in seconds since 1970. `share` is that of the time for which there are
    figures.
    """

    devices: tuple[Device, ...]
    source: str
    why: str
    kernel: str
    started: float
    interval: float
    statuses: Mapping[int, str] = field(default_factory=dict)
    share: float = 1.0

    def line(self) -> str:
        """As a line, without its end."""
        plain = {"format": FORMAT, "version": VERSION, **asdict(self)}
        # What is always so is left out: those who know no shares read it, too.
        if self.share == 1:
            del plain["share"]
        return json.dumps(plain, separators=(",", ":"))


@dataclass
class Part:
    """What happened in a region.

    `faults` has their numbers by what, the index of KINDS, and the code.
    """

    counters: Counters = field(default_factory=Counters)
    faults: dict[tuple[What, int, int], int] = field(default_factory=dict)

    def add(self, other: "Part") -> None:
        """Add what happened later, or elsewhere."""
        self.counters.add(other.counters)
        for key, number in other.faults.items():
            self.faults[key] = self.faults.get(key, 0) + number

    def count(self, what: What, kind: int | None = None) -> int:
        """How many faults of a sort there were."""
        return sum(
            number
            for (each, its_kind, _), number in self.faults.items()
            if each == what and kind in (None, its_kind)
        )


@dataclass
class Frame:
    """What happened in `seconds` up to `at`, in seconds since the start.

    `parts` by device and region; `in_flight` and `losses` (by name) by device. `looked` is how many
    of the seconds were looked at; None: all.
    """

    at: float
    seconds: float
    parts: dict[tuple[int, int], Part] = field(default_factory=dict)
    in_flight: list[int] = field(default_factory=list)
    losses: list[dict[str, int]] = field(default_factory=list)
    looked: float | None = None

    def part(self, device: int, region: int) -> Part:
        """That of a region, which is made when there is none."""
        return self.parts.setdefault((device, region), Part())

    def line(self) -> str:
        """As a line, without its end."""
        parts = [
            [device, region, _plain(part.counters), [[*key, n] for key, n in part.faults.items()]]
            for (device, region), part in sorted(self.parts.items())
        ]
        plain = {
            "at": round(self.at, 6),
            "seconds": round(self.seconds, 6),
            "parts": parts,
            "in_flight": self.in_flight,
            "losses": self.losses,
        }
        if self.looked is not None:
            plain["looked"] = round(self.looked, 6)
        return json.dumps(plain, separators=(",", ":"))


@dataclass(frozen=True)
class End:
    """The last line of what ended in order."""

    reason: str

    def line(self) -> str:
        """As a line, without its end."""
        return json.dumps({"end": self.reason})


def parse(line: str) -> Header | Frame | End:
    """Read a line. Raises PyctlError for anything else than one of ours."""
    try:
        plain = json.loads(line)
        if "format" in plain:
            return _header(plain)
        if "end" in plain:
            return End(str(plain["end"]))
        return _frame(plain)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise PyctlError(f"Cannot understand the line {line[:60]!r} of the probes.") from error


def _header(plain: dict[str, Any]) -> Header:
    if plain.pop("format") != FORMAT or plain.pop("version") != VERSION:
        raise PyctlError(
            "This was recorded by another version of pyctl.",
            hint=f"This pyctl reads version {VERSION}.",
        )
    devices = tuple(Device(**each) for each in plain.pop("devices"))
    statuses = {int(code): str(name) for code, name in plain.pop("statuses").items()}
    return Header(devices=devices, statuses=statuses, **plain)


def _frame(plain: dict[str, Any]) -> Frame:
    frame = Frame(
        float(plain["at"]), float(plain["seconds"]), {}, plain["in_flight"], plain["losses"]
    )
    if "looked" in plain:
        frame.looked = float(plain["looked"])
    for device, region, counters, faults in plain["parts"]:
        part = frame.part(int(device), int(region))
        part.counters = _counters(counters)
        for what, kind, code, number in faults:
            part.faults[What(what), _kind(kind), int(code)] = int(number)
    return frame


def _kind(kind: int) -> int:
    if kind not in range(len(KINDS)):
        raise ValueError(kind)
    return kind


# Short lists as they are, histograms as pairs of slot and number.
def _plain(counters: Counters) -> dict[str, Sequence[object]]:
    found: dict[str, Sequence[object]] = {}
    for index, (name, values) in enumerate(zip(_FIELDS, counters.lists(), strict=True)):
        if any(values):
            pairs = [[slot, value] for slot, value in enumerate(values) if value]
            found[name] = values if index < _FIXED else pairs
    return found


def _counters(plain: dict[str, Any]) -> Counters:
    counters = Counters()
    for index, (name, values) in enumerate(zip(_FIELDS, counters.lists(), strict=True)):
        found = plain.get(name, [])
        pairs = enumerate(found) if index < _FIXED else found
        for slot, value in pairs:
            values[slot] = int(value)
    return counters
