"""Where things have happened: what the kernel's events say beside what its counters say.

The counters are what is counted: they survive whatever happens to the daemon, and lose nothing.
An event says where; until the next look at the device it is kept here, in bounded memory, and
then goes to those of the counted that it is about. What finds no place is told without one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyctl.daemon.events import Event, Kind

__all__ = ["PLACED", "ROOM", "Places"]

# Kinds whose counts come from counters, and whose places are kept.
PLACED = frozenset({Kind.READ_ERROR, Kind.WRITE_ERROR, Kind.REMAP, Kind.LOST})
# Ranges of one kind and device: a policy moves fewer than that at a time.
ROOM = 256

Key = tuple[str, Kind]


@dataclass(frozen=True)
class _Range:
    sector: int
    sectors: int
    count: int

    def with_(self, other: "_Range") -> "_Range | None":
        """Both as one, if `other` lies within or goes on behind; None otherwise."""
        end = self.sector + self.sectors
        if not self.sector <= other.sector <= end:
            return None
        if other.sector < end < other.sector + other.sectors:
            return None
        sectors = max(self.sectors, other.sector + other.sectors - self.sector)
        return replace(self, sectors=sectors, count=self.count + other.count)


class Places:
    """Places by device and kind, the oldest first. Those for which there is no room are lost.

    What was put before a look at the device is sealed with it: it belongs to what that look counts.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._open: dict[Key, list[_Range]] = {}
        self._sealed: dict[Key, list[_Range]] = {}

    def put(self, device: str, kind: Kind, sector: int, sectors: int, count: int) -> None:
        """Something has happened in a range; one that it continues or repeats becomes longer."""
        self._add(self._open.setdefault((device, kind), []), _Range(sector, sectors, count))

    def seal(self, device: str) -> None:
        """The device was looked at."""
        for key in [key for key in self._open if key[0] == device]:
            sealed = self._sealed.setdefault(key, [])
            for one in self._open.pop(key):
                self._add(sealed, one)

    def named(self, events: Iterable[Event]) -> list[Event]:
        """The events of a look with their places; the same again until it is `told`."""
        return [each for event in events for each in self._split(event)]

    def told(self, devices: Iterable[str]) -> None:
        """The events of the last look at these are in the store."""
        gone = set(devices)
        for key in [key for key in self._sealed if key[0] in gone]:
            del self._sealed[key]

    def __len__(self) -> int:
        return sum(map(len, (*self._open.values(), *self._sealed.values())))

    def _add(self, ranges: list[_Range], new: _Range) -> None:
        # errors repeat near by: no need to look far back
        for index in range(len(ranges) - 1, max(-1, len(ranges) - 9), -1):
            both = ranges[index].with_(new)
            if both:
                ranges[index] = both
                return
        if len(ranges) < self.room:
            ranges.append(new)

    def _split(self, event: Event) -> Iterable[Event]:
        left = event.count
        ranges = self._sealed.get((event.device, event.kind), []) if event.sector is None else []
        for one in ranges:
            if not left:
                return
            count = min(one.count, left)
            left -= count
            where = {"sector": one.sector, "sectors": one.sectors, "count": count}
            yield event.model_copy(update=where)
        if left:
            yield event.model_copy(update={"count": left})
