"""The probes of the daemon: the worker with bcc, a process of its own, kept running.

It is started again when it ends, and when the devices are others; the longer after, the more often
it could do nothing. Why it can't be had is said once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from pyctl.daemon.threads import in_thread
from pyctl.errors import PyctlError
from pyctl.probes import planning
from pyctl.probes.frames import Device, Frame, Header
from pyctl.probes.source import Worker

__all__ = ["MOST_REGIONS", "Prober", "Probing", "length_of_regions"]

# Of all devices together: 1 KiB in the kernel for each and for each processor, and as much here.
MOST_REGIONS = 8192
_MIB = 2048
# Seconds until it is started again, until it is looked whether there is a device at last, and how
# long its end may take.
_PAUSE, _LONGEST = 10.0, 3600.0
_LOOK = 1.0
_END = 5.0

Heard = Callable[[Header, Frame], Awaitable[None]]


class Prober(Protocol):
    """What gives frames; a Worker is one."""

    @property
    def header(self) -> Header:
        """What is looked at."""
        ...

    def frames(self) -> Iterator[Frame]:
        """A frame each interval. Raises PyctlError when it fails."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def length_of_regions(devices: Sequence[Device]) -> int:
    """Sectors: the smallest power of two with which there are not too many regions."""
    size = _MIB
    while sum(-(-one.sectors // size) for one in devices) > MOST_REGIONS:
        size *= 2
    return size


class Probing:
    """Frames of all devices, one each interval of `every` seconds.

    `on` says that there are some. `region_sectors` is the length of a region, if it is not 0.
    """

    def __init__(
        self,
        log: Callable[..., object],
        every: float,
        region_sectors: int = 0,
        *,
        plan: Callable[[Sequence[str]], tuple[Device, ...]] = planning.plan,
        worker: Callable[[Sequence[str], int, float], Prober] = Worker,
        pause: float = _PAUSE,
    ) -> None:
        self.log = log
        self.every = every
        self.region_sectors = region_sectors
        self.plan = plan
        self.worker = worker
        self.pause = pause
        self.on = False
        self._why: str | None = None

    async def watch(self, devices: Callable[[], Sequence[str]], heard: Heard) -> None:
        """Have frames heard, until cancelled."""
        pause = self.pause
        while True:
            planned = await in_thread(self._planned, list(devices()))
            if not planned:
                await asyncio.sleep(min(_LOOK, self.pause))
                continue
            frames = 0
            try:
                async with contextlib.aclosing(self._frames(planned)) as told:
                    async for header, frame in told:
                        frames += 1
                        await heard(header, frame)
                        if await in_thread(self._planned, list(devices())) != planned:
                            break
            except PyctlError as error:
                self._say(error.message)
            # one that has worked may be started again soon
            pause = self.pause if frames else min(2 * pause, _LONGEST)
            await asyncio.sleep(pause)

    async def _frames(
        self, planned: tuple[Device, ...]
    ) -> AsyncGenerator[tuple[Header, Frame], None]:
        size = self.region_sectors or length_of_regions(planned)
        names = [one.name for one in planned]
        worker = await in_thread(self._start, names, size)
        try:
            self.on = True
            self._say("")
            frames = worker.frames()
            while frame := await in_thread(next, frames, None):
                yield worker.header, frame
            raise PyctlError("The worker of the probes has ended.")
        finally:
            self.on = False
            # whoever ends the daemon does not wait for a process that hangs
            await asyncio.wait({in_thread(_close, worker)}, timeout=_END)

    def _start(self, names: Sequence[str], size: int) -> Prober:
        return self.worker(names, size, self.every)

    # A device that went just now, or that can't be looked at, keeps no other from it.
    def _planned(self, names: Sequence[str]) -> tuple[Device, ...]:
        found: list[Device] = []
        for name in names:
            with contextlib.suppress(PyctlError):
                found += self.plan([name])
        return tuple(found)

    def _say(self, why: str) -> None:
        if why and why != self._why:
            self.log("no probes: regions are judged by the marks of scans alone", why=why)
        elif not why and self._why:
            self.log("there are probes again")
        self._why = why


def _close(worker: Prober) -> None:
    # a pipe may be broken, and is closed for that
    with contextlib.suppress(OSError, ValueError):
        worker.close()
