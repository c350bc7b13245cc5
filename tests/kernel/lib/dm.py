"""Device-mapper devices by the dmsetup program, and the segments their tables are made of."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.retry import retry
from tests.kernel.lib.run import CommandError, run

_numbers = itertools.count()


class Segment(Protocol):
    """A part of a device, handled by one target."""

    @property
    def sectors(self) -> int:
        """How long it is."""

    def line(self) -> str:
        """The table line after its start and length."""


@dataclass(frozen=True)
class Target:
    """Any target, by name and arguments."""

    name: str
    sectors: int
    args: tuple[object, ...] = ()

    def line(self) -> str:
        """The table line after its start and length."""
        return " ".join([self.name, *map(str, self.args)])


@dataclass(frozen=True)
class Linear:
    """A part of another device."""

    device: BlockDevice | str
    sectors: int
    offset: int = 0

    def line(self) -> str:
        """The table line after its start and length."""
        return f"linear {self.device} {self.offset}"


@dataclass(frozen=True)
class Error:
    """All I/O fails."""

    sectors: int

    def line(self) -> str:
        """The table line after its start and length."""
        return "error"


@dataclass(frozen=True)
class Zero:
    """Reads give zeros, writes are forgotten."""

    sectors: int

    def line(self) -> str:
        """The table line after its start and length."""
        return "zero"


def table(*segments: Segment) -> str:
    """The table of a device made of these segments, one after the other."""
    start = 0
    lines = []
    for segment in segments:
        lines.append(f"{start} {segment.sectors} {segment.line()}\n")
        start += segment.sectors
    return "".join(lines)


class DmDevice(BlockDevice):
    """A mapped device. A table is given as segments, or as text exactly as dmsetup takes it."""

    def __init__(self, *segments: Segment | str, name: str = "", readonly: bool = False) -> None:
        self.name = name or f"test{next(_numbers)}"
        self.path = Path("/dev/mapper", self.name)
        self._readonly = ["--readonly"] if readonly else []
        self._initial = _table(segments)

    def __enter__(self) -> Self:
        run("dmsetup", "create", self.name, *self._readonly, stdin=self._initial)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.exists():
            self.remove()

    def exists(self) -> bool:
        """Whether the kernel has it."""
        with contextlib.suppress(CommandError):
            run("dmsetup", "info", self.name)
            return True
        return False

    def remove(self) -> None:
        """Remove it now; a suspended one is resumed first, for nothing could close it otherwise."""
        if self.suspended:
            self.resume()
        retry(lambda: run("dmsetup", "remove", self.name), CommandError)

    def load(self, *segments: Segment | str) -> None:
        """Load a table, which gets live with the next resume."""
        run("dmsetup", "load", self.name, *self._readonly, stdin=_table(segments))

    def clear(self) -> None:
        """Drop the loaded table again."""
        run("dmsetup", "clear", self.name)

    def suspend(self, *, noflush: bool = False, lockfs: bool = True, timeout: float = 60) -> None:
        """Hold back all I/O, after what is in flight has ended."""
        options = ["--noflush"] * noflush + ["--nolockfs"] * (not lockfs)
        run("dmsetup", "suspend", *options, self.name, timeout=timeout)

    def resume(self) -> None:
        """Make a loaded table live and let I/O flow."""
        run("dmsetup", "resume", self.name)

    def reload(self, *segments: Segment | str, noflush: bool = False) -> None:
        """Replace the table under whatever uses the device."""
        self.load(*segments)
        self.suspend(noflush=noflush)
        self.resume()

    @contextlib.contextmanager
    def pause(self, *, noflush: bool = False) -> Iterator[None]:
        """Be suspended inside the with block."""
        self.suspend(noflush=noflush)
        try:
            yield
        finally:
            self.resume()

    def message(self, *words: object, sector: int = 0) -> str:
        """Send a message to the target and return its reply."""
        return run("dmsetup", "message", self.name, sector, *words).rstrip()

    def status(self, *, noflush: bool = False) -> str:
        """The target's status (STATUSTYPE_INFO), with start, length and target name."""
        return run("dmsetup", "status", *["--noflush"] * noflush, self.name).rstrip()

    def table(self) -> str:
        """The live table (STATUSTYPE_TABLE)."""
        return run("dmsetup", "table", self.name).rstrip()

    @property
    def suspended(self) -> bool:
        """Whether I/O is held back."""
        return self._info("suspended") == "Suspended"

    @property
    def event_nr(self) -> int:
        """How many events there have been."""
        return int(self._info("events"))

    def wait(self, event_nr: int, timeout: float = 30) -> None:
        """Wait until there has been a later event than this one."""
        run("dmsetup", "wait", self.name, event_nr, timeout=timeout)

    def _info(self, field: str) -> str:
        return run("dmsetup", "info", "-c", "--noheadings", "-o", field, self.name).strip()


def _table(segments: tuple[Segment | str, ...]) -> str:
    if len(segments) == 1 and isinstance(segments[0], str):
        return segments[0]
    return table(*(segment for segment in segments if not isinstance(segment, str)))
