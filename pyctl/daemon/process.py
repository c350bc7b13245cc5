"""The daemon while it runs: hears, decides, acts, and tells systemd that it is well."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pyctl.daemon.actions import Intent
from pyctl.daemon.api.access import Access, Caller, load_tokens
from pyctl.daemon.core import Core
from pyctl.daemon.metrics import Metrics
from pyctl.daemon.policy.document import Policy
from pyctl.daemon.policy.loading import PolicyError, parse_policy, read_document
from pyctl.daemon.runner import Courier, Runner
from pyctl.daemon.settings import Settings, load_settings
from pyctl.daemon.source import StatusSource
from pyctl.errors import PyctlError

if TYPE_CHECKING:
    from pyctl.daemon.senders import Sender

__all__ = ["PACE", "Daemon", "Loaded"]

# Seconds between two looks at what came, and between two looks at all rules.
PACE = 1.0
_LOOK = 60.0
# How long to wait at the end for what runs, and at the start for the first answer of the kernel.
_DRAIN = 20.0
_FIRST = 10.0

log = structlog.get_logger("dm-remapd")


@dataclass(frozen=True)
class Loaded:
    """Settings and policy as read from their files; `version` tells one text from another."""

    settings: Settings
    policy: Policy
    file: Path
    version: str
    tokens: Mapping[str, Caller]

    @classmethod
    def load(cls, path: Path | None) -> "Loaded":
        """Read both. Raises PolicyError with every mistake, PyctlError."""
        settings = load_settings(path)
        file = settings.policy_file()
        text = read_document(file)
        policy = parse_policy(text, str(file))
        # a password that can't be read is found out now
        settings.senders()
        settings.collector_headers()
        tokens = load_tokens(settings.api.tokens)
        return cls(settings, policy, file, hashlib.sha256(text).hexdigest(), tokens)

    @property
    def about(self) -> str:
        """For the audit log: which policy decides."""
        return f"policy {self.policy.name} of {self.file}, SHA-256 {self.version}"


class Daemon:
    """One running daemon; everything in it happens in one thread but for what takes time."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path | None,
        source: StatusSource,
        core: Core,
        notify: Callable[[str], object],
        metrics: Metrics,
        pace: float = PACE,
    ) -> None:
        self.loaded = loaded
        self.path = path
        self.source = source
        self.core = core
        self.notify = notify
        self.pace = pace
        self.metrics = metrics
        self.runner = Runner(core, log.info, loaded.settings.actions_at_once, self._ended_one)
        self.courier = Courier(core, log.info)
        self.ending = asyncio.Event()
        self._looked = float("-inf")
        self.access = Access(loaded.tokens)
        # channels that are not in the settings' list: faces.py
        self.more_senders: Mapping[str, Sender] = {}
        # what is tried again and again; "" if nothing is
        self.trouble = ""
        metrics.watch(self)

    async def run(self) -> None:
        """Serve until `ending` is set."""
        watching = asyncio.create_task(self.source.watch())
        try:
            await self._first_answer()
            self.core.note("started", self.loaded.about)
            self.notify("READY=1")
            log.info("ready", policy=str(self.loaded.file), devices=len(self.source.devices()))
            while not self.ending.is_set():
                self.tick()
                self.notify("WATCHDOG=1")
                self.notify(f"STATUS={self.status()}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended(watching), self.pace)
        finally:
            self.notify("STOPPING=1")
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._stop()

    def tick(self) -> None:
        """Hear what came, and begin what follows; what fails is tried again at the next tick."""
        try:
            self._hear()
            self.core.deliver()
            self.runner.start()
            self.courier.start()
        except PyctlError as error:
            # whether it was written down before that failed is in the store
            self.source.restore(self.core.store.seen())
            self._say(str(error))
        else:
            self._say("")

    def reload(self, who: str = "dm-remapd") -> bool:
        """Read the files again; with a mistake in them, all stays as it is."""
        self.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._use(Loaded.load(self.path))
        except PyctlError as error:
            for line in _lines(error):
                log.error("not reloaded, the old files count", why=line)  # noqa: TRY400 (no trace)
            return False
        finally:
            self.notify("READY=1")
        log.info("reloaded", policy=str(self.loaded.file))
        with contextlib.suppress(PyctlError):
            # if the audit log takes nothing now, it gets that with what comes next
            self.core.note("reloaded", self.loaded.about, who)
        return True

    def status(self) -> str:
        """One line about what goes on."""
        there = sum(one.present for one in self.source.devices().values())
        why = f"; {self.trouble}" if self.trouble else ""
        line = f"{there} devices, {self.runner.busy} actions under way{why}"
        return " ".join(line.encode("ascii", "replace").decode().split())

    def _use(self, loaded: Loaded) -> None:
        settings = loaded.settings
        senders, routes = {**settings.senders(), **self.more_senders}, settings.routes()
        self.core.use(loaded.policy)
        self.core.alerts.senders, self.core.alerts.routes = senders, routes
        self.runner.at_once = settings.actions_at_once
        self.source.read_every = settings.read_every
        self.access.tokens = loaded.tokens
        for name in ("state", "foretell", "disks", "api", "snmp", "otel"):
            if getattr(settings, name) != getattr(self.loaded.settings, name):
                log.warning("this needs a restart", setting=name)
        self.loaded = loaded

    def _hear(self) -> None:
        batch = self.source.take()
        now = asyncio.get_running_loop().time()
        self.core.unavailable = self.source.unavailable()
        if batch.seen:
            self.core.hear(batch.events, batch.seen)
            self.source.done(batch)
            for one in batch.events:
                self.metrics.events[one.kind.value] += one.count
        if now - self._looked >= _LOOK:
            self.core.hear(())
            self.core.alerts.pass_time()
            self._looked = now

    def _ended_one(self, done: Intent) -> None:
        self.metrics.actions[done.kind.value, done.state.value] += 1

    # A watcher never ends by itself: what it raises is a mistake, and ends the daemon.
    async def _ended(self, watching: "asyncio.Task[None]") -> None:
        ending = asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
        if watching.done():
            watching.result()

    async def _first_answer(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _FIRST
        while not self.source.polled and not self.ending.is_set() and loop.time() < until:
            await asyncio.sleep(0.02)

    async def _stop(self) -> None:
        left, unsent = await asyncio.gather(self.runner.drain(_DRAIN), self.courier.drain(_DRAIN))
        why = f"{left} actions and {unsent} messages were under way" if left or unsent else ""
        with contextlib.suppress(PyctlError):
            self.core.note("stopped", why)
        log.info("stopped", actions_left=left, messages_left=unsent)

    def _say(self, why: str) -> None:
        if why != self.trouble and why:
            log.error("tried again until it works", why=why)
        elif why != self.trouble:
            log.info("works again")
        self.trouble = why


def _lines(error: PyctlError) -> list[str]:
    if isinstance(error, PolicyError):
        return [str(one) for one in error.problems]
    return [str(error)]
