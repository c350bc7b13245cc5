"""What every call of the interface needs: what it works on, who calls, and what is refused."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pyctl.daemon.api.access import Access, Caller, Limiter, Role
from pyctl.daemon.api.models import Failure, Number
from pyctl.daemon.diskmap import Maps
from pyctl.daemon.metrics import Metrics
from pyctl.daemon.process import Daemon
from pyctl.daemon.snapshot import Snapshot
from pyctl.errors import NotFoundError

__all__ = [
    "MISSING",
    "REFUSED",
    "Admin",
    "DeniedError",
    "DeviceName",
    "Id",
    "Limit",
    "Operator",
    "Served",
    "Service",
    "Viewer",
    "snapshot",
]

log = structlog.get_logger("dm-remapd.api")


@dataclass
class Service:
    """What the interface works on."""

    daemon: Daemon
    access: Access
    limiter: Limiter
    metrics: Metrics
    maps: Maps
    streams: int = 0


REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "This is no request."},
    401: {"model": Failure, "description": "Nobody who is known calls."},
    403: {"model": Failure, "description": "The caller may not do that."},
    422: {"model": Failure, "description": "The request is wrong; the message says what."},
    429: {"model": Failure, "description": "Too many calls; Retry-After says when."},
    503: {"model": Failure, "description": "The store takes nothing just now."},
}
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Failure, "description": "There is no such thing."}
}
_bearer = HTTPBearer(auto_error=False, description="A token; root on the socket needs none.")


class DeniedError(Exception):
    """A call that is not let in: the status of the answer, what to say, and seconds to wait."""

    def __init__(self, status: int, message: str, hint: str = "", wait: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.failure = Failure(message=message, hint=hint)
        self.wait = wait


def _service(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)  # noqa: S101 (put there by make_app)
    return found


# A dependency: whoever calls must have the role, and calls left.
def _needs(role: Role) -> Callable[..., Awaitable[Caller]]:
    async def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        service = _service(request)
        address = request.client.host if request.client else "?"
        token = credentials.credentials if credentials else None
        caller = service.access.caller(address, token)
        early = service.limiter.take(caller.name if caller else f"address {address}")
        if early:
            raise DeniedError(429, "Too many calls.", f"Wait {early:.1f} s.", wait=early)
        if caller is None:
            log.warning("refused", address=address, path=request.url.path)
            raise DeniedError(401, "Who are you?", "Send `Authorization: Bearer TOKEN`.")
        if not caller.role.includes(role):
            log.warning("not allowed", who=caller.name, path=request.url.path)
            raise DeniedError(403, f"{caller.name} is {caller.role}; this needs {role}.")
        return caller

    return check


Served = Annotated[Service, Depends(_service)]
Viewer = Annotated[Caller, Depends(_needs(Role.VIEWER))]
Operator = Annotated[Caller, Depends(_needs(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(_needs(Role.ADMIN))]
Id = Annotated[Number, Path(description="Its number.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
DeviceName = Annotated[str, Query(max_length=127, description="About this device only.")]


def snapshot(service: Service, name: str) -> Snapshot:
    """How a device is, or was last. Raises NotFoundError."""
    found = service.daemon.source.devices().get(name)
    if found is None:
        raise NotFoundError(f"There is no device {name}.")
    return found
