"""Alerts: told once, to the right people, until somebody has seen them.

An alert is known by its key, as long as it is open. What has to be sent follows from its state;
each message is a row of the store, one for each alert, channel and occasion, so that nothing is
planned twice. It is marked as being sent before it is, so that nothing is sent twice after a kill:
a message that was under way then is *unknown*, and makes the next level due at once.
"""

import enum
import fnmatch
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyctl.daemon.events import iso
from pyctl.daemon.senders import Message, NotSentError, Sender, Severity
from pyctl.daemon.store import Store
from pyctl.errors import NotFoundError

__all__ = ["Alert", "AlertState", "Alerts", "Delivery", "DeliveryState", "Level", "Mute", "Routes"]


class AlertState(enum.StrEnum):
    """Nobody has seen it; somebody has; it is over."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class DeliveryState(enum.StrEnum):
    """Where a message is. `sent`, `failed`, `unknown` and `dropped` are final."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Level:
    """Who is told when nobody has acknowledged an alert for `after` seconds."""

    after: int
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Routes:
    """Who is told of what.

    A message is tried `tries` times, after pauses of `pause` seconds that double. No channel gets
    more than `per_hour`; the rest waits. An alert that was not raised again for `quiet` seconds is
    over. `repeatable` are channels whose receivers tell repetitions by the id of a message: there
    a message that was under way at a kill is sent again.
    """

    levels: Mapping[Severity, Sequence[Level]]
    tries: int = 5
    pause: int = 30
    per_hour: int = 60
    quiet: int = 2 * 86_400
    repeatable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Alert:
    """An alert; `count` is how often it was raised, `who` acknowledged or resolved it."""

    id: int
    key: str
    device: str
    severity: Severity
    text: str
    first: float
    last: float
    count: int
    state: AlertState
    who: str
    channels: tuple[str, ...]

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Alert":
        """Of a row of the table."""
        return cls(
            id=row["id"],
            key=row["key"],
            device=row["device"],
            severity=Severity(row["severity"]),
            text=row["text"],
            first=row["first"],
            last=row["last"],
            count=row["count"],
            state=AlertState(row["state"]),
            who=row["who"],
            channels=tuple(json.loads(row["channels"])),
        )


@dataclass(frozen=True)
class Delivery:
    """A message to a channel, on an occasion.

    `level-0`, `level-1`, ...: nobody has acknowledged it for so long. `worse-critical`: it has
    become worse. `over`.
    """

    id: int
    alert: int
    channel: str
    occasion: str
    subject: str
    body: str
    state: DeliveryState
    tries: int
    why: str

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Delivery":
        """Of a row of the table."""
        return cls(
            id=row["id"],
            alert=row["alert"],
            channel=row["channel"],
            occasion=row["occasion"],
            subject=row["subject"],
            body=row["body"],
            state=DeliveryState(row["state"]),
            tries=row["tries"],
            why=row["why"],
        )


@dataclass(frozen=True)
class Mute:
    """Alerts whose key matches the pattern are not told until a time."""

    id: int
    pattern: str
    until: float
    who: str
    why: str


@dataclass
class Alerts:
    """The alerts of a store. `senders` are the channels, by their names."""

    store: Store
    routes: Routes
    senders: Mapping[str, Sender]
    clock: Callable[[], float]

    def announce(
        self,
        key: str,
        device: str,
        severity: Severity,
        text: str,
        channels: Sequence[str] = (),
    ) -> Alert:
        """Raise an alert: a new one, or again one that is open. Only what is worse is told again.

        `channels` are told at once, besides those of the routes.
        """
        now = self.clock()
        with self.store.transaction():
            known = self._open(key)
            if known is None:
                number = self._insert(key, device, severity, text, channels, now)
            else:
                number = known.id
                worst = max(known.severity, severity, key=lambda one: one.rank)
                self.store.execute(
                    "UPDATE alerts SET severity = ?, text = ?, last = ?, count = count + 1,"
                    " channels = ? WHERE id = ?",
                    (
                        worst.value,
                        text,
                        now,
                        json.dumps(sorted({*known.channels, *channels})),
                        number,
                    ),
                )
                if worst is not known.severity:
                    self._worse(self.get(number))
            self._plan(self.get(number))
        return self.get(number)

    def acknowledge(self, number: int, who: str) -> Alert:
        """Somebody has seen it: what is not sent yet is dropped, and nobody else is told."""
        return self._seen(number, who, AlertState.ACKNOWLEDGED)

    def resolve(self, number: int, who: str) -> Alert:
        """It is over. Those who were told of it are told that."""
        return self._seen(number, who, AlertState.RESOLVED)

    def mute(self, pattern: str, until: float, who: str, why: str) -> Mute:
        """Tell nobody of alerts whose key matches (as in a shell) until a time."""
        with self.store.transaction():
            cursor = self.store.execute(
                "INSERT INTO mutes (pattern, until, who, why) VALUES (?, ?, ?, ?)",
                (pattern, until, who, why),
            )
            self._post(who, f"mute {pattern} until {iso(until)}", "", why)
        return Mute(int(cursor.lastrowid or 0), pattern, until, who, why)

    def unmute(self, number: int, who: str) -> None:
        """End a mute before its time. What is still open is told then."""
        with self.store.transaction():
            self.store.execute("DELETE FROM mutes WHERE id = ?", (number,))
            self._post(who, f"unmute {number}", "", "")

    def mutes(self) -> list[Mute]:
        """The mutes that last."""
        found = self.store.rows("SELECT * FROM mutes WHERE until > ? ORDER BY id", (self.clock(),))
        return [Mute(*row) for row in found]

    def get(self, number: int) -> Alert:
        """An alert. Raises NotFoundError."""
        found = self.store.rows("SELECT * FROM alerts WHERE id = ?", (number,))
        if not found:
            raise NotFoundError(f"There is no alert {number}.")
        return Alert.of(found[0])

    def all(self, *, over: bool = False) -> list[Alert]:
        """The alerts that are open or acknowledged; with `over` the others, too."""
        found = self.store.rows("SELECT * FROM alerts ORDER BY id")
        return [one for one in map(Alert.of, found) if over or one.state is not AlertState.RESOLVED]

    def deliveries(self) -> list[Delivery]:
        """All messages that are remembered."""
        return [Delivery.of(row) for row in self.store.rows("SELECT * FROM deliveries ORDER BY id")]

    def waiting(self) -> list[tuple[tuple[str], int]]:
        """How many messages wait for each channel."""
        found = self.store.rows(
            "SELECT channel, count(*) AS many FROM deliveries WHERE state = ? GROUP BY channel",
            (DeliveryState.PLANNED.value,),
        )
        return [((row["channel"],), row["many"]) for row in found]

    def pass_time(self) -> None:
        """Escalate what nobody has acknowledged, and end what was not raised again."""
        now = self.clock()
        with self.store.transaction():
            self.store.execute("DELETE FROM mutes WHERE until <= ?", (now,))
            for one in self.all():
                if now - one.last >= self.routes.quiet:
                    self._seen(one.id, "dm-remapd", AlertState.RESOLVED)
                elif one.state is AlertState.OPEN:
                    self._plan(one)

    def recover(self) -> list[Delivery]:
        """After a restart: nobody knows of the messages that were under way. Returns those."""
        with self.store.transaction():
            found = [one for one in self.deliveries() if one.state is DeliveryState.SENDING]
            for one in found:
                again = one.channel in self.routes.repeatable
                state = DeliveryState.PLANNED if again else DeliveryState.UNKNOWN
                self._settle(one, state, "The daemon was interrupted while it was sent.")
        self.pass_time()
        return found

    def take(self) -> tuple[Delivery, Message] | None:
        """The next message that is due, marked as being sent; None if there is none."""
        now = self.clock()
        with self.store.transaction():
            due = self.store.rows(
                "SELECT * FROM deliveries WHERE state = ? AND due <= ? ORDER BY id",
                (DeliveryState.PLANNED.value, now),
            )
            for one in map(Delivery.of, due):
                alert = self.get(one.alert)
                if self._muted(alert) or self._too_many(one.channel, now):
                    continue
                self.store.execute(
                    "UPDATE deliveries SET state = ?, tries = tries + 1, changed = ? WHERE id = ?",
                    (DeliveryState.SENDING.value, now, one.id),
                )
                return self._delivery(one.id), self._message(one, alert)
        return None

    def settle(self, delivery: Delivery, error: Exception | None, remark: str = "") -> None:
        """Remember what has become of a message that was taken."""
        with self.store.transaction():
            if error is None:
                self._settle(delivery, DeliveryState.SENT, remark)
            elif isinstance(error, NotSentError):
                again = error.again and delivery.tries < self.routes.tries
                state = DeliveryState.PLANNED if again else DeliveryState.FAILED
                pause = self.routes.pause << min(delivery.tries - 1, 20)
                self._settle(delivery, state, str(error), pause)
            else:
                self._settle(delivery, DeliveryState.UNKNOWN, str(error) or repr(error))
        self.pass_time()

    def sender(self, channel: str) -> Sender:
        """The way to a channel. Raises NotSentError."""
        try:
            return self.senders[channel]
        except KeyError:
            raise NotSentError(f"There is no channel {channel}.", again=False) from None

    def send_due(self) -> int:
        """Send all that is due, one after the other; returns how many were tried."""
        tried = 0
        while taken := self.take():
            tried += 1
            delivery, message = taken
            try:
                remark = self.sender(delivery.channel).send(message)
            except Exception as error:  # noqa: BLE001 (no channel may take the daemon down)
                self.settle(delivery, error)
            else:
                self.settle(delivery, None, remark)
        return tried

    def _open(self, key: str) -> Alert | None:
        found = self.store.rows(
            "SELECT * FROM alerts WHERE key = ? AND state != ?", (key, AlertState.RESOLVED.value)
        )
        return Alert.of(found[0]) if found else None

    def _insert(
        self,
        key: str,
        device: str,
        severity: Severity,
        text: str,
        channels: Sequence[str],
        now: float,
    ) -> int:
        cursor = self.store.execute(
            "INSERT INTO alerts (key, device, severity, text, first, last, count, state, channels)"
            " VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
            (
                key,
                device,
                severity.value,
                text,
                now,
                now,
                AlertState.OPEN.value,
                json.dumps(sorted(set(channels))),
            ),
        )
        return int(cursor.lastrowid or 0)

    # It has become worse: whoever was told must know, also if somebody has seen the lesser one.
    def _worse(self, alert: Alert) -> None:
        self.store.execute(
            "UPDATE alerts SET state = ?, who = '' WHERE id = ?", (AlertState.OPEN.value, alert.id)
        )
        told = self._told(alert, DeliveryState.DROPPED)
        self._add(alert, sorted(told), f"worse-{alert.severity}")

    # What has to be sent by now. What is planned already stays as it is.
    def _plan(self, alert: Alert) -> None:
        if alert.state is not AlertState.OPEN or self._muted(alert):
            return
        age = self.clock() - alert.first
        reached = True
        for number, level in enumerate(self.routes.levels.get(alert.severity, ())):
            if not (age >= level.after or (number and reached and self._lost(alert, number - 1))):
                break
            channels = {*level.channels, *(alert.channels if number == 0 else ())}
            self._add(alert, sorted(channels), f"level-{number}")

    # Has a message of this level failed, or is not known to have arrived?
    def _lost(self, alert: Alert, level: int) -> bool:
        bad = (DeliveryState.FAILED.value, DeliveryState.UNKNOWN.value)
        return bool(
            self.store.rows(
                "SELECT 1 FROM deliveries WHERE alert = ? AND occasion = ? AND state IN (?, ?)",
                (alert.id, f"level-{level}", *bad),
            )
        )

    # The channels that had a message of it, or may have had, or (`also`) would have.
    def _told(self, alert: Alert, also: DeliveryState = DeliveryState.SENT) -> set[str]:
        found = self.store.rows(
            "SELECT DISTINCT channel FROM deliveries WHERE alert = ? AND state IN (?, ?, ?)",
            (alert.id, DeliveryState.SENT.value, DeliveryState.UNKNOWN.value, also.value),
        )
        return {row["channel"] for row in found}

    def _add(self, alert: Alert, channels: Sequence[str], occasion: str) -> None:
        now = self.clock()
        over = "over: " if occasion == "over" else ""
        subject = f"[{alert.severity}] {over}{alert.device}: {alert.key.partition('/')[0]}"
        times = f"First: {iso(alert.first)}, last: {iso(alert.last)}, {alert.count} times."
        for channel in channels:
            self.store.execute(
                "INSERT OR IGNORE INTO deliveries (alert, channel, occasion, subject, body, state,"
                " due, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    alert.id,
                    channel,
                    occasion,
                    subject,
                    f"{alert.text}\n\n{times}",
                    DeliveryState.PLANNED.value,
                    now,
                    now,
                ),
            )

    def _seen(self, number: int, who: str, state: AlertState) -> Alert:
        with self.store.transaction():
            alert = self.get(number)
            if alert.state is AlertState.RESOLVED:
                return alert
            self.store.execute(
                "UPDATE alerts SET state = ?, who = ? WHERE id = ?", (state.value, who, number)
            )
            self.store.execute(
                "UPDATE deliveries SET state = ?, changed = ? WHERE alert = ? AND state = ?",
                (
                    DeliveryState.DROPPED.value,
                    self.clock(),
                    number,
                    DeliveryState.PLANNED.value,
                ),
            )
            if state is AlertState.RESOLVED and not self._muted(alert):
                self._add(alert, sorted(self._told(alert)), "over")
            self._post(who, f"alert {number} {state}", alert.device, alert.text)
        return self.get(number)

    def _muted(self, alert: Alert) -> bool:
        return any(fnmatch.fnmatchcase(alert.key, one.pattern) for one in self.mutes())

    def _too_many(self, channel: str, now: float) -> bool:
        row = self.store.rows(
            "SELECT count(*) AS many FROM deliveries WHERE channel = ? AND tries > 0"
            " AND changed > ?",
            (channel, now - 3600),
        )[0]
        return int(row["many"]) >= self.routes.per_hour

    def _message(self, delivery: Delivery, alert: Alert) -> Message:
        return Message(
            id=f"{self.store.id}-{delivery.id}",
            time=self.clock(),
            severity=alert.severity,
            device=alert.device,
            subject=delivery.subject,
            body=delivery.body,
            occasion=delivery.occasion,
        )

    def _delivery(self, number: int) -> Delivery:
        return Delivery.of(self.store.rows("SELECT * FROM deliveries WHERE id = ?", (number,))[0])

    def _settle(self, delivery: Delivery, state: DeliveryState, why: str, pause: float = 0) -> None:
        now = self.clock()
        self.store.execute(
            "UPDATE deliveries SET state = ?, why = ?, changed = ?, due = ? WHERE id = ?",
            (state.value, why, now, now + pause, delivery.id),
        )

    def _post(self, who: str, what: str, device: str, why: str) -> None:
        self.store.post(
            {
                "time": iso(self.clock()),
                "who": who,
                "what": what,
                "device": device,
                "why": why,
            }
        )
