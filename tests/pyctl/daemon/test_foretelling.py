"""Weak places as events: by the marks of scans, and by what the probes have measured."""

import asyncio
import contextlib

import pytest

from pyctl.control import Control
from pyctl.daemon.client import Client
from pyctl.daemon.events import Kind
from pyctl.daemon.foretelling import Foretelling
from tests.pyctl.daemon.machine import HELP, Machine, a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.probed import MIB, a_frame, header
from tests.pyctl.daemon.running import Box, Running, until

PATIENCE = 30
CALM, SLOW = 40, 12


class World:
    def __init__(self, folder):
        self.machine = Machine(folder)
        self.said = []
        self.time = 1000.0
        self.foretelling = self.another()

    def another(self, every=0.001, probing=None):
        return Foretelling(
            lambda name: Control(self.machine.open_device(name)),
            lambda what, **more: self.said.append((what, more)),
            lambda: self.time,
            every,
            probing,
        )

    def watch(self, condition, *names, one=None):
        one = one or self.foretelling

        async def run():
            task = asyncio.create_task(one.watch(lambda: names))
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    assert not task.done(), task.result()
                    await asyncio.sleep(0.001)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        asyncio.run(run())

    def hear(self, frames, its=None):
        async def run():
            for frame in frames:
                self.time = 1000 + frame.at
                await self.foretelling._hear(its or header(), frame)

        asyncio.run(run())
        return self.foretelling.take()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def marked(**changed):
    """A device with a region that is slow time and again, and one with blocks that failed."""
    return a_device(
        length=16 * MIB,
        regions=[
            ["-", 2 * MIB, {"slow": 2, "marginal": 2}],
            ["-", 4 * MIB, {"slow": 1}],
            ["0", 6 * MIB, {"slow": 9, "marginal": 9}],
        ],
        candidates=[[2 * MIB + 64, 128], [9 * MIB, 64]],
        entries=[[8 * MIB, 8, "lost"], [8 * MIB + 20, 8, "lost"], [12 * MIB + 500, 8, "remap"]],
        **changed,
    )


def test_places_are_named_as_closely_as_they_are_known(world):
    world.machine.put("srv", marked())
    world.watch(lambda: world.foretelling.take(), "srv")
    found = world.foretelling.take()
    assert {(one.device, one.kind, one.source) for one in found} == {
        ("srv", Kind.WEAK_REGION, "prediction")
    }
    # around what failed, but not in the region before; and slow pieces only
    assert [(one.sector, one.sectors) for one in found] == [
        (8 * MIB, 128),
        (2 * MIB + 64, 128),
    ]
    assert found[0].foretold.reasons[0] == "16 blocks could not be read there lately"
    assert found[1].foretold.reasons[0].startswith("2 pieces of 32 KiB were slow in two scans")
    assert found[1].foretold.score >= 0.5
    assert found[1].foretold.hours in (48, 168)
    assert "pyctl scan candidates" in found[1].foretold.advice
    assert found[1].text.startswith("the region of 1 MiB at sector 4096 may fail within ")
    assert found[1].foretold.reasons[0] in found[1].text


def test_what_was_told_is_told_again_after_a_day(world):
    world.machine.put("srv", marked())
    world.watch(lambda: world.foretelling.take(), "srv")
    found = world.foretelling.take()
    assert len(found) == 2
    world.foretelling.done(found[:1])
    assert world.foretelling.take() == found[1:]
    world.foretelling.done(found)
    looks = world.machine.asked("srv")
    # six to a look
    world.watch(lambda: world.machine.asked("srv") > looks + 20, "srv")
    assert not world.foretelling.take()
    world.time += 86_400
    world.watch(lambda: world.foretelling.take(), "srv")
    assert len(world.foretelling.take()) == 2


def test_a_device_that_cannot_answer_keeps_no_other_waiting(world):
    world.machine.put("bad", a_device(1, garbage=True, entries=[[0, 8, "lost"]]))
    world.machine.put("hangs", a_device(2, hang=["help"]))
    world.machine.put("srv", marked())
    world.watch(lambda: world.foretelling.take() and world.said, "bad", "hangs", "srv")
    assert {one.device for one in world.foretelling.take()} == {"srv"}
    assert [more["device"] for _, more in world.said] == ["bad"]
    world.machine.change("hangs", hang=[])


def test_a_module_without_a_scanner_has_no_marks(world):
    world.machine.put("old", marked(commands=[one for one in HELP if one != "scan"]))
    world.machine.put("srv", {**marked(), "number": 1})
    world.watch(lambda: world.foretelling.take(), "old", "srv")
    assert {one.device for one in world.foretelling.take()} == {"srv"}


def test_a_region_that_gets_slow_is_told_with_its_reasons(world):
    assert world.hear(map(a_frame, range(CALM))) == ()
    found = world.hear(a_frame(n, slow=5) for n in range(CALM, CALM + SLOW))
    (one,) = found
    assert (one.sector, one.sectors, one.source) == (5 * MIB, MIB, "prediction")
    assert any("times what it used to" in each for each in one.foretold.reasons)
    assert 0 < one.foretold.confidence < 1


def test_it_says_when_the_past_of_regions_is_known(world):
    world.hear(map(a_frame, range(29)))
    assert not world.said
    world.hear(map(a_frame, range(29, CALM)))
    assert world.said == [("its regions are compared with their own past now", {"device": "srv"})]


def test_all_regions_at_once_are_no_matter_of_a_region(world):
    world.hear(map(a_frame, range(CALM)))
    assert world.hear(a_frame(n, least=500) for n in range(CALM, CALM + SLOW)) == ()


def test_another_layout_begins_anew(world):
    world.hear(map(a_frame, range(CALM)))
    (device,) = header().devices
    other = header(type(device)("srv", "254:0", 4 * MIB, MIB // 2, 8))
    assert world.hear((a_frame(n, slow=5) for n in range(CALM, CALM + SLOW)), other) == ()


def test_a_region_that_is_too_large_to_be_moved_has_no_place(world):
    (device,) = header().devices
    large = header(type(device)("srv", "254:0", 8 * 131072, 131072, 8))
    world.hear(map(a_frame, range(CALM)), large)
    (one,) = world.hear((a_frame(n, slow=5) for n in range(CALM, CALM + SLOW)), large)
    assert (one.sector, one.sectors) == (None, None)
    assert f"64 MiB at sector {5 * 131072}" in one.text


def test_it_watches_with_probes(world):
    class Probing:
        async def watch(self, devices, heard):
            for number in range(CALM + SLOW):
                await heard(header(), a_frame(number, slow=5 if number > CALM else None))
            await asyncio.sleep(PATIENCE)

    one = world.another(every=3600, probing=Probing())
    world.watch(one.take, "srv", one=one)
    assert [event.sector for event in one.take()] == [5 * MIB]


def test_memory_is_bounded(world, monkeypatch):
    monkeypatch.setattr("pyctl.daemon.foretelling._WAITING", 1)
    monkeypatch.setattr("pyctl.daemon.foretelling._AT_ONCE", 3)
    monkeypatch.setattr("pyctl.daemon.foretelling._TOLD", 4)
    lost = [[n * MIB, 8, "lost"] for n in range(9)]
    world.machine.put("srv", a_device(length=16 * MIB, entries=lost))
    world.watch(lambda: world.machine.asked("srv") > 40, "srv")
    assert len(world.foretelling.take()) == 1
    assert len(world.foretelling._known["srv"].told) <= 4


def test_a_daemon_moves_what_is_foretold_and_the_reasons_are_everywhere(tmp_path):
    box = Box()
    running = Running(tmp_path, box)
    try:
        running.write_settings("foretell: {every: 1s}\ndisks: null\n")
        running.write_policy(
            rule(
                "{events: {kinds: [weak-region], at-least: 1, within: 1d}}",
                '- relocate: {}\n  - notify: {text: "{why}"}',
                "cool-down: 1h",
            )
        )
        running.machine.put("srv", marked(commands=[*HELP, "relocate"], keeps_scans=True))
        running.start()
        until(lambda: "relocate done" in running.told(), "the relocation")
        until(lambda: box.got, "the message")
        events = Client(running.socket).get("/v1/events?kind=weak-region")
        assert running.stop() == 0
    finally:
        running.close()
        box.close()
    assert sorted(running.machine.said("srv")) == ["relocate 16384 128", "relocate 4160 128"]
    (record,) = [one for one in running.audit() if one["what"] == "relocate done"]
    assert record["who"] == "policy:r"
    assert "2 pieces of 32 KiB were slow in two scans" in record["why"]
    assert record["after"]["relocated"] == 256
    assert any("2 pieces of 32 KiB were slow" in str(one) for one in box.got)
    assert {one["foretold"]["hours"] for one in events} <= {48, 168}
    assert len(events) == 2
