"""One turn of the daemon, and what it does when something fails in it."""

import asyncio

import pytest

from pyctl.control import Control
from pyctl.daemon.audit import Audit
from pyctl.daemon.metrics import Metrics
from pyctl.daemon.process import Daemon, Loaded
from pyctl.daemon.settings import Settings
from pyctl.daemon.snapshot import look
from pyctl.daemon.source import StatusSource
from pyctl.daemon.store import Store
from pyctl.errors import PyctlError
from tests.pyctl.daemon.machine import Machine, a_device
from tests.pyctl.daemon.policy.making import NOW, policy, rule
from tests.pyctl.daemon.test_core import core

POLICY = policy(rule("{event: [write-error]}", "- notify: {text: x}", "cool-down: 1s"))


class Turns:
    """A daemon whose turns are taken one by one; `see` is what the source sees of the device."""

    def __init__(self, folder, store, log):
        self.machine = Machine(folder)
        self.machine.put("d", a_device())
        self.core = core(folder, store, log, made=POLICY)
        self.source = StatusSource(None, lambda *_, **__: None, lambda: NOW)
        loaded = Loaded(Settings(), POLICY, folder / "policy.yaml", "", {})
        self.daemon = Daemon(loaded, None, self.source, self.core, lambda _: None, Metrics())

    def see(self, **changed):
        self.machine.change("d", **changed)
        now = look(Control(self.machine.open_device("d")), NOW)
        self.source.restore({} if "d" in self.source._watched else {"d": now.model_dump_json()})
        self.source._watched["d"].now = now

    def errors(self):
        return sum(one.count for one in self.core.store.events() if one.kind == "write-error")


@pytest.fixture
def turns(tmp_path):
    """Runs a function with Turns within an event loop."""

    def run(function):
        async def whole():
            with Store(tmp_path / "db") as store, Audit(tmp_path) as log:
                made = Turns(tmp_path, store, log)
                await function(made)
                await made.daemon.runner.drain(10)
                await made.daemon.courier.drain(10)

        asyncio.run(whole())

    return run


def broken(*_, **__):
    raise PyctlError("No room.")


def test_the_audit_log_takes_nothing_for_a_while(turns, monkeypatch):
    """The events are in the store then: they don't come twice, and nothing is done unlogged."""

    async def check(made):
        made.see()
        made.daemon.tick()
        monkeypatch.setattr(made.core.audit, "extend", broken)
        made.see(write_errors=2)
        made.daemon.tick()
        assert "No room." in made.daemon.status()
        made.daemon.tick()
        made.daemon.tick()
        assert made.errors() == 2
        assert [one.tries for one in made.core.pending()] == [0]
        monkeypatch.undo()
        made.daemon.tick()
        assert "No room." not in made.daemon.status()
        await made.daemon.runner.drain(10)
        assert made.errors() == 2
        assert made.core.pending() == []

    turns(check)


def test_the_store_takes_nothing_for_a_while(turns, monkeypatch):
    async def check(made):
        made.see()
        made.daemon.tick()
        monkeypatch.setattr(made.core.store, "add_events", broken)
        made.see(write_errors=2)
        made.daemon.tick()
        made.see(write_errors=5)
        made.daemon.tick()
        assert made.errors() == 0
        monkeypatch.undo()
        made.daemon.tick()
        assert made.errors() == 5

    turns(check)


def test_what_has_happened_is_written_down_when_there_is_room(turns, monkeypatch):
    """An action has ended, and the store takes nothing: it is tried until it does."""

    async def check(made):
        made.see()
        made.daemon.tick()
        made.see(write_errors=1)
        monkeypatch.setattr("pyctl.daemon.runner._PAUSE", 0.02)
        monkeypatch.setattr(made.core.actions, "finish", broken)
        made.daemon.tick()
        await asyncio.sleep(0.2)
        assert await made.daemon.runner.drain(0.1) == 1
        assert [one.state for one in made.core.actions.all()] == ["running"]
        monkeypatch.undo()
        assert await made.daemon.runner.drain(10) == 0
        assert [one.state for one in made.core.actions.all()] == ["done"]

    turns(check)


def test_a_watcher_that_fails_ends_the_daemon(turns):
    async def check(made):
        async def watch():
            made.source.polled = True
            await asyncio.sleep(0.05)
            raise ZeroDivisionError

        made.source.watch = watch
        async with asyncio.timeout(20):
            with pytest.raises(ZeroDivisionError):
                await made.daemon.run()

    turns(check)
