"""Many direct requests at once by the kernel's native AIO.

One io_submit() of more than two is plugged: the block layer sees them together and merges them.
"""

import ctypes
import mmap
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.kernel.lib.blockdev import BlockDevice

_CALLS = {
    "x86_64": {"setup": 206, "destroy": 207, "getevents": 208, "submit": 209},
    "aarch64": {"setup": 0, "destroy": 1, "getevents": 4, "submit": 2},
}
_PREAD, _PWRITE = 0, 1


class _Iocb(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("reqprio", ctypes.c_int16),
        ("fildes", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


@dataclass(frozen=True)
class Write:
    """A write of bytes at a byte offset."""

    offset: int
    data: bytes


class Aio:
    """A device opened with O_DIRECT for requests that nobody waits for until wait()."""

    def __init__(self, device: BlockDevice, depth: int = 256) -> None:
        self._fd = os.open(str(device), os.O_RDWR | os.O_DIRECT)
        self._context = ctypes.c_ulong(0)
        self._buffers: dict[int, mmap.mmap] = {}
        self._next = 0
        _call("setup", ctypes.c_ulong(depth), ctypes.byref(self._context))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _call("destroy", self._context)
        os.close(self._fd)

    def write(self, writes: Sequence[Write]) -> None:
        """Submit all of them with one call."""
        self._submit([(_PWRITE, w.offset, w.data, len(w.data)) for w in writes])

    def read(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Submit reads of (offset, length) with one call."""
        self._submit([(_PREAD, offset, b"", length) for offset, length in ranges])

    def wait(self) -> list[int]:
        """Wait for all; the result of each, a length or a negative errno, in order."""
        count = len(self._buffers)
        events = (_Event * count)()
        no_timeout = ctypes.c_void_p(None)
        done = _call(
            "getevents",
            self._context,
            ctypes.c_long(count),
            ctypes.c_long(count),
            events,
            no_timeout,
        )
        results = {event.data: event.res for event in events[:done]}
        order = sorted(self._buffers)
        self._buffers.clear()
        return [results[number] for number in order]

    def _submit(self, requests: Sequence[tuple[int, int, bytes, int]]) -> None:
        pointers = (ctypes.POINTER(_Iocb) * len(requests))()
        for i, (opcode, offset, data, length) in enumerate(requests):
            buffer = mmap.mmap(-1, length)
            buffer[: len(data)] = data
            self._buffers[self._next] = buffer
            address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
            iocb = _Iocb(
                data=self._next,
                opcode=opcode,
                fildes=self._fd,
                buf=address,
                nbytes=length,
                offset=offset,
            )
            pointers[i] = ctypes.pointer(iocb)
            self._next += 1
        submitted = _call("submit", self._context, ctypes.c_long(len(requests)), pointers)
        assert submitted == len(requests)


def _call(name: str, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(ctypes.c_long(_CALLS[platform.machine()][name]), *arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"io_{name}: {os.strerror(number)}")
    return result
