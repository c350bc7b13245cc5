"""Serve disks over the NBD protocol to the kernel's client in the guest (disks.c).

There is no handshake: both sides know the disks. One event loop in a thread of its own serves all
of them, so that one instant cuts them all and one journal has all writes in one order. Requests
that are there together are answered in a random order, some of them late: between request and
answer a write is in flight.
"""

import asyncio
import random
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pyctl.format import SECTOR_SIZE
from tests.crash.disks import EIO, Disk, Power

_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_REQUEST_MAGIC = 0x25609513
_REPLY_MAGIC = 0x67446698

_CMD_READ, _CMD_WRITE, _CMD_DISC, _CMD_FLUSH = 0, 1, 2, 3
_CMD_FLAG_FUA = 1
_EINVAL = 22

LATE_SHARE = 0.1
"""Share of the answers that are late..."""
LATE_SECONDS = 0.004
"""...by at most so much."""


class Connection(asyncio.Protocol):
    """A client of one disk."""

    def __init__(self, power: Power, disk: Disk, rng: random.Random) -> None:
        self._power = power
        self._disk = disk
        self._rng = rng
        self._buffer = bytearray()
        self._answers: list[Callable[[], None]] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: all requests that are there are in flight together."""
        self._buffer += data
        while self._take_request():
            pass
        answers, self._answers = self._answers, []
        self._rng.shuffle(answers)
        loop = asyncio.get_running_loop()
        for answer in answers:
            if self._rng.random() < LATE_SHARE:
                loop.call_later(self._rng.random() * LATE_SECONDS, answer)
            else:
                loop.call_soon(answer)

    def _take_request(self) -> bool:
        buffer = self._buffer
        if len(buffer) < _REQUEST.size:
            return False
        magic, flags, kind, handle, offset, length = _REQUEST.unpack_from(buffer)
        if magic != _REQUEST_MAGIC:
            self._close()
            return False
        end = _REQUEST.size + (length if kind == _CMD_WRITE else 0)
        if len(buffer) < end:
            return False
        data = bytes(buffer[_REQUEST.size : end])
        del buffer[:end]
        if self._power.on:
            self._serve(kind, handle, offset, length, data, fua=bool(flags & _CMD_FLAG_FUA))
        return True

    def _serve(
        self, kind: int, handle: int, offset: int, length: int, data: bytes, *, fua: bool
    ) -> None:
        sector, count = offset // SECTOR_SIZE, length // SECTOR_SIZE
        inside = not (offset | length) % SECTOR_SIZE and sector + count <= self._disk.sectors
        if kind == _CMD_DISC:
            self._close()
        elif kind == _CMD_FLUSH:
            number = self._power.begin_flush(self._disk)
            self._later(handle, 0, lambda: self._power.end_flush(number))
        elif not inside or kind not in (_CMD_READ, _CMD_WRITE):
            self._later(handle, _EINVAL)
        elif kind == _CMD_READ:
            found = self._disk.read(sector, count)
            self._later(handle, EIO if found is None else 0, data=found or b"")
        else:
            self._write(handle, sector, data, fua=fua)

    def _write(self, handle: int, sector: int, data: bytes, *, fua: bool) -> None:
        number = self._power.begin_write(self._disk, sector, data, fua=fua)
        if number is None:
            self._later(handle, EIO)
        else:
            self._later(handle, 0, lambda: self._power.end_write(number))

    def _later(
        self,
        handle: int,
        error: int,
        note: Callable[[], None] | None = None,
        data: bytes = b"",
    ) -> None:
        def answer() -> None:
            # A disk without power answers nothing.
            if self._power.on and self._transport and not self._transport.is_closing():
                if note:
                    note()
                self._transport.write(_REPLY.pack(_REPLY_MAGIC, error, handle) + data)

        self._answers.append(answer)

    def _close(self) -> None:
        if self._transport:
            self._transport.close()


class _Reports(asyncio.Protocol):
    """Bytes that the guest sends through its port."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._on_data(data)


class Server:
    """Serves disks, and takes the reports of the guest, on sockets in a folder.

    A context manager: the thread and the sockets live as long as it.
    """

    def __init__(
        self,
        power: Power,
        directory: Path,
        rng: random.Random,
        on_report: Callable[[bytes], None],
    ) -> None:
        self.power = power
        self._directory = directory
        self._rng = rng
        self._on_report = on_report
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="disks", daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def call(self, function: Callable[[], None]) -> None:
        """Run a function in the thread of the disks, and wait for it."""
        done = threading.Event()

        def run() -> None:
            try:
                function()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait()

    def cut(self) -> None:
        """Cut the power of all disks at one instant."""
        self.call(self.power.cut)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        for disk in self.power.disks:
            self._listen(disk_socket(self._directory, disk.number), self._connector(disk))
        self._listen(report_socket(self._directory), lambda: _Reports(self._on_report))
        self._ready.set()
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _connector(self, disk: Disk) -> Callable[[], Connection]:
        return lambda: Connection(self.power, disk, self._rng)

    def _listen(self, path: Path, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop.run_until_complete(self._loop.create_unix_server(make, str(path)))


def disk_socket(directory: Path, number: int) -> Path:
    """Where a disk is served."""
    return directory / f"disk{number}"


def report_socket(directory: Path) -> Path:
    """Where the guest's reports arrive."""
    return directory / "reports"
