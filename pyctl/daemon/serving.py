"""From files to a running daemon: everything is opened here, and closed."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import sdnotify
import structlog

from pyctl.daemon.alerts import Alerts
from pyctl.daemon.api.access import Limiter
from pyctl.daemon.api.app import make_app
from pyctl.daemon.api.server import Servers
from pyctl.daemon.api.service import Service
from pyctl.daemon.audit import Audit
from pyctl.daemon.core import Core
from pyctl.daemon.diskhistory import DiskHistory
from pyctl.daemon.diskmap import Maps
from pyctl.daemon.disks import Disks
from pyctl.daemon.faces import Faces
from pyctl.daemon.foretelling import Foretelling
from pyctl.daemon.hearing import Hearing
from pyctl.daemon.metrics import Metrics
from pyctl.daemon.probing import Probing
from pyctl.daemon.process import PACE, Daemon, Loaded
from pyctl.daemon.settings import Settings
from pyctl.daemon.source import Kernel, Sense, StatusSource
from pyctl.daemon.store import Store
from pyctl.daemon.works import Open, all_works
from pyctl.errors import from_os_error

__all__ = ["serve"]

log = structlog.get_logger("dm-remapd")

_MIB_SECTORS = 2048


async def serve(
    path: Path | None,
    kernel: Kernel,
    open_device: Open,
    clock: Callable[[], float] = time.time,
    pace: float = PACE,
    *,
    hear: Callable[..., Hearing] | None = None,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the files again.

    `pace` is how many seconds there are between two looks at what came. With `hear` the kernel's
    own events are heard, too: it makes what hears them.

    Raises PyctlError if it cannot start: wrong files, a damaged audit log, another daemon.
    """
    loaded = Loaded.load(path)
    with ExitStack() as opened:
        core = _core(loaded, opened, open_device, clock)
        metrics = Metrics()
        source = StatusSource(
            kernel,
            log.warning,
            clock,
            took=metrics.look.observe,
            poll=pace,
            read_every=loaded.settings.read_every,
            hearing=hear(log.warning, clock, again=pace) if hear else None,
            senses=_senses(loaded.settings, core.store, open_device, clock, metrics),
        )
        source.restore(core.store.seen())
        notify = sdnotify.SystemdNotifier().notify
        daemon = Daemon(loaded, path, source, core, notify, metrics, pace)
        faces = Faces(loaded.settings, daemon)
        daemon.more_senders = faces.senders
        core.alerts.senders = {**core.alerts.senders, **faces.senders}
        servers = Servers(
            loaded.settings.api,
            make_app(
                Service(
                    daemon,
                    daemon.access,
                    Limiter(loaded.settings.api.per_second),
                    metrics,
                    Maps(open_device),
                )
            ),
        )
        opened.callback(servers.close)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.ending.set)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload)
        servers.start()
        faces.start()
        try:
            await daemon.run()
        finally:
            await faces.stop()
            await servers.stop()


def _senses(
    wanted: Settings,
    store: Store,
    open_device: Open,
    clock: Callable[[], float],
    metrics: Metrics,
) -> list[Sense]:
    foretell, probing = wanted.foretell, None
    if foretell.probes:
        sectors = (foretell.probes.region_mib or 0) * _MIB_SECTORS
        probing = Probing(log.warning, foretell.every, sectors)
    found: list[Sense] = [
        Foretelling(open_device, log.warning, clock, foretell.every, probing, metrics.io)
    ]
    if wanted.disks:
        history = DiskHistory(store)
        found.append(Disks(open_device, history, log.warning, clock, wanted.disks.every))
    return found


def _core(loaded: Loaded, opened: ExitStack, open_device: Open, clock: Callable[[], float]) -> Core:
    folder = Path(loaded.settings.state)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for each in (folder, folder / "audit"):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"Cannot make {folder / 'audit'}") from error
    store = opened.enter_context(Store(folder / "daemon.db"))
    audit = opened.enter_context(Audit(folder / "audit", clock))
    alerts = Alerts(store, loaded.settings.routes(), loaded.settings.senders(), clock)
    works = all_works(open_device, alerts)
    return Core(store, audit, alerts, loaded.policy, works, clock, later=True)
