"""A live dm-remap device: its messages, typed.

Sectors are 512-byte sectors of the dm device, `blocks` are units of the set. Every method raises
DmError (with the kernel's own explanation when there is one), NotFoundError if the device does not
exist or is not one of dm-remap, NoKernelError, PermissionDeniedError, and PyctlError for a reply
that cannot be understood.
"""

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyctl.dm import DeviceInfo, TargetLine
from pyctl.errors import DmError, NotFoundError, PyctlError
from pyctl.kmsg import KernelLog
from pyctl.status import Status, key_values
from pyctl.table import RemapTable, is_ours

__all__ = ["Control", "CopyStatus", "DmDevice", "Progress", "RemapEntry", "batches", "chunks"]

# One message at a time covers at most this many sectors (1 MiB), so that long work shows progress
# and can be interrupted.
CHUNK_SECTORS = 2048
# Rows of one `list` message: libdevmapper repeats a message whose reply is above 16 KiB.
_LIST_ROWS = 200
# Ranges of one `remap` message (DMR_BATCH in kernel/dm-remap.h): they share one commit. At 42
# characters each they are far below the 16 KiB that libdevmapper takes at once.
BATCH_RANGES = 64
_REMAP = ("remapped", "lost", "already")
_RELOCATE = ("relocated", "already", "kept")
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

    def load(self, table: Sequence[TargetLine]) -> None:
        """Load a table, which the next resume makes live."""
        ...

    def suspend(self, *, noflush: bool = False, skip_lockfs: bool = False) -> None:
        """Hold I/O back."""
        ...

    def resume(self, *, noflush: bool = False, skip_lockfs: bool = False) -> None:
        """Make a loaded table live, and let I/O go on."""
        ...

    def remove(self, *, deferred: bool = False, retry: bool = False) -> None:
        """Remove it."""
        ...


@dataclass(frozen=True)
class RemapEntry:
    """A run of blocks that are not where the main device has them.

    `spare` and `spare_sector` are None for lost blocks; `state` is remap, unknown or lost, `origin`
    auto or manual. `second` is the spare with the second copy, at `second_sector`; or None.
    """

    sector: int
    sectors: int
    spare: int | None
    spare_sector: int | None
    state: str
    origin: str
    second: int | None = None
    second_sector: int | None = None

    @classmethod
    def parse(cls, line: str) -> "RemapEntry":
        """Read a line of the `list` message. Raises PyctlError."""
        words = line.split()
        try:
            sector, sectors, spare, spare_sector, state, origin, *more = words
            second, second_sector = map(int, more) if more else (None, None)
            return cls(
                int(sector),
                int(sectors),
                None if spare == "-" else int(spare),
                None if spare_sector == "-" else int(spare_sector),
                state,
                origin,
                second,
                second_sector,
            )
        except ValueError as error:
            raise PyctlError(f"Cannot understand the line {line!r} of the remap list.") from error

    def pieces(self, size: int) -> Iterator[tuple[int, int]]:
        """Cut where pieces of main of `size` sectors end: number of each, sectors of it."""
        at, end = self.sector, self.sector + self.sectors
        while at < end:
            until = min(end, (at // size + 1) * size)
            yield at // size, until - at
            at = until


@dataclass(frozen=True)
class CopyStatus:
    """The copy of main to its replacement; `copied`, `total`, `lost`, `at`, `sectors` in sectors.

    `state` is off, paused, running, copied, ready or failed; `reason` says why it is paused or
    failed and `at` where that was. `id` and `sectors` are those of the last replacement, `rate` is
    the limit in KiB/s, 0 for none.
    """

    state: str
    copied: int
    total: int
    lost: int
    rate: int
    reason: str
    at: int
    id: int
    sectors: int

    @classmethod
    def parse(cls, reply: str) -> "CopyStatus":
        """Read the answer to `copy`. Raises PyctlError."""
        words = key_values(reply)
        try:
            return cls(
                state=words["state"],
                reason=words["reason"],
                copied=int(words["copied"]),
                total=int(words["total"]),
                lost=int(words["lost"]),
                rate=int(words["rate"]),
                at=int(words["at"]),
                id=int(words["id"]),
                sectors=int(words["sectors"]),
            )
        except (KeyError, ValueError) as error:
            raise PyctlError(f"Cannot understand the state of a copy: {reply!r}.") from error


class Control:
    """Speaks with one device."""

    def __init__(self, device: DmDevice) -> None:
        self.device = device
        self.name = device.name

    def commands(self) -> frozenset[str]:
        """The first words of the messages that the module knows. Raises as message() does."""
        lines = self.message("help").splitlines()
        return frozenset(line.partition(" ")[0] for line in lines if line)

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

    def reload(self, new: RemapTable) -> None:
        """Replace the live table; I/O only waits.

        When the kernel refuses the new table, the old one is put back before DmError is raised.
        """
        old, device = self.table(), self.device
        device.load([new.line()])
        log = KernelLog()
        device.suspend(skip_lockfs=True)
        try:
            device.resume()
        except DmError as error:
            reasons = log.lines()
            device.load([old.line()])
            device.resume()
            raise DmError(
                f"The kernel refused the new table of {self.name}: "
                + (reasons[0] if reasons else error.message),
                errno=error.errno,
                ioctl=error.ioctl,
                device=self.name,
                hint="The old table is in place again; nothing has changed.",
            ) from error

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
        return self._ranged("remap", _REMAP, sector, count, progress)

    def remap_ranges(
        self, ranges: Iterable[tuple[int, int]], sectors: int, progress: Progress | None = None
    ) -> dict[str, int]:
        """As remap, for many ranges (start, end), which are sorted and apart.

        `sectors` is how many there are in all, for `progress`.
        """
        total = dict.fromkeys(_REMAP, 0)
        done = 0
        for batch in batches(ranges):
            words = (str(number) for pair in batch for number in pair)
            _add(total, self._counts("remap", _REMAP, *words))
            done += sum(count for _, count in batch)
            if progress:
                progress(done, sectors)
        return total

    def relocate_ranges(self, ranges: Iterable[tuple[int, int]]) -> dict[str, int]:
        """Move blocks to a spare before they fail: `relocated`, `already`, `kept`.

        Ranges are (start, end). `kept` are those that main cannot read or has lost: they are left
        alone.
        """
        total = dict.fromkeys(_RELOCATE, 0)
        for start, end in ranges:
            _add(total, self._ranged("relocate", _RELOCATE, start, end - start, None))
        return total

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

    def copy(self, verb: str = "status", *words: str) -> CopyStatus:
        """Say `start`, `pause`, `abort` or `complete` to the copy of main, or ask for its state."""
        return CopyStatus.parse(self.message("copy", verb, *words))

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


def batches(ranges: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Pack ranges (start, end) into pairs (sector, count) for one message each: at most 1 MiB."""
    batch: list[tuple[int, int]] = []
    sectors = 0
    for start, end in ranges:
        for sector, count in chunks(start, end - start):
            if len(batch) == BATCH_RANGES or sectors + count > CHUNK_SECTORS:
                yield batch
                batch, sectors = [], 0
            batch.append((sector, count))
            sectors += count
    if batch:
        yield batch


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for key, value in more.items():
        total[key] += value
