"""Messages of the family as bytes, and a socket that speaks them.

pyroute2 makes the messages, with the table that also reads them. What is read is checked
byte by byte here, and its sockets are not used: they take a dump that ended with an error
for a whole one, don't tell one that was interrupted (NLM_F_DUMP_INTR), and keep what comes
without a bound.

A command is carried out within the call that sends it, and a dump within those that receive
it: both take as long as the disks do, so an event loop must leave them to a thread.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pyctl.errors import (
    NoKernelError,
    NotFoundError,
    PermissionDeniedError,
    PyctlError,
    RefusedError,
    UsageError,
)
from pyctl.netlink.numbers import ATTRIBUTES, FAMILY, GROUP, ROW_ATTRIBUTES, VERSION, Cmd
from pyctl.netlink.pyroute import netlink

__all__ = [
    "CTRL_DELFAMILY",
    "InterruptedDumpError",
    "Packet",
    "Socket",
    "WireError",
    "advise",
    "packets",
]

Values = dict[str, Any]

# Of one message of the kernel, at the most.
_ROOM = 1 << 16
_NETLINK = 270
_EXT_ACK = 11
_CAP_ACK = 10
_ADD_MEMBERSHIP = 1
_RCVBUFFORCE = 33
_NESTED = 0x3FFF
_CAPPED = 0x100
_ACK_TLVS = 0x200
_EXT_ACK_MSG = 1
CTRL_DELFAMILY = 2
_HEADER = struct.Struct("=IHHII")
_GENL = struct.Struct("=BBH")
_NLA = struct.Struct("=HH")
_SIZES = {"uint32": "=I", "uint64": "=Q"}


class WireError(PyctlError):
    """Bytes that are no message of the family."""


class InterruptedDumpError(PyctlError):
    """What was dumped has changed meanwhile: another try may give a whole picture."""


class _Row(netlink.nla):  # type: ignore[misc]
    nla_map = ROW_ATTRIBUTES


class _Message(netlink.genlmsg):  # type: ignore[misc]
    nla_map = ATTRIBUTES
    row = _Row


@dataclass(frozen=True)
class Packet:
    """A netlink message: `values` are its attributes by name; `error` is an errno, 0 for an ack."""

    type: int
    flags: int = 0
    seq: int = 0
    cmd: int = 0
    values: Values = field(default_factory=dict)
    error: int | None = None
    text: str = ""


def packets(data: bytes, family: int) -> Iterator[Packet]:
    """The messages in what a socket gave. Raises WireError at the first that is none."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise WireError(f"A netlink message is cut at byte {at}.")
        length, kind, flags, seq, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise WireError(f"A netlink message at byte {at} says that it has {length} bytes.")
        body = data[at + _HEADER.size : at + length]
        yield _packet(kind, flags, seq, body, family)
        at += length + -length % 4


def _packet(kind: int, flags: int, seq: int, body: bytes, family: int) -> Packet:
    if kind in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
        return _end(kind, flags, seq, body)
    if kind == family and len(body) >= _GENL.size:
        cmd = body[0]
        return Packet(kind, flags, seq, cmd, _values(body[_GENL.size :], ATTRIBUTES))
    if kind == netlink.GENL_ID_CTRL and len(body) >= _GENL.size:
        name = _texts(body[_GENL.size :]).get(2, b"").rstrip(b"\0")
        return Packet(kind, flags, seq, body[0], {"name": name.decode("ascii", "replace")})
    return Packet(kind, flags, seq)


# The last one of a dump, or of a command: an errno, and perhaps a sentence.
def _end(kind: int, flags: int, seq: int, body: bytes) -> Packet:
    if len(body) < 4:
        if kind == netlink.NLMSG_DONE:
            return Packet(kind, flags, seq, error=0)
        raise WireError("An error message of netlink has no number.")
    number = struct.unpack_from("=i", body)[0]
    rest = body[4:]
    if kind == netlink.NLMSG_ERROR:
        # behind it is the request, of which only the head is sent back with CAP_ACK
        if len(rest) < _HEADER.size:
            raise WireError("An error message of netlink doesn't say what it answers.")
        (length,) = struct.unpack_from("=I", rest)
        rest = rest[_HEADER.size if flags & _CAPPED else max(length + -length % 4, _HEADER.size) :]
    text = _texts(rest).get(_EXT_ACK_MSG, b"") if flags & _ACK_TLVS else b""
    return Packet(
        kind,
        flags,
        seq,
        error=-number if number < 0 else 0,
        text=text.rstrip(b"\0").decode("utf-8", "replace"),
    )


def _texts(data: bytes) -> dict[int, bytes]:
    return dict(_attributes(data))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < _NLA.size:
            raise WireError(f"An attribute is cut at byte {at}.")
        length, kind = _NLA.unpack_from(data, at)
        if not _NLA.size <= length <= len(data) - at:
            raise WireError(f"An attribute at byte {at} says that it has {length} bytes.")
        yield kind & _NESTED, data[at + _NLA.size : at + length]
        at += length + -length % 4


# Attributes of a newer kernel are left out; of several rows a list is made.
def _values(data: bytes, known: tuple[tuple[str, str], ...]) -> Values:
    found: Values = {}
    for number, body in _attributes(data):
        if number >= len(known):
            continue
        name, kind = known[number]
        if kind == "none":
            continue
        value = _value(name, kind, body)
        if kind == "*row":
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def _value(name: str, kind: str, body: bytes) -> Any:
    if kind == "*row":
        return _values(body, ROW_ATTRIBUTES)
    if kind == "cdata":
        return body
    if kind == "asciiz":
        if not body.endswith(b"\0"):
            raise WireError(f"{name} has no end.")
        return body.partition(b"\0")[0].decode("utf-8", "replace")
    form = struct.Struct(_SIZES[kind])
    if len(body) != form.size:
        raise WireError(f"{name} has {len(body)} bytes, not {form.size}.")
    return form.unpack(body)[0]


_ADVICE: dict[int, tuple[type[PyctlError], str]] = {
    errno.EPERM: (PermissionDeniedError, "Run it as root."),
    errno.EACCES: (PermissionDeniedError, "Run it as root."),
    errno.ENODEV: (NotFoundError, '"pyctl sets" lists the sets.'),
    errno.ENOENT: (NotFoundError, ""),
    errno.EAGAIN: (RefusedError, "Resume the device (dmsetup resume), and try again."),
    errno.EBUSY: (RefusedError, "Wait until that has ended, and try again."),
    errno.EINVAL: (UsageError, ""),
    errno.ERANGE: (UsageError, "Do it in smaller pieces."),
    errno.EOPNOTSUPP: (NoKernelError, "The module that is loaded is too old: load the new one."),
    errno.EINTR: (PyctlError, "Try again."),
    errno.ENOMEM: (PyctlError, "The kernel is short of memory: try again later."),
    errno.ENOBUFS: (PyctlError, "Events came faster than they were read: ask for a dump."),
}


def advise(number: int, what: str, text: str = "") -> PyctlError:
    """The error for an errno of the kernel; `text` is what the kernel says beside it."""
    kind, hint = _ADVICE.get(number, (PyctlError, ""))
    why = text or os.strerror(number)
    return kind(f"{what}: {why}.".replace("..", "."), hint=hint)


class Socket:
    """A netlink socket that knows the family. Raises NoKernelError if that isn't there."""

    def __init__(self, *, room: int = 1 << 20) -> None:
        try:
            self.socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_GENERIC
            )
        except OSError as error:
            raise advise(error.errno or 0, "Cannot speak netlink") from error
        self._seq = 0
        try:
            for option in (_EXT_ACK, _CAP_ACK):
                self.socket.setsockopt(_NETLINK, option, 1)
            self._make_room(room)
            self.socket.bind((0, 0))
            self.family, self._groups = self._resolve()
        except OSError as error:
            self.close()
            raise advise(error.errno or 0, "Cannot speak netlink") from error
        except PyctlError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear and say nothing any more."""
        self.socket.close()

    def join(self) -> None:
        """Hear events, and when a family goes. Raises PyctlError."""
        try:
            for group in (netlink.GENL_ID_CTRL, self._groups[GROUP]):
                self.socket.setsockopt(_NETLINK, _ADD_MEMBERSHIP, group)
        except KeyError:
            raise NoKernelError("The module that is loaded sends no events.") from None
        except OSError as error:
            raise advise(error.errno or 0, "Cannot listen to events") from error

    def ask(self, cmd: Cmd, values: Mapping[str, Any], what: str) -> Values:
        """Do a command; returns the attributes of its answer. Raises as `advise` has it."""
        answer: Values = {}
        for packet in self._exchange(cmd, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK, values, what):
            answer = packet.values
        return answer

    def dump(self, cmd: Cmd, values: Mapping[str, Any], what: str) -> Iterator[Values]:
        """All that there is; the end raises InterruptedDumpError when it isn't one picture."""
        whole = True
        for packet in self._exchange(cmd, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, values, what):
            whole = whole and not packet.flags & netlink.NLM_F_DUMP_INTR
            if packet.type == self.family:
                yield packet.values
        if not whole:
            raise InterruptedDumpError(f"{what}: it has changed meanwhile.", hint="Try again.")

    def _exchange(
        self, cmd: Cmd, flags: int, values: Mapping[str, Any], what: str
    ) -> Iterator[Packet]:
        message = _Message()
        message["cmd"], message["version"] = int(cmd), VERSION
        message["attrs"] = [(name, value) for name, value in values.items() if value is not None]
        seq = self._send(message, self.family, flags, what)
        while True:
            for packet in packets(self._receive(what), self.family):
                if packet.seq != seq:
                    continue
                if packet.error:
                    raise advise(packet.error, what, packet.text)
                if packet.type == netlink.NLMSG_DONE:
                    yield packet
                if packet.error is not None:
                    return
                yield packet

    def _send(self, message: Any, kind: int, flags: int, what: str) -> int:
        self._seq += 1
        header = message["header"]
        header["type"], header["flags"] = kind, flags
        header["sequence_number"], header["pid"] = self._seq, 0
        message.encode()
        try:
            self.socket.send(message.data)
        except OSError as error:
            raise advise(error.errno or 0, what) from error
        return self._seq

    def _receive(self, what: str) -> bytes:
        try:
            return self.socket.recv(_ROOM)
        except OSError as error:
            raise advise(error.errno or 0, what) from error

    def _resolve(self) -> tuple[int, dict[str, int]]:
        what = "Cannot find the netlink family dm_remap"
        message = netlink.ctrlmsg()
        message["cmd"], message["version"] = netlink.CTRL_CMD_GETFAMILY, 1
        message["attrs"] = [("CTRL_ATTR_FAMILY_NAME", FAMILY)]
        self._send(message, netlink.GENL_ID_CTRL, netlink.NLM_F_REQUEST, what)
        data = self._receive(what)
        (packet, *_) = packets(data, 0)
        if packet.error:
            raise NoKernelError(
                f"{what}: {packet.text or os.strerror(packet.error)}.",
                hint="Load the module: modprobe dm-remap.",
            )
        found = netlink.ctrlmsg(data)
        found.decode()
        groups = found.get_attr("CTRL_ATTR_MCAST_GROUPS") or []
        return int(found.get_attr("CTRL_ATTR_FAMILY_ID")), {
            one.get_attr("CTRL_ATTR_MCAST_GRP_NAME"): one.get_attr("CTRL_ATTR_MCAST_GRP_ID")
            for one in groups
        }

    # Without CAP_NET_ADMIN the limit of the system counts.
    def _make_room(self, room: int) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, room)
