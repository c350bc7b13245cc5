"""The ways to people: mail, webhook, journal. Each call sends one message, or says why not.

What matters most is whether a failed message may have arrived: NotSentError says that it has not,
DoubtfulError that nobody knows. Nothing here is repeated or remembered; `alerts` does that.
"""

import contextlib
import enum
import http.client
import json
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pyctl.daemon.events import iso
from pyctl.errors import PyctlError, UsageError

__all__ = [
    "DoubtfulError",
    "Journal",
    "Mail",
    "Message",
    "NotSentError",
    "Sender",
    "Severity",
    "Webhook",
]

# What the journal calls all alerts of dm-remap: `journalctl MESSAGE_ID=...`.
MESSAGE_ID = "7d6f1c9be2a14f0f8c0e6a5b3d4c2e19"
_ANSWER = 65_536
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Severity(enum.StrEnum):
    """How bad it is; `rank` grows with it, `priority` is that of syslog."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 to 2."""
        return list(Severity).index(self)

    @property
    def priority(self) -> int:
        """6, 4 or 2."""
        return 6 - 2 * self.rank


class NotSentError(PyctlError):
    """The message has not arrived; `again` says whether another try makes sense."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class DoubtfulError(PyctlError):
    """The message was handed over, but no answer came: it may have arrived, or not."""


@dataclass(frozen=True)
class Message:
    """What is sent; `id` is the same for every try, so that a receiver can tell repetitions."""

    id: str
    time: float
    severity: Severity
    device: str
    subject: str
    body: str
    occasion: str

    def plain(self) -> dict[str, str]:
        """For JSON."""
        return {
            "id": self.id,
            "time": iso(self.time),
            "severity": self.severity.value,
            "device": self.device,
            "subject": self.subject,
            "body": self.body,
            "occasion": self.occasion,
        }


class Sender(Protocol):
    """A channel."""

    def send(self, message: Message) -> str:
        """Send it; returns a remark or "". Raises NotSentError and DoubtfulError."""
        ...


@dataclass(frozen=True)
class Mail:
    """By SMTP. `tls` is none, starttls or tls; `timeout` in seconds, of each answer."""

    host: str
    sender: str
    recipients: tuple[str, ...]
    port: int = 25
    tls: str = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 30

    def send(self, message: Message) -> str:
        """As Sender.send."""
        try:
            smtp = self._connect()
            try:
                remark = self._hand_over(smtp, message)
                # whatever it answers to that, it has taken the mail
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    smtp.quit()
                return remark
            finally:
                smtp.close()
        except smtplib.SMTPResponseException as error:
            text = _text(error.smtp_error)
            raise NotSentError(
                f"{self.host} answered {error.smtp_code}: {text}.", again=error.smtp_code < 500
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSentError(f"{self.host}: {error}.") from error

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.timeout, context=context
            )
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        try:
            if self.tls == "starttls":
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
            if self.user:
                smtp.login(self.user, self.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    # Until the last byte is sent nothing has been accepted; from then on, only an answer tells.
    def _hand_over(self, smtp: smtplib.SMTP, message: Message) -> str:
        _good(smtp.mail(self.sender), 250)
        refused = self._recipients(smtp)
        _good(smtp.docmd("DATA"), 354)
        data = re.sub(rb"(?m)^\.", b"..", self._mail(message).as_bytes(policy=SMTP))
        smtp.send(data if data.endswith(b"\r\n") else data + b"\r\n")
        try:
            smtp.send(b".\r\n")
            answer = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise DoubtfulError(f"{self.host} took the mail and gave no answer: {error}.") from (
                error
            )
        _good(answer, 250)
        return f"refused: {', '.join(refused)}" if refused else ""

    def _recipients(self, smtp: smtplib.SMTP) -> list[str]:
        refused, last = [], (550, b"no recipient")
        for one in self.recipients:
            answer = smtp.rcpt(one)
            if answer[0] not in (250, 251):
                refused.append(one)
                last = answer
        if len(refused) == len(self.recipients):
            raise smtplib.SMTPResponseException(*last)
        return refused

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Subject"] = _CONTROL.sub(" ", message.subject)[:200]
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.time, tz=UTC))
        mail["Message-ID"] = f"<{message.id}@dm-remap>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Dm-Remap-Severity"] = message.severity.value
        mail.set_content(message.body + "\n")
        return mail


@dataclass(frozen=True)
class Webhook:
    """A POST of JSON, with the message's id as Idempotency-Key. Redirects are not followed."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30

    def __post_init__(self) -> None:
        """Refuse what is no URL of a web server. Raises UsageError."""
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or not self.url.isascii() or _CONTROL.search(self.url) or " " in self.url:
            raise UsageError(
                f"{self.url!r} is no URL of a web server.",
                hint="Write it as https://host/path, with other letters quoted by %.",
            )

    def send(self, message: Message) -> str:
        """As Sender.send. An answer of 5xx counts as: not taken, try again."""
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = json.dumps(message.plain()).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            "User-Agent": "dm-remapd",
            **self.headers,
        }
        connection = self._connect()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read(_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise DoubtfulError(
                f"{parts.hostname} took the request and gave no answer: {error!r}."
            ) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            again = answer.status >= 500 or answer.status in (408, 425, 429)
            raise NotSentError(f"{parts.hostname} answered {answer.status}.", again=again)
        return ""

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=self.timeout, context=_tls()
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=self.timeout)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSentError(f"{parts.hostname}: {error}.") from error
        return connection


@dataclass(frozen=True)
class Journal:
    """The system journal, in its own protocol; it answers nothing, so what is sent has arrived."""

    path: Path = Path("/run/systemd/journal/socket")

    def send(self, message: Message) -> str:
        """As Sender.send."""
        fields = {
            "MESSAGE": f"{message.subject}\n{message.body}".strip(),
            "MESSAGE_ID": MESSAGE_ID,
            "PRIORITY": str(message.severity.priority),
            "SYSLOG_IDENTIFIER": "dm-remapd",
            "DM_REMAP_ALERT": message.id,
            "DM_REMAP_DEVICE": message.device,
            "DM_REMAP_OCCASION": message.occasion,
        }
        data = b"".join(_journal_field(name, value) for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.settimeout(5)
                out.sendto(data, str(self.path))
        except OSError as error:
            raise NotSentError(f"{self.path}: {error}.") from error
        return ""


# A value with line breaks is told by its length.
def _journal_field(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _good(answer: tuple[int, bytes], wanted: int) -> None:
    if answer[0] != wanted:
        raise smtplib.SMTPResponseException(*answer)


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
