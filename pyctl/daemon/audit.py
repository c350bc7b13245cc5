"""The audit log: who did what, when, why, and what that changed; every tampering shows.

A file of canonical JSON, one record a line. Each record holds the SHA-256 of the one before and
its own over all of that. A second file, the head, says where the log ends: number, length, hash.
It is written when a record is on the medium.

What shows: any change, removal, exchange or insertion of bytes in either file, and a log that was
cut short. What does not: somebody who may write both files can make both anew, or cut both alike.
Against that helps only a hash that was noted elsewhere (`Verified.hash`), to which `check` can be
held.
"""

import csv
import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pyctl.daemon.events import iso
from pyctl.daemon.store import Store
from pyctl.errors import PyctlError, RefusedError, from_os_error
from pyctl.files import sync_folder, write_whole

__all__ = [
    "Anchor",
    "Audit",
    "AuditError",
    "Problem",
    "Verified",
    "as_csv",
    "check",
    "deliver",
    "read",
    "verify",
]

_LOG = "audit.jsonl"
_HEAD = "audit.head"
# What the first record calls the one before.
_ROOT = "0" * 64
COLUMNS = (
    *("number", "time", "who", "what", "device", "why", "before", "after", "error"),
    *("parameters", "count", "sectors", "spares", "hash"),
)


class AuditError(PyctlError):
    """The audit log is not as it was left."""


@dataclass(frozen=True)
class Anchor:
    """Where a log ends, or ended once: the hash of record `number`.

    `length` in bytes; `post` is the last entry of the store `store` that is in it.
    """

    number: int = 0
    hash: str = _ROOT
    length: int = 0
    store: str = ""
    post: int = 0

    def line(self) -> bytes:
        """As it is written."""
        return _canonical(self.__dict__) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "Anchor":
        """Read a head file. Raises ValueError unless it is exactly as line() writes it."""
        try:
            plain = json.loads(data)
            anchor = cls(**plain)
            same = anchor.line() == data
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if not same or [type(one) for one in plain.values()] != [str, int, int, int, str]:
            message = "it is not as dm-remapd writes it"
            raise ValueError(message)
        return anchor


@dataclass(frozen=True)
class Problem:
    """What is wrong, and in which line of the log; 0: not in a line."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


@dataclass(frozen=True)
class Verified:
    """What a log was found to be: `unanchored` records came behind the head, before a crash."""

    entries: int
    hash: str
    unanchored: int
    problems: tuple[Problem, ...]


class Audit:
    """The log, open for appending. Only one process has it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.clock = clock
        try:
            self._log = os.open(
                folder / _LOG, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise from_os_error(error, f"Cannot open {folder / _LOG}") from error
        try:
            self._own()
            self.anchor = self._begin()
        except BaseException:
            os.close(self._log)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._log)

    def append(
        self, entry: Mapping[str, Any], *, store: str = "", post: int = 0
    ) -> Mapping[str, Any]:
        """Write a record, and return when it is on the medium; as `extend` with one entry."""
        written = self.extend([(post, entry)], store=store)
        return written[0] if written else {}

    def extend(
        self, entries: Iterable[tuple[int, Mapping[str, Any]]], *, store: str = ""
    ) -> list[Mapping[str, Any]]:
        """Write records, and return when all are on the medium; returns those that are new.

        Each entry comes with its number in the store. It is written once, however often it is
        handed in; the same counts for all with a lower number. Raises PyctlError: the log is as
        before then, or has the records already, and only the head could not be written.
        """
        anchor, lines = self.anchor, []
        records: list[Mapping[str, Any]] = []
        for post, entry in entries:
            if store and store == anchor.store and post <= anchor.post:
                continue
            records.append(_sealed(entry, anchor, store, post))
            lines.append(_canonical(records[-1]) + b"\n")
            anchor = _after(anchor, records[-1], len(lines[-1]))
        if not records:
            return []
        try:
            _write(self._log, b"".join(lines))
            os.fsync(self._log)
        except OSError as error:
            os.ftruncate(self._log, self.anchor.length)
            raise from_os_error(error, f"Cannot write {self.folder / _LOG}") from error
        self._set_anchor(anchor)
        return records

    def _own(self) -> None:
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RefusedError(f"{self.folder / _LOG} is in use by another process.") from error

    # The head, or where the log ends if a crash came before the head was written.
    def _begin(self) -> Anchor:
        length = os.fstat(self._log).st_size
        anchor = _read_head(self.folder)
        if anchor is None:
            if length:
                raise AuditError(f"{self.folder / _HEAD} is missing, so the log may have been cut.")
            anchor = Anchor()
            self._set_anchor(anchor)
            sync_folder(self.folder)
            return anchor
        if length < anchor.length:
            raise AuditError(
                f"{self.folder / _LOG} was cut: it has {length} bytes, and had {anchor.length}."
            )
        last = _record(_last_line(self._log, anchor.length), {})
        if (last.get("number", 0), last.get("hash", _ROOT)) != (anchor.number, anchor.hash):
            raise AuditError(f"{self.folder / _LOG} does not end where its head says.")
        return self._adopt(anchor, os.pread(self._log, length - anchor.length, anchor.length))

    # What came behind the head: whole records count, a torn one is taken away, and that is told.
    def _adopt(self, anchor: Anchor, tail: bytes) -> Anchor:
        *lines, torn = tail.split(b"\n")
        for line in lines:
            record = _record(line + b"\n", None)
            if record is None or _fault(record, anchor):
                raise AuditError(f"{self.folder / _LOG} goes on wrongly behind its head.")
            anchor = _after(anchor, record, len(line) + 1)
        if lines:
            self._set_anchor(anchor)
        if torn:
            self.anchor = anchor
            os.ftruncate(self._log, anchor.length)
            self.append(
                {
                    "time": iso(self.clock()),
                    "who": "dm-remapd",
                    "what": "a record that a crash had cut was removed",
                    "why": f"{len(torn)} bytes, SHA-256 {hashlib.sha256(torn).hexdigest()}",
                }
            )
            anchor = self.anchor
        return anchor

    def _set_anchor(self, anchor: Anchor) -> None:
        # also if the head can't be written: the log is longer now
        self.anchor = anchor
        write_whole(self.folder / _HEAD, anchor.line(), replace=True)


def deliver(store: Store, audit: Audit) -> int:
    """Write what the store has posted into the log, each entry once; returns how many."""
    waiting = store.outbox()
    if waiting:
        audit.extend(waiting, store=store.id)
        store.posted(waiting[-1][0])
    return len(waiting)


def check(log: bytes, head: bytes, noted: Iterable[tuple[int, str]] = ()) -> Verified:
    """Look at every byte of a log and its head. `noted` are (number, hash) that are known."""
    problems: list[Problem] = []
    try:
        end = Anchor.parse(head)
    except ValueError as error:
        problems.append(Problem(0, f"the head is damaged: {error}"))
        end = None
    hashes = {0: _ROOT}
    at = Anchor()
    *lines, torn = log.split(b"\n")
    for number, line in enumerate(lines, 1):
        record = _record(line + b"\n", None)
        fault = "it is not as dm-remapd writes it" if record is None else _fault(record, at)
        if fault or record is None:
            problems.append(Problem(number, fault))
            break
        at = _after(at, record, len(line) + 1)
        hashes[at.number] = at.hash
    else:
        if torn:
            problems.append(Problem(len(lines) + 1, "the record is cut"))
    if end is not None:
        problems += _against(end, hashes, at)
    for number, value in noted:
        if hashes.get(number) != value:
            problems.append(Problem(number, "the record is not the one that was noted"))
    unanchored = max(0, at.number - end.number) if end else 0
    return Verified(at.number, at.hash, unanchored, tuple(problems))


def verify(folder: Path, noted: Iterable[tuple[int, str]] = ()) -> Verified:
    """As check, for the log in a folder. Raises PyctlError if it cannot be read."""
    return check(_bytes(folder / _LOG), _bytes(folder / _HEAD), noted)


def read(folder: Path) -> list[dict[str, Any]]:
    """The records of a log, as far as they can be read; they are not verified."""
    found = (_record(line + b"\n", None) for line in _bytes(folder / _LOG).split(b"\n"))
    return [one for one in found if one is not None]


def as_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """The records as CSV (RFC 4180), with a line of titles.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in records:
        writer.writerow(_cell(one.get(name)) for name in COLUMNS)
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


# The head and the log must meet.
def _against(end: Anchor, hashes: Mapping[int, str], at: Anchor) -> list[Problem]:
    if end.number > at.number:
        return [Problem(0, f"the log ends with record {at.number}, the head says {end.number}")]
    if hashes.get(end.number) != end.hash:
        return [Problem(end.number, "the record is not the one that the head says")]
    if end.number == at.number and end != at:
        return [Problem(0, "the head does not belong to this log")]
    return []


def _sealed(entry: Mapping[str, Any], before: Anchor, store: str, post: int) -> dict[str, Any]:
    record = dict(entry)
    record |= {"number": before.number + 1, "previous": before.hash}
    if store:
        record["posted"] = [store, post]
    # as it will be read: a tuple is a list then
    plain: dict[str, Any] = json.loads(_canonical(record))
    plain["hash"] = _hash(plain)
    return plain


# Why a record can't be the next one; "" if it can.
def _fault(record: Mapping[str, Any], before: Anchor) -> str:
    if record.get("number") != before.number + 1:
        return f"its number is not {before.number + 1}"
    if record.get("previous") != before.hash:
        return "it does not follow the record before"
    if record.get("hash") != _hash(record):
        return "it was changed"
    if not _posted_well(record):
        return "nobody knows what it was posted by"
    return ""


def _posted_well(record: Mapping[str, Any]) -> bool:
    posted = record.get("posted", ["", 0])
    return isinstance(posted, list) and [type(one) for one in posted] == [str, int]


def _after(before: Anchor, record: Mapping[str, Any], length: int) -> Anchor:
    store, post = record.get("posted", (before.store, before.post))
    return Anchor(record["number"], record["hash"], before.length + length, store, post)


def _hash(record: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in record.items() if key != "hash"}
    return hashlib.sha256(_canonical(rest)).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


# The record of a line, if that is exactly what would be written for it.
def _record(line: bytes, otherwise: Any) -> Any:
    try:
        record = json.loads(line)
        same = isinstance(record, dict) and _canonical(record) + b"\n" == line
    except (ValueError, RecursionError):
        return otherwise
    return record if same else otherwise


def _read_head(folder: Path) -> Anchor | None:
    try:
        return Anchor.parse((folder / _HEAD).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise AuditError(f"{folder / _HEAD} is damaged: {error}.") from error
    except OSError as error:
        raise from_os_error(error, f"Cannot read {folder / _HEAD}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error


# The line that ends at `length`.
def _last_line(fd: int, length: int) -> bytes:
    size = 0
    while size < length:
        size = min(length, max(65_536, size * 2))
        data = os.pread(fd, size, length - size)
        start = data.rfind(b"\n", 0, -1) + 1
        if start or size == length:
            return data[start:]
    return b""


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
