"""The server of the interface, in the daemon's event loop: a socket in the file system, and TCP."""

import asyncio
import contextlib
import grp
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from pyctl.daemon.activation import inherited
from pyctl.daemon.api.access import PEER
from pyctl.daemon.settings import Api, Tcp
from pyctl.errors import UsageError, from_os_error

__all__ = ["Servers"]

# Seconds that calls under way get at the end.
_GRACE = 3


class _PeerProtocol(H11Protocol):
    """Says who is on the other end of a socket in the file system, in the place of an address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        found = transport.get_extra_info("socket")
        if found is not None and found.family == socket.AF_UNIX:
            data = found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            self.client = (f"{PEER}{struct.unpack('3i', data)[1]}", 0)


class _Server(uvicorn.Server):
    """Leaves the signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Servers:
    """All ways in. Opened before anything is served, so that what is wrong with them is told."""

    def __init__(self, api: Api, app: FastAPI) -> None:
        """Raises PyctlError if a socket cannot be had.

        The one in the file system is systemd's, if that has opened one.
        """
        self._sockets = [inherited() or _in_files(Path(api.socket), api.group)]
        self._servers = [_server(app)]
        if api.listen is not None:
            try:
                self._sockets.append(_tcp(api.listen))
                self._servers.append(_server(app, api.listen))
            except BaseException:
                self.close()
                raise
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to serve."""
        self._tasks = [
            asyncio.create_task(server.serve([one]))
            for server, one in zip(self._servers, self._sockets, strict=True)
        ]

    async def stop(self) -> None:
        """End calls that are under way, after a few seconds by force."""
        for one in self._servers:
            one.should_exit = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE + 2)
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets:
            one.close()


def _server(app: FastAPI, tcp: Tcp | None = None) -> _Server:
    more: dict[str, Any] = {}
    if tcp and tcp.certificate:
        more = {"ssl_certfile": tcp.certificate, "ssl_keyfile": tcp.key}
    try:
        config = uvicorn.Config(
            app,
            http=_PeerProtocol,
            ws="none",
            lifespan="off",
            # nobody stands between: what a header says of the caller is not believed
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=256,
            h11_max_incomplete_event_size=65_536,
            **more,
        )
        config.load()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The certificate or the key for {tcp.address if tcp else '?'} is of no use: {error}."
        ) from error
    return _Server(config)


def _in_files(path: Path, group: str | None) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # only one daemon has the store, so whatever is left there is of one that has ended
        if path.is_socket():
            path.unlink()
        made.bind(str(path))
        path.chmod(0o600)
        if group:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
            path.chmod(0o660)
        made.listen(128)
    except KeyError as error:
        made.close()
        raise UsageError(f"There is no group {group}.") from error
    except OSError as error:
        made.close()
        raise from_os_error(error, f"Cannot listen on {path}") from error
    made.setblocking(False)
    return made


def _tcp(tcp: Tcp) -> socket.socket:
    family = socket.AF_INET6 if ":" in tcp.address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((tcp.address, tcp.port))
        made.listen(128)
    except OSError as error:
        made.close()
        raise from_os_error(error, f"Cannot listen on {tcp.address}, port {tcp.port}") from error
    made.setblocking(False)
    return made
