"""What the load tells the host: records of load.c."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.crash.journal import Acknowledged, Event, Seen, Synced

_RECORD = struct.Struct("<IiQIIQQ")
_WROTE, _SYNCED, _READ_BACK, _CONTENT, _END = range(1, 6)


@dataclass(frozen=True)
class Content:
    """A unit as it was read back: its data, or None and an error number."""

    unit: int
    data: bytes | None
    error: int


@dataclass(frozen=True)
class End:
    """Everything was read back."""


class Parser:
    """Cuts the stream of a port into reports."""

    def __init__(self, unit_bytes: int) -> None:
        self._unit_bytes = unit_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Event | Content | End]:
        """The reports that are complete by now."""
        self._buffer += data
        while len(self._buffer) >= _RECORD.size:
            kind, error, unit, units, sync, version, count = _RECORD.unpack_from(self._buffer)
            length = _RECORD.size
            if kind == _CONTENT and not error:
                length += self._unit_bytes
            if len(self._buffer) < length:
                return
            payload = bytes(self._buffer[_RECORD.size : length])
            del self._buffer[:length]
            if kind == _WROTE:
                for number in range(unit, unit + units):
                    yield Acknowledged(count, number, version, bool(sync), error)
            elif kind == _SYNCED:
                yield Synced(count, error)
            elif kind == _READ_BACK:
                yield Seen(unit, version if not error else -1, error)
            elif kind == _CONTENT:
                yield Content(unit, payload or None, error)
            elif kind == _END:
                yield End()
            else:
                raise ValueError(f"The load has sent a record of kind {kind}.")
