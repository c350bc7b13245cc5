"""Devices put together as most tests want them, and what they are asked."""

import contextlib
import errno
import re
from collections.abc import Iterator, Mapping
from typing import Self

import pytest

from pyctl.dm import Device, TargetLine
from pyctl.errors import DmError
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread
from tests.kernel.lib.dm import DmDevice, Segment
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import retry

MAIN_MB = 16
SPARE_MB = 8

# Retries of reads without long pauses, for what never becomes readable.
QUICK = {"retries": 2, "backoff_ms": 1}

# The main disk and its spares.
Disks = tuple[NullBlk, ...]


class InProcess(DmDevice):
    """A device that is driven by libdevmapper in this process.

    Starting dmsetup takes longer in an emulated guest than what it does. What fails raises
    pyctl.errors.DmError, with its errno.
    """

    def __enter__(self) -> Self:
        Device(self.name).create(target_lines(self._initial))
        return self

    def exists(self) -> bool:
        """Whether the kernel has it."""
        return Device(self.name).info().exists

    def remove(self) -> None:
        """Remove it now; a suspended one is resumed first."""
        device = Device(self.name)
        if device.info().suspended:
            device.resume()
        retry(device.remove, DmError)

    def load(self, *segments: Segment | str) -> None:
        """Load a table, which gets live with the next resume."""
        Device(self.name).load(target_lines(DmDevice(*segments)._initial))

    def suspend(self, *, noflush: bool = False, lockfs: bool = True, timeout: float = 60) -> None:
        """Hold back all I/O, after what is in flight has ended; there is no timeout here."""
        Device(self.name).suspend(noflush=noflush, skip_lockfs=not lockfs)

    def resume(self) -> None:
        """Make a loaded table live and let I/O flow."""
        Device(self.name).resume()

    @property
    def suspended(self) -> bool:
        """Whether I/O is held back."""
        return Device(self.name).info().suspended

    @property
    def event_nr(self) -> int:
        """How many events there have been."""
        return Device(self.name).info().event_nr

    def message(self, *words: object, sector: int = 0) -> str:
        """Send a message to the target and return its reply."""
        return Device(self.name).message(sector, *map(str, words)).rstrip()

    def status(self, *, noflush: bool = False) -> str:
        """The target's status, with start, length and target name."""
        return str(Device(self.name).status(flush=not noflush)[0])


class QuickRemap(InProcess, RemapDevice):
    """A RemapDevice that is driven by libdevmapper in this process."""


class QuickFaulty(InProcess, FaultyDevice):
    """A FaultyDevice that is driven by libdevmapper in this process."""


def target_lines(table: str) -> list[TargetLine]:
    """A table as libdevmapper takes it."""
    lines = [[*line.split(maxsplit=3), ""] for line in table.splitlines()]
    return [TargetLine(int(start), int(size), kind, args) for start, size, kind, args, *_ in lines]


@contextlib.contextmanager
def disks(spares: int = 1, blocksize: int = 512, **options: object) -> Iterator[Disks]:
    """A main disk and its spares. Options are those of NullBlk."""
    with contextlib.ExitStack() as stack:
        sizes = [MAIN_MB] + [SPARE_MB] * spares
        yield tuple(stack.enter_context(NullBlk(size, blocksize, **options)) for size in sizes)


def pattern(sectors: int, seed: int) -> bytes:
    """Data that is different in each sector and for each seed."""
    return b"".join(
        (b"%d/%d;" % (seed, sector)).ljust(16, b".") * (SECTOR // 16) for sector in range(sectors)
    )


def eio(device: DmDevice | NullBlk, sector: int, sectors: int = 1) -> bool:
    """Whether reading fails from its first sector on, with EIO."""
    try:
        pread(device, sector, sectors)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return True
    return False


def refused(log: KernelLog, dm: DmDevice, reason: str) -> None:
    """The device can't be made, nothing of it is left, and the kernel log says why."""
    seen = len(log.lines())
    with pytest.raises(DmError):
        Device(dm.name).create(target_lines(dm._initial))
    assert not Device(dm.name).info().exists
    text = "\n".join(log.lines()[seen:])
    assert re.search(reason, text), f"no {reason!r} in:\n{text}"


def failing_write(main: NullBlk, dm: RemapDevice, sector: int, data: bytes) -> None:
    """Remap sectors because of a write error, and give main its sectors back."""
    count = len(data) // SECTOR
    main.add_bad(sector, count)
    dm.write(sector, data)
    main.remove_bad(sector, count)


def patient(**opts: object) -> Mapping[str, object]:
    """Options of the table line with which failing reads don't take long."""
    return {"retries": 1, "backoff_ms": 0, **opts}
