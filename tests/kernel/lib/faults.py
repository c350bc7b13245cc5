"""Targets and devices that fail, are slow, or lie."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.dm import DmDevice, Error, Linear, Segment


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
    """Slow: milliseconds for reads, and for writes and flushes when they differ."""

    device: BlockDevice | str
    sectors: int
    read_ms: int
    write_ms: int | None = None
    flush_ms: int | None = None
    offset: int = 0

    def line(self) -> str:
        """The table line after its start and length."""
        write = self.read_ms if self.write_ms is None else self.write_ms
        flush = write if self.flush_ms is None else self.flush_ms
        triples = [(self.device, self.offset, ms) for ms in (self.read_ms, write, flush)]
        return " ".join(["delay", *(str(word) for triple in triples for word in triple)])


class FaultyDevice(DmDevice):
    """A device whose ranges can be made to fail, reads and writes alike, while it is in use.

    Unlike null_blk's bad blocks there is no limit to their number, and it works over any device.
    """

    def __init__(self, device: BlockDevice, name: str = "") -> None:
        self.device = device
        self._bad: set[int] = set()
        super().__init__(Linear(device, device.sectors), name=name)

    def add_bad(self, sector: int, count: int = 1) -> None:
        """Make sectors fail from now on."""
        self._change(self._bad | set(range(sector, sector + count)))

    def remove_bad(self, sector: int, count: int = 1) -> None:
        """Make sectors work again."""
        self._change(self._bad - set(range(sector, sector + count)))

    def fail(self) -> None:
        """Be dead: everything fails."""
        self.reload(Error(self.device.sectors), noflush=True)

    def recover(self) -> None:
        """Be alive again, with the bad sectors there were."""
        self._change(self._bad)

    def _change(self, bad: set[int]) -> None:
        self._bad = bad
        self.reload(*_segments(self.device, bad), noflush=True)


def _segments(device: BlockDevice, bad: Iterable[int]) -> list[Segment]:
    """Linear and failing segments in turn."""
    segments: list[Segment] = []
    position = 0
    for start, end in _runs(bad):
        if start > position:
            segments.append(Linear(device, start - position, position))
        segments.append(Error(end - start))
        position = end
    if position < device.sectors:
        segments.append(Linear(device, device.sectors - position, position))
    return segments


def _runs(sectors: Iterable[int]) -> list[tuple[int, int]]:
    """Adjacent sectors joined to (start, end)."""
    runs: list[tuple[int, int]] = []
    for sector in sorted(sectors):
        if runs and runs[-1][1] == sector:
            runs[-1] = (runs[-1][0], sector + 1)
        else:
            runs.append((sector, sector + 1))
    return runs
