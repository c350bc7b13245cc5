"""The kernel's events for a daemon on a machine in a folder: netlink messages through a file.

They are bytes as the kernel's, and go through all of the daemon that reads those; only the socket
is another one, a datagram socket in the folder. Unlike netlink's, it keeps its sender waiting when
it is full, so nothing is lost.
"""

import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from pyctl.daemon.hearing import Hearing
from pyctl.errors import NotFoundError
from pyctl.netlink.events import Listener, Numbers
from tests.pyctl.netlink import messages
from tests.pyctl.netlink.fakes import INFO

_ROOM = 1 << 20


class Wire:
    """As pyctl.netlink.wire.Socket has it, when it has joined."""

    family = messages.FAMILY

    def __init__(self, folder):
        self.path = folder / "news"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()


class WireListener(Listener):
    def __init__(self, folder):
        self.socket = Wire(folder)
        self.numbers = Numbers()


class Sender:
    """The module: numbers events, and sends them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.seq = 0

    def send(self, events):
        """Events as (set, kind, values); they have their numbers before the first is sent."""
        first = self.seq + 1
        self.seq += len(events)
        (self.folder / "seq").write_text(str(self.seq))
        for number, (uuid, kind, values) in enumerate(events, first):
            body = messages.event(number, kind, set=UUID(uuid).bytes, **values)
            self.socket.sendto(body, str(self.folder / "news"))

    def close(self):
        self.socket.close()


class Dumps:
    """What the module is asked, as Hearing wants it."""

    def __init__(self, machine):
        self.machine = machine

    def _info(self, name):
        path = self.machine.folder / "seq"
        seq = int(path.read_text() or 0) if path.exists() else 0
        return replace(INFO, name=name, uuid=UUID(self.machine.state(name)["set"]), seq=seq)

    def sets(self):
        return [self._info(name) for name in self.machine.names()]

    def get(self, name="", uuid=None):
        for one in self.sets() if uuid else [self._info(name)]:
            if uuid in (None, one.uuid):
                return one
        raise NotFoundError("There is none.")

    def regions(self, uuid):
        return []

    def lost(self, uuid, most):
        return []


def hearing(machine):
    """How a daemon on this machine hears."""
    return partial(Hearing, connect=lambda: WireListener(machine.folder), dumps=Dumps(machine))
