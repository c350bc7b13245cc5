"""The daemon's own file, /etc/dm-remap/daemon.yaml: the policy, the ways to people, the limits.

Written as policies are: unknown keys are errors, and every mistake is told with line and column.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from pyctl.daemon.alerts import Level, Routes
from pyctl.daemon.policy.loading import parse_document, read_document
from pyctl.daemon.policy.schema import Duration, Many, Part, Some, alternatives, mistake, nearest
from pyctl.daemon.senders import Journal, Mail, Sender, Severity, Webhook
from pyctl.errors import PyctlError, RefusedError, from_os_error

__all__ = [
    "DEFAULT_FILE",
    "POLICIES",
    "SNMP_CHANNEL",
    "Api",
    "Disks",
    "Foretell",
    "Otel",
    "Probes",
    "Settings",
    "Snmp",
    "Tcp",
    "load_settings",
    "parse_settings",
    "read_private",
]

DEFAULT_FILE = Path("/etc/dm-remap/daemon.yaml")
# Without another word, the first of these that is there is the policy.
POLICIES = (
    Path("/etc/dm-remap/policy.yaml"),
    Path("/usr/local/share/dm-remap/policy/default.yaml"),
    Path("/usr/share/dm-remap/policy/default.yaml"),
)
# Bytes of a file with secrets.
_PRIVATE = 65_536
_SEVERITIES = ("info", "warning", "critical")


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise mistake(f"{path!r} is no absolute path", "Begin it with a slash.")
    return path


def _address(address: str) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise mistake(
            f"{address!r} is no address", "Write 127.0.0.1, ::1, or one of this machine."
        ) from error
    return address


def _url(url: str) -> str:
    try:
        Webhook(url)
    except PyctlError as error:
        raise mistake(error.message.rstrip("."), error.hint) from error
    return url


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]


class JournalWay(Part):
    """Nothing to say about it."""


class MailWay(Part):
    """A mail server; the password is in a file that only its owner can read."""

    host: Annotated[str, Field(min_length=1)]
    sender: Annotated[str, Field(alias="from", min_length=3)]
    recipients: Some[Annotated[str, Field(min_length=3)]] = Field(alias="to")
    port: Port = 25
    tls: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password_file: AbsolutePath | None = None
    timeout: Duration = 30

    def model_post_init(self, _context: object) -> None:
        """Refuse what would tell a password to everybody on the way."""
        if self.user and self.tls == "none":
            raise mistake("the password would be sent without TLS", "Set tls.")
        if bool(self.user) != bool(self.password_file):
            raise mistake("user and password-file belong together", "Give both or none.")


class WebhookWay(Part):
    """A POST; `token_file` has what is sent as `Authorization: Bearer`."""

    url: Annotated[str, AfterValidator(_url)]
    token_file: AbsolutePath | None = None
    repeatable: bool = False
    timeout: Duration = 30


class JournalChannel(Part):
    """The system journal."""

    way: JournalWay = Field(alias="journal")


class MailChannel(Part):
    """Mail by SMTP."""

    way: MailWay = Field(alias="mail")


class WebhookChannel(Part):
    """A request to a web server."""

    way: WebhookWay = Field(alias="webhook")


if TYPE_CHECKING:
    Channel = JournalChannel | MailChannel | WebhookChannel
else:
    Channel = alternatives("channel", (JournalChannel, MailChannel, WebhookChannel))

_JOURNAL = "journal"
# Traps, if there is an SNMP agent.
SNMP_CHANNEL = "snmp"


class Told(Part):
    """Who is told when nobody has acknowledged an alert for that long."""

    after: Duration = 0
    channels: Some[str]


class Alerting(Part):
    """Who is told of what, how often, and for how long."""

    info: Many[Told] = (Told(channels=(_JOURNAL,)),)
    warning: Many[Told] = (Told(channels=(_JOURNAL,)),)
    critical: Many[Told] = (Told(channels=(_JOURNAL,)),)
    per_hour: Annotated[int, Field(ge=1)] = 60
    quiet: Duration = 2 * 86_400


class Tcp(Part):
    """Another way in, for machines: an address, and TLS unless it is this machine's own."""

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: Port = 9843
    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse what would tell tokens to everybody on the way."""
        if bool(self.certificate) != bool(self.key):
            raise mistake("certificate and key belong together", "Give both or none.")
        if not self.certificate and not ipaddress.ip_address(self.address).is_loopback:
            raise mistake(
                "others could read the tokens on their way",
                "Give certificate and key, or listen on 127.0.0.1.",
            )


class Api(Part):
    """The interface for programs: a socket in the file system, and TCP if that is wanted.

    `group` may use the socket, too; `tokens` is a file, see access.py; `per_second` is how many
    calls each caller has.
    """

    socket: AbsolutePath = "/run/dm-remap/api.sock"
    group: str | None = None
    tokens: AbsolutePath | None = None
    listen: Tcp | None = None
    per_second: Annotated[int, Field(ge=1, le=10_000)] = 50


class Snmp(Part):
    """An SNMP agent: where it listens for those that show something through it (AgentX)."""

    master: AbsolutePath = "/var/agentx/master"


class Otel(Part):
    """An OpenTelemetry collector: OTLP over HTTP; `token_file` as that of a web hook."""

    url: Annotated[str, AfterValidator(_url)] = "http://127.0.0.1:4318/v1/metrics"
    token_file: AbsolutePath | None = None
    every: Duration = 60
    timeout: Duration = 10


class Probes(Part):
    """Probes on all sets: what a read takes in each region. They cost: docs/probes.md.

    `region_mib`, a power of two, is the size of a region; without it about the smallest of which
    8,192 are enough for all sets.
    """

    region_mib: Annotated[int, Field(ge=1, le=1 << 20)] | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse sizes that the probes can't have."""
        if self.region_mib and self.region_mib & self.region_mib - 1:
            raise mistake(f"{self.region_mib} is no power of two", "Write 1, 2, 4, 8, …")


class Foretell(Part):
    """How often regions that may fail are looked for, and whether with probes."""

    every: Duration = 300
    probes: Probes | None = None


class Disks(Part):
    """How often disks are asked how they are, with smartctl; those that sleep are let sleep."""

    every: Annotated[Duration, Field(le=3600)] = 900


class Settings(Part):
    """What the file says; without a file, all of it has its default."""

    version: Literal[1] = 1
    policy: AbsolutePath | None = None
    state: AbsolutePath = "/var/lib/dm-remap"
    read_every: Duration = 60
    actions_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    channels: dict[str, Channel] = Field(default_factory=dict)
    alerts: Alerting = Alerting()
    foretell: Foretell = Foretell()
    disks: Disks | None = Disks()
    api: Api = Api()
    snmp: Snmp | None = None
    otel: Otel | None = None

    def policy_file(self) -> Path:
        """The policy to use. Raises RefusedError if none is named and none is installed."""
        if self.policy is not None:
            return Path(self.policy)
        for path in POLICIES:
            if path.exists():
                return path
        raise RefusedError(
            "There is no policy.", hint=f"Name one in {DEFAULT_FILE}, or write {POLICIES[0]}."
        )

    def senders(self) -> Mapping[str, Sender]:
        """The ways to people, by name. Raises PyctlError if a password cannot be read."""
        ways = {name: _sender(channel) for name, channel in self.channels.items()}
        return MappingProxyType({_JOURNAL: Journal(), **ways})

    def collector_headers(self) -> Mapping[str, str]:
        """What a request to the collector carries. Raises PyctlError if its token can't be read."""
        return _bearer(self.otel.token_file if self.otel else None)

    def routes(self) -> Routes:
        """Who is told of what."""
        told = self.alerts
        levels = {
            Severity(name): tuple(Level(one.after, one.channels) for one in getattr(told, name))
            for name in _SEVERITIES
        }
        repeatable = frozenset(
            name
            for name, one in self.channels.items()
            if isinstance(one, WebhookChannel) and one.way.repeatable
        )
        return Routes(
            levels=MappingProxyType(levels),
            per_hour=told.per_hour,
            quiet=told.quiet,
            repeatable=repeatable,
        )


def load_settings(path: Path | None) -> Settings:
    """The settings of a file; without one, of the default file, if that is there.

    Raises PolicyError with every mistake, PyctlError if it cannot be read.
    """
    if path is None:
        if not DEFAULT_FILE.exists():
            return Settings()
        path = DEFAULT_FILE
    return parse_settings(read_document(path), str(path))


def parse_settings(data: bytes, file: str) -> Settings:
    """The settings of a text. Raises PolicyError."""
    return parse_document(data, file, Settings, _problems)


# What no single part can know: levels name channels that are there, in an order that makes sense.
def _problems(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    known = [_JOURNAL, *settings.channels, *([SNMP_CHANNEL] if settings.snmp else ())]
    if settings.snmp and SNMP_CHANNEL in settings.channels:
        yield (
            ("channels", SNMP_CHANNEL),
            f"{SNMP_CHANNEL!r} is the channel of traps",
            "Give this one another name.",
        )
    for severity in _SEVERITIES:
        before = -1
        for number, told in enumerate(getattr(settings.alerts, severity)):
            where: tuple[str | int, ...] = ("alerts", severity, number)
            if told.after <= before:
                yield (
                    (*where, "after"),
                    "this level comes not later than the one before",
                    "Put the levels in the order of `after`, or join the two.",
                )
            before = told.after
            for index, name in enumerate(told.channels):
                if name not in known:
                    yield (
                        (*where, "channels", index),
                        f"there is no channel {name!r}",
                        nearest(name, known),
                    )


def _sender(channel: Channel) -> Sender:
    match channel:
        case JournalChannel():
            return Journal()
        case MailChannel(way=mail):
            return Mail(
                host=mail.host,
                sender=mail.sender,
                recipients=mail.recipients,
                port=mail.port,
                tls=mail.tls,
                user=mail.user,
                password=_secret(mail.password_file),
                timeout=mail.timeout,
            )
        case WebhookChannel(way=hook):
            return Webhook(hook.url, _bearer(hook.token_file), hook.timeout)


def read_private(path: str) -> str:
    """The text of a file that nobody but its owner may use. Raises RefusedError, PyctlError."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_PRIVATE)
    except UnicodeDecodeError as error:
        raise PyctlError(f"{path} is not UTF-8.") from error
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error
    if mode & 0o077:
        raise RefusedError(
            f"Others than its owner can use {path}, which has secrets.",
            hint=f"chmod go= {path}",
        )
    return text


def _secret(path: str | None) -> str:
    if path is None:
        return ""
    text = read_private(path).strip()
    if not text or not text.isprintable():
        raise PyctlError(f"{path} has no password in a single line.")
    return text


def _bearer(path: str | None) -> dict[str, str]:
    token = _secret(path)
    return {"Authorization": f"Bearer {token}"} if token else {}
