"""Requests to block devices that no read or write can make."""

import ctypes
import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lib.blockdev import SECTOR, BlockDevice
from tests.kernel.lib.retry import wait_until

_BLKROSET = 0x125D
_BLKDISCARD = 0x1277
_BLKZEROOUT = 0x127F
_BLKPG = 0x1269
_BLKPG_ADD, _BLKPG_DEL = 1, 2


def zero_out(device: BlockDevice, sector: int, sectors: int) -> None:
    """Have sectors zeroed, by a write-zeroes request where the device takes that."""
    _range(device, _BLKZEROOUT, sector, sectors)


def discard(device: BlockDevice, sector: int, sectors: int) -> None:
    """Discard sectors."""
    _range(device, _BLKDISCARD, sector, sectors)


def set_read_only(device: BlockDevice, *, on: bool) -> None:
    """Make the kernel believe that a device is read-only."""
    fd = os.open(device.path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _BLKROSET, struct.pack("i", on))
    finally:
        os.close(fd)


def _range(device: BlockDevice, request: int, sector: int, sectors: int) -> None:
    # Opened with O_EXCL it would be refused under dm; without O_DIRECT its pages are dropped first.
    fd = os.open(device.path, os.O_RDWR)
    try:
        fcntl.ioctl(fd, request, struct.pack("QQ", sector * SECTOR, sectors * SECTOR))
    finally:
        os.close(fd)


class _BlkpgPartition(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_longlong),
        ("length", ctypes.c_longlong),
        ("number", ctypes.c_int),
        ("device_name", ctypes.c_char * 64),
        ("volume_name", ctypes.c_char * 64),
    )


class _BlkpgArgument(ctypes.Structure):
    _fields_ = (
        ("operation", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("length", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )


class Partition(BlockDevice):
    """A part of a disk as partition 1, without a partition table on it."""

    def __init__(self, disk: BlockDevice, start: int, sectors: int) -> None:
        self._disk = disk
        self._start = start
        self._length = sectors

    def __enter__(self) -> Self:
        self._change(_BLKPG_ADD)
        separator = "p" if self._disk.path.name[-1].isdigit() else ""
        self.path = Path(f"{self._disk.path}{separator}1")
        wait_until(self.path.exists, f"{self.path} exists")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._change(_BLKPG_DEL)

    def _change(self, operation: int) -> None:
        part = _BlkpgPartition(self._start * SECTOR, self._length * SECTOR, 1)
        argument = _BlkpgArgument(operation, 0, ctypes.sizeof(part), ctypes.addressof(part))
        fd = os.open(self._disk.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _BLKPG, argument)
        finally:
            os.close(fd)
