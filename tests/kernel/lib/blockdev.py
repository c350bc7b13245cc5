"""Disks of the kernel's own making: null_blk and scsi_debug."""

import itertools
import os
import platform
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lib.retry import retry, wait_until
from tests.kernel.lib.run import CommandError, run

SECTOR = 512
_KERNEL = tuple(int(part) for part in platform.release().split(".")[:2])
# Whether scsi_debug can fail single commands, with sense data of the test's choice.
FAILS_COMMANDS = _KERNEL >= (6, 7)

_CONFIGFS = Path("/sys/kernel/config/nullb")
_SCSI_BUS = Path("/sys/bus/pseudo/drivers/scsi_debug")
_SCSI_DEBUGFS = Path("/sys/kernel/debug/scsi_debug")
_BADBLOCKS_RANGE = 512
_numbers = itertools.count()


class BlockDevice:
    """A block device by its path, with what sysfs knows about it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def number(self) -> str:
        """Its major and minor number, as traces write them: "253,0"."""
        number = self.path.stat().st_rdev
        return f"{os.major(number)},{os.minor(number)}"

    @property
    def sysfs(self) -> Path:
        """Its folder in sysfs."""
        return Path("/sys/dev/block", self.number.replace(",", ":"))

    @property
    def sectors(self) -> int:
        """Its size in sectors of 512 bytes."""
        return int((self.sysfs / "size").read_text())

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.sectors * SECTOR

    @property
    def flushes(self) -> int:
        """How many flushes it has completed."""
        return int((self.sysfs / "stat").read_text().split()[15])

    def queue(self, limit: str) -> int:
        """One of the numbers in its queue folder, such as logical_block_size."""
        return int((self.sysfs / "queue" / limit).read_text())


class NullBlk(BlockDevice):
    """A disk in memory whose sectors can be made bad at any time.

    A bad range fails reads and writes with EIO, and writing doesn't heal it. `options` are its
    configfs attributes: queue_mode, irqmode, completion_nsec, poll_queues, submit_queues, zoned, …
    """

    def __init__(self, size_mb: int = 64, blocksize: int = 512, **options: object) -> None:
        self.options = {
            "size": size_mb,
            "blocksize": blocksize,
            "memory_backed": 1,
            "discard": 1,
            **options,
        }
        self.name = f"nullb{100 + next(_numbers)}"
        self._config = _CONFIGFS / self.name

    def __enter__(self) -> Self:
        if not _CONFIGFS.exists():
            # poll_queues is the most that a device may have.
            run("modprobe", "null_blk", "nr_devices=0", "poll_queues=2")
        self._config.mkdir()
        for option, value in self.options.items():
            (self._config / option).write_text(str(value))
        (self._config / "power").write_text("1")
        # Up to Linux 6.4 the disk is named by its index, since then by its folder.
        index = (self._config / "index").read_text().strip()
        names = (self.name, f"nullb{index}")
        self.path = next(Path("/dev", n) for n in names if Path("/sys/block", n).exists())
        wait_until(self.path.exists, f"{self.path} exists")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        (self._config / "power").write_text("0")
        self._config.rmdir()

    def unplug(self) -> None:
        """Vanish, under whoever uses it."""
        (self._config / "power").write_text("0")

    def add_bad(self, sector: int, count: int = 1) -> None:
        """Make sectors fail."""
        # Up to Linux 6.6 a longer range is cut into entries in the wrong order, which aren't found.
        for first in range(sector, sector + count, _BADBLOCKS_RANGE):
            last = min(first + _BADBLOCKS_RANGE, sector + count) - 1
            (self._config / "badblocks").write_text(f"+{first}-{last}")

    def remove_bad(self, sector: int, count: int = 1) -> None:
        """Make sectors work again; what they held before is still there."""
        (self._config / "badblocks").write_text(f"-{sector}-{sector + count - 1}")


class ScsiDebug(BlockDevice):
    """A SCSI disk in memory that reports errors with the sense data of real disks.

    There is one at a time. `options` are parameters of the scsi_debug module: sector_size, delay,
    ndelay, medium_error_start, medium_error_count, … A medium error fails reads with ENODATA;
    writes succeed and don't heal. Errors begin with set_opts(MEDIUM_ERROR).
    """

    MEDIUM_ERROR = 2

    def __init__(self, dev_size_mb: int = 64, **options: object) -> None:
        self.options = {"dev_size_mb": dev_size_mb, "delay": 0, **options}

    def __enter__(self) -> Self:
        run("modprobe", "sd_mod")
        run("modprobe", "scsi_debug", *(f"{key}={value}" for key, value in self.options.items()))
        wait_until(self._disks, "scsi_debug has a disk")
        self.path = Path("/dev", self._disks()[0].name)
        wait_until(self.path.exists, f"{self.path} exists")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.set_opts(0)
        retry(lambda: run("rmmod", "scsi_debug"), CommandError)

    def unplug(self) -> None:
        """Vanish, under whoever uses it."""
        (self.sysfs / "device/delete").write_text("1")

    def set_opts(self, opts: int) -> None:
        """Set the bit mask that switches kinds of errors on and off."""
        (_SCSI_BUS / "opts").write_text(str(opts))

    def fail_command(self, opcode: int, key: int, asc: int, ascq: int) -> None:
        """Have every command of a kind fail with sense data; needs FAILS_COMMANDS."""
        sense = f"{key:#x} {asc:#x} {ascq:#x}"
        self._errors.write_text(f"2 1 {opcode:#x} 0 0 0x2 {sense}\n")

    def allow_command(self, opcode: int) -> None:
        """Have a kind of command work again."""
        self._errors.write_text(f"- 2 {opcode:#x}\n")

    @property
    def _errors(self) -> Path:
        return _SCSI_DEBUGFS / self.hctl / "error"

    @property
    def hctl(self) -> str:
        """Its SCSI address, which names its folder in debugfs (for FAILS_COMMANDS)."""
        return os.path.basename(os.path.realpath(self.sysfs / "device"))

    @staticmethod
    def _disks() -> list[Path]:
        return list(_SCSI_BUS.glob("adapter*/host*/target*/*/block/*"))
