"""The disks of a set, as the guest sees them while the power is on.

What the guest reads is what was written last: whether that would survive a power cut is
computed afterwards, from the journal (media.py). Disks fail writes and reads of bad sectors.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyctl.format import SECTOR_SIZE
from tests.crash import pattern
from tests.crash.journal import (
    Died,
    Event,
    Flush,
    Flushed,
    GoneBad,
    MediaError,
    Write,
    Written,
)

EIO = errno.EIO
BLANK = bytes(SECTOR_SIZE)

Sectors = dict[int, bytes]
"""The sectors of a disk that are not blank."""


@dataclass
class Disk:
    """One disk: its number in the journal, its size in sectors.

    Weak sectors can be read at every third attempt; the attempts are counted.
    """

    number: int
    sectors: int
    content: Sectors = field(default_factory=dict)
    unwritable: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    weak: dict[int, int] = field(default_factory=dict)
    dead: bool = False

    def read(self, sector: int, count: int) -> bytes | None:
        """Data of whole sectors, or None when one of them can't be read."""
        wanted = range(sector, sector + count)
        if not self.unreadable.isdisjoint(wanted):
            return None
        for number in self.weak.keys() & wanted:
            self.weak[number] += 1
            if self.weak[number] % 3:
                return None
        content = self.content
        return b"".join([content.get(number, BLANK) for number in wanted])

    def mark_bad(self, first: int, count: int, *, readable: bool) -> None:
        """These sectors take no writes any more, and can't be read unless `readable`."""
        self.unwritable.update(range(first, first + count))
        if not readable:
            self.unreadable.update(range(first, first + count))


class Power:
    """All disks of a set under one switch, and their journal.

    Not thread-safe: all calls come from the thread that serves the disks, or after it has ended.
    """

    def __init__(self, disks: list[Disk]) -> None:
        self.disks = disks
        self.events: list[Event] = []
        self.on = True
        self._numbers = 0

    def note(self, event: Event) -> None:
        """Add an event, unless the power is off."""
        if self.on:
            self.events.append(event)

    def cut(self) -> None:
        """From this moment nothing happens any more."""
        self.on = False

    def begin_write(self, disk: Disk, sector: int, data: bytes, *, fua: bool) -> int | None:
        """A write comes in. Returns its number, or None when it fails."""
        count = len(data) // SECTOR_SIZE
        wanted = range(sector, sector + count)
        bad: Sequence[int] = wanted if disk.dead else sorted(disk.unwritable.intersection(wanted))
        if bad:
            self.note(MediaError(disk.number, tuple(bad), _carried(data, sector, bad)))
            return None
        number = self._next()
        self.note(Write(number, disk.number, sector, data, fua))
        for index, at in enumerate(wanted):
            disk.content[at] = data[index * SECTOR_SIZE : (index + 1) * SECTOR_SIZE]
        return number

    def end_write(self, number: int) -> None:
        """The write is answered."""
        self.note(Written(number))

    def begin_flush(self, disk: Disk) -> int:
        """A flush comes in. Returns its number."""
        number = self._next()
        self.note(Flush(number, disk.number))
        return number

    def end_flush(self, number: int) -> None:
        """The flush is answered."""
        self.note(Flushed(number))

    def note_bad(self, disk: Disk) -> None:
        """Tell the journal what is bad already."""
        for sector in sorted(disk.unwritable):
            self.note_gone_bad(disk, sector, 1, readable=sector not in disk.unreadable)
        if disk.dead:
            self.note(Died(disk.number))

    def note_gone_bad(self, disk: Disk, first: int, count: int, *, readable: bool) -> None:
        """Tell the journal that sectors have gone bad."""
        self.note(GoneBad(disk.number, first, count, readable))

    def die(self, disk: Disk) -> None:
        """A disk takes no writes any more; it can still be read."""
        disk.dead = True
        self.note(Died(disk.number))

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def _carried(data: bytes, sector: int, bad: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Which units of the load, in which versions, a failing write had for its bad sectors."""
    found: dict[tuple[int, int], None] = {}
    for at in bad:
        offset = (at - sector) * SECTOR_SIZE
        if part := pattern.decode(data[offset : offset + SECTOR_SIZE]):
            found[part.unit, part.version] = None
    return tuple(found)
