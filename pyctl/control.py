"""A live dm-remap device: its messages, typed.

Sectors are 512-byte sectors of the dm device, `blocks` are units of the set. Every method raises
DmError (with the kernel's own explanation when there is one), NotFoundError if the device does not
exist or is not one of dm-remap, NoKernelError, PermissionDeniedError, and PyctlError for a reply
that cannot be understood.
"""

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyctl.dm import DeviceInfo, TargetLine
from pyctl.errors import DmError, NotFoundError, PyctlError
from pyctl.status import Status, key_values
from pyctl.table import RemapTable, is_ours

__all__ = ["Control", "DmDevice", "Progress", "RemapEntry", "chunks"]

# One message at a time covers at most this many sectors (1 MiB), so that long work shows progress
# and can be interrupted.
CHUNK_SECTORS = 2048
# Rows of one `list` message: libdevmapper repeats a message whose reply is above 16 KiB.
_LIST_ROWS = 200
_UNREMAP = ("unremapped", "kept", "lost")

Progress = Callable[[int, int], None]
"""Told after each step: done so far, in all."""


class DmDevice(Protocol):
    """What this module needs of a device-mapper device; pyctl.dm.Device is one."""

    name: str

    def message(self, sector: int, *words: str) -> str:
        """Send a message, return the reply."""
        ...

    def status(self, *, flush: bool = False) -> list[TargetLine]:
        """The status lines."""
        ...

    def table(self) -> list[TargetLine]:
        """The live table."""
        ...

    def info(self) -> DeviceInfo:
        """What the kernel knows of it."""
        ...

    def create(self, table: Sequence[TargetLine], uuid: str = "") -> None:
        """Make it."""
        ...

    def remove(self, *, deferred: bool = False, retry: bool = False) -> None:
        """Remove it."""
        ...


@dataclass(frozen=True)
class RemapEntry:
    """A run of blocks that are not where the main device has them.

    `spare` and `spare_sector` are None for lost blocks; `state` is remap, unknown or lost, `origin`
    auto or manual.
    """

    sector: int
    sectors: int
    spare: int | None
    spare_sector: int | None
    state: str
    origin: str

    @classmethod
    def parse(cls, line: str) -> "RemapEntry":
        """Read a line of the `list` message. Raises PyctlError."""
        words = line.split()
        try:
            sector, sectors, spare, spare_sector, state, origin = words
            return cls(
                int(sector),
                int(sectors),
                None if spare == "-" else int(spare),
                None if spare_sector == "-" else int(spare_sector),
                state,
                origin,
            )
        except ValueError as error:
            raise PyctlError(f"Cannot understand the line {line!r} of the remap list.") from error


class Control:
    """Speaks with one device."""

    def __init__(self, device: DmDevice) -> None:
        self.device = device
        self.name = device.name

    def message(self, *words: str) -> str:
        """Send a message and return the reply, without white space around it."""
        try:
            return self.device.message(0, *words).strip()
        except DmError as error:
            if error.errno in (errno.ENXIO, errno.ENODEV):
                raise self._not_found() from error
            explained = self._explain()
            if not explained:
                raise
            raise DmError(
                f"{self.name}: {explained}",
                errno=error.errno,
                ioctl=error.ioctl,
                device=self.name,
            ) from error

    def status(self) -> Status:
        """The parsed status line."""
        params = self._target().params
        if not params:
            raise PyctlError(
                f"{self.name} has no status: its table was loaded, but never started.",
                hint=f"`dmsetup resume {self.name}` starts it; the kernel log says why it failed.",
            )
        return Status.parse(params)

    def length(self) -> int:
        """Length of the device in sectors."""
        return self._target().length

    def table(self) -> RemapTable:
        """The live table."""
        try:
            return RemapTable.parse(self.device.table())
        except DmError as error:
            if error.errno == errno.ENXIO:
                raise self._not_found() from error
            raise

    def ping(self) -> str:
        """The module's version and the set's UUID, as the kernel says it."""
        reply = self.message("ping")
        if not reply.startswith("pong"):
            raise PyctlError(f"{self.name} answered a ping with {reply!r} instead of a pong.")
        return reply

    def stats(self) -> dict[str, str]:
        """All counters."""
        return key_values(self.message("stats"))

    def clear_stats(self) -> None:
        """Set the counters to zero."""
        self.message("clear_stats")

    def health(self) -> dict[str, str]:
        """The health score and its terms."""
        return key_values(self.message("health"))

    def remap(self, sector: int, count: int, progress: Progress | None = None) -> dict[str, int]:
        """Move blocks to a spare: `remapped`, `lost`, `already`.

        `lost` are those of the remapped that main could not read: they give errors until written.
        """
        return self._ranged("remap", ("remapped", "lost", "already"), sector, count, progress)

    def unremap(self, sector: int, count: int, progress: Progress | None = None) -> dict[str, int]:
        """Move blocks back to main, verified: `unremapped`, `kept`, `lost`.

        `kept` are those that main does not take or that it lost, `lost` those whose data is
        unknown, so that nothing can be moved.
        """
        return self._ranged("unremap", _UNREMAP, sector, count, progress)

    def verify(self, sector: int, count: int, progress: Progress | None = None) -> dict[str, int]:
        """Read remapped blocks: `verified`, `errors`."""
        return self._ranged("verify", ("verified", "errors"), sector, count, progress)

    def verify_all(self, progress: Progress | None = None) -> dict[str, int]:
        """As verify, for all remapped blocks of the device."""
        total = {"verified": 0, "errors": 0}
        for sector, count in self._windows(progress):
            _add(total, self._counts("verify", total, str(sector), str(count)))
        return total

    def clear(self, progress: Progress | None = None) -> dict[str, int]:
        """Move all blocks back to main, verified: `cleared`, `kept` and `lost` as in unremap."""
        cleared = lost = 0
        for sector, count in self._windows(progress):
            reply = self._counts("unremap", _UNREMAP, str(sector), str(count))
            cleared += reply["unremapped"]
            lost += reply["lost"]
        # what came meanwhile, and the count of what stays
        rest = self._counts("clear", ("cleared", "kept", "lost"))
        return {
            "cleared": cleared + rest["cleared"],
            # the kernel keeps what we have just found lost
            "kept": max(rest["kept"] - lost, 0),
            "lost": lost + rest["lost"],
        }

    def save(self) -> dict[str, int]:
        """Write all that is only in memory: `events` of the set."""
        return self._counts("save", ("events",))

    def restore(self) -> dict[str, int]:
        """Repair the metadata, and go back to the counters saved last: `leaves`, `repaired`."""
        return self._counts("restore", ("leaves", "repaired"))

    def repair(self) -> dict[str, int]:
        """Read all copies of everything and rewrite those that are damaged or old.

        `leaves`, `superblocks` and `records` are what was read, `repaired` counts rewritten copies.
        """
        return self._counts("repair", ("leaves", "superblocks", "records", "repaired"))

    def remaps(self) -> Iterator[RemapEntry]:
        """All runs that have an entry, by rising sector."""
        start = 0
        while True:
            lines = self.message("list", str(start), str(_LIST_ROWS)).splitlines()
            last = lines.pop().strip() if lines else "end"
            yield from map(RemapEntry.parse, lines)
            if last == "end":
                return
            match = re.fullmatch(r"next=(\d+)", last)
            if not match or int(match[1]) <= start:
                raise PyctlError(f"{self.name} ended a page of its remap list with {last!r}.")
            start = int(match[1])

    # The 1 MiB windows that hold at least one entry, clipped to the device.
    def _windows(self, progress: Progress | None) -> Iterator[tuple[int, int]]:
        length = self.length()
        windows: list[int] = []
        for entry in self.remaps():
            first = entry.sector // CHUNK_SECTORS
            last = (entry.sector + entry.sectors - 1) // CHUNK_SECTORS
            windows.extend(range(max(first, windows[-1] + 1 if windows else 0), last + 1))
        for done, window in enumerate(windows):
            start = window * CHUNK_SECTORS
            yield start, min(CHUNK_SECTORS, length - start)
            if progress:
                progress(done + 1, len(windows))

    def _ranged(
        self, word: str, keys: Sequence[str], sector: int, count: int, progress: Progress | None
    ) -> dict[str, int]:
        total = dict.fromkeys(keys, 0)
        for start, length in chunks(sector, count):
            _add(total, self._counts(word, keys, str(start), str(length)))
            if progress:
                progress(start + length - sector, count)
        return total

    def _counts(
        self, word: str, keys: Sequence[str] | dict[str, int], *args: str
    ) -> dict[str, int]:
        reply = self.message(word, *args)
        values = key_values(reply)
        try:
            return {key: int(values[key]) for key in keys}
        except (KeyError, ValueError) as error:
            raise PyctlError(f"{self.name} answered {word} with {reply!r}.") from error

    def _target(self) -> TargetLine:
        try:
            lines = self.device.status()
        except DmError as error:
            if error.errno == errno.ENXIO:
                raise self._not_found() from error
            raise
        if len(lines) != 1 or not is_ours(lines[0]):
            kinds = ", ".join(line.kind for line in lines) or "no live table"
            raise NotFoundError(
                f"{self.name} is a device-mapper device, but not one of dm-remap ({kinds}).",
                hint="`pyctl list` shows those of dm-remap.",
            )
        return lines[0]

    def _not_found(self) -> NotFoundError:
        return NotFoundError(
            f"There is no device-mapper device {self.name}.",
            hint="`pyctl list` shows the devices of dm-remap.",
        )

    # The kernel keeps a sentence about the last failed message.
    def _explain(self) -> str:
        try:
            return self.device.message(0, "error").strip()
        except PyctlError:
            return ""


def chunks(sector: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a range of sectors at the multiples of 1 MiB."""
    end = sector + count
    while sector < end:
        stop = min(end, (sector // CHUNK_SECTORS + 1) * CHUNK_SECTORS)
        yield sector, stop - sector
        sector = stop


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for key, value in more.items():
        total[key] += value
