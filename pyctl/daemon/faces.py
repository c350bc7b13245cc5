"""What the daemon shows if its settings want that: itself to an SNMP agent, and to a collector."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import structlog

from pyctl.daemon.process import Daemon
from pyctl.daemon.settings import SNMP_CHANNEL, Otel, Settings, Snmp
from pyctl.errors import RefusedError

if TYPE_CHECKING:
    from pyctl.daemon.senders import Sender

__all__ = ["Faces"]

log = structlog.get_logger("dm-remapd")

Job = Callable[[], Coroutine[Any, Any, None]]


class Faces:
    """SNMP and OpenTelemetry. Each is imported only when it is wanted; neither ends the daemon.

    Raises RefusedError if a package is missing. To be made in the event loop.
    """

    def __init__(self, settings: Settings, daemon: Daemon) -> None:
        self._jobs: dict[str, Job] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # channels for alerts
        self.senders: Mapping[str, Sender] = MappingProxyType({})
        if settings.snmp is not None:
            self._snmp(settings.snmp, daemon)
        if settings.otel is not None:
            self._otel(settings.otel, settings, daemon)

    def start(self) -> None:
        """Begin in the background."""
        self._tasks = [asyncio.create_task(_guarded(name, job)) for name, job in self._jobs.items()]

    async def stop(self) -> None:
        """End in order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _snmp(self, settings: Snmp, daemon: Daemon) -> None:
        try:
            from pyctl.daemon.snmp.objects import objects, values
            from pyctl.daemon.snmp.subagent import Subagent, Traps
            from pyctl.daemon.snmp.view import View
        except ImportError as error:
            raise _missing("snmp", error) from error
        known = frozenset(objects())
        subagent = Subagent(settings.master, lambda: View(values(daemon), known), log.info)
        traps = Traps(subagent, asyncio.get_running_loop())
        self.senders = MappingProxyType({SNMP_CHANNEL: traps})
        self._jobs["snmp"] = subagent.run

    def _otel(self, otel: Otel, settings: Settings, daemon: Daemon) -> None:
        try:
            from pyctl.daemon.otel import Export
        except ImportError as error:
            raise _missing("otel", error) from error
        export = Export(
            otel.url,
            settings.collector_headers(),
            otel.every,
            otel.timeout,
            daemon.metrics.registry,
            log.warning,
        )
        self._jobs["otel"] = export.run


# A mistake in here is told, and ends nothing else.
async def _guarded(name: str, job: Job) -> None:
    try:
        await job()
    except Exception as error:  # noqa: BLE001 (see above)
        log.error("has ended by a mistake", face=name, why=repr(error))  # noqa: TRY400


def _missing(extra: str, error: ImportError) -> RefusedError:
    return RefusedError(
        f"`{extra}:` of the settings needs a package that is not installed: {error}.",
        hint=f"Install dm-remap[{extra}], or leave it out of the settings.",
    )
