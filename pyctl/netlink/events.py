"""Events of the kernel: numbered, so that whoever listens notices what he missed."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pyctl.errors import NoKernelError
from pyctl.netlink.numbers import (
    FAMILY,
    Cmd,
    CopyPhase,
    Finding,
    News,
    Reason,
    ScanEvent,
    Space,
)
from pyctl.netlink.wire import (
    CTRL_DELFAMILY,
    Packet,
    Socket,
    Values,
    WireError,
    advise,
    packets,
)

__all__ = ["Gap", "Happening", "Listener", "Numbers"]

# Of one message, at the most; the kernel sends an event in each.
_ROOM = 1 << 16
_KNOWN = frozenset(map(int, News))
_DETAILS: dict[News, tuple[str, type[Any]]] = {
    News.REMAP: ("DMR_A_MANUAL", bool),
    News.MOVED: ("DMR_A_MANUAL", bool),
    News.MEMBERS: ("DMR_A_REASON", Reason),
    News.SPACE: ("DMR_A_SPACE", Space),
    News.BREAKER: ("DMR_A_BREAKER", bool),
    News.SCAN: ("DMR_A_SCAN_EVENT", ScanEvent),
    News.FINDING: ("DMR_A_FINDING", Finding),
    News.COPY: ("DMR_A_COPY", CopyPhase),
}


@dataclass(frozen=True)
class Happening:
    """An event: `time` in seconds since 1970, `sectors` 0 when it is about no range.

    `detail` is which of several, as `kind` has it; None where there is nothing more to say, or
    where a newer kernel says what is not known here.
    """

    instance: int
    seq: int
    time: float
    kind: News
    count: int
    set: UUID | None = None
    device: tuple[int, int] | None = None
    spare: int | None = None
    sector: int = 0
    sectors: int = 0
    detail: Reason | Space | ScanEvent | Finding | CopyPhase | bool | None = None

    @classmethod
    def of(cls, values: Values) -> "Happening | None":
        """From the attributes of a message; None for a kind that is not known here.

        Raises WireError.
        """
        try:
            number, _ = values["DMR_A_EVENT"], (values["DMR_A_INSTANCE"], values["DMR_A_SEQ"])
            if number not in _KNOWN:
                return None
            kind = News(number)
            body = values.get("DMR_A_SET")
            return cls(
                instance=values["DMR_A_INSTANCE"],
                seq=values["DMR_A_SEQ"],
                time=values["DMR_A_TIME"] / 1e9,
                kind=kind,
                count=max(1, values["DMR_A_COUNT"]),
                set=None if body is None else UUID(bytes=body),
                device=(values["DMR_A_MAJOR"], values["DMR_A_MINOR"]) if body else None,
                spare=values.get("DMR_A_SPARE"),
                sector=values.get("DMR_A_SECTOR", 0),
                sectors=values.get("DMR_A_SECTORS", 0),
                detail=_detail(kind, values),
            )
        except (KeyError, ValueError) as error:
            raise WireError(f"An event of the kernel is not whole: {error}.") from error

    def json(self) -> dict[str, object]:
        """For programs: names in small letters, without what is not told."""
        told: dict[str, object] = {
            "seq": self.seq,
            "time": self.time,
            "event": word(self.kind.name),
            "count": self.count,
        }
        if self.set:
            told["set"] = str(self.set)
        if self.device:
            told["device"] = "{}:{}".format(*self.device)
        if self.spare is not None:
            told["spare"] = self.spare
        if self.sectors:
            told |= {"sector": self.sector, "sectors": self.sectors}
        if self.detail is not None:
            told["detail"] = self.told
        return told

    @property
    def told(self) -> str | bool:
        """`detail` as a word, or as what it is."""
        detail = self.detail
        if detail is None or isinstance(detail, bool):
            return bool(detail)
        return word(detail.name)


def word(name: str) -> str:
    """The name of a number, as people read it."""
    return name.lower().replace("_", "-")


def _detail(kind: News, values: Values) -> Any:
    name, make = _DETAILS.get(kind, ("", bool))
    try:
        return make(values[name]) if name in values else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Gap:
    """Events that did not come: `missed` is how many, 0 if that isn't known."""

    missed: int
    why: str


class Numbers:
    """Looks at the numbers of events. `last` is the last one, None before the first."""

    def __init__(self) -> None:
        self.instance: int | None = None
        self.last: int | None = None

    def begin(self, instance: int, seq: int) -> None:
        """What is true up to an event is known, from a dump."""
        if instance != self.instance or self.last is None or seq > self.last:
            self.instance, self.last = instance, seq

    def take(self, one: Happening) -> Gap | None:
        """The gap before an event, if there is one; one that comes late shows none.

        Those that the kernel had no room for have numbers, so where the one before is known, they
        are missing already when the kernel says how many they were.
        """
        last, again = self.last, self.instance not in (None, one.instance)
        self.begin(one.instance, one.seq)
        if again:
            return Gap(0, "the module was loaded again")
        if last is not None and one.seq > last + 1:
            return Gap(one.seq - last - 1, "their numbers are missing")
        if last is None and one.kind is News.DROPPED:
            return Gap(one.count, "the kernel had no room")
        return None


class Listener:
    """Hears events within an event loop. Raises NoKernelError when the family isn't there."""

    def __init__(self, room: int = 1 << 20) -> None:
        self.socket = Socket(room=room)
        self.numbers = Numbers()
        try:
            self.socket.join()
        except BaseException:
            self.socket.close()
            raise
        self.socket.socket.setblocking(False)

    def close(self) -> None:
        """Hear nothing any more."""
        self.socket.close()

    async def hear(self) -> AsyncIterator[Happening | Gap]:
        """Events, and what is missing between them, until the family goes (NoKernelError).

        When the kernel says that this socket was too slow, a Gap comes at once; the numbers say
        with the next event how many were lost.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self.socket.socket, _ROOM)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise advise(error.errno or 0, "Cannot listen to events") from error
                yield Gap(0, "they came faster than they were read")
                continue
            for packet in packets(data, self.socket.family):
                for found in self._found(packet):
                    yield found

    def _found(self, packet: Packet) -> list[Happening | Gap]:
        if packet.cmd == CTRL_DELFAMILY and packet.values.get("name") == FAMILY:
            raise NoKernelError("The module of dm-remap was unloaded.")
        if packet.type != self.socket.family or packet.cmd != Cmd.EVENT:
            return []
        one = Happening.of(packet.values)
        if one is None:
            # of a newer kernel: only its number says anything
            self.numbers.begin(packet.values["DMR_A_INSTANCE"], packet.values["DMR_A_SEQ"])
            return []
        gap = self.numbers.take(one)
        return [gap, one] if gap else [one]
