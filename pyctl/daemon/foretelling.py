"""Regions that may fail soon, as events that name their places: what is relocated by policies.

Two kinds of evidence: the marks that scans leave in the kernel, with the table, and what the probes
measure of each read, if there are any. Nothing is told of a region twice in a day.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from pyctl.control import Control
from pyctl.daemon.events import Event, Foretold, Kind
from pyctl.daemon.iotimes import IoTimes
from pyctl.daemon.latencies import observations
from pyctl.daemon.probing import Probing
from pyctl.daemon.threads import in_thread
from pyctl.daemon.weak import Place, Weak, from_latencies, from_marks
from pyctl.predict.regions.predictor import DevicePredictor
from pyctl.probes.frames import Frame, Header

__all__ = ["SOURCE", "Foretelling"]

SOURCE = "prediction"
# The same region is told again after so many seconds, if it is still so.
_AGAIN = 86_400.0
# Events that wait, regions of a device that are told of at once, and of which it is remembered.
_WAITING = 1024
_AT_ONCE = 8
_TOLD = 4096


@dataclass
class _Known:
    """What is remembered of a device: when each of its places was told last, and its regions.

    `usual` says that of most of its regions it is known what a read takes.
    """

    told: dict[Place, float] = field(default_factory=dict)
    usual: bool = False
    layout: tuple[int, int] = (0, 0)
    predictor: DevicePredictor = field(default_factory=lambda: DevicePredictor(adjacent=True))


class Foretelling:
    """As Sense: a look at the marks of each device every `every` seconds, and what probes tell.

    What they tell is added to `times`, too.
    """

    def __init__(
        self,
        open_device: Callable[[str], Control],
        log: Callable[..., object],
        clock: Callable[[], float],
        every: float,
        probing: Probing | None = None,
        times: IoTimes | None = None,
    ) -> None:
        self.times = times
        self.open_device = open_device
        self.log = log
        self.clock = clock
        self.every = every
        self.probing = probing
        self._known: dict[str, _Known] = {}
        self._waiting: list[Event] = []
        self._why: dict[str, str] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def watch(self, devices: Callable[[], Sequence[str]]) -> None:
        """As Sense.watch."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_at_marks(devices))
            if self.probing:
                both.create_task(self.probing.watch(devices, self._hear))

    def take(self) -> Sequence[Event]:
        """As Sense.take."""
        return tuple(self._waiting)

    def done(self, events: Sequence[Event]) -> None:
        """As Sense.done."""
        written = {id(one) for one in events}
        self._waiting = [one for one in self._waiting if id(one) not in written]

    async def _look_at_marks(self, devices: Callable[[], Sequence[str]]) -> None:
        while True:
            await asyncio.sleep(self.every)
            there = list(devices())
            self._known = {name: one for name, one in self._known.items() if name in there}
            # one that does not answer keeps no other waiting
            for name in there:
                if name not in self._asking:
                    task = asyncio.create_task(self._look(name))
                    self._asking[name] = task
                    task.add_done_callback(functools.partial(self._asked, name))

    async def _look(self, name: str) -> None:
        try:
            weak = await in_thread(self._marks, name)
        except Exception as error:  # noqa: BLE001 (one device must not end the watch of others)
            self._say(name, str(error) or repr(error))
        else:
            self._say(name, "")
            self._tell(name, weak)

    def _asked(self, name: str, _task: "asyncio.Task[None]") -> None:
        self._asking.pop(name, None)

    def _marks(self, name: str) -> list[Weak]:
        return from_marks(self.open_device(name))

    async def _hear(self, header: Header, frame: Frame) -> None:
        if self.times:
            self.times.add(header, frame)
        for index, device in enumerate(header.devices):
            known = self._known.setdefault(device.name, _Known())
            # other regions have another past
            if known.layout != (device.sectors, device.region_sectors):
                known.layout = (device.sectors, device.region_sectors)
                known.predictor, known.usual = DevicePredictor(adjacent=True), False
            interval = observations(frame, index, device.regions)
            await in_thread(known.predictor.step, header.started + frame.at, interval)
            self._learned(device.name, known)
            self._tell(device.name, from_latencies(known.predictor, interval, device))

    def _learned(self, name: str, known: _Known) -> None:
        seen = [one.seen for one in known.predictor.regions.values()]
        if not known.usual and seen and median(seen) >= known.predictor.settings.warm:
            known.usual = True
            self.log("its regions are compared with their own past now", device=name)

    # The worst first; those that were told of lately don't take the room of others.
    def _tell(self, name: str, weak: Sequence[Weak]) -> None:
        now, known = self.clock(), self._known.setdefault(name, _Known())
        for one in [one for one in weak if self._is_due(known, one, now)][:_AT_ONCE]:
            if len(known.told) >= _TOLD:
                known.told.clear()
            known.told[one.place] = now
            for sector, sectors in one.pieces or ((None, None),):
                if len(self._waiting) < _WAITING:
                    self._waiting.append(_event(name, now, one, sector, sectors))

    def _is_due(self, known: _Known, one: Weak, now: float) -> bool:
        last = known.told.get(one.place)
        return last is None or not 0 <= now - last < _AGAIN

    def _say(self, name: str, why: str) -> None:
        if why and self._why.get(name, "") != why:
            self.log("its regions cannot be judged", device=name, why=why)
        self._why[name] = why


def _event(name: str, now: float, weak: Weak, sector: int | None, sectors: int | None) -> Event:
    said = weak.answer
    return Event(
        time=now,
        kind=Kind.WEAK_REGION,
        device=name,
        source=SOURCE,
        sector=sector,
        sectors=sectors,
        foretold=Foretold(
            score=round(said.score, 2),
            confidence=round(said.confidence, 2),
            hours=said.horizon_hours,
            reasons=tuple(reason.words for reason in said.reasons),
            advice=said.recommendation,
        ),
        text=weak.words,
    )
