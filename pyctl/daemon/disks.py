"""The disks below each set, as smartctl tells of them: temperature, and what is expected of them.

A set is as hot as its hottest disk, and as likely to fail as the worst disk of its main device.
What a disk does not tell, or while it sleeps, is not known.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyctl.blockdev import BlockDevice
from pyctl.control import Control
from pyctl.daemon.diskhistory import DiskHistory
from pyctl.daemon.events import Event, Kind, Reading
from pyctl.daemon.forecasting import Forecast, forecast
from pyctl.daemon.threads import in_thread
from pyctl.errors import PyctlError, RunError
from pyctl.predict import smartctl
from pyctl.run import run

__all__ = ["SOURCE", "Below", "Disks", "Told", "ask", "below"]

SOURCE = "smart"
# Seconds until the first look, and that a round of looks waits for the slowest disk.
_FIRST = 60.0
_PATIENCE = 120.0
_WAITING = 1024


@dataclass(frozen=True)
class Below:
    """Paths of the whole disks under a set: those of its main device, and those of its spares."""

    main: tuple[str, ...]
    spares: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a disk has said: as it was read, and as it was written."""

    reading: smartctl.Reading
    document: dict[str, Any]


def below(control: Control) -> Below:
    """Find the disks. Raises as Control does."""
    table = control.table()
    return Below(_disks(table.main), tuple(path for one in table.spares for path in _disks(one)))


def _disks(word: str) -> tuple[str, ...]:
    major, colon, minor = word.partition(":")
    try:
        if colon and major.isdecimal() and minor.isdecimal():
            found = BlockDevice.by_number(int(major), int(minor))
        else:
            found = BlockDevice.find(word)
        return tuple(one.path for one in found.below())
    except PyctlError:
        # a spare that is missing
        return ()


def ask(path: str) -> Told | None:
    """Have a disk tell of itself; None while it sleeps. Raises PyctlError."""
    words = ["smartctl", "-n", "standby", "-j", "-x", path]
    # the exit status has what smartctl thinks of the disk, and the JSON says it better
    text = run(words, ok=range(256))
    reading = smartctl.parse(text, path)
    if reading.temperature is None and reading.hours is None:
        return None
    return Told(reading, json.loads(text))


class Disks:
    """As Sense: all disks are asked every `every` seconds."""

    def __init__(
        self,
        open_device: Callable[[str], Control],
        history: DiskHistory,
        log: Callable[..., object],
        clock: Callable[[], float],
        every: float,
        *,
        find: Callable[[Control], Below] = below,
        predict: Callable[[Sequence[str]], Forecast] = forecast,
    ) -> None:
        self.open_device = open_device
        self.history = history
        self.log = log
        self.clock = clock
        self.every = every
        self.find = find
        self.predict = predict
        self._waiting: list[Event] = []
        self._asking: dict[str, asyncio.Future[Told | None]] = {}
        self._forecasts: dict[str, Forecast | None] = {}
        self._said: dict[str, str] = {}

    async def watch(self, devices: Callable[[], Sequence[str]]) -> None:
        """As Sense.watch."""
        await asyncio.sleep(min(self.every, _FIRST))
        while True:
            await self._round(list(devices()))
            await asyncio.sleep(self.every)

    def take(self) -> Sequence[Event]:
        """As Sense.take."""
        return tuple(self._waiting)

    def done(self, events: Sequence[Event]) -> None:
        """As Sense.done."""
        written = {id(one) for one in events}
        self._waiting = [one for one in self._waiting if id(one) not in written]

    async def _round(self, names: Sequence[str]) -> None:
        sets: dict[str, Below] = {}
        for name in names:
            try:
                sets[name] = await in_thread(self._find, name)
            except PyctlError as error:
                self._say(name, error.message)
        told = await self._ask({path for one in sets.values() for path in (*one.main, *one.spares)})
        expected = {
            path: await self._expected(path, told[path])
            for path in sorted({path for one in sets.values() for path in one.main} & set(told))
        }
        for name, one in sets.items():
            self._tell(name, one, told, expected)

    def _find(self, name: str) -> Below:
        return self.find(self.open_device(name))

    # A disk that does not answer keeps no other waiting, and is not asked again meanwhile.
    async def _ask(self, paths: set[str]) -> dict[str, Told]:
        for path in sorted(paths - set(self._asking)):
            self._asking[path] = in_thread(ask, path)
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=_PATIENCE)
        found: dict[str, Told] = {}
        for path, future in list(self._asking.items()):
            if not future.done():
                self._say(path, "it does not answer")
                continue
            del self._asking[path]
            try:
                told = future.result()
            except RunError as error:
                # of the program, not of a disk
                self._say("smartctl", error.message)
            except PyctlError as error:
                self._say(path, error.message)
            else:
                self._say(path, "")
                if told:
                    found[path] = told
        return found

    # Once a day, and whenever the disk says anything new.
    async def _expected(self, path: str, told: Told) -> Forecast | None:
        reading = told.reading
        if reading.protocol != "ATA" or not reading.attributes or not reading.serial:
            self._say(f"{path}: prediction", "the model knows the attributes of ATA drives only")
            return None
        disk = f"{reading.model} {reading.serial}"
        if self.history.add(disk, self.clock(), told.document) or disk not in self._forecasts:
            try:
                self._forecasts[disk] = await in_thread(self.predict, self.history.of(disk))
            except PyctlError as error:
                self._forecasts[disk] = None
                self._say("prediction", error.message)
        return self._forecasts[disk]

    def _tell(
        self,
        name: str,
        one: Below,
        told: dict[str, Told],
        expected: dict[str, Forecast | None],
    ) -> None:
        degrees = [
            told[path].reading.temperature for path in (*one.main, *one.spares) if path in told
        ]
        hottest = max((each for each in degrees if each is not None), default=None)
        judged = [(each, path) for path in one.main if (each := expected.get(path))]
        worst = max(judged, key=lambda pair: pair[0].probability, default=None)
        if hottest is None and worst is None:
            return
        reading = Reading(temperature=hottest, prediction=worst[0].probability if worst else None)
        text = f"{worst[1]}: {worst[0].words}" if worst else ""
        if len(self._waiting) < _WAITING:
            self._waiting.append(
                Event(
                    time=self.clock(),
                    kind=Kind.READING,
                    device=name,
                    source=SOURCE,
                    reading=reading,
                    text=text,
                )
            )

    def _say(self, what: str, why: str) -> None:
        if why and self._said.get(what) != why:
            self.log("not known of a disk", of=what, why=why)
        self._said[what] = why
