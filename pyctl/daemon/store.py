"""What the daemon must not forget: one bounded SQLite file, whole after a kill at any point.

Every change is one transaction. With a write-ahead log and synchronous=FULL it is durable when
the call returns, also against a power cut. Methods raise StoreError.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pyctl.daemon.events import Event
from pyctl.daemon.policy.engine import Decision
from pyctl.errors import PyctlError, RefusedError

__all__ = ["MIGRATIONS", "Bounds", "Gap", "Heard", "Store", "StoreError"]

# A migration is for ever: what a file went through is told by its user_version. Add, never change.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # tells this store from another one that is made when it is moved away
        "CREATE TABLE identity (id TEXT NOT NULL) STRICT",
        "INSERT INTO identity VALUES (lower(hex(randomblob(8))))",
        """CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL,
            seq INTEGER, time REAL NOT NULL, device TEXT NOT NULL, kind TEXT NOT NULL,
            body TEXT NOT NULL) STRICT""",
        "CREATE INDEX events_time ON events (time)",
        # the highest number that came from each source
        "CREATE TABLE sources (source TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT",
        """CREATE TABLE gaps (source TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
            PRIMARY KEY (source, first)) STRICT""",
        """CREATE TABLE decisions (id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
            rule TEXT NOT NULL, device TEXT NOT NULL, verdict TEXT NOT NULL, body TEXT NOT NULL)
            STRICT""",
        """CREATE TABLE actions (id INTEGER PRIMARY KEY AUTOINCREMENT, decision INTEGER,
            time REAL NOT NULL, changed REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
            device TEXT NOT NULL, kind TEXT NOT NULL, parameters TEXT NOT NULL,
            state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
            result TEXT NOT NULL DEFAULT '{}') STRICT""",
        "CREATE INDEX actions_state ON actions (state)",
        # what has to go into the audit log; a row goes when it is there
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL) STRICT",
    ),
    (
        """CREATE TABLE alerts (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL,
            device TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL, first REAL NOT NULL,
            last REAL NOT NULL, count INTEGER NOT NULL, state TEXT NOT NULL,
            who TEXT NOT NULL DEFAULT '', level INTEGER NOT NULL DEFAULT 0,
            channels TEXT NOT NULL DEFAULT '[]') STRICT""",
        "CREATE UNIQUE INDEX alerts_open ON alerts (key) WHERE state != 'resolved'",
        """CREATE TABLE mutes (id INTEGER PRIMARY KEY AUTOINCREMENT, pattern TEXT NOT NULL,
            until REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL) STRICT""",
        """CREATE TABLE deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT, alert INTEGER NOT NULL,
            channel TEXT NOT NULL, occasion TEXT NOT NULL, subject TEXT NOT NULL,
            body TEXT NOT NULL, state TEXT NOT NULL, due REAL NOT NULL, changed REAL NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '',
            UNIQUE (alert, channel, occasion)) STRICT""",
        "CREATE INDEX deliveries_state ON deliveries (state)",
    ),
    (
        # how each device was when it was looked at last
        "CREATE TABLE seen (device TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
        "CREATE INDEX events_readings ON events (id) WHERE kind = 'reading'",
    ),
    (
        # what disks told of themselves, once a day: diskhistory.py
        """CREATE TABLE disks (disk TEXT NOT NULL, day INTEGER NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (disk, day)) STRICT""",
    ),
)
_MAX_GAPS = 256
_PRUNE_EVERY = 1000
# SQLite counts with a sign, the kernel without.
_SIGN = 1 << 63


class StoreError(PyctlError):
    """The daemon's store cannot be read or written."""


@dataclass(frozen=True)
class Bounds:
    """How many rows are kept, oldest first out. What is not finished is always kept.

    `readings` are those of the events that only tell how a device is: they come all the time.
    """

    events: int = 200_000
    readings: int = 50_000
    decisions: int = 20_000
    actions: int = 20_000
    alerts: int = 5_000


@dataclass(frozen=True)
class Gap:
    """Numbers `first` to `last` of a source have not come."""

    source: str
    first: int
    last: int


@dataclass(frozen=True)
class Heard:
    """What was new of some events, how many were known already, and the gaps that they showed."""

    new: tuple[Event, ...]
    known: int
    gaps: tuple[Gap, ...]


class Store:
    """The open store; only one process has it open for writing."""

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        self.path = path
        self.bounds = bounds or Bounds()
        self._since_prune = 0
        self._lock = _lock(path)
        try:
            with _told(path):
                self._db = sqlite3.connect(path, isolation_level=None)
                self._db.row_factory = sqlite3.Row
                self._prepare()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self._db.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; within another transaction, part of that."""
        if self._inside():
            yield
            return
        with _told(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._commit()
            except BaseException:
                # SQLite may have done so itself, when its disk was full
                if self._inside():
                    self._db.execute("ROLLBACK")
                raise

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """One statement; one that changes something must be in a transaction."""
        with _told(self.path):
            return self._db.execute(sql, values)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.execute(sql, values).fetchall()

    @property
    def version(self) -> int:
        """How many migrations it went through."""
        return int(self.execute("PRAGMA user_version").fetchone()[0])

    @property
    def id(self) -> str:
        """What tells this store from every other."""
        return str(self.rows("SELECT id FROM identity")[0]["id"])

    # Events.

    def add_events(self, events: Sequence[Event]) -> Heard:
        """Remember events, and tell what is new and what is missing.

        An event whose number came already is known, so that all may be read again after a restart.
        """
        new, found, known = [], [], 0
        with self.transaction():
            for one in events:
                fresh, gap = self._numbered(one)
                if gap:
                    found.append(gap)
                if not fresh:
                    known += 1
                    continue
                new.append(one)
                self.execute(
                    "INSERT INTO events (source, seq, time, device, kind, body)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (one.source, _signed(one.seq), one.time, one.device, one.kind, one.line()),
                )
            self._since_prune += len(new)
            if self._since_prune >= _PRUNE_EVERY:
                self._prune()
        return Heard(tuple(new), known, tuple(found))

    def events(self, since: float = 0) -> Iterator[Event]:
        """The events that are kept, from a time on, in the order in which they came."""
        found = self.execute("SELECT body FROM events WHERE time >= ? ORDER BY id", (since,))
        return (Event.model_validate_json(row["body"]) for row in found)

    def event_page(
        self,
        after: int,
        limit: int,
        *,
        device: str | None = None,
        kinds: Sequence[str] | None = None,
        newest: bool = False,
    ) -> list[tuple[int, Event]]:
        """At most so many events behind a number, with their numbers, in order.

        With `newest` the last ones, else the first.
        """
        values: list[object] = [after]
        wheres = ["id > ?"]
        if device is not None:
            wheres.append("device = ?")
            values.append(device)
        if kinds is not None:
            wheres.append(f"kind IN ({', '.join('?' * len(kinds))})")
            values += kinds
        found = self.rows(
            f"SELECT id, body FROM events WHERE {' AND '.join(wheres)}"  # noqa: S608
            f" ORDER BY id {'DESC' if newest else 'ASC'} LIMIT ?",
            (*values, limit),
        )
        found = found[::-1] if newest else found
        return [(row["id"], Event.model_validate_json(row["body"])) for row in found]

    def last_event(self) -> int:
        """The number of the newest event; 0 if there was none."""
        return int(self.rows("SELECT ifnull(max(id), 0) AS last FROM events")[0]["last"])

    def gaps(self) -> list[Gap]:
        """What has not come, and was not recovered."""
        found = self.rows("SELECT source, first, last FROM gaps ORDER BY source, first")
        return [Gap(row[0], row[1] + _SIGN, row[2] + _SIGN) for row in found]

    def close_gaps(self, source: str) -> None:
        """A dump of the present state has recovered what the missing events would have told."""
        with self.transaction():
            self.execute("DELETE FROM gaps WHERE source = ?", (source,))

    # How devices were.

    def see(self, seen: Mapping[str, str]) -> None:
        """Remember how devices are, as JSON by their names."""
        with self.transaction():
            for device, body in seen.items():
                self.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (device, body))

    def seen(self) -> dict[str, str]:
        """How the devices were, all that were ever seen."""
        return {row["device"]: row["body"] for row in self.rows("SELECT * FROM seen")}

    # Is it new, and does it show a gap?
    def _numbered(self, event: Event) -> tuple[bool, Gap | None]:
        seq = _signed(event.seq)
        if seq is None:
            return True, None
        row = self.execute("SELECT last FROM sources WHERE source = ?", (event.source,)).fetchone()
        if row is not None and seq <= row["last"]:
            return self._fills(event.source, seq), None
        self.execute(
            "INSERT INTO sources VALUES (?, ?)"
            " ON CONFLICT (source) DO UPDATE SET last = excluded.last",
            (event.source, seq),
        )
        if row is None or seq == row["last"] + 1:
            return True, None
        first, last = row["last"] + 1, seq - 1
        self.execute("INSERT INTO gaps VALUES (?, ?, ?)", (event.source, first, last))
        self._merge_gaps(event.source)
        return True, Gap(event.source, first + _SIGN, last + _SIGN)

    # A late event leaves what is on both sides of it.
    def _fills(self, source: str, seq: int) -> bool:
        row = self.execute(
            "SELECT first, last FROM gaps WHERE source = ? AND first <= ? AND last >= ?",
            (source, seq, seq),
        ).fetchone()
        if row is None:
            return False
        self.execute("DELETE FROM gaps WHERE source = ? AND first = ?", (source, row["first"]))
        for first, last in ((row["first"], seq - 1), (seq + 1, row["last"])):
            if first <= last:
                self.execute("INSERT INTO gaps VALUES (?, ?, ?)", (source, first, last))
        return True

    # Too many to remember each: then it is one from the first to the last.
    def _merge_gaps(self, source: str) -> None:
        row = self.execute(
            "SELECT count(*) AS many, min(first) AS first, max(last) AS last FROM gaps"
            " WHERE source = ?",
            (source,),
        ).fetchone()
        if row["many"] > _MAX_GAPS:
            self.execute("DELETE FROM gaps WHERE source = ?", (source,))
            self.execute("INSERT INTO gaps VALUES (?, ?, ?)", (source, row["first"], row["last"]))

    # Decisions.

    def add_decision(self, decision: Decision) -> int:
        """Remember a decision with what it saw; returns its number."""
        with self.transaction():
            cursor = self.execute(
                "INSERT INTO decisions (time, rule, device, verdict, body) VALUES (?, ?, ?, ?, ?)",
                (
                    decision.time,
                    decision.rule,
                    decision.device,
                    decision.verdict.value,
                    json.dumps(decision.plain()),
                ),
            )
        return int(cursor.lastrowid or 0)

    def last_decisions(self, limit: int) -> list[dict[str, Any]]:
        """The newest decisions that are kept, newest first, as `decisions` has them."""
        found = self.rows("SELECT id, body FROM decisions ORDER BY id DESC LIMIT ?", (limit,))
        return [{"id": row["id"], **json.loads(row["body"])} for row in found]

    def decisions(self, since: float = 0) -> Iterator[dict[str, Any]]:
        """Decisions from a time on, with their numbers, as Decision.plain() has them."""
        found = self.execute("SELECT id, body FROM decisions WHERE time >= ? ORDER BY id", (since,))
        return ({"id": row["id"], **json.loads(row["body"])} for row in found)

    # What goes into the audit log.

    def post(self, entry: dict[str, Any]) -> None:
        """Have an entry written to the audit log; part of the transaction that makes it true."""
        with self.transaction():
            self.execute("INSERT INTO outbox (body) VALUES (?)", (json.dumps(entry),))

    def outbox(self) -> list[tuple[int, dict[str, Any]]]:
        """What is not in the audit log yet, or not known to be: number and entry, in order."""
        found = self.rows("SELECT id, body FROM outbox ORDER BY id")
        return [(row["id"], json.loads(row["body"])) for row in found]

    def posted(self, number: int) -> None:
        """An entry is in the audit log."""
        with self.transaction():
            self.execute("DELETE FROM outbox WHERE id <= ?", (number,))

    def prune(self) -> None:
        """Forget the oldest rows beyond the bounds, and give the space back."""
        with self.transaction():
            self._prune()
        self.execute("PRAGMA incremental_vacuum").fetchall()

    def _prune(self) -> None:
        self._since_prune = 0
        self.execute(
            "DELETE FROM events WHERE kind = 'reading' AND id <= (SELECT id FROM events"
            " WHERE kind = 'reading' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (self.bounds.readings,),
        )
        for table, keep, finished in (
            ("events", self.bounds.events, ""),
            ("decisions", self.bounds.decisions, ""),
            ("actions", self.bounds.actions, " AND state IN ('done', 'failed', 'undone')"),
            ("alerts", self.bounds.alerts, " AND state = 'resolved'"),
        ):
            # nothing in these statements comes from outside
            self.execute(
                f"DELETE FROM {table} WHERE id <= (SELECT id FROM {table} ORDER BY id DESC"  # noqa: S608
                f" LIMIT 1 OFFSET ?){finished}",
                (keep,),
            )
        self.execute(
            "DELETE FROM deliveries WHERE state IN ('sent', 'failed', 'unknown')"
            " AND alert NOT IN (SELECT id FROM alerts)"
        )

    def _prepare(self) -> None:
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        # 4 MiB of log are copied into the file, and not more are kept
        self._db.execute("PRAGMA journal_size_limit = 4194304")
        told = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if told != "ok":
            raise StoreError(f"{self.path} is damaged: {told}.", hint=_MOVE_AWAY)
        self._migrate()

    def _migrate(self) -> None:
        version = self.version
        if version > len(MIGRATIONS):
            raise RefusedError(
                f"{self.path} was written by a newer version (schema {version}, this one knows"
                f" {len(MIGRATIONS)}).",
                hint="Start that version again, or move the file away: a new one is made.",
            )
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            with self.transaction():
                for statement in statements:
                    self._db.execute(statement)
                # a pragma takes no parameters
                self._db.execute(f"PRAGMA user_version = {number}")

    def _inside(self) -> bool:
        return self._db.in_transaction

    # The one place where something becomes true.
    def _commit(self) -> None:
        self._db.execute("COMMIT")


_MOVE_AWAY = (
    "Move it away with its -wal and -shm: a new one is made. The audit log is a file of its own."
)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}.", hint=_hint(error)) from error


def _hint(error: sqlite3.DatabaseError) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _MOVE_AWAY
    if code == sqlite3.SQLITE_FULL:
        return "Make room on its file system; nothing was half done."
    return ""


def _lock(path: Path) -> int:
    name = path.with_name(path.name + ".lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"Cannot open {name}: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise RefusedError(
            f"{path} is in use by another process.", hint="Only one dm-remapd can run."
        ) from error
    return lock


def _signed(seq: int | None) -> int | None:
    return None if seq is None else seq - _SIGN
