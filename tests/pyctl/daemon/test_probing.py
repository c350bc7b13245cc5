"""The worker of the probes is kept running, and what it can't do is said once."""

import asyncio
import contextlib

import pytest

from pyctl.daemon.probing import MOST_REGIONS, Probing, length_of_regions
from pyctl.errors import NotFoundError, PyctlError
from pyctl.probes.frames import Device
from tests.pyctl.daemon.probed import MIB, a_frame, header

PATIENCE = 30


class Workers:
    """Those that were started: each gives some frames, and then fails or ends."""

    def __init__(self, *lives):
        self.lives = list(lives)
        self.started = []
        self.closed = 0
        self.there = ["srv"]
        self.heard = []
        self.said = []
        self.then = lambda: None

    def plan(self, names):
        if names[0] not in self.there:
            raise NotFoundError("There is no device.")
        return tuple(Device(name, "254:0", 8 * MIB, MIB, 8) for name in names)

    def __call__(self, names, size, every):
        self.started.append((list(names), size, every))
        life = self.lives.pop(0) if self.lives else PyctlError("There is no bcc.")
        if isinstance(life, PyctlError):
            raise life
        return Worker(self, life, header(*self.plan(names)))

    async def hear(self, its, frame):
        self.heard.append((its.devices[0].name, frame.at))
        self.then()


class Worker:
    def __init__(self, workers, life, its):
        self.workers = workers
        self.life = life
        self.header = its

    def frames(self):
        for each in self.life:
            if isinstance(each, PyctlError):
                raise each
            yield each

    def close(self):
        self.workers.closed += 1
        raise BrokenPipeError


def watch(workers, condition, devices=None):
    """Runs until a condition holds."""
    probing = Probing(
        lambda what, **more: workers.said.append(more.get("why", what)),
        300,
        plan=workers.plan,
        worker=workers,
        pause=0.001,
    )

    async def run():
        task = asyncio.create_task(probing.watch(devices or (lambda: workers.there), workers.hear))
        async with asyncio.timeout(PATIENCE):
            while not condition(probing):
                assert not task.done(), task.result()
                await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    return probing


def test_frames_are_heard():
    workers = Workers([a_frame(0), a_frame(1), a_frame(2)])
    watch(workers, lambda _: len(workers.heard) == 3)
    assert workers.heard == [("srv", 300), ("srv", 600), ("srv", 900)]
    assert workers.started[0] == (["srv"], MIB, 300)


def test_one_that_ends_is_started_again_and_all_are_closed():
    workers = Workers([a_frame(0)], [a_frame(1), PyctlError("It was killed.")], [a_frame(2)])
    watch(workers, lambda _: len(workers.heard) == 3 and len(workers.started) > 3)
    assert workers.closed == 3
    assert workers.said[:2] == ["The worker of the probes has ended.", "there are probes again"]
    assert "It was killed." in workers.said


def test_what_cannot_be_had_is_said_once():
    workers = Workers()
    probing = watch(workers, lambda _: len(workers.started) == 5)
    assert workers.said == ["There is no bcc."]
    assert not probing.on
    assert not workers.heard


def test_it_waits_longer_and_longer_until_one_works(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    real = asyncio.sleep
    failing = [PyctlError("no")] * 4
    workers = Workers(*failing, [a_frame(0)], *failing)
    monkeypatch.setattr("pyctl.daemon.probing.asyncio.sleep", sleep)
    probing = Probing(lambda *_, **__: None, 300, plan=workers.plan, worker=workers, pause=1000)

    async def run():
        task = asyncio.create_task(probing.watch(lambda: ["srv"], workers.hear))
        async with asyncio.timeout(PATIENCE):
            while len(slept) < 6:
                await real(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert slept[:6] == [2000, 3600, 3600, 3600, 1000, 2000]


def test_other_devices_get_another_worker():
    workers = Workers([a_frame(n) for n in range(9)], [a_frame(n) for n in range(9)])

    def another_device():
        if len(workers.heard) == 2:
            workers.there = ["new", "srv"]

    workers.then = another_device
    # a device that has gone meanwhile keeps no other from being looked at
    watch(workers, lambda _: len(workers.heard) > 2, lambda: [*workers.there, "left"])
    assert [names for names, _, _ in workers.started[:2]] == [["srv"], ["new", "srv"]]
    assert [name for name, _ in workers.heard[:3]] == ["srv", "srv", "new"]
    assert workers.closed >= 1


def test_without_devices_nothing_is_started():
    workers = Workers([a_frame(0)])
    workers.there = []
    looks = []
    watch(workers, lambda _: len(looks) > 3, lambda: looks.append(1) or [])
    assert not workers.started


@pytest.mark.parametrize("terabytes", [0.001, 1, 20])
@pytest.mark.parametrize("count", [1, 60])
def test_regions_are_small_but_not_too_many(terabytes, count):
    devices = [Device("d", "1:1", int(terabytes * 2e9), 0, 0)] * count
    size = length_of_regions(devices)
    assert size & (size - 1) == 0
    assert sum(-(-one.sectors // size) for one in devices) <= MOST_REGIONS
    smaller = sum(-(-one.sectors // (size // 2)) for one in devices)
    assert size == MIB or smaller > MOST_REGIONS
