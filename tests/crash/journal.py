"""What happened to the disks and what the guest was told, in one order.

All disks of a set and the reports of the load write to one journal. Its positions are the moments
at which the power can be cut: a cut at position p has seen the events before p and no other.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from pyctl.format import SECTOR_SIZE

MAIN = 0
"""Number of the main disk; spares follow."""


@dataclass(frozen=True, slots=True)
class Write:
    """A disk has received a write of whole sectors; nothing of it is durable yet."""

    number: int
    disk: int
    sector: int
    data: bytes
    fua: bool


@dataclass(frozen=True, slots=True)
class Written:
    """The disk has answered that write; with FUA it claims that the data is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class Flush:
    """A disk has received a flush."""

    number: int
    disk: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """The disk has answered that flush: every write answered before it came is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class MediaError:
    """A write has failed, and these of its sectors were bad.

    `carried` are the units whose data it had for them, each with its version.
    """

    disk: int
    sectors: tuple[int, ...]
    carried: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class GoneBad:
    """Sectors take no writes from now on, and give no data either unless `readable`."""

    disk: int
    first: int
    count: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The load's write number `count` (from 1) has ended: version `version` of a unit."""

    count: int
    unit: int
    version: int
    sync: bool
    error: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A sync has ended that began when `count` writes had ended."""

    count: int
    error: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The load has read a unit: its version (the oldest of its sectors), or an error number."""

    unit: int
    version: int
    error: int


@dataclass(frozen=True, slots=True)
class Died:
    """A disk takes no writes at all from now on."""

    disk: int


Event = (
    Write | Written | Flush | Flushed | MediaError | GoneBad | Acknowledged | Synced | Seen | Died
)

_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


def marks(events: Sequence[Event]) -> list[int]:
    """The positions behind each event by which something became durable, as the disk claims."""
    fua = {event.number for event in events if isinstance(event, Write) and event.fua}
    return [
        position
        for position, event in enumerate(events, start=1)
        if isinstance(event, Flushed) or (isinstance(event, Written) and event.number in fua)
    ]


def peaks(events: Sequence[Event]) -> list[int]:
    """The positions before a disk answers again: nothing that came in together is done yet."""
    answers = [isinstance(event, Written | Flushed) for event in events]
    return [at for at in range(1, len(events)) if answers[at] and not answers[at - 1]]


def save(path: Path, events: Iterable[Event]) -> None:
    """Write a journal: a line of JSON for each event, and the data of writes in a second file."""
    with path.open("w") as lines, path.with_suffix(".data").open("wb") as blob:
        for event in events:
            fields = asdict(event)
            if isinstance(event, Write):
                fields["data"] = len(event.data)
                blob.write(event.data)
            lines.write(json.dumps({"event": type(event).__name__, **fields}) + "\n")


def load(path: Path) -> list[Event]:
    """Read what save() wrote."""
    events: list[Event] = []
    with path.open() as lines, path.with_suffix(".data").open("rb") as blob:
        for line in lines:
            fields = json.loads(line)
            kind = _KINDS[fields.pop("event")]
            if kind is Write:
                fields["data"] = blob.read(fields["data"])
            if kind is MediaError:
                fields["sectors"] = tuple(fields["sectors"])
                fields["carried"] = tuple((unit, version) for unit, version in fields["carried"])
            events.append(kind(**fields))
    return events


def save_image(path: Path, sectors: dict[int, bytes]) -> None:
    """Write the sectors of a disk that are not blank, each behind its number."""
    with path.open("wb") as file:
        for number in sorted(sectors):
            file.write(struct.pack("<Q", number) + sectors[number])


def load_image(path: Path) -> dict[int, bytes]:
    """Read what save_image() wrote."""
    data = path.read_bytes()
    step = 8 + SECTOR_SIZE
    return {
        int.from_bytes(data[at : at + 8], "little"): data[at + 8 : at + step]
        for at in range(0, len(data), step)
    }
