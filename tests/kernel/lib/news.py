"""Listening to the kernel's events without an event loop, and doing things with fewer rights."""

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import Self

from pyctl.netlink.events import Gap, Happening, Numbers
from pyctl.netlink.numbers import Cmd, News
from pyctl.netlink.wire import CTRL_DELFAMILY, Socket, packets
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import PATIENCE

CAP_NET_ADMIN = 12
_CAPSET_VERSION = 0x20080522
_BATCH = 64
# Seconds after which a condition is looked at again, also when nothing is heard.
_PAUSE = 0.2


class Ear:
    """Hears all events from when it is made; `heard` and `gaps` have what came so far."""

    def __init__(self, room: int = 1 << 22) -> None:
        self.socket = Socket(room=room)
        self.socket.join()
        self.numbers = Numbers()
        self.heard: list[Happening] = []
        self.gaps: list[Gap] = []
        self.overruns = 0
        self.gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def until(self, condition: Callable[[], object], what: str, timeout: float = 30) -> None:
        """Hear until the condition holds; fails with `what` when it doesn't in time."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"{what}: not in time; heard {self.heard[-20:]}"
            self.socket.socket.settimeout(min(left, _PAUSE))
            self._hear()

    def until_seq(self, seq: int, timeout: float = 30) -> None:
        """Hear until this event has come, or a later one."""
        self.until(lambda: (self.numbers.last or 0) >= seq, f"event {seq}", timeout)

    def catch_up(self) -> None:
        """Hear what waits in the socket, until there is nothing any more."""
        self.socket.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._hear()

    def kinds(self, kind: News) -> list[Happening]:
        """What was heard of one kind."""
        return [one for one in self.heard if one.kind is kind]

    def _hear(self) -> None:
        try:
            data = self.socket.socket.recv(1 << 16)
        except TimeoutError:
            return
        except OSError as error:
            # (BlockingIOError is for catch_up)
            if error.errno != errno.ENOBUFS:
                raise
            self.overruns += 1
            return
        for packet in packets(data, self.socket.family):
            if packet.type == self.socket.family and packet.cmd == Cmd.EVENT:
                one = Happening.of(packet.values)
                assert one
                gap = self.numbers.take(one)
                self.gaps += [gap] if gap else []
                self.heard.append(one)
            elif packet.cmd == CTRL_DELFAMILY and packet.values.get("name") == "dm_remap":
                self.gone = True


def storm(dm: RemapDevice, count: int) -> None:
    """Remap so many sectors, of which no two touch."""
    sectors = range(0, 2 * count, 2)
    for at in range(0, count, _BATCH):
        words = [word for sector in sectors[at : at + _BATCH] for word in (sector, 1)]
        dm.message("remap", *words)


def errno_without_rights(action: Callable[[], object], *, capability: int | None = None) -> int:
    """The errno with which an action fails for somebody with one capability at the most, or 0.

    It is done in a child process of another user.
    """
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 255
    try:
        _drop_rights(capability)
        action()
        code = 0
    except OSError as error:
        code = error.errno or 254
    except BaseException as error:  # noqa: BLE001 (nothing may leave the child)
        cause = error.__cause__
        code = (cause.errno or 254) if isinstance(cause, OSError) else 253
    finally:
        os._exit(code)


def speak(cmd: Cmd, flags: int, attributes: bytes = b"") -> None:
    """Send a command as bare bytes; raises OSError with what the kernel answers."""
    with Socket() as talking:
        number = 4711
        length = 20 + len(attributes)
        head = length.to_bytes(4, "little") + talking.family.to_bytes(2, "little")
        head += (flags | 1).to_bytes(2, "little") + number.to_bytes(4, "little") + bytes(4)
        talking.socket.send(head + bytes([int(cmd), 1, 0, 0]) + attributes)
        for packet in packets(talking.socket.recv(1 << 16), talking.family):
            if packet.error:
                raise OSError(packet.error, packet.text)


def _drop_rights(capability: int | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # PR_SET_KEEPCAPS, so that capset() below has something to give
    libc.prctl(8, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    bits = 0 if capability is None else 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPSET_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")
