"""The interface for programs: what can be asked and ordered, by whom.

Everything runs in the daemon's one thread, so a call never sees half of a change.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from pyctl import __version__
from pyctl.daemon.actions import Intent
from pyctl.daemon.api import page
from pyctl.daemon.api.access import Caller, Role
from pyctl.daemon.api.models import (
    ActionView,
    AlertView,
    CallerView,
    DecisionView,
    DeviceView,
    Done,
    EventView,
    Failure,
    MapView,
    MuteOrder,
    MuteView,
    Number,
    Order,
    PolicyView,
    RemapOrder,
    ScanOrder,
    ScanStopOrder,
    SpareAddOrder,
    StatusView,
)
from pyctl.daemon.api.service import (
    MISSING,
    REFUSED,
    Admin,
    DeniedError,
    DeviceName,
    Id,
    Limit,
    Operator,
    Served,
    Service,
    Viewer,
    snapshot,
)
from pyctl.daemon.events import Action, Kind
from pyctl.daemon.policy.document import FLEET
from pyctl.daemon.policy.resolving import merge_ranges
from pyctl.daemon.store import StoreError
from pyctl.errors import NotFoundError, PyctlError, RefusedError, UsageError

__all__ = ["make_app"]

# Streams that may be open at once, seconds between two looks for new events, and between two signs
# of life.
STREAMS = 16
_PACE = 0.5
_ALIVE = 15.0
_PAGE = 500

_STATUS = {NotFoundError: 404, UsageError: 422, RefusedError: 409, StoreError: 503}


def make_app(service: Service) -> FastAPI:
    """The application; all that it knows is in `service`."""
    app = FastAPI(
        title="dm-remapd",
        version=__version__,
        description="Watches dm-remap devices. docs/api.md explains it.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=REFUSED,
    )
    app.add_middleware(page.Headers)
    app.state.service = service
    app.add_exception_handler(DeniedError, _denied)
    app.add_exception_handler(PyctlError, _failed)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(HTTPException, _refused)
    for add in (_look, _history, _order, _alerts, _own, page.add):
        add(app)
    return app


def _look(app: FastAPI) -> None:
    @app.get("/v1/devices", tags=["devices"])
    async def devices(service: Served, _: Viewer) -> list[DeviceView]:
        """All devices that were ever seen, as they were looked at last."""
        found = service.daemon.source.devices()
        reading = service.daemon.core.reading
        return [DeviceView.of(name, one, reading) for name, one in found.items()]

    @app.get("/v1/devices/{name}", tags=["devices"], responses=MISSING)
    async def device(service: Served, _: Viewer, name: str) -> DeviceView:
        """One device."""
        return DeviceView.of(name, snapshot(service, name), service.daemon.core.reading)

    @app.get(
        "/v1/devices/{name}/map",
        tags=["devices"],
        responses={
            **MISSING,
            409: {"model": Failure, "description": "The device does not answer."},
        },
    )
    async def disk_map(
        service: Served,
        _: Viewer,
        name: str,
        cells: Annotated[int, Query(ge=1, le=4096, description="In how many at most.")] = 1024,
    ) -> MapView:
        """Where on a device something has happened, and how its scan is.

        The device is asked now. It is cut into equal cells of whole regions of 1 MiB; those with
        nothing to tell are left out.
        """
        if not snapshot(service, name).present:
            raise RefusedError(f"{name} is not there now, so it cannot be asked.")
        service.maps.forget(service.daemon.source.devices())
        return MapView.of(name, await service.maps.found(name), cells)

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
        without: Annotated[list[Kind] | None, Query(description="But these kinds.")] = None,
        newest: Annotated[bool, Query(description="The last ones, not the first.")] = False,
    ) -> list[EventView]:
        """What happened, oldest first."""
        kinds = [one for one in kind or Kind if one not in (without or ())]
        found = service.daemon.core.store.event_page(
            after, limit, device=device, kinds=kinds if kind or without else None, newest=newest
        )
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
            raise DeniedError(429, "Too many streams are open.", "Close one.", wait=60)
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

    @app.get("/v1/explain", tags=["history"], responses=MISSING)
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

    @app.get("/v1/actions/{number}", tags=["actions"], responses=MISSING)
    async def action(service: Served, _: Viewer, number: Id) -> ActionView:
        """One action."""
        return ActionView.of(service.daemon.core.actions.get(number))

    @app.post("/v1/actions", tags=["actions"], status_code=202, responses=MISSING)
    async def order(service: Served, caller: Operator, what: Order) -> ActionView:
        """Have something done. It is written down when this returns, and done as soon as it can be.

        `spare-add` needs an admin.
        """
        if isinstance(what, SpareAddOrder) and not caller.role.includes(Role.ADMIN):
            raise DeniedError(403, f"{caller.name} is {caller.role}; this needs admin.")
        one = snapshot(service, what.device)
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

    @app.post("/v1/alerts/{number}/acknowledge", tags=["alerts"], responses=MISSING)
    async def acknowledge(service: Served, caller: Operator, number: Id) -> AlertView:
        """Somebody has seen it: nobody else is told, unless it gets worse."""
        return AlertView.of(service.daemon.core.alerts.acknowledge(number, caller.name))

    @app.post("/v1/alerts/{number}/resolve", tags=["alerts"], responses=MISSING)
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

    @app.delete("/v1/mutes/{number}", tags=["alerts"], responses=MISSING)
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
        ear = daemon.source.hearing
        return StatusView(
            version=__version__,
            devices=len(there),
            devices_up=sum(one.present for one in there),
            actions_running=daemon.runner.busy,
            trouble=daemon.trouble,
            last_event=daemon.core.store.last_event(),
            hearing=bool(ear and ear.on),
            kernel_events=ear.heard if ear else 0,
            kernel_events_lost=ear.missed if ear else 0,
        )

    @app.get("/v1/me", tags=["daemon"])
    async def me(caller: Viewer) -> CallerView:
        """Who calls, and what they may."""
        return CallerView(name=caller.name, role=caller.role)

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


def _ordered(service: Service, caller: Caller, what: Any) -> Intent:
    parameters: dict[str, Any]
    match what:
        case RemapOrder():
            ranges = merge_ranges((one.sector, one.sectors) for one in what.ranges)
            parameters = {"ranges": [list(one) for one in ranges], "left_out": 0}
        case ScanStopOrder():
            parameters = {}
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
    assert isinstance(error, DeniedError)  # noqa: S101 (registered for that only)
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
