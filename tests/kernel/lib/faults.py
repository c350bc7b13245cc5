"""Targets and devices that fail, are slow, or lie."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.dm import DmDevice, Error, Linear, Segment
from tests.kernel.lib.run import run

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Flakey:
    """Good for `up` seconds, then bad for `down`, with features such as ("drop_writes",).

    6.1 knows no error_reads. ("corrupt_bio_byte", 32, "r", 1, 0) damages data silently.
    """

    device: BlockDevice | str
    sectors: int
    up: int = 0
    down: int = 1
    features: tuple[object, ...] = ()
    offset: int = 0

    def line(self) -> str:
        """The table line after its start and length."""
        words: list[object] = ["flakey", self.device, self.offset, self.up, self.down]
        if self.features:
            words += [len(self.features), *self.features]
        return " ".join(map(str, words))


@dataclass(frozen=True)
class Delay:
    """Slow: milliseconds for reads, and for writes and flushes when they differ.

    Writes and flushes go to `writes` when that is given.
    """

    device: BlockDevice | str
    sectors: int
    read_ms: int
    write_ms: int | None = None
    flush_ms: int | None = None
    offset: int = 0
    writes: BlockDevice | str | None = None

    def line(self) -> str:
        """The table line after its start and length."""
        write = self.read_ms if self.write_ms is None else self.write_ms
        flush = write if self.flush_ms is None else self.flush_ms
        below = (self.device, self.writes or self.device, self.writes or self.device)
        words: list[object] = ["delay"]
        for device, ms in zip(below, (self.read_ms, write, flush), strict=True):
            words += [device, self.offset, ms]
        return " ".join(map(str, words))


class FaultyDevice(DmDevice):
    """A device whose ranges can be made to fail while it is in use.

    Unlike null_blk's bad blocks there is no limit to their number, it works over any device, and
    reads can go on working. `sectors` is its length if it isn't that of the device.
    """

    def __init__(self, device: BlockDevice, name: str = "", sectors: int = 0) -> None:
        self.device = device
        self.length = sectors or device.sectors
        self.dead = False
        # Bad sectors, and whether reads of them fail, too.
        self.bad: dict[int, bool] = {}
        super().__init__(Linear(device, self.length), name=name)

    def add_bad(self, sector: int, count: int = 1, *, reads: bool = True) -> None:
        """Make sectors fail from now on: writes of them, and reads unless `reads` is False."""
        self._change(self.bad | dict.fromkeys(range(sector, sector + count), reads))

    def remove_bad(self, sector: int, count: int = 1) -> None:
        """Make sectors work again."""
        gone = range(sector, sector + count)
        self._change({number: reads for number, reads in self.bad.items() if number not in gone})

    def set_bad(self, sectors: Iterable[int]) -> None:
        """Make exactly these sectors fail, in one step."""
        self._change(dict.fromkeys(sectors, True))

    def fail(self) -> None:
        """Be dead: everything fails."""
        self.dead = True
        self.reload(Error(self.length), noflush=True)

    def recover(self) -> None:
        """Be alive again, with the bad sectors there were."""
        self.dead = False
        self._change(self.bad)

    def heal(self) -> None:
        """Have no faults at all."""
        self.dead = False
        self._change({})

    def _change(self, bad: dict[int, bool]) -> None:
        if not all(bad.values()):
            run("modprobe", "dm-flakey")
        self.bad = bad
        if not self.dead:
            self.reload(*self._segments(), noflush=True)

    def _segments(self) -> list[Segment]:
        """Linear and failing segments in turn."""
        segments: list[Segment] = []
        position = 0
        for start, end, reads in _runs(self.bad):
            if start > position:
                segments.append(Linear(self.device, start - position, position))
            segments.append(Error(end - start) if reads else self._unwritable(start, end))
            position = end
        if position < self.length:
            segments.append(Linear(self.device, self.length - position, position))
        return segments

    def _unwritable(self, start: int, end: int) -> Flakey:
        return Flakey(self.device, end - start, features=("error_writes",), offset=start)


class WeakDevice(DmDevice):
    """A device with bad sectors and slow ranges, which can change while it is in use.

    Bad sectors fail reads and writes. Slow ranges are given by their first sector; each is as long
    as a piece of the health scan.
    """

    PIECE = 64

    def __init__(self, device: BlockDevice, name: str = "") -> None:
        self.device = device
        # Milliseconds that a read and a write take, by sector; None for a bad one.
        self.weak: dict[int, tuple[int, int] | None] = {}
        super().__init__(Linear(device, device.sectors), name=name)

    def spoil(
        self, bad: Iterable[int] = (), slow: Iterable[int] = (), *, read_ms: int, write_ms: int = 0
    ) -> None:
        """Have exactly these bad sectors and slow pieces from now on."""
        run("modprobe", "dm-delay")
        pieces = (range(start, start + self.PIECE) for start in slow)
        self.weak = {sector: (read_ms, write_ms) for piece in pieces for sector in piece}
        self.weak |= dict.fromkeys(bad)
        self.reload(*self._segments(), noflush=True)

    def heal(self) -> None:
        """Be well again."""
        self.weak = {}
        self.reload(Linear(self.device, self.device.sectors), noflush=True)

    def _segments(self) -> list[Segment]:
        segments: list[Segment] = []
        position = 0
        for start, end, kind in _runs(self.weak):
            if start > position:
                segments.append(Linear(self.device, start - position, position))
            length, position = end - start, end
            if kind is None:
                segments.append(Error(length))
            else:
                segments.append(Delay(self.device, length, *kind, 0, offset=start))
        if position < self.device.sectors:
            segments.append(Linear(self.device, self.device.sectors - position, position))
        return segments


def _runs(bad: Mapping[int, Kind]) -> list[tuple[int, int, Kind]]:
    """Adjacent sectors of a kind joined to (start, end, kind)."""
    runs: list[tuple[int, int, Kind]] = []
    for sector, kind in sorted(bad.items()):
        if runs and runs[-1][1:] == (sector, kind):
            runs[-1] = (runs[-1][0], sector + 1, kind)
        else:
            runs.append((sector, sector + 1, kind))
    return runs


@contextlib.contextmanager
def faulty(*disks: BlockDevice) -> Iterator[tuple[FaultyDevice, ...]]:
    """Each disk under a device that can be made to fail."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(FaultyDevice(disk)) for disk in disks)
