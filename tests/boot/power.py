"""Disks with a volatile write cache, and what is left on them after a power cut.

QEMU's blklogwrites writes down what the guest writes and flushes. A write that no flush followed
may be on the medium or not: chance draws, for each of them.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512

# The format of dm-log-writes, as QEMU has it.
_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _DISCARD = 1, 4


@dataclass(frozen=True)
class LoggedDisk:
    """A disk of a guest: `image` is what was on it when the power came, `log` what came then."""

    image: Path
    serial: str

    @property
    def running(self) -> Path:
        """What the guest writes to; it has all that the guest has written."""
        return self.image.with_suffix(".running")

    @property
    def log(self) -> Path:
        """What was written when."""
        return self.image.with_suffix(".log")

    def arguments(self) -> list[str]:
        """What QEMU has to be told; makes the files anew."""
        self.running.write_bytes(self.image.read_bytes())
        self.log.write_bytes(b"")
        args = []
        for role, path in (("run", self.running), ("log", self.log)):
            args += ["-blockdev", f"driver=file,node-name={role}{self.serial},filename={path}"]
        args += [
            "-blockdev",
            f"driver=blklogwrites,node-name={self.serial},file=run{self.serial},log=log{self.serial}",
        ]
        return [*args, "-device", f"virtio-blk-pci,drive={self.serial},serial={self.serial}"]


@dataclass(frozen=True)
class Left:
    """What a cut has made of a disk: how many unflushed writes are there, and how many are lost."""

    kept: int
    lost: int


def cut(disk: LoggedDisk, rng: random.Random) -> Left:
    """Make `image` what is on the medium after the cut."""
    entries = list(_entries(disk.log.read_bytes()))
    flushes = [index for index, (_, _, flags) in enumerate(entries) if flags & _FLUSH]
    durable = flushes[-1] if flushes else 0
    kept = lost = 0
    with disk.image.open("r+b") as file:
        for index, (sector, data, _) in enumerate(entries):
            if not data:
                continue
            if index > durable:
                if rng.random() < 0.5:
                    lost += 1
                    continue
                kept += 1
            file.seek(sector * SECTOR)
            file.write(data)
    return Left(kept, lost)


# Sector, data and flags of each entry. The count in the superblock may be behind.
def _entries(log: bytes) -> Iterator[tuple[int, bytes, int]]:
    magic, _, _, size = _SUPER.unpack_from(log)
    if magic != _MAGIC:
        raise ValueError("this is no log of writes")
    place = size
    while place + size <= len(log):
        sector, count, flags, _ = _ENTRY.unpack_from(log, place)
        place += size
        if not count and not flags:
            return
        data = b"" if flags & _DISCARD else log[place : place + count * size]
        place += len(data)
        yield sector * (size // SECTOR), data, flags
