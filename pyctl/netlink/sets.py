"""Sets, remaps and regions as the kernel dumps them, and orders to sets.

All of it takes as long as the kernel does: not for an event loop.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from pyctl.errors import PyctlError
from pyctl.netlink.numbers import (
    Cmd,
    CopyPhase,
    EntryState,
    RemapOrder,
    ScanOrder,
    SetMode,
    Space,
    SpareOrder,
)
from pyctl.netlink.wire import InterruptedDumpError, Socket, Values, WireError

__all__ = ["Entry", "Kernel", "Lost", "Mark", "SetInfo", "SpareInfo", "whole"]

T = TypeVar("T")
# So often a dump is begun again when what it shows has changed meanwhile.
_TRIES = 20
_PIECE = 64


@dataclass(frozen=True)
class SpareInfo:
    """A spare of a set: numbers in blocks, `sectors` in sectors; no `device` if it isn't in use."""

    row: int
    uuid: UUID
    state: str
    device: tuple[int, int] | None
    sectors: int
    usable: int
    free: int
    used: int
    bad: int
    tier: int
    health: int
    draining: bool

    @classmethod
    def of(cls, values: Values) -> "SpareInfo":
        """From the attributes of a row. Raises WireError."""
        got = _Getter(values, "DMR_ROW_A_")
        return cls(
            row=got["SPARE"],
            uuid=got.uuid("UUID"),
            state=got["STATE"],
            device=got.device(),
            sectors=got["SECTORS"],
            usable=got["USABLE"],
            free=got["FREE"],
            used=got["USED"],
            bad=got["BAD"],
            tier=got["TIER"],
            health=got["HEALTH"],
            draining=bool(got["DRAINING"]),
        )


@dataclass(frozen=True)
class SetInfo:
    """A set: `seq` is the number of the module's last event, `unit` its block in bytes."""

    uuid: UUID
    name: str
    device: tuple[int, int]
    instance: int
    seq: int
    unit: int
    sectors: int
    mode: SetMode
    suspended: bool
    health: int
    breaker_open: bool
    space: Space
    copy: CopyPhase
    remaps: int
    manual: int
    unknown: int
    lost: int
    bad: int
    capacity: int
    free: int
    redundancy: int
    below: int
    read_errors: int
    write_errors: int
    scan_state: str
    scan_pass: int
    scan_percent: int
    spares: tuple[SpareInfo, ...]
    last_error: str

    @classmethod
    def of(cls, values: Values) -> "SetInfo":
        """From the attributes of a message. Raises WireError."""
        got = _Getter(values, "DMR_A_")
        return cls(
            uuid=got.uuid("SET"),
            name=got["NAME"],
            device=got.device() or (0, 0),
            instance=got["INSTANCE"],
            seq=got["SEQ"],
            unit=got["UNIT"],
            sectors=got["SECTORS"],
            mode=got.one_of("STATE", SetMode),
            suspended=bool(got["SUSPENDED"]),
            health=got["HEALTH"],
            breaker_open=bool(got["BREAKER"]),
            space=got.one_of("SPACE", Space),
            copy=got.one_of("COPY", CopyPhase),
            remaps=got["REMAPS"],
            manual=got["MANUAL_REMAPS"],
            unknown=got["UNKNOWN"],
            lost=got["LOST"],
            bad=got["BAD"],
            capacity=got["CAPACITY"],
            free=got["FREE"],
            redundancy=got["REDUNDANCY"],
            below=got["BELOW"],
            read_errors=got["READ_ERRORS"],
            write_errors=got["WRITE_ERRORS"],
            scan_state=got["SCAN_STATE"],
            scan_pass=got["SCAN_PASS"],
            scan_percent=got["SCAN_PERCENT"],
            spares=tuple(SpareInfo.of(one) for one in values.get("DMR_A_ROW", ())),
            last_error=got["LAST_ERROR"],
        )


@dataclass(frozen=True)
class Entry:
    """A remapped or lost block: `spare` and `second` are (row, sector)."""

    sector: int
    sectors: int
    state: EntryState
    manual: bool
    spare: tuple[int, int] | None
    second: tuple[int, int] | None

    @classmethod
    def of(cls, values: Values) -> "Entry":
        """From the attributes of a message. Raises WireError."""
        got = _Getter(values, "DMR_A_")
        return cls(
            sector=got["SECTOR"],
            sectors=got["SECTORS"],
            state=got.one_of("ENTRY", EntryState),
            manual=bool(got["MANUAL"]),
            spare=got.pair("SPARE", "SPARE_SECTOR"),
            second=got.pair("SECOND_SPARE", "SECOND_SECTOR"),
        )


@dataclass(frozen=True)
class Mark:
    """What is known of a region of main, or of a spare; `slow`, `marginal`: bits of its pieces."""

    spare: int | None
    sector: int
    sectors: int
    health: int
    errors: int
    retries: int
    slow: int
    marginal: int
    blanks: int
    usual_us: int
    number: int

    @classmethod
    def of(cls, values: Values) -> "Mark":
        """From the attributes of a message. Raises WireError."""
        got = _Getter(values, "DMR_A_")
        return cls(
            spare=values.get("DMR_A_SPARE"),
            sector=got["SECTOR"],
            sectors=got["SECTORS"],
            health=got["HEALTH"],
            errors=got["ERRORS"],
            retries=got["RETRIES"],
            slow=got["SLOW"],
            marginal=got["MARGINAL"],
            blanks=got["BLANKS"],
            usual_us=got["USUAL_US"],
            number=got["PASS"],
        )

    def pieces(self, bits: int) -> Iterator[tuple[int, int]]:
        """The pieces whose bits are set, as (sector, sectors), those that touch as one."""
        at = 0
        while bits >> at:
            count = 0
            while bits >> (at + count) & 1:
                count += 1
            if count:
                yield self.sector + at * _PIECE, count * _PIECE
            at += count + 1


class Lost(NamedTuple):
    """Blocks without data that follow each other."""

    sector: int
    sectors: int
    blocks: int


class Kernel:
    """The family as functions. Each call has a socket of its own, and may be in any thread."""

    def __init__(self, connect: Callable[[], Socket] = Socket) -> None:
        self.connect = connect

    def sets(self) -> list[SetInfo]:
        """All sets."""
        return whole(lambda: self._dump(Cmd.GET, {}, "Cannot list the sets", SetInfo.of))

    def get(self, name: str = "", uuid: UUID | None = None) -> SetInfo:
        """One set, by the name of its device or by its UUID. Raises NotFoundError."""
        with self.connect() as socket:
            about = f"Cannot see {name or uuid}"
            return SetInfo.of(socket.ask(Cmd.GET, _who(name, uuid), about))

    def remaps(self, uuid: UUID, sector: int = 0) -> list[Entry]:
        """What is remapped or lost from a sector on, at one moment."""
        asked = {**_who("", uuid), "DMR_A_SECTOR": sector}
        about = f"Cannot list the remaps of {uuid}"
        return whole(lambda: self._dump(Cmd.REMAPS, asked, about, Entry.of))

    def lost(self, uuid: UUID, most: int) -> list[Lost]:
        """What has no data, by rising sector, but no more ranges than that.

        Not of one moment: what changes meanwhile may be there or not. A table of any size takes no
        more memory than these ranges.
        """
        found: list[Lost] = []
        about = f"Cannot list what is lost of {uuid}"
        with self.connect() as socket, contextlib.suppress(InterruptedDumpError):
            for values in socket.dump(Cmd.REMAPS, _who("", uuid), about):
                one = Entry.of(values)
                if one.state is EntryState.REMAP:
                    continue
                last = found[-1] if found else None
                if last and last.sector + last.sectors == one.sector:
                    found[-1] = Lost(last.sector, last.sectors + one.sectors, last.blocks + 1)
                elif len(found) < most:
                    found.append(Lost(one.sector, one.sectors, 1))
        return found

    def regions(self, uuid: UUID) -> list[Mark]:
        """Regions of which something is known, those of main first."""
        about = f"Cannot list the regions of {uuid}"
        return whole(lambda: self._dump(Cmd.REGIONS, _who("", uuid), about, Mark.of))

    def configure(self, name: str, key: str, value: str) -> str:
        """Change an option."""
        return self._order(Cmd.CONFIGURE, name, {"DMR_A_KEY": key, "DMR_A_VALUE": value})

    def scan(self, name: str, order: ScanOrder, pattern: str | None = None) -> str:
        """Start, stop, pause or resume the health scan."""
        asked = {"DMR_A_SCAN_ORDER": int(order), "DMR_A_PATTERN": pattern}
        return self._order(Cmd.SCAN, name, asked)

    def remap(self, name: str, order: RemapOrder, sector: int, sectors: int) -> str:
        """Move a range of at most 2048 sectors, or verify it."""
        asked = {
            "DMR_A_REMAP_ORDER": int(order),
            "DMR_A_SECTOR": sector,
            "DMR_A_SECTORS": sectors,
        }
        return self._order(Cmd.REMAP, name, asked)

    def spare(self, name: str, order: SpareOrder, **values: int) -> str:
        """Change the pool; values by their names: spare, second_spare, major, minor, count."""
        asked = {f"DMR_A_{key.upper()}": value for key, value in values.items()}
        return self._order(Cmd.SPARE, name, {"DMR_A_SPARE_ORDER": int(order), **asked})

    # The kernel says why it refused where "get" finds it.
    def _order(self, cmd: Cmd, name: str, asked: dict[str, Any]) -> str:
        about = f"Cannot {cmd.name.lower()} {name}"
        with self.connect() as socket:
            try:
                answer = socket.ask(cmd, {**_who(name, None), **asked}, about)
            except PyctlError as error:
                if "last-error" not in error.message:
                    raise
                why = socket.ask(Cmd.GET, _who(name, None), about).get("DMR_A_LAST_ERROR", "")
                raise type(error)(f"{about}: {why}", hint=error.hint) from error
        return str(_Getter(answer, "DMR_A_")["ANSWER"])

    def _dump(
        self, cmd: Cmd, asked: dict[str, Any], about: str, make: Callable[[Values], T]
    ) -> list[T]:
        with self.connect() as socket:
            return [make(values) for values in socket.dump(cmd, asked, about)]


def whole(dump: Callable[[], list[T]]) -> list[T]:
    """What a dump gives when nothing has changed meanwhile; tries it some times."""
    for _ in range(_TRIES - 1):
        try:
            return dump()
        except InterruptedDumpError:
            continue
    return dump()


def _who(name: str, uuid: UUID | None) -> dict[str, Any]:
    return {"DMR_A_NAME": name} if uuid is None else {"DMR_A_SET": uuid.bytes}


# Attributes by their names without the prefix; what is missing is an error.
class _Getter:
    def __init__(self, values: Values, prefix: str) -> None:
        self.values = values
        self.prefix = prefix

    def __getitem__(self, name: str) -> Any:
        try:
            return self.values[self.prefix + name]
        except KeyError:
            raise WireError(f"A message has no {self.prefix}{name}.") from None

    def uuid(self, name: str) -> UUID:
        body = self[name]
        if len(body) != 16:
            raise WireError(f"{self.prefix}{name} has {len(body)} bytes, not 16.")
        return UUID(bytes=body)

    def one_of(self, name: str, kind: Callable[[int], T]) -> T:
        try:
            return kind(self[name])
        except ValueError as error:
            raise WireError(f"{self.prefix}{name}: {error}.") from error

    def device(self) -> tuple[int, int] | None:
        return self.pair("MAJOR", "MINOR")

    def pair(self, first: str, second: str) -> tuple[int, int] | None:
        if self.prefix + first not in self.values:
            return None
        return self[first], self[second]
