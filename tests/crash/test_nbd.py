"""The server, over its real sockets."""

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash import nbd
from tests.crash.disks import Disk, Power
from tests.crash.journal import Flush, Flushed, MediaError, Write, Written
from tests.crash.nbd import Server
from tests.crash.pattern import Sector

READ, WRITE, FLUSH = 0, 1, 3
FUA = 1


class Client:
    """Sends requests and takes answers, in whatever order they come."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5)
        self._socket.connect(str(path))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(
        self, kind: int, offset: int = 0, length: int = 0, data: bytes = b"", fua: int = 0
    ) -> None:
        """A request whose handle is its offset."""
        header = struct.pack(">IHHQQI", 0x25609513, fua, kind, offset, offset, length or len(data))
        self._socket.sendall(header + data)

    def answer(self, length: int = 0) -> tuple[int, int, bytes]:
        """Error number, handle and data of the next answer."""
        magic, error, handle = struct.unpack(">IIQ", self._take(16))
        assert magic == 0x67446698
        return error, handle, b"" if error else self._take(length)

    def silent(self) -> bool:
        """Does nothing come for a while?"""
        self._socket.settimeout(0.2)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return True

    def _take(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            got = self._socket.recv(length - len(data))
            assert got, "the server has hung up"
            data += got
        return data


@pytest.fixture
def power() -> Power:
    """Two disks of 64 sectors."""
    return Power([Disk(0, 64), Disk(1, 64)])


@contextmanager
def _serving(power: Power, directory: Path) -> Iterator[tuple[Server, Client, Client]]:
    with Server(power, directory, random.Random(1), lambda _: None) as server:
        clients = [Client(nbd.disk_socket(directory, number)) for number in range(2)]
        try:
            yield server, clients[0], clients[1]
        finally:
            for client in clients:
                client.close()


def test_what_is_written_is_read_before_any_flush(power: Power, tmp_path: Path) -> None:
    with _serving(power, tmp_path) as (_, client, other):
        client.send(WRITE, 512, data=b"x" * 1024)
        assert client.answer() == (0, 512, b"")
        client.send(READ, 0, 2048)
        assert client.answer(2048)[2] == bytes(512) + b"x" * 1024 + bytes(512)
        other.send(READ, 512, 512)
        assert other.answer(512)[2] == bytes(512)


def test_the_journal_has_requests_and_answers_of_all_disks(power: Power, tmp_path: Path) -> None:
    with _serving(power, tmp_path) as (_, client, other):
        client.send(WRITE, 512, data=b"x" * 512)
        client.answer()
        other.send(WRITE, 1024, data=b"y" * 512, fua=FUA)
        other.answer()
        client.send(FLUSH)
        client.answer()
    assert power.events == [
        Write(1, 0, 1, b"x" * 512, False),
        Written(1),
        Write(2, 1, 2, b"y" * 512, True),
        Written(2),
        Flush(3, 0),
        Flushed(3),
    ]


def test_bad_sectors_fail_and_say_what_they_were_to_carry(power: Power, tmp_path: Path) -> None:
    power.disks[0].mark_bad(2, 1, readable=False)
    power.disks[0].mark_bad(5, 1, readable=True)
    data = b"".join(Sector(at, 1, 1, 0).encode() for at in range(8))
    with _serving(power, tmp_path) as (_, client, _other):
        client.send(WRITE, 0, data=data)
        assert client.answer()[0] == 5
        client.send(READ, 0, 4096)
        assert client.answer(4096)[0] == 5
        client.send(READ, 3 * 512, 2048)
        assert client.answer(2048) == (0, 3 * 512, bytes(2048))
    assert power.events == [MediaError(0, (2, 5), ((2, 1), (5, 1)))]


def test_a_dead_disk_reads_and_takes_no_writes(power: Power, tmp_path: Path) -> None:
    with _serving(power, tmp_path) as (server, client, _):
        server.call(lambda: power.die(power.disks[0]))
        client.send(WRITE, 0, data=b"x" * 512)
        assert client.answer()[0] == 5
        client.send(READ, 0, 512)
        assert client.answer(512) == (0, 0, bytes(512))


def test_a_weak_sector_is_read_at_every_third_attempt(power: Power, tmp_path: Path) -> None:
    power.disks[0].weak = {3: 0}
    with _serving(power, tmp_path) as (_, client, _other):
        errors = []
        for _attempt in range(6):
            client.send(READ, 0, 4096)
            errors.append(client.answer(4096)[0])
        client.send(READ, 0, 512)
        assert client.answer(512)[0] == 0
    assert errors == [5, 5, 0, 5, 5, 0]


def test_requests_beyond_the_end_are_refused(power: Power, tmp_path: Path) -> None:
    with _serving(power, tmp_path) as (_, client, _other):
        client.send(READ, 63 * 512, 1024)
        assert client.answer(1024)[0] == 22
    assert power.events == []


def test_after_the_cut_nothing_is_answered_or_noted(power: Power, tmp_path: Path) -> None:
    with _serving(power, tmp_path) as (server, client, other):
        client.send(WRITE, 0, data=b"x" * 512)
        client.answer()
        server.cut()
        other.send(WRITE, 0, data=b"y" * 512)
        client.send(FLUSH)
        assert other.silent()
        assert client.silent()
    assert power.events == [Write(1, 0, 0, b"x" * 512, False), Written(1)]


def test_many_requests_are_in_flight_and_answered_in_another_order(
    power: Power, tmp_path: Path
) -> None:
    with _serving(power, tmp_path) as (server, client, _):

        def send_all() -> None:
            """In the thread of the server, which finds all requests at once afterwards."""
            for at in range(32):
                client.send(WRITE, at * 512, data=b"x" * 512)

        server.call(send_all)
        order = [client.answer()[1] // 512 for _ in range(32)]
    assert sorted(order) == list(range(32))
    assert order != sorted(order)
    kinds = [type(event) for event in power.events]
    assert kinds[:32] == [Write] * 32
