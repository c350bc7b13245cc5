"""What the guest may rely on at a position of the journal.

A write is durable once it was acknowledged and
- it was synchronous itself, or
- a sync that began after its acknowledgement was acknowledged, or
- it met a bad sector: data and mapping are promised to be durable before the acknowledgement.

That it met a bad sector is known from the disk, which failed it, not from dm-remap.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.crash.journal import (
    MAIN,
    Acknowledged,
    Died,
    Event,
    GoneBad,
    MediaError,
    Seen,
    Synced,
)

Versions = tuple[int | None, ...]
"""The version of each sector of a unit; None where nothing could be read."""


@dataclass
class Unit:
    """What is promised of one unit.

    Its sectors have what they had when the power came on (`base`) or any later version, but none
    older than `floor` (-1: nothing newer than `base` is promised). `acknowledged` is the version of
    the last acknowledged write. `mapped`: its mapping is durable. `failed` is the last version that
    has met a bad sector; it can be an old one, which dm-remap has read and moves to a spare.
    `second` is what its second copy had when the power came on. That may be older than `base` by
    writes that nothing was promised of, until it was made the same.
    """

    base: Versions
    second: Versions
    floor: int = -1
    acknowledged: int = -1
    mapped: bool = False
    failed: int = -1


class Promises:
    """The promises at a position of the journal; `feed` moves them on."""

    def __init__(
        self,
        bases: Sequence[Versions],
        seconds: Sequence[Versions],
        mapped: Sequence[bool],
        sectors: int,
    ) -> None:
        self.units = [
            Unit(base, second, mapped=m)
            for base, second, m in zip(bases, seconds, mapped, strict=True)
        ]
        self.complaints: list[str] = []
        self.unreadable: set[int] = set()
        self.dead_spares: set[int] = set()
        self._sectors = sectors
        self._unsynced: deque[tuple[int, int, int]] = deque()

    def feed(self, event: Event) -> None:
        """Go past one event; what it shows to be wrong becomes a complaint."""
        match event:
            case MediaError():
                for unit, version in event.carried:
                    self.units[unit].failed = version
            case GoneBad():
                self._gone_bad(event)
            case Died():
                self.dead_spares.add(event.disk - 1)
            case Acknowledged():
                self._acknowledged(event)
            case Synced():
                self._synced(event)
            case Seen():
                self._seen(event)

    def new_complaints(self) -> Iterator[str]:
        """Complaints since the last call."""
        found, self.complaints = self.complaints, []
        yield from found

    def may_fail(self, number: int) -> bool:
        """May this unit give an error? Its medium has lost it, and nothing was redirected."""
        unit = self.units[number]
        return number in self.unreadable and not unit.mapped

    def _gone_bad(self, event: GoneBad) -> None:
        if event.disk == MAIN and not event.readable:
            first, last = event.first, event.first + event.count - 1
            self.unreadable.update(range(first // self._sectors, last // self._sectors + 1))

    def _acknowledged(self, event: Acknowledged) -> None:
        unit = self.units[event.unit]
        redirected = unit.failed == event.version
        if event.error:
            self.complaints.append(
                f"the write of version {event.version:#x} to unit {event.unit} has failed with"
                f" error {event.error}"
            )
            # It may be there in part.
            unit.acknowledged = -1
            return
        unit.acknowledged = event.version
        unit.mapped |= redirected
        if event.sync or redirected:
            unit.floor = event.version
        else:
            self._unsynced.append((event.count, event.unit, event.version))

    def _synced(self, event: Synced) -> None:
        if event.error:
            self.complaints.append(f"a sync has failed with error {event.error}")
            return
        while self._unsynced and self._unsynced[0][0] <= event.count:
            _, number, version = self._unsynced.popleft()
            unit = self.units[number]
            unit.floor = max(unit.floor, version)

    def _seen(self, event: Seen) -> None:
        unit = self.units[event.unit]
        if event.error:
            if not self.may_fail(event.unit) and not self.dead_spares:
                self.complaints.append(
                    f"unit {event.unit} could not be read: error {event.error}, though the last"
                    f" acknowledged version is {unit.acknowledged:#x}"
                )
        elif unit.acknowledged >= 0 and event.version != unit.acknowledged:
            self.complaints.append(
                f"unit {event.unit} was read in version {event.version:#x} after version"
                f" {unit.acknowledged:#x} was acknowledged"
            )
