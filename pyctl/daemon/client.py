"""Asking a running daemon, through its socket. Needs none of the daemon's packages."""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pyctl.errors import (
    NotFoundError,
    PermissionDeniedError,
    PyctlError,
    RefusedError,
    UsageError,
)

__all__ = ["Client"]

_ERRORS: dict[int, type[PyctlError]] = {
    401: PermissionDeniedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: RefusedError,
    422: UsageError,
}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass(frozen=True)
class Client:
    """The daemon behind a socket; `timeout` in seconds, of each answer."""

    path: Path
    timeout: float = 30

    def get(self, path: str, **query: object) -> Any:
        """What is there. Raises the error that the daemon answers with, PyctlError."""
        words = urlencode({key: value for key, value in query.items() if value is not None})
        return self._ask("GET", f"{path}?{words}" if words else path)

    def post(self, path: str, **what: object) -> Any:
        """Have something done."""
        return self._ask("POST", path, what)

    def delete(self, path: str) -> Any:
        """Take something away."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, what: dict[str, object] | None = None) -> Any:
        connection = _Connection(self.path, self.timeout)
        body = json.dumps(what) if what is not None else None
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except PermissionError as error:
            raise PermissionDeniedError(
                f"{self.path} is not for you.", hint="Run it as root."
            ) from (error)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotFoundError(
                f"No daemon listens on {self.path}.", hint="`systemctl status dm-remapd` says why."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise PyctlError(f"{self.path}: {error!r}.") from error
        finally:
            connection.close()
        return _answer(answer.status, data)


def _answer(status: int, data: bytes) -> Any:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise PyctlError(f"The daemon answered {status} with what is no JSON.") from error
    if 200 <= status < 300:
        return found
    said = found if isinstance(found, dict) else {}
    message = str(said.get("message") or f"The daemon answered {status}.")
    raise _ERRORS.get(status, PyctlError)(message, hint=str(said.get("hint", "")))
