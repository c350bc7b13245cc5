"""The objects that SNMP shows. This table is the one place where they are named and numbered.

`mib.py` makes DM-REMAP-MIB of it. A number is never given to another object. There is no enterprise
number of our own: the tree lies in net-snmp's playpen, which is for everybody.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pyctl import __version__
from pyctl.daemon.senders import Message, Severity
from pyctl.daemon.snapshot import Snapshot, SpareSnapshot
from pyctl.daemon.snmp.wire import Oid, Type, Varbind

if TYPE_CHECKING:
    from pyctl.daemon.process import Daemon

__all__ = [
    "ALERT",
    "DAEMON",
    "NOTIFICATIONS",
    "OBJECTS",
    "PLAYPEN",
    "ROOT",
    "TABLES",
    "Column",
    "Syntax",
    "Table",
    "notification",
    "objects",
    "values",
]

PLAYPEN: Oid = (8072, 9999, 9999)
ROOT: Oid = (1, 3, 6, 1, 4, 1, *PLAYPEN, 7327)
OBJECTS: Oid = (*ROOT, 1)
_UPTIME_AND_TRAP: Oid = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
_TEXT = 1024
_GAUGE = 2**32 - 1
_YES, _NO = 1, 2


class Syntax(enum.StrEnum):
    """The types of objects, as the MIB has them."""

    TEXT = "DmRemapText"
    TIME = "DateAndTime"
    BOOL = "TruthValue"
    GAUGE = "Gauge32"
    COUNT = "Counter64"
    SEVERITY = "DmRemapSeverity"
    UUID = "DmRemapUuid"
    ROW = "Unsigned32"
    WORD = "DmRemapWord"


@dataclass(frozen=True)
class Column:
    """An object: its number below its table or group, what it is, and its value for a row."""

    number: int
    name: str
    syntax: Syntax
    about: str
    value: Callable[[Any], Any] = lambda _: None


@dataclass(frozen=True)
class Table:
    """A table; `index` are columns that others can't see, or those of another table."""

    number: int
    name: str
    about: str
    index: tuple[Column, ...]
    columns: tuple[Column, ...]
    rows: Callable[["Daemon"], Iterator[tuple[Oid, Any]]]
    implied: bool = False

    @property
    def oid(self) -> Oid:
        """Where the columns are."""
        return (*OBJECTS, self.number, 1)


_GROUP = 1
DAEMON: tuple[Column, ...] = (
    Column(1, "DaemonVersion", Syntax.TEXT, "Version of the daemon.", lambda _: __version__),
    Column(
        2,
        "DaemonPolicy",
        Syntax.TEXT,
        "Name of the policy that decides.",
        lambda one: one.loaded.policy.name,
    ),
    Column(
        3,
        "DaemonTrouble",
        Syntax.TEXT,
        "What cannot be written, and is tried again; empty if nothing.",
        lambda one: one.trouble,
    ),
    Column(
        4,
        "DaemonActionsRunning",
        Syntax.GAUGE,
        "Actions under way.",
        lambda one: one.runner.busy,
    ),
    Column(
        5,
        "DaemonAlerts",
        Syntax.GAUGE,
        "Alerts that are not over.",
        lambda one: len(one.core.alerts.all()),
    ),
    Column(
        6,
        "DaemonMessagesWaiting",
        Syntax.GAUGE,
        "Messages that are not sent yet.",
        lambda one: sum(many for _, many in one.core.alerts.waiting()),
    ),
)


# A set that was renamed has been seen under two names: what is there counts, then what was last.
def _sets(daemon: "Daemon") -> Iterator[tuple[Oid, tuple[str, Snapshot]]]:
    found: dict[str, tuple[str, Snapshot]] = {}
    for name, one in daemon.source.devices().items():
        try:
            key = str(UUID(one.set))
        except ValueError:
            continue
        other = found.get(key)
        if other is None or (other[1].present, other[1].time) <= (one.present, one.time):
            found[key] = (name, one)
    for key, pair in found.items():
        yield tuple(key.encode()), pair


def _spares(daemon: "Daemon") -> Iterator[tuple[Oid, SpareSnapshot]]:
    for key, (_, one) in _sets(daemon):
        for spare in one.spares:
            yield (*key, spare.row), spare


def _events(daemon: "Daemon") -> Iterator[tuple[Oid, int]]:
    for kind, count in daemon.metrics.events.items():
        yield tuple(kind.encode()), count


def _actions(daemon: "Daemon") -> Iterator[tuple[Oid, int]]:
    for (kind, state), count in daemon.metrics.actions.items():
        yield (len(kind), *kind.encode(), *state.encode()), count


SET_UUID = Column(1, "SetUuid", Syntax.UUID, "UUID of the set, which it keeps for ever.")
TABLES: tuple[Table, ...] = (
    Table(
        2,
        "Set",
        "Every set that was ever seen. One that has gone stays, with its last values.",
        (SET_UUID,),
        (
            Column(2, "SetName", Syntax.TEXT, "Name of its device.", lambda one: one[0]),
            Column(
                3,
                "SetUp",
                Syntax.BOOL,
                "Whether the device is there; false if it was and has gone.",
                lambda one: one[1].present,
            ),
            Column(
                4,
                "SetStopped",
                Syntax.BOOL,
                "Whether somebody has stopped it in order.",
                lambda one: one[1].stopped,
            ),
            Column(
                5,
                "SetLastSeen",
                Syntax.TIME,
                "When the device was looked at last, or when it went.",
                lambda one: one[1].time,
            ),
            Column(6, "SetHealth", Syntax.GAUGE, "Health, 0 to 100.", lambda one: one[1].health),
            Column(
                7,
                "SetReadErrors",
                Syntax.COUNT,
                "Reads of main that failed. Begins anew when somebody clears it.",
                lambda one: one[1].read_errors,
            ),
            Column(
                8,
                "SetWriteErrors",
                Syntax.COUNT,
                "Writes to main that failed. Begins anew when somebody clears it.",
                lambda one: one[1].write_errors,
            ),
            Column(
                9,
                "SetRemappedBlocks",
                Syntax.GAUGE,
                "Blocks that are on a spare.",
                lambda one: one[1].remapped,
            ),
            Column(
                10,
                "SetLostBlocks",
                Syntax.GAUGE,
                "Blocks that could not be read and are errors until they are written.",
                lambda one: one[1].lost,
            ),
            Column(
                11,
                "SetBelowRedundancyBlocks",
                Syntax.GAUGE,
                "Remapped blocks that are on fewer spares than they should be.",
                lambda one: one[1].below,
            ),
            Column(
                12,
                "SetBlockBytes",
                Syntax.GAUGE,
                "Bytes of a block of the set.",
                lambda one: one[1].unit_bytes,
            ),
            Column(
                13,
                "SetTableUsed",
                Syntax.GAUGE,
                "Entries of the table in use.",
                lambda one: one[1].used,
            ),
            Column(
                14,
                "SetTableCapacity",
                Syntax.GAUGE,
                "Entries that the table has room for.",
                lambda one: one[1].capacity,
            ),
            Column(
                15,
                "SetFailed",
                Syntax.BOOL,
                "Whether it takes no writes any more, since no spare takes metadata.",
                lambda one: one[1].failed,
            ),
            Column(
                16,
                "SetBreakerOpen",
                Syntax.BOOL,
                "Whether main was taken for dead, so that nothing is remapped any more.",
                lambda one: one[1].breaker_open,
            ),
            Column(
                17,
                "SetSpaceLow",
                Syntax.BOOL,
                "Whether the spares fill up or are full.",
                lambda one: one[1].space != "ok",
            ),
            Column(
                18,
                "SetFullAt",
                Syntax.TIME,
                "When the spares will be full, if their use goes on; absent if not in sight.",
                lambda one: one[1].full_at,
            ),
        ),
        _sets,
    ),
    Table(
        3,
        "Spare",
        "The spares of each set.",
        (SET_UUID, Column(1, "SpareRow", Syntax.ROW, "Number of the spare in its set.")),
        (
            Column(2, "SpareUuid", Syntax.TEXT, "UUID of the spare.", lambda one: one.uuid),
            Column(
                3,
                "SpareState",
                Syntax.TEXT,
                "in-sync, joining, failed or missing.",
                lambda one: one.state,
            ),
            Column(4, "SpareHealth", Syntax.GAUGE, "Health, 0 to 100.", lambda one: one.health),
            Column(5, "SpareUsed", Syntax.GAUGE, "Blocks that are on it.", lambda one: one.used),
            Column(
                6, "SpareFree", Syntax.GAUGE, "Blocks that it has room for.", lambda one: one.free
            ),
            Column(
                7,
                "SpareBad",
                Syntax.GAUGE,
                "Blocks of it that were set aside.",
                lambda one: one.bad,
            ),
            Column(
                8,
                "SpareDraining",
                Syntax.BOOL,
                "Whether nothing new goes there.",
                lambda one: one.draining,
            ),
        ),
        _spares,
    ),
    Table(
        4,
        "Event",
        "Events that were written down since the daemon was started, by kind.",
        (Column(1, "EventKind", Syntax.WORD, "Kind of the events, as in policies."),),
        (Column(2, "EventCount", Syntax.COUNT, "How many.", lambda one: one),),
        _events,
        implied=True,
    ),
    Table(
        5,
        "Action",
        "Actions that have ended since the daemon was started.",
        (
            Column(1, "ActionKind", Syntax.WORD, "Kind of the actions, as in policies."),
            Column(2, "ActionState", Syntax.WORD, "How they ended: done, failed or undone."),
        ),
        (Column(3, "ActionCount", Syntax.COUNT, "How many.", lambda one: one),),
        _actions,
        implied=True,
    ),
)
_ALERT_GROUP = 6
# What a notification tells of a message to people; not to be asked for.
ALERT: tuple[Column, ...] = (
    Column(1, "AlertId", Syntax.TEXT, "The same for every try to tell it.", lambda one: one.id),
    Column(2, "AlertTime", Syntax.TIME, "When it was told.", lambda one: one.time),
    Column(3, "AlertSeverity", Syntax.SEVERITY, "How bad it is.", lambda one: one.severity),
    Column(
        4,
        "AlertDevice",
        Syntax.TEXT,
        "Name of the device, or * for all of them.",
        lambda one: one.device,
    ),
    Column(5, "AlertSubject", Syntax.TEXT, "In short.", lambda one: one.subject),
    Column(6, "AlertText", Syntax.TEXT, "In full, cut to 1024 bytes.", lambda one: one.body),
)
NOTIFICATIONS: Mapping[str, tuple[int, str]] = {
    "AlertRaised": (1, "There is a new alert."),
    "AlertEscalated": (2, "Nobody has acknowledged an alert, or a message of it was lost."),
    "AlertWorse": (3, "An alert has become worse."),
    "AlertOver": (4, "An alert is over."),
}


def objects() -> Iterator[Oid]:
    """The OIDs of all that can be asked for, without an instance."""
    for one in DAEMON:
        yield (*OBJECTS, _GROUP, one.number)
    for table in TABLES:
        for one in table.columns:
            yield (*table.oid, one.number)


def values(daemon: "Daemon") -> Iterator[Varbind]:
    """All that can be asked for, as it is now."""
    for one in DAEMON:
        yield from _varbind((*OBJECTS, _GROUP, one.number, 0), one, daemon)
    for table in TABLES:
        rows = list(table.rows(daemon))
        for one in table.columns:
            for index, row in rows:
                yield from _varbind((*table.oid, one.number, *index), one, row)


def notification(message: Message) -> list[Varbind]:
    """What a trap tells of a message."""
    first, _, number = message.occasion.partition("-")
    name = {"level": "AlertRaised", "worse": "AlertWorse", "over": "AlertOver"}[first]
    if first == "level" and number != "0":
        name = "AlertEscalated"
    kind = (*ROOT, 0, NOTIFICATIONS[name][0])
    found = [Varbind(_UPTIME_AND_TRAP, Type.OBJECT_ID, kind)]
    for one in ALERT:
        found += _varbind((*OBJECTS, _ALERT_GROUP, one.number, 0), one, message)
    return found


# What is not known is not there.
def _varbind(oid: Oid, column: Column, row: Any) -> Iterator[Varbind]:
    value = column.value(row)
    if value is None:
        return
    match column.syntax:
        case Syntax.GAUGE:
            yield Varbind(oid, Type.GAUGE, min(max(int(value), 0), _GAUGE))
        case Syntax.COUNT:
            yield Varbind(oid, Type.COUNTER64, int(value))
        case Syntax.BOOL:
            yield Varbind(oid, Type.INTEGER, _YES if value else _NO)
        case Syntax.SEVERITY:
            yield Varbind(oid, Type.INTEGER, Severity(value).rank + 1)
        case Syntax.TIME:
            yield Varbind(oid, Type.OCTETS, _date_and_time(value))
        case _:
            yield Varbind(oid, Type.OCTETS, _cut(str(value)))


# At a border of characters.
def _cut(text: str) -> bytes:
    return text.encode(errors="replace")[:_TEXT].decode(errors="ignore").encode()


# As RFC 2579 has it: year, month, ... tenths of a second, and the zone, which is UTC.
def _date_and_time(seconds: float) -> bytes:
    at = datetime.fromtimestamp(seconds, tz=UTC)
    parts = (at.month, at.day, at.hour, at.minute, at.second, at.microsecond // 100_000)
    return at.year.to_bytes(2) + bytes(parts) + b"+\0\0"
