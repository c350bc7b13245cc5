"""Alerts of the daemon: see them, say that they were seen, mute them. Asks the running daemon."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.moments import duration
from pyctl.output import Pairs, Rows, when

if TYPE_CHECKING:
    from pyctl.daemon.client import Client

__all__ = ["COMMANDS", "SOCKET"]

# Where the daemon listens, unless its file says something else.
SOCKET = Path("/run/dm-remap/api.sock")
_SOCKET = click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path),
    default=SOCKET,
    help=f"Where the daemon listens; default {SOCKET}.",
)
_NUMBER = click.argument("number", type=click.IntRange(1, 2**63 - 1))
_WHY = click.option("--why", default="", help="For the audit log.")


@click.group("alert")
def alert() -> None:
    """See the alerts of the daemon, and answer them."""


@command("list")
@_SOCKET
@click.option("--all", "over", is_flag=True, help="Also those that are over.")
def list_alerts(app: App, path: Path, over: bool) -> None:
    """List the alerts, the oldest first."""
    found = _daemon(path).get("/v1/alerts", over=str(over).lower())
    rows = [
        [
            one["id"],
            one["severity"],
            one["state"],
            one["device"],
            one["count"],
            when(int(one["last"])),
            one["who"] or "-",
            one["text"],
        ]
        for one in found
    ]
    titles = ["NUMBER", "SEVERITY", "STATE", "DEVICE", "COUNT", "LAST", "WHO", "TEXT"]
    app.emit(found, Rows(titles, rows))


@command("ack")
@_NUMBER
@_SOCKET
def ack(app: App, number: int, path: Path) -> None:
    """Say that you have seen alert NUMBER: nobody else is told, unless it gets worse."""
    _show(app, _daemon(path).post(f"/v1/alerts/{number}/acknowledge"))


@command("resolve")
@_NUMBER
@_SOCKET
def resolve(app: App, number: int, path: Path) -> None:
    """Say that alert NUMBER is over. Those who were told of it are told that."""
    _show(app, _daemon(path).post(f"/v1/alerts/{number}/resolve"))


@command("mute")
@click.argument("pattern")
@click.option("--for", "length", required=True, metavar="TIME", help="How long: 90s, 30m, 8h, 7d.")
@_WHY
@_SOCKET
def mute(app: App, pattern: str, length: str, why: str, path: Path) -> None:
    """Tell nobody of alerts whose key (RULE/DEVICE) matches PATTERN, for a time.

    PATTERN is one as in a shell: 'hot/*', '*/srv'.
    """
    _show(
        app,
        _daemon(path).post(
            "/v1/mutes", pattern=pattern, seconds=duration("--for", length), why=why
        ),
    )


@command("unmute")
@_NUMBER
@_SOCKET
def unmute(app: App, number: int, path: Path) -> None:
    """End mute NUMBER before its time. What is still open is told then."""
    app.emit(_daemon(path).delete(f"/v1/mutes/{number}"), f"Mute {number} has ended.")


@command("mutes")
@_SOCKET
def mutes(app: App, path: Path) -> None:
    """List the mutes that last."""
    found = _daemon(path).get("/v1/mutes")
    rows = [
        [one["id"], one["pattern"], when(int(one["until"])), one["who"], one["why"]]
        for one in found
    ]
    app.emit(found, Rows(["NUMBER", "PATTERN", "UNTIL", "WHO", "WHY"], rows))


# Imported where it is used: other commands don't speak HTTP.
def _daemon(path: Path) -> "Client":
    from pyctl.daemon.client import Client

    return Client(path)


def _show(app: App, one: dict[str, Any]) -> None:
    times = ("first", "last", "until")
    shown = {key: when(int(value)) if key in times else value for key, value in one.items()}
    app.emit(one, Pairs(shown))


for _each in (list_alerts, ack, resolve, mute, unmute, mutes):
    alert.add_command(_each)

COMMANDS = (alert,)
