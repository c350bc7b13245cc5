"""The interface for programs: what can be asked and ordered, by whom.

Everything runs in the daemon's one thread, so a call never sees half of a change.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from pyctl import __version__
from pyctl.daemon.actions import Intent
from pyctl.daemon.api.access import Access, Caller, Limiter, Role
from pyctl.daemon.api.models import (
    ActionView,
    AlertView,
    DecisionView,
    DeviceView,
    Done,
    EventView,
    Failure,
    MuteOrder,
    MuteView,
    Number,
    Order,
    PolicyView,
    RemapOrder,
    ScanOrder,
    SpareAddOrder,
    StatusView,
)
from pyctl.daemon.events import Action, Kind
from pyctl.daemon.metrics import Metrics
from pyctl.daemon.policy.document import FLEET
from pyctl.daemon.policy.resolving import merge_ranges
from pyctl.daemon.process import Daemon
from pyctl.daemon.store import StoreError
from pyctl.errors import NotFoundError, PyctlError, RefusedError, UsageError

__all__ = ["Service", "make_app"]

# Streams that may be open at once, seconds between two looks for new events, and between two signs
# of life.
STREAMS = 16
_PACE = 0.5
_ALIVE = 15.0
_PAGE = 500

log = structlog.get_logger("dm-remapd.api")


@dataclass
class Service:
    """What the interface works on."""

    daemon: Daemon
    access: Access
    limiter: Limiter
    metrics: Metrics
    streams: int = 0


_STATUS = {NotFoundError: 404, UsageError: 422, RefusedError: 409, StoreError: 503}
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "This is no request."},
    401: {"model": Failure, "description": "Nobody who is known calls."},
    403: {"model": Failure, "description": "The caller may not do that."},
    422: {"model": Failure, "description": "The request is wrong; the message says what."},
    429: {"model": Failure, "description": "Too many calls; Retry-After says when."},
    503: {"model": Failure, "description": "The store takes nothing just now."},
}
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Failure, "description": "There is no such thing."}
}
_bearer = HTTPBearer(auto_error=False, description="A token; root on the socket needs none.")


class _DeniedError(Exception):
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
            raise _DeniedError(429, "Too many calls.", f"Wait {early:.1f} s.", wait=early)
        if caller is None:
            log.warning("refused", address=address, path=request.url.path)
            raise _DeniedError(401, "Who are you?", "Send `Authorization: Bearer TOKEN`.")
        if not caller.role.includes(role):
            log.warning("not allowed", who=caller.name, path=request.url.path)
            raise _DeniedError(403, f"{caller.name} is {caller.role}; this needs {role}.")
        return caller

    return check


Served = Annotated[Service, Depends(_service)]
Viewer = Annotated[Caller, Depends(_needs(Role.VIEWER))]
Operator = Annotated[Caller, Depends(_needs(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(_needs(Role.ADMIN))]
Id = Annotated[Number, Path(description="Its number.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
DeviceName = Annotated[str, Query(max_length=127, description="About this device only.")]


def make_app(service: Service) -> FastAPI:
    """The application; all that it knows is in `service`."""
    app = FastAPI(
        title="dm-remapd",
        version=__version__,
        description="Watches dm-remap devices. docs/api.md explains it.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=_REFUSED,
    )
    app.state.service = service
    app.add_exception_handler(_DeniedError, _denied)
    app.add_exception_handler(PyctlError, _failed)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(HTTPException, _refused)
    for add in (_look, _history, _order, _alerts, _own):
        add(app)
    return app


def _look(app: FastAPI) -> None:
    @app.get("/v1/devices", tags=["devices"])
    async def devices(service: Served, _: Viewer) -> list[DeviceView]:
        """All devices that were ever seen, as they were looked at last."""
        found = service.daemon.source.devices()
        return [DeviceView.of(name, one) for name, one in found.items()]

    @app.get("/v1/devices/{name}", tags=["devices"], responses=_MISSING)
    async def device(service: Served, _: Viewer, name: str) -> DeviceView:
        """One device."""
        return DeviceView.of(name, _snapshot(service, name))

    @app.get(
        "/metrics",
        tags=["daemon"],
        response_class=Response,
        responses={
            200: {
                "content": {"text/plain": {"schema": {"type": "string"}}},
                "description": "In the text format of Prometheus.",
            }
        },
    )
    async def metrics(service: Served, _: Viewer) -> Response:
        """For Prometheus; docs/metrics.md has the table."""
        text, kind = service.metrics.text()
        return Response(text, media_type=kind)


def _history(app: FastAPI) -> None:
    @app.get("/v1/events", tags=["history"])
    async def events(
        service: Served,
        _: Viewer,
        after: Annotated[Number, Query(description="Begin behind this event.")] = 0,
        limit: Limit = 100,
        device: DeviceName | None = None,
        kind: Annotated[list[Kind] | None, Query(description="Of these kinds only.")] = None,
    ) -> list[EventView]:
        """What happened, oldest first."""
        found = service.daemon.core.store.event_page(after, limit, device=device, kinds=kind)
        return [EventView.of(number, one) for number, one in found]

    @app.get(
        "/v1/events/stream",
        tags=["history"],
        response_class=Response,
        responses={
            200: {
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
                "description": "The events, as they come.",
            }
        },
    )
    async def stream(
        request: Request,
        service: Served,
        _: Viewer,
        after: Annotated[Number | None, Query(description="Begin behind this event.")] = None,
    ) -> StreamingResponse:
        """Server-sent events: each event as it happens, and those behind `after`.

        The id of each is its number, so that a browser that was cut off goes on where it was.
        """
        if service.streams >= STREAMS:
            raise _DeniedError(429, "Too many streams are open.", "Close one.", wait=60)
        last = request.headers.get("Last-Event-ID", "")
        if last.isascii() and last.isdecimal() and int(last) < 2**63:
            after = int(last)
        store = service.daemon.core.store
        first = store.last_event() if after is None else after
        return StreamingResponse(_events(service, first), media_type="text/event-stream")

    @app.get("/v1/decisions", tags=["history"])
    async def decisions(service: Served, _: Viewer, limit: Limit = 100) -> list[DecisionView]:
        """What rules did, or would have done, newest first, with what each condition saw."""
        found = service.daemon.core.store.last_decisions(limit)
        return [DecisionView(**one) for one in found]

    @app.get("/v1/explain", tags=["history"], responses=_MISSING)
    async def explain(
        service: Served,
        _: Viewer,
        rule: Annotated[str, Query(max_length=63)],
        device: DeviceName = FLEET,
    ) -> DecisionView:
        """Why a rule acted on a device, or did not, when it was asked last."""
        found = service.daemon.core.explain(rule, device)
        if found is None:
            raise NotFoundError(f"The rule {rule} was not asked about {device} yet.")
        return DecisionView.of(found)


def _order(app: FastAPI) -> None:
    @app.get("/v1/actions", tags=["actions"])
    async def actions(service: Served, _: Viewer, limit: Limit = 100) -> list[ActionView]:
        """What was done, is being done and will be, newest first."""
        return [ActionView.of(one) for one in service.daemon.core.actions.last(limit)]

    @app.get("/v1/actions/{number}", tags=["actions"], responses=_MISSING)
    async def action(service: Served, _: Viewer, number: Id) -> ActionView:
        """One action."""
        return ActionView.of(service.daemon.core.actions.get(number))

    @app.post("/v1/actions", tags=["actions"], status_code=202, responses=_MISSING)
    async def order(service: Served, caller: Operator, what: Order) -> ActionView:
        """Have something done. It is written down when this returns, and done as soon as it can be.

        `spare-add` needs an admin.
        """
        if isinstance(what, SpareAddOrder) and not caller.role.includes(Role.ADMIN):
            raise _DeniedError(403, f"{caller.name} is {caller.role}; this needs admin.")
        one = _snapshot(service, what.device)
        if not one.present:
            raise NotFoundError(f"{what.device} is not there now.")
        return ActionView.of(_ordered(service, caller, what))


def _alerts(app: FastAPI) -> None:
    @app.get("/v1/alerts", tags=["alerts"])
    async def alerts(
        service: Served,
        _: Viewer,
        over: Annotated[bool, Query(description="Also those that are over.")] = False,
    ) -> list[AlertView]:
        """The alerts that somebody has to look at."""
        return [AlertView.of(one) for one in service.daemon.core.alerts.all(over=over)]

    @app.post("/v1/alerts/{number}/acknowledge", tags=["alerts"], responses=_MISSING)
    async def acknowledge(service: Served, caller: Operator, number: Id) -> AlertView:
        """Somebody has seen it: nobody else is told, unless it gets worse."""
        return AlertView.of(service.daemon.core.alerts.acknowledge(number, caller.name))

    @app.post("/v1/alerts/{number}/resolve", tags=["alerts"], responses=_MISSING)
    async def resolve(service: Served, caller: Operator, number: Id) -> AlertView:
        """It is over. Those who were told of it are told that."""
        return AlertView.of(service.daemon.core.alerts.resolve(number, caller.name))

    @app.get("/v1/mutes", tags=["alerts"])
    async def mutes(service: Served, _: Viewer) -> list[MuteView]:
        """The mutes that last."""
        return [MuteView.of(one) for one in service.daemon.core.alerts.mutes()]

    @app.post("/v1/mutes", tags=["alerts"], status_code=201)
    async def mute(service: Served, caller: Operator, what: MuteOrder) -> MuteView:
        """Tell nobody of some alerts for a time."""
        core = service.daemon.core
        until = core.clock() + what.seconds
        return MuteView.of(core.alerts.mute(what.pattern, until, caller.name, what.why))

    @app.delete("/v1/mutes/{number}", tags=["alerts"], responses=_MISSING)
    async def unmute(service: Served, caller: Operator, number: Id) -> Done:
        """End a mute before its time."""
        found = service.daemon.core.alerts
        if number not in [one.id for one in found.mutes()]:
            raise NotFoundError(f"There is no mute {number}.")
        found.unmute(number, caller.name)
        return Done()


def _own(app: FastAPI) -> None:
    @app.get("/v1/status", tags=["daemon"])
    async def status(service: Served, _: Viewer) -> StatusView:
        """How the daemon is."""
        daemon = service.daemon
        there = daemon.source.devices().values()
        return StatusView(
            version=__version__,
            devices=len(there),
            devices_up=sum(one.present for one in there),
            actions_running=daemon.runner.busy,
            trouble=daemon.trouble,
            last_event=daemon.core.store.last_event(),
        )

    @app.get("/v1/policy", tags=["daemon"])
    async def policy(service: Served, _: Viewer) -> PolicyView:
        """Which policy decides."""
        loaded = service.daemon.loaded
        return PolicyView(
            name=loaded.policy.name,
            file=str(loaded.file),
            sha256=loaded.version,
            dry_run=loaded.policy.dry_run,
            rules=[one.name for one in loaded.policy.rules],
        )

    @app.post(
        "/v1/reload",
        tags=["daemon"],
        responses={409: {"model": Failure, "description": "A file is wrong; the old ones count."}},
    )
    async def reload(service: Served, caller: Admin) -> Done:
        """Read the daemon's file and the policy again."""
        if not service.daemon.reload(caller.name):
            raise RefusedError(
                "A file is wrong: the old policy and settings stay.",
                hint="`dm-remapd --check` and the daemon's log say what is wrong.",
            )
        return Done()


def _snapshot(service: Service, name: str) -> Any:
    found = service.daemon.source.devices().get(name)
    if found is None:
        raise NotFoundError(f"There is no device {name}.")
    return found


def _ordered(service: Service, caller: Caller, what: Any) -> Intent:
    match what:
        case RemapOrder():
            ranges = merge_ranges((one.sector, one.sectors) for one in what.ranges)
            parameters: dict[str, Any] = {"ranges": [list(one) for one in ranges], "left_out": 0}
        case ScanOrder():
            why = service.daemon.source.unavailable().get(Action.SCAN)
            if why:
                raise RefusedError(f"{what.device} cannot be scanned: {why}.")
            parameters = {"pattern": what.pattern}
        case SpareAddOrder():
            parameters = {"device": what.spare}
        case _:
            parameters = {"spare": what.spare}
    return service.daemon.core.actions.order(
        caller.name, what.why, what.device, Action(what.kind), parameters
    )


# The store is the queue: what comes while a reader is slow is read when it is ready.
async def _events(service: Service, after: int) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    service.streams += 1
    try:
        told = loop.time()
        yield ": here is dm-remapd\n\n"
        while not service.daemon.ending.is_set():
            found = service.daemon.core.store.event_page(after, _PAGE)
            for after, one in found:
                body = EventView.of(after, one).model_dump_json()
                yield f"id: {after}\nevent: {one.kind}\ndata: {body}\n\n"
            if found:
                told = loop.time()
            elif loop.time() - told >= _ALIVE:
                told = loop.time()
                yield ": still here\n\n"
            if len(found) < _PAGE:
                await asyncio.sleep(_PACE)
    finally:
        service.streams -= 1


async def _denied(_: Request, error: Exception) -> Response:
    assert isinstance(error, _DeniedError)  # noqa: S101 (registered for that only)
    headers = {"Retry-After": str(int(error.wait) + 1)} if error.wait else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.failure.model_dump(), error.status, headers)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, PyctlError)  # noqa: S101
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse(Failure(message=error.message, hint=error.hint).model_dump(), status)


# What the framework itself refuses: no such path or method, a body that is no JSON.
async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    failure = Failure(message=f"{error.detail}.")
    return JSONResponse(failure.model_dump(), error.status_code, error.headers)


async def _wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    said = [
        f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in error.errors()[:10]
    ]
    return JSONResponse(Failure(message="; ".join(said)).model_dump(), 422)
