"""The daemon's ear without a kernel: gaps, restarts, a family that goes and comes."""

import asyncio
import contextlib
from dataclasses import replace
from uuid import UUID

from pyctl.daemon.events import Event, Kind
from pyctl.daemon.hearing import Hearing
from pyctl.errors import NoKernelError, NotFoundError
from pyctl.netlink.events import Gap, Happening, Numbers
from pyctl.netlink.numbers import Finding, News
from pyctl.netlink.sets import Lost, Mark
from tests.pyctl.netlink.fakes import INFO, SET

PATIENCE = 20


class Module:
    """A module that says what a test wants."""

    def __init__(self):
        self.infos = [INFO]
        self.marks = []
        self.losses = []
        self.there = True
        self.listeners = []

    def sets(self):
        return list(self.infos)

    def get(self, name="", uuid=None):
        for one in self.infos:
            if one.name == name or one.uuid == uuid:
                return one
        raise NotFoundError("none")

    def regions(self, uuid):
        return [mark for mark in self.marks if uuid == SET]

    def lost(self, uuid, most):
        return self.losses[:most] if uuid == SET else []

    def connect(self):
        if not self.there:
            raise NoKernelError("not there")
        self.listeners.append(Ear())
        return self.listeners[-1]

    def say(self, seq, kind, **more):
        values = {"instance": 7, "time": 1.0, "count": 1, "set": SET, "device": (254, 0)}
        one = Happening(seq=seq, kind=kind, **{**values, **more})
        ear = self.listeners[-1]
        gap = ear.numbers.take(one)
        for each in [gap, one] if gap else [one]:
            ear.said.put_nowait(each)
        self.infos = [replace(info, seq=seq) for info in self.infos]


class Ear:
    def __init__(self):
        self.numbers = Numbers()
        self.said = asyncio.Queue()
        self.closed = False

    async def hear(self):
        while True:
            one = await self.said.get()
            if isinstance(one, Exception):
                raise one
            yield one

    def close(self):
        self.closed = True


class Heard:
    def __init__(self):
        self.module = Module()
        self.said = []
        self.woken = []
        self.hearing = Hearing(
            lambda what, **_: self.said.append(what),
            lambda: 1000.0,
            connect=self.module.connect,
            dumps=self.module,
            again=0.01,
        )
        self.hearing.woken = self.woken.append

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)

    async def event(self, seq, kind, **more):
        before = self.hearing.heard
        self.module.say(seq, kind, **more)
        await self.until(lambda: self.hearing.heard > before)


def heard(function):
    async def whole():
        made = Heard()
        watching = asyncio.create_task(made.hearing.watch())
        try:
            await made.until(lambda: made.hearing.on or not made.module.there)
            await function(made)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    asyncio.run(whole())


def test_places_weak_regions_and_whom_to_look_at():
    async def check(made):
        await made.event(11, News.READ_ERROR, sector=800, sectors=8)
        await made.event(12, News.FINDING, detail=Finding.SLOW, sector=2048, sectors=64)
        await made.event(13, News.FINDING, detail=Finding.SLOW, sector=64, sectors=64, spare=1)
        assert len(made.hearing.places) == 1
        assert made.woken.count("d") == 3
        (weak,) = made.hearing.take()
        assert (weak.kind, weak.device, weak.sector, weak.sectors) == (
            Kind.WEAK_REGION,
            "d",
            2048,
            64,
        )
        assert made.hearing.take() == [weak]
        made.hearing.done((weak,), ["d"])
        assert made.hearing.take() == []
        assert made.hearing.gaps == 0

    heard(check)


def test_a_gap_is_told_and_what_matters_is_dumped():
    async def check(made):
        made.module.infos = [replace(INFO, unknown=3)]
        made.module.marks = [
            Mark(None, 4096, 2048, 50, 0, 0, 3, 1, 0, 0, 1),
            Mark(0, 8192, 2048, 50, 0, 0, 3, 1, 0, 0, 1),
        ]
        made.module.losses = [Lost(24, 24, 3)]
        await made.event(15, News.REMAP, sector=800, sectors=8)
        assert made.hearing.gaps == 1
        assert made.said[-1] == "events of the kernel were lost"
        found = {one.kind: one for one in made.hearing.take()}
        assert found[Kind.EVENTS_LOST].text == "4 events: their numbers are missing"
        assert (found[Kind.WEAK_REGION].sector, found[Kind.WEAK_REGION].sectors) == (4096, 64)
        assert made.woken.count("") >= 1
        assert made.hearing.missed == 4
        # where blocks are lost, and one was remapped
        assert len(made.hearing.places) == 2
        made.hearing.places.seal("d")
        lost = Event(time=1, kind=Kind.LOST, device="d", count=3)
        (named,) = made.hearing.places.named([lost])
        assert (named.sector, named.sectors, named.count) == (24, 24, 3)

    heard(check)


def test_the_module_goes_and_comes_back():
    async def check(made):
        made.module.there = False
        made.module.listeners[-1].said.put_nowait(NoKernelError("unloaded"))
        await made.until(lambda: not made.hearing.on)
        await made.until(lambda: "events of the kernel are not heard" in made.said)
        assert made.module.listeners[-1].closed
        made.module.there = True
        made.module.infos = [replace(INFO, instance=8, seq=1)]
        await made.until(lambda: made.hearing.on)
        await made.event(2, News.LOST, sector=8, sectors=8, instance=8)
        assert made.hearing.gaps == 0

    heard(check)


def test_a_set_that_starts_is_known_and_one_that_stops_is_not():
    async def check(made):
        other = UUID(int=6)
        made.module.infos.append(replace(INFO, uuid=other, name="e"))
        await made.event(11, News.SET_STARTED, set=other)
        await made.event(12, News.LOST, set=other, sector=8, sectors=8)
        assert "e" in made.woken
        made.module.infos.pop()
        await made.event(13, News.SET_STOPPED, set=other)
        await made.event(14, News.LOST, set=other, sector=8, sectors=8)
        assert len(made.hearing.places) == 1

    heard(check)


def test_a_look_waits_for_what_was_sent_before():
    async def check(made):
        made.module.infos = [replace(INFO, seq=11)]
        look = asyncio.create_task(made.hearing.looked("d"))
        await asyncio.sleep(0.02)
        assert not look.done()
        await made.event(11, News.READ_ERROR, sector=800, sectors=8)
        await look
        made.hearing.done((), ["d"])
        assert len(made.hearing.places) == 0

    heard(check)


def test_gaps_of_unknown_length_are_told():
    async def check(made):
        made.module.listeners[-1].said.put_nowait(Gap(0, "too slow"))
        await made.until(lambda: made.hearing.take())
        assert made.hearing.take()[0].text == "an unknown number of events: too slow"

    heard(check)
