"""What is left on the disks after a power cut, computed from the journal.

For each sector of 512 bytes that was written since it was last made durable, the disk may have kept
any of those versions or none of them: caches write back in any order, and a write can be torn at
every sector. What was made durable stays; what is older than that can't come back.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyctl.format import SECTOR_SIZE
from tests.crash.disks import BLANK, Sectors
from tests.crash.journal import Event, Flush, Flushed, Write, Written

STOP_SHARE = 0.25
"""Share of the cuts that stop all writes in flight at the same point of their data."""


@dataclass
class _Pending:
    """What a disk could still lose of a write: sectors and their data."""

    disk: int
    fua: bool
    parts: Sectors
    answered: bool = False


@dataclass(frozen=True)
class Survivors:
    """The disks after a cut: what was durable, and what else happened to reach the medium."""

    durable: Sequence[Mapping[int, bytes]]
    kept: Sequence[Mapping[int, bytes]] | None = None
    how: str = ""

    def read(self, disk: int, sector: int, count: int) -> bytes:
        """Some sectors."""
        durable = self.durable[disk]
        wanted = range(sector, sector + count)
        if self.kept and (kept := self.kept[disk]):
            return b"".join([kept.get(at) or durable.get(at, BLANK) for at in wanted])
        return b"".join([durable.get(at, BLANK) for at in wanted])

    def images(self) -> list[Sectors]:
        """A copy of every disk."""
        images = [dict(disk) for disk in self.durable]
        for image, kept in zip(images, self.kept or (), strict=False):
            image.update(kept)
        return images


class Media:
    """The state of all disks at a position of the journal; `feed` moves it on.

    With `lying` the disks answer flushes and FUA writes and do nothing for them.
    """

    def __init__(self, images: Sequence[Sectors], *, lying: bool = False) -> None:
        self.durable = [dict(image) for image in images]
        self._lying = lying
        self._pending: dict[int, _Pending] = {}
        self._versions: list[dict[int, list[int]]] = [{} for _ in images]
        self._flushes: dict[int, list[int]] = {}

    def feed(self, event: Event) -> None:
        """Go past one event."""
        match event:
            case Write():
                self._begin(event)
            case Written():
                if pending := self._pending.get(event.number):
                    pending.answered = True
                    if pending.fua:
                        self._settle([event.number])
            case Flush():
                self._flushes[event.number] = [
                    number
                    for number, pending in self._pending.items()
                    if pending.answered and pending.disk == event.disk
                ]
            case Flushed():
                self._settle(self._flushes.pop(event.number, []))

    def draw(self, rng: random.Random) -> Survivors:
        """Cut the power here, and let chance say what reached the media."""
        kept: list[Sectors] = [{} for _ in self.durable]
        how = []
        stop = rng.random() if rng.random() < STOP_SHARE else None
        for disk, target in enumerate(kept):
            writes = [pending for pending in self._pending.values() if pending.disk == disk]
            if stop is None:
                _keep(writes, target, rng)
            else:
                _stop(writes, target, rng, stop)
            how.append(f"disk {disk} kept {len(target)} sectors of {len(writes)} writes")
        return Survivors(self.durable, kept, "; ".join(how))

    def _begin(self, write: Write) -> None:
        parts = dict(split(write.sector, write.data))
        self._pending[write.number] = _Pending(write.disk, write.fua, parts)
        versions = self._versions[write.disk]
        for sector in parts:
            versions.setdefault(sector, []).append(write.number)

    def _settle(self, numbers: Sequence[int]) -> None:
        if self._lying:
            return
        for number in numbers:
            if settled := self._pending.pop(number, None):
                self.durable[settled.disk].update(settled.parts)
                for sector in settled.parts:
                    self._forget(settled.disk, sector, number)

    def _forget(self, disk: int, sector: int, settled: int) -> None:
        """Versions of a sector that are older than one that is durable can't come back."""
        versions = self._versions[disk]
        newer = []
        for number in versions[sector]:
            if number > settled:
                newer.append(number)
            elif pending := self._pending.get(number):
                pending.parts.pop(sector, None)
                if not pending.parts:
                    del self._pending[number]
        if newer:
            versions[sector] = newer
        else:
            del versions[sector]


def _keep(writes: Sequence[_Pending], target: Sectors, rng: random.Random) -> None:
    """Keep each write with some chance, tear some of them, in the order they came or in any."""
    chance = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    torn = rng.choice((0.0, 0.3, 1.0))
    order = [write.parts for write in writes]
    if rng.random() < 0.5:
        rng.shuffle(order)
    for parts in order:
        if rng.random() < torn:
            target.update((at, data) for at, data in parts.items() if rng.random() < chance)
        elif rng.random() < chance:
            target.update(parts)


def _stop(writes: Sequence[_Pending], target: Sectors, rng: random.Random, stop: float) -> None:
    """All writes that are in flight stop at the same share of their way; the cache goes as one."""
    cache = rng.random() < 0.5
    for write in writes:
        count = int(len(write.parts) * stop)
        if not write.answered:
            target.update(list(write.parts.items())[:count])
        elif cache:
            target.update(write.parts)


def split(sector: int, data: bytes) -> list[tuple[int, bytes]]:
    """Data as single sectors, each with its number."""
    return [
        (sector + at // SECTOR_SIZE, data[at : at + SECTOR_SIZE])
        for at in range(0, len(data), SECTOR_SIZE)
    ]
