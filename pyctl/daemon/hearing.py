"""The daemon hears the kernel's events: where things happen, at once, and what was missed.

What is counted comes from the counters of the devices (source.py), with this or without it. Events
add places, weak regions, and that a device is to be looked at now. When some were missed - their
numbers tell, or the kernel says so, or the module was loaded again - each device is looked at, and
a dump says which regions are weak and which blocks are lost.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from pyctl.daemon.events import Event, Kind
from pyctl.daemon.places import ROOM, Places
from pyctl.daemon.threads import in_thread
from pyctl.errors import NotFoundError, PyctlError
from pyctl.netlink.events import Gap, Happening, Listener
from pyctl.netlink.numbers import Finding, News
from pyctl.netlink.sets import Kernel, Lost, Mark, SetInfo

__all__ = ["SOURCE", "Dumps", "Hearing"]

SOURCE = "netlink"
# Seconds until the family is looked for again, and how long a look waits for what was sent before.
_AGAIN = 1.0
_PATIENCE = 2.0
# Events of weak regions that wait.
_WAITING = 4096

_KINDS = {
    News.READ_ERROR: Kind.READ_ERROR,
    News.WRITE_ERROR: Kind.WRITE_ERROR,
    News.REMAP: Kind.REMAP,
    News.LOST: Kind.LOST,
}


class Dumps(Protocol):
    """What is asked of the kernel; may take long, raises PyctlError."""

    def sets(self) -> list[SetInfo]:
        """All sets."""
        ...

    def get(self, name: str = "", uuid: UUID | None = None) -> SetInfo:
        """One set."""
        ...

    def regions(self, uuid: UUID) -> list[Mark]:
        """Regions of which something is known."""
        ...

    def lost(self, uuid: UUID, most: int) -> list[Lost]:
        """What has no data: no more ranges than that."""
        ...


class Hearing:
    """Events of the kernel for the daemon. `on` says that they are heard.

    `woken` is called with the name of a device that is to be looked at, "" for all of them.
    """

    def __init__(
        self,
        log: Callable[..., object],
        clock: Callable[[], float],
        *,
        connect: Callable[[], Listener] = Listener,
        dumps: Dumps | None = None,
        again: float = _AGAIN,
    ) -> None:
        self.log = log
        self.clock = clock
        self.connect = connect
        self.dumps: Dumps = dumps or Kernel()
        self.again = again
        self.woken: Callable[[str], object] = lambda _: None
        self.places = Places()
        self.on = False
        self.gaps = 0
        self.heard = 0
        # events whose numbers are missing
        self.missed = 0
        self._names: dict[UUID, str] = {}
        self._listener: Listener | None = None
        self._waiting: dict[tuple[str, Kind, int, str], Event] = {}
        self._came = asyncio.Event()
        self._why = ""

    async def watch(self) -> None:
        """Hear events, until cancelled; without the family, look for it again and again."""
        while True:
            try:
                self._listener = await in_thread(self.connect)
                await self._begin(self._listener)
                await self._hear(self._listener)
            except PyctlError as error:
                self._say(str(error))
            finally:
                self.on = False
                if self._listener:
                    self._listener.close()
                    self._listener = None
            await asyncio.sleep(self.again)

    def take(self) -> list[Event]:
        """Events that no counter tells; the same again until they are `done`."""
        return list(self._waiting.values())

    def done(self, events: tuple[Event, ...], devices: Iterable[str]) -> None:
        """These are in the store, and so is how these devices are."""
        self.places.told(devices)
        for event in events:
            self._waiting.pop(_key(event), None)

    async def looked(self, name: str) -> None:
        """A device was looked at: wait until what had happened by then is heard, if not for long.

        Places that are heard from now on belong to the next look.
        """
        listener = self._listener
        if self.on and listener:
            await self._catch_up(name, listener)
        self.places.seal(name)

    async def _catch_up(self, name: str, listener: Listener) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                now = await in_thread(self.dumps.get, name)
                self._names[now.uuid] = now.name
                while self.on and (listener.numbers.last or 0) < now.seq:
                    self._came.clear()
                    await self._came.wait()
        except (PyctlError, TimeoutError):
            return

    async def _begin(self, listener: Listener) -> None:
        sets = await in_thread(self.dumps.sets)
        self._names = {one.uuid: one.name for one in sets}
        for one in sets:
            listener.numbers.begin(one.instance, one.seq)
        await self._recover(sets)
        self.on = True
        self._say("")

    async def _hear(self, listener: Listener) -> None:
        async for one in listener.hear():
            if isinstance(one, Gap):
                await self._missed(one)
            else:
                await self._take(one)
            self._came.set()

    async def _take(self, one: Happening) -> None:
        self.heard += 1
        if one.set is None:
            return
        if one.kind is News.SET_STARTED or one.set not in self._names:
            await self._learn(one.set)
        name = self._names.get(one.set)
        if name is None:
            return
        kind = _KINDS.get(one.kind)
        if kind and one.sectors:
            self.places.put(name, kind, one.sector, one.sectors, one.count)
        elif one.kind is News.FINDING and one.detail is Finding.SLOW and one.spare is None:
            self._weak(name, one.sector, one.sectors)
        elif one.kind is News.SET_STOPPED:
            del self._names[one.set]
        self.woken(name)

    async def _learn(self, uuid: UUID) -> None:
        try:
            self._names[uuid] = (await in_thread(self.dumps.get, "", uuid)).name
        except NotFoundError:
            self._names.pop(uuid, None)

    async def _missed(self, gap: Gap) -> None:
        self.gaps += 1
        self.missed += gap.missed
        self.log("events of the kernel were lost", count=gap.missed or "unknown", why=gap.why)
        sets = await in_thread(self.dumps.sets)
        self._names = {one.uuid: one.name for one in sets}
        for name in self._names.values():
            text = f"{gap.missed or 'an unknown number of'} events: {gap.why}"
            self._add(Event(time=self.clock(), kind=Kind.EVENTS_LOST, device=name, text=text))
        await self._recover(sets)

    # What events would have told, as far as it matters later.
    async def _recover(self, sets: list[SetInfo]) -> None:
        for one in sets:
            try:
                marks = await in_thread(self.dumps.regions, one.uuid)
                lost = []
                if one.lost or one.unknown:
                    lost = await in_thread(self.dumps.lost, one.uuid, ROOM)
            except PyctlError as error:
                self.log("cannot be dumped", device=one.name, why=str(error))
                continue
            for mark in marks:
                if mark.spare is None:
                    for sector, sectors in mark.pieces(mark.marginal):
                        self._weak(one.name, sector, sectors)
            for sector, sectors, blocks in lost:
                self.places.put(one.name, Kind.LOST, sector, sectors, blocks)
        self.woken("")

    def _weak(self, name: str, sector: int, sectors: int) -> None:
        self._add(
            Event(
                time=self.clock(),
                kind=Kind.WEAK_REGION,
                device=name,
                source=SOURCE,
                sector=sector,
                sectors=sectors,
            )
        )

    def _add(self, event: Event) -> None:
        if len(self._waiting) < _WAITING:
            self._waiting.setdefault(_key(event), event)

    def _say(self, why: str) -> None:
        if why != self._why:
            if why:
                self.log("events of the kernel are not heard", why=why)
            else:
                self.log("events of the kernel are heard again")
        self._why = why


def _key(event: Event) -> tuple[str, Kind, int, str]:
    return event.device, event.kind, event.sector or 0, event.text
