"""How a device is at a moment, and the events that two such moments tell.

The kernel's counters say how often something happened, not where, so these events name no sectors.
What happened while nobody looked is told late, and once: the last snapshot is kept in the store.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from pyctl.control import Control
from pyctl.daemon.events import Event, Kind, Reading, SpareReading
from pyctl.errors import PyctlError
from pyctl.forecast import forecast
from pyctl.pool import Pool, SpareRow
from pyctl.scan import Scan
from pyctl.status import Status

__all__ = ["SOURCE", "Snapshot", "SpareSnapshot", "changes", "first_sight", "look", "reading"]

SOURCE = "status"
# Rows of other states are no members (yet).
_MEMBERS = ("in-sync", "failed", "missing", "joining")
_GONE = {"failed": Kind.SPARE_FAILED, "missing": Kind.SPARE_MISSING}
_SPACE = {"low": Kind.SPACE_LOW, "full": Kind.SPACE_FULL}
# A scan in any other state is under way, if only paused.
_RESTING = ("off", "waiting")
_COPY = {"copied": Kind.COPY_DONE, "failed": Kind.COPY_FAILED}
_COUNTERS = (
    ("read_errors", Kind.READ_ERROR),
    ("write_errors", Kind.WRITE_ERROR),
    ("remapped", Kind.REMAP),
    ("lost", Kind.LOST),
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class SpareSnapshot(_Record):
    """A spare of a set: `used`, `free`, `usable` and `bad` in blocks, `health` 0 to 100."""

    row: int
    uuid: str
    state: str
    health: int
    used: int
    free: int
    usable: int
    bad: int
    draining: bool

    @classmethod
    def of(cls, row: SpareRow) -> "SpareSnapshot":
        """Of a row of the spare list that is a member."""
        return cls(
            row=row.row or 0,
            uuid=str(row.uuid),
            state=row.state,
            health=row.health,
            used=row.used,
            free=row.free,
            usable=row.usable,
            bad=row.bad,
            draining=row.draining,
        )


class Snapshot(_Record):
    """A device: blocks and counters as in Status, times in seconds since 1970.

    `full_at` is when the spares will be full, None if that is not in sight; `present` says that
    the device was there then, and `stopped` that somebody stopped it in order. `commands` are
    those that the kernel module knows. `scan` is the number of the health scan that is under way,
    None if there is none, and `scanned` when the last whole one has ended, 0 if that is not known.
    """

    time: float
    set: str
    present: bool = True
    stopped: bool = False
    health: int
    read_errors: int
    write_errors: int
    remapped: int
    lost: int
    used: int
    capacity: int
    below: int
    unit_bytes: int
    failed: bool
    breaker_open: bool
    space: str
    copy_phase: str
    full_at: float | None
    spares: tuple[SpareSnapshot, ...]
    commands: frozenset[str]
    scan: int | None = None
    scanned: int = 0

    @property
    def fill(self) -> float:
        """How much of the table is in use, in percent."""
        return min(100.0, 100 * self.used / self.capacity) if self.capacity else 0.0


def look(control: Control, now: float) -> Snapshot:
    """Ask the kernel. May take as long as the device's disks do; raises as Control does."""
    status = control.status()
    pool = Pool(control)
    rows = [row for row in pool.rows() if row.row is not None and row.state in _MEMBERS]
    usage = pool.usage()
    commands = control.commands()
    scan = Scan(control).status() if "scan" in commands else None
    return Snapshot(
        time=now,
        set=status.fields.get("set", ""),
        health=status.health,
        read_errors=status.read_errors,
        write_errors=status.write_errors,
        remapped=status.remapped,
        lost=status.lost,
        used=usage.used,
        capacity=usage.capacity,
        below=_number(status, "below"),
        unit_bytes=status.unit_bytes,
        failed=status.fields.get("mode", "rw") != "rw",
        breaker_open=status.fields.get("breaker", "closed") != "closed",
        space=status.fields.get("space", "ok"),
        copy_phase=status.fields.get("copy", "off").partition(":")[0],
        full_at=forecast(usage, int(now)).full_at,
        spares=tuple(SpareSnapshot.of(row) for row in rows),
        commands=commands,
        scan=scan.number if scan and scan.state not in _RESTING else None,
        scanned=scan.last if scan else 0,
    )


def first_sight(now: Snapshot) -> Snapshot:
    """What a device that was never seen is compared with: all is well, and counted from now."""
    return now.model_copy(
        update={
            "present": False,
            "failed": False,
            "breaker_open": False,
            "space": "ok",
            "copy_phase": "off",
            "scan": None,
            "spares": tuple(
                one.model_copy(update={"state": "in-sync"}) if one.state in _GONE else one
                for one in now.spares
            ),
        }
    )


def changes(device: str, before: Snapshot, now: Snapshot) -> list[Event]:
    """The events between two snapshots of a device that is there now."""
    if before.set != now.set:
        before = first_sight(now)

    def event(kind: Kind, **more: Any) -> Event:
        return Event(time=now.time, kind=kind, device=device, source=SOURCE, **more)

    found = [] if before.present else [event(Kind.SET_STARTED)]
    for name, kind in _COUNTERS:
        count = _more(name, before, now)
        if count:
            found.append(event(kind, count=count))
    found += [event(kind) for kind in (*_modes(before, now), *_scans(before, now))]
    found += [event(kind, spare=row) for kind, row in _spares(before, now)]
    return found


def reading(device: str, now: Snapshot) -> Event:
    """How the device is, for the policies; prediction and temperature are not known here."""
    ahead = None if now.full_at is None else max(0.0, now.full_at - now.time)
    told = Reading(
        health=now.health,
        spare_fill=now.fill,
        spare_full_in=float("inf") if ahead is None else ahead,
        below_redundancy=now.below,
        lost=now.lost,
        spares=tuple(
            SpareReading.model_validate(
                {
                    "index": one.row,
                    "state": one.state,
                    "health": one.health,
                    "used": one.used,
                    "free": one.free,
                    "draining": one.draining,
                }
            )
            for one in now.spares
        ),
    )
    return Event(time=now.time, kind=Kind.READING, device=device, source=SOURCE, reading=told)


# A counter that went back while the device ran was set to 0 by somebody. That of a set that was
# started again may be an older one: what was counted since the last save is lost with a crash.
def _more(name: str, before: Snapshot, now: Snapshot) -> int:
    old, new = int(getattr(before, name)), int(getattr(now, name))
    if new >= old:
        return new - old
    return new if before.present and name.endswith("errors") else 0


def _modes(before: Snapshot, now: Snapshot) -> Iterator[Kind]:
    if now.failed and not before.failed:
        yield Kind.SET_FAILED
    if now.breaker_open and not before.breaker_open:
        yield Kind.BREAKER_OPEN
    if now.space != before.space and now.space in _SPACE:
        yield _SPACE[now.space]
    if now.copy_phase != before.copy_phase and now.copy_phase in _COPY:
        yield _COPY[now.copy_phase]


# One that has begun and ended between two looks is told by its end.
def _scans(before: Snapshot, now: Snapshot) -> Iterator[Kind]:
    if now.scanned > before.scanned:
        yield Kind.SCAN_DONE
    if now.scan is not None and now.scan != before.scan:
        yield Kind.SCAN_STARTED


# A row that was given to another spare is one that left and one that came.
def _spares(before: Snapshot, now: Snapshot) -> Iterator[tuple[Kind, int]]:
    old = {one.uuid: one for one in before.spares}
    new = {one.uuid: one for one in now.spares}
    for one in before.spares:
        if one.uuid not in new:
            yield Kind.SPARE_REMOVED, one.row
    for one in now.spares:
        was = old.get(one.uuid)
        if was is None:
            yield Kind.SPARE_ADDED, one.row
        elif one.state in _GONE and was.state != one.state:
            yield _GONE[one.state], one.row
        elif one.state == "in-sync" and was.state in _GONE:
            yield Kind.SPARE_RETURNED, one.row


def _number(status: Status, name: str) -> int:
    text = status.fields.get(name, "0")
    if not text.isdecimal():
        raise PyctlError(f"Cannot understand {name}={text!r} in the status line.")
    return int(text)
