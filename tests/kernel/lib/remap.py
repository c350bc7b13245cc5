"""A dm-remap device, and what it says about itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.kernel.lib.blockdev import SECTOR, BlockDevice
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.dm import DmDevice, Target, table


@dataclass(frozen=True)
class Status:
    """The status line. `fields` are its key=value words, such as mode, breaker, unit, events."""

    used: int
    capacity: int
    lost: int
    health: int
    errors_w: int
    errors_r: int
    auto: int
    manual: int
    fields: Mapping[str, str]

    @property
    def mode(self) -> str:
        """rw, or fail when no mapping can be made durable any more."""
        return self.fields["mode"]

    @property
    def breaker(self) -> str:
        """closed, or open when errors are passed up."""
        return self.fields["breaker"]


@dataclass(frozen=True)
class Remap:
    """A line of `list`. Sectors are of 512 bytes; a lost one has no place on a spare.

    `second` is the spare with the second copy, at `second_sector`; None when there is none.
    """

    sector: int
    sectors: int
    spare: int | None
    spare_sector: int | None
    kind: str
    manual: bool
    second: int | None = None
    second_sector: int | None = None


def parse_status(line: str) -> Status:
    """Read a status line, with or without start, length and target name in front."""
    words = line.split()
    words = words[words.index("v4.0") + 1 :]
    (used, capacity), (lost, _), _ = (_pair(word, "/") for word in words[:3])
    fields = dict(word.split("=", 1) for word in words[3:])
    errors_w, errors_r = fields["errors"].removeprefix("W").split(":R")
    return Status(
        used=used,
        capacity=capacity,
        lost=lost,
        health=int(fields["health"]),
        errors_w=int(errors_w),
        errors_r=int(errors_r),
        auto=int(fields["auto_remaps"]),
        manual=int(fields["manual_remaps"]),
        fields=fields,
    )


def parse_list(reply: str) -> tuple[list[Remap], int | None]:
    """Read one reply of `list`: its lines, and where the next page starts."""
    *lines, last = reply.splitlines()
    following = None if last == "end" else int(last.removeprefix("next="))
    remaps = []
    for line in lines:
        sector, sectors, spare, spare_sector, kind, origin, *more = line.split()
        second, second_sector = map(int, more) if more else (None, None)
        remaps.append(
            Remap(
                sector=int(sector),
                sectors=int(sectors),
                spare=None if spare == "-" else int(spare),
                spare_sector=None if spare_sector == "-" else int(spare_sector),
                kind=kind,
                manual=origin == "manual",
                second=second,
                second_sector=second_sector,
            )
        )
    return remaps, following


def _pair(word: str, separator: str) -> tuple[int, int]:
    first, _, second = word.partition(separator)
    return int(first), int(second)


class RemapDevice(DmDevice):
    """A main device under dm-remap with its spares.

    Blank spares are formatted by the first activation, and recognised by later ones. `opts` are the
    options of the table line: retries, backoff_ms, breaker_remaps, breaker_seconds, degraded, set.
    """

    def __init__(
        self,
        main: BlockDevice,
        *spares: BlockDevice,
        opts: Mapping[str, object] | None = None,
        target: str = "remap",
        name: str = "",
        sectors: int = 0,
    ) -> None:
        self.main = main
        self.spares = spares
        self._target = target
        self._length = sectors
        super().__init__(self.target(opts), name=name)

    def target(self, opts: Mapping[str, object] | None = None) -> Target:
        """The table line, for load() and reload(); other options than at first when given."""
        words = [word for pair in (opts or {}).items() for word in pair]
        count = [len(words)] if words else []
        args = (self.main, *self.spares, *count, *words)
        return Target(self._target, self._length or self.main.sectors, args)

    def status_fields(self) -> Status:
        """The status, parsed."""
        return parse_status(self.status(noflush=True))

    def stats(self) -> dict[str, int]:
        """All counters."""
        lines = self.message("stats").splitlines()
        return {name: int(value) for name, value in (line.split("=") for line in lines)}

    def remaps(self) -> list[Remap]:
        """All remapped and lost sectors."""
        found: list[Remap] = []
        start: int | None = 0
        while start is not None:
            page, start = parse_list(self.message("list", start, 1000))
            found += page
        return found

    def remapped(self) -> set[int]:
        """The first sectors of all units that are on a spare."""
        return {remap.sector for remap in self.remaps() if remap.kind == "remap"}

    def reassemble(self, opts: Mapping[str, object] | None = None) -> None:
        """Remove it and make it again, so that all is read anew from the spares."""
        self.remove()
        self._initial = table(self.target(opts))
        self.__enter__()

    def read(self, sector: int, sectors: int = 1) -> bytes:
        """Read past the page cache."""
        with DirectFile(self) as file:
            return file.pread(sector * SECTOR, sectors * SECTOR)

    def write(self, sector: int, data: bytes, flags: int = 0) -> None:
        """Write past the page cache; `flags` are pwritev2's."""
        with DirectFile(self) as file:
            file.pwrite(sector * SECTOR, data, flags)
