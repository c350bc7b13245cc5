"""AgentX messages as bytes (RFC 2741, sections 6.1 and 6.2); pyagentx3 writes OIDs and values.

All numbers are in network byte order, which the agent has to use when we do.
"""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pyagentx3.pdu import PDU

from pyctl.errors import PyctlError

__all__ = [
    "HEADER",
    "LONGEST",
    "Answer",
    "Error",
    "Header",
    "Kind",
    "Oid",
    "Range",
    "Request",
    "Type",
    "Varbind",
    "WireError",
    "dotted",
    "message",
]

Oid = tuple[int, ...]

_HEADER = struct.Struct("!BBBBLLLL")
HEADER = _HEADER.size
# Nobody sends us more than that, in bytes.
LONGEST = 1 << 20
_VERSION = 1
_NETWORK_ORDER = 16
_CONTEXT = 8


class WireError(PyctlError):
    """What came is no AgentX."""


class Kind(enum.IntEnum):
    """The messages that are used here (`h.type`)."""

    OPEN = 1
    CLOSE = 2
    REGISTER = 3
    GET = 5
    GET_NEXT = 6
    GET_BULK = 7
    TEST_SET = 8
    COMMIT_SET = 9
    UNDO_SET = 10
    CLEANUP_SET = 11
    NOTIFY = 12
    PING = 13
    RESPONSE = 18


class Error(enum.IntEnum):
    """Errors of an answer (`res.error`)."""

    NONE = 0
    GENERAL = 5
    NOT_WRITABLE = 17
    PARSE = 266


class Type(enum.IntEnum):
    """The types of values (`v.type`)."""

    INTEGER = 2
    OCTETS = 4
    OBJECT_ID = 6
    GAUGE = 66
    COUNTER64 = 70
    NO_SUCH_OBJECT = 128
    NO_SUCH_INSTANCE = 129
    END_OF_VIEW = 130


@dataclass(frozen=True)
class Varbind:
    """The value of an object; None where there is none."""

    oid: Oid
    type: Type
    value: int | bytes | Oid | None = None

    def encode(self) -> bytes:
        """As bytes."""
        value = dotted(self.value) if isinstance(self.value, tuple) else self.value
        return bytes(PDU().encode_value(self.type, dotted(self.oid), value))


@dataclass(frozen=True)
class Range:
    """OIDs from `start` on, itself only if `include`, up to `end`, which is not one of them."""

    start: Oid
    end: Oid
    include: bool


@dataclass(frozen=True)
class Header:
    """What every message begins with; `length` is what follows, in bytes."""

    kind: int
    flags: int
    session: int
    transaction: int
    packet: int
    length: int

    @classmethod
    def parse(cls, data: bytes) -> "Header":
        """Of HEADER bytes. Raises WireError."""
        version, kind, flags, _, session, transaction, packet, length = _HEADER.unpack(data)
        if version != _VERSION or not flags & _NETWORK_ORDER or length > LONGEST or length % 4:
            raise WireError("What came is no AgentX message.")
        return cls(kind, flags, session, transaction, packet, length)


@dataclass(frozen=True)
class Request:
    """A get, get-next or get-bulk; the first `once` ranges are asked once, the others `times`."""

    ranges: tuple[Range, ...]
    once: int = 0
    times: int = 1

    @classmethod
    def parse(cls, header: Header, body: bytes) -> "Request":
        """Of what follows a header. Raises WireError."""
        reader = _Reader(body)
        if header.flags & _CONTEXT:
            reader.octets()
        once, times = reader.numbers("!HH") if header.kind == Kind.GET_BULK else (0, 1)
        ranges = []
        while reader.left:
            start, include = reader.oid()
            end, _ = reader.oid()
            ranges.append(Range(start, end, include))
        return cls(tuple(ranges), once, times)


@dataclass(frozen=True)
class Answer:
    """What the agent answers: 0 when all is well."""

    error: int

    @classmethod
    def parse(cls, body: bytes) -> "Answer":
        """Of what follows the header of a response. Raises WireError."""
        _, error, _ = _Reader(body).numbers("!LHH")
        return cls(error)


def dotted(oid: Sequence[int]) -> str:
    """An OID as people write it."""
    return ".".join(map(str, oid))


def message(
    kind: Kind, body: bytes = b"", *, session: int = 0, transaction: int = 0, packet: int = 0
) -> bytes:
    """A whole message."""
    pdu = PDU()
    pdu.session_id, pdu.transaction_id, pdu.packet_id = session, transaction, packet
    return bytes(pdu.encode_header(kind, len(body))) + body


def open_body(about: str) -> bytes:
    """Of an open: the time that an answer may take, in seconds, no OID, and who we are."""
    return b"\x05" + bytes(3) + bytes(4) + bytes(PDU().encode_octet(about))


def register_body(tree: Oid) -> bytes:
    """Of a register: the objects below an OID are ours, at the usual priority (127)."""
    return b"\x05\x7f" + bytes(2) + bytes(PDU().encode_oid(dotted(tree)))


def answer_body(error: Error, varbinds: Sequence[Varbind] = (), index: int = 0) -> bytes:
    """Of a response; `index` counts the varbinds from 1 and says which one the error is about."""
    return struct.pack("!LHH", 0, error, index) + b"".join(one.encode() for one in varbinds)


# pyagentx3 logs what it can't read, and goes on: so lengths are checked here first.
class _Reader:
    def __init__(self, data: bytes) -> None:
        self.pdu = PDU()
        self.pdu.set_decode_buf(data)

    @property
    def left(self) -> int:
        return len(self.pdu.decode_buf)

    def need(self, length: int) -> bytes:
        if self.left < length:
            raise WireError("An AgentX message ends too early.")
        return bytes(self.pdu.decode_buf)

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        found = struct.unpack(form, self.need(size)[:size])
        self.pdu.set_decode_buf(self.pdu.decode_buf[size:])
        return found

    def octets(self) -> bytes:
        (length,) = struct.unpack("!L", self.need(4)[:4])
        self.need(4 + length + -length % 4)
        return bytes(self.pdu.decode_octet())

    def oid(self) -> tuple[Oid, bool]:
        self.need(4 + 4 * self.need(4)[0])
        text, include = self.pdu.decode_oid()
        return tuple(int(one) for one in text.split(".") if one), bool(include)
