"""Actions and messages that run beside the event loop, which alone changes the store.

Of the actions that change a device one runs at a time; hooks run beside them, and what only writes
to the store is done at once.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

from pyctl.daemon.actions import Intent, Outcome, State
from pyctl.daemon.alerts import Delivery
from pyctl.daemon.core import Core
from pyctl.daemon.events import Action
from pyctl.daemon.senders import Message
from pyctl.daemon.threads import in_thread
from pyctl.errors import PyctlError

__all__ = ["Courier", "Runner"]

# How long to wait before something is written again that could not be written, in seconds.
_PAUSE = 1.0

Log = Callable[..., object]
T = TypeVar("T")


class Runner:
    """Does what is pending. `log` and `ended` hear how it ends."""

    def __init__(
        self,
        core: Core,
        log: Log,
        at_once: int,
        ended: Callable[[Intent], object] = lambda _: None,
    ) -> None:
        self.ended = ended
        self.core = core
        self.log = log
        self.at_once = at_once
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many run that change something."""
        return len(self._running)

    def start(self) -> None:
        """Begin what can begin now. Raises PyctlError if the store or the audit log fails."""
        for intent in self.core.pending():
            if intent.kind is Action.NOTIFY:
                self._keep(asyncio.create_task(self._run(self.core.begin(intent))))
                continue
            lane = (intent.device, "hook" if intent.kind is Action.HOOK else "device")
            if lane in self._running or self.busy >= self.at_once:
                continue
            task = asyncio.create_task(self._run(self.core.begin(intent)))
            self._running[lane] = task
            task.add_done_callback(functools.partial(self._free, lane))
            self._keep(task)

    async def drain(self, seconds: float) -> int:
        """Wait for what runs, so long at most; returns how many still do.

        Those stay written down as running: what has become of them is found out at the next start.
        """
        return await _drain(self._tasks, seconds)

    def _free(self, lane: tuple[str, str], _task: asyncio.Task[None]) -> None:
        del self._running[lane]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, intent: Intent) -> None:
        perform = self.core.actions.perform
        try:
            if intent.kind is Action.NOTIFY:
                outcome = perform(intent)
            else:
                outcome = await in_thread(perform, intent)
        except Exception as error:  # noqa: BLE001 (a mistake in one action ends that one only)
            outcome = Outcome(State.FAILED, {"error": f"{type(error).__name__}: {error}"})
        done = await _insist(lambda: self.core.actions.finish(intent, outcome), self.log)
        self._tell(done)
        self.ended(done)
        await _insist(lambda: self.core.ended(done), self.log)

    def _tell(self, done: Intent) -> None:
        self.log(
            f"{done.kind} {done.state}",
            device=done.device,
            action=done.id,
            who=done.who,
            why=done.why,
            **({"error": done.result["error"]} if "error" in done.result else {}),
        )


class Courier:
    """Sends the messages that are due, some at a time."""

    def __init__(self, core: Core, log: Log, at_once: int = 8) -> None:
        self.core = core
        self.log = log
        self.at_once = at_once
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to send what is due. Raises PyctlError if the store fails."""
        while len(self._running) < self.at_once:
            taken = self.core.alerts.take()
            if taken is None:
                return
            task = asyncio.create_task(self._send(*taken))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def drain(self, seconds: float) -> int:
        """Wait for what is being sent, so long at most; returns how many still are."""
        return await _drain(self._running, seconds)

    async def _send(self, delivery: Delivery, message: Message) -> None:
        failed: Exception | None = None
        remark = ""
        try:
            remark = await in_thread(self.core.alerts.sender(delivery.channel).send, message)
        except Exception as error:  # noqa: BLE001 (no channel may take the daemon down)
            failed = error
            self.log("message", channel=delivery.channel, alert=delivery.alert, why=str(error))
        await _insist(lambda: self.core.alerts.settle(delivery, failed, remark), self.log)


# Write something that has happened, however long it takes until there is room again.
async def _insist(write: Callable[[], T], log: Log) -> T:
    told = ""
    while True:
        try:
            return write()
        except PyctlError as error:
            if str(error) != told:
                told = str(error)
                log("cannot be written", why=told)
        await asyncio.sleep(_PAUSE)


async def _drain(tasks: "set[asyncio.Task[None]]", seconds: float) -> int:
    if not tasks:
        return 0
    _, left = await asyncio.wait(tasks, timeout=seconds)
    return len(left)
