"""What the source makes of the kernel's answers: nothing is lost, queued or told twice."""

import asyncio
import contextlib
from uuid import UUID

import pytest

from pyctl.daemon.events import Action
from pyctl.daemon.source import DeviceMapper, StatusSource
from pyctl.errors import NoKernelError, PyctlError
from pyctl.registry import Registry
from tests.pyctl.daemon.machine import HELP, Machine, a_device

PATIENCE = 20


class Watching:
    """A source that watches a machine, within one event loop."""

    def __init__(self, folder):
        self.machine = Machine(folder)
        self.registry = Registry(folder / "etc", folder / "run")
        self.time = 1000.0
        self.kernel = DeviceMapper(
            self.machine.list_devices, self.machine.open_device, self.registry, lambda: self.time
        )
        self.said = []
        self.looks = []
        self.source = self.another()

    def another(self, **options):
        look = self.kernel.look

        def counted(name):
            self.looks.append(name)
            return look(name)

        self.kernel.look = counted
        options = {"poll": 0.01, "read_every": 3600, "patience": 0.1, **options}
        return StatusSource(self.kernel, self.say, lambda: self.time, **options)

    def say(self, what, **more):
        self.said.append((what, more))

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)

    async def undone(self):
        """The next batch, which is not done."""
        await self.until(lambda: self.source.take().seen)
        return self.source.take()

    async def batch(self, kind="reading"):
        """The next batch with an event of a kind, which is then done."""
        found = []

        def there():
            found[:] = [self.source.take()]
            return any(one.kind == kind for one in found[0].events)

        await self.until(there)
        self.source.done(found[0])
        return [one.kind for one in found[0].events]


@pytest.fixture
def watch(tmp_path):
    """Runs an async function with a Watching whose source watches."""

    def run(function, **options):
        async def whole():
            made = Watching(tmp_path)
            if options:
                made.source = made.another(**options)
            watching = asyncio.create_task(made.source.watch())
            try:
                await function(made)
            finally:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching

        asyncio.run(whole())

    return run


def test_a_batch_stays_until_it_is_done(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", write_errors=2)
        first = await made.undone()
        assert made.source.take() == first
        assert [one.kind for one in first.events] == ["write-error", "reading"]
        # what comes meanwhile is in the same batch, not in a queue
        made.machine.change("d", write_errors=5, read_errors=1)
        await made.until(lambda: made.source.take() != first)
        counts = {one.kind: one.count for one in made.source.take().events}
        assert counts == {"read-error": 1, "write-error": 5, "reading": 1}
        made.source.done(made.source.take())
        assert made.source.take().events == ()

    watch(check)


def test_what_is_seen_behind_a_batch_is_compared_with_it(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", write_errors=2)
        batch = await made.undone()
        made.machine.change("d", write_errors=5)
        await made.until(lambda: made.source.devices()["d"].write_errors == 5)
        made.source.done(batch)
        (error, _) = made.source.take().events
        assert (error.kind, error.count) == ("write-error", 3)

    watch(check)


def test_without_an_event_nobody_looks(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", event=False, write_errors=2)
        await asyncio.sleep(0.3)
        assert made.looks == ["d"]
        assert made.source.take().events == ()
        made.machine.change("d")
        assert await made.batch("write-error") == ["write-error", "reading"]

    watch(check)


def test_once_in_a_while_all_are_looked_at(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", event=False, write_errors=2)
        await made.batch("write-error")

    watch(check, read_every=0.05)


def test_after_a_restart_it_goes_on_from_what_the_store_has(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", write_errors=2)
        batch = await made.undone()
        made.machine.change("d", write_errors=7)
        # what was not written down comes again
        other = made.another()
        other.restore({"d": made.source._watched["d"].base.model_dump_json()})
        watching = asyncio.create_task(other.watch())
        await made.until(lambda: other.take().events)
        assert [one.count for one in other.take().events] == [7, 1]
        watching.cancel()
        # and what was does not
        third = made.another()
        third.restore(batch.seen)
        watching = asyncio.create_task(third.watch())
        await made.until(lambda: third.take().events)
        assert [one.count for one in third.take().events] == [5, 1]
        watching.cancel()

    watch(check)


def test_stopped_in_order(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.time += 500
        # whoever stops it says so when it has gone already
        made.machine.remove("d")
        await made.until(lambda: not made.source.devices()["d"].present)
        made.registry.mark_stopped(UUID(a_device()["set"]), stopped=True)
        assert await made.batch("set-stopped") == ["set-stopped"]
        assert made.source.devices()["d"].time == made.time
        assert made.source.take().events == ()
        made.registry.mark_stopped(UUID(a_device()["set"]), stopped=False)
        made.machine.put("d", a_device())
        assert await made.batch() == ["set-started", "reading"]

    watch(check)


def test_gone_and_nobody_knows_why(watch):
    async def check(made):
        made.machine.put("d", a_device(write_errors=4))
        await made.batch()
        made.machine.remove("d")
        batch = await made.undone()
        assert batch.events == ()
        made.source.done(batch)
        # its last values stay
        assert made.source.devices()["d"].write_errors == 4
        await asyncio.sleep(0.1)
        assert made.source.take().seen == {}

    watch(check)


def test_a_device_that_got_another_table(watch):
    """As `pyctl unwrap` leaves it: the name and the UUID are those of dm-remap."""

    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        made.machine.change("d", kind="linear")
        await made.until(lambda: not made.source.devices()["d"].present)
        await asyncio.sleep(0.1)
        # it is not asked over and over
        assert made.looks == ["d", "d"]
        assert made.said == []

    watch(check)


def test_one_that_hangs_is_told_once_and_looked_at_once(watch):
    async def check(made):
        made.machine.put("d", a_device(hang=["spare"]))
        made.machine.put("e", a_device(1))
        await made.batch()
        await made.until(lambda: made.said)
        made.machine.change("e", write_errors=1)
        await made.batch("write-error")
        assert made.looks.count("d") == 1
        ((what, more),) = [one for one in made.said if "0 s" in one[1].get("why", "")]
        assert (what, more["device"]) == ("cannot be asked", "d")
        made.machine.change("d", hang=[], write_errors=3)
        await made.until(lambda: made.source.devices().get("d"))

    watch(check)


def test_no_device_mapper_is_no_device(tmp_path):
    def without():
        raise NoKernelError("none.")

    kernel = DeviceMapper(without, None, Registry(tmp_path), lambda: 0)
    assert kernel.events() == {}


def test_a_kernel_that_cannot_be_asked_is_told_once(watch):
    async def check(made):
        made.machine.put("d", a_device())
        await made.batch()
        good = made.kernel.events

        def bad():
            raise PyctlError("No.")

        made.kernel.events = bad
        await made.until(lambda: made.said)
        await asyncio.sleep(0.1)
        made.kernel.events = good
        await made.until(lambda: len(made.said) > 1)
        assert [what for what, _ in made.said] == ["cannot be asked", "answers again"]
        # it was there all the time
        assert made.source.devices()["d"].present

    watch(check)


def test_what_the_module_cannot_do(watch):
    async def check(made):
        assert made.source.unavailable() == {}
        made.machine.put("d", a_device(commands=["ping", "help"]))
        await made.batch()
        assert list(made.source.unavailable()) == [Action.SCAN]
        made.machine.change("d", commands=list(HELP))
        await made.batch()
        assert made.source.unavailable() == {}

    watch(check)


def test_devices_of_others_are_asked_seldom(tmp_path):
    machine = Machine(tmp_path)
    machine.put("lv", a_device(prefix=False, kind="linear"))
    machine.put("mine", a_device(1, prefix=False))
    now = [0.0]
    asked = []

    def opened(name):
        asked.append(name)
        return machine.open_device(name)

    kernel = DeviceMapper(machine.list_devices, opened, Registry(tmp_path), lambda: now[0])
    for _ in range(3):
        assert list(kernel.events()) == ["mine"]
    assert asked.count("lv") == 1
    # it may have got a table of dm-remap
    machine.change("lv", kind="remap")
    now[0] = 61
    assert list(kernel.events()) == ["lv", "mine"]
