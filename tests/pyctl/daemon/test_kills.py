"""kill -9 in the middle of each kind of action: it is finished or undone, and nothing comes twice.

The processes are real; what the devices do is what deadly.py says.
"""

import itertools
import time

import pytest

from pyctl.daemon.actions import Actions, State
from pyctl.daemon.alerts import Alerts, Routes
from pyctl.daemon.audit import verify
from pyctl.daemon.events import Action
from pyctl.daemon.store import Store
from tests.pyctl.daemon.deadly import Process
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import Box, Running, until

POINTS = ("begin", "before", "during", "after", "recorded")
NEVER = rule("{health: {below: 1}}", '- notify: {text: "x"}', name="never")
# Two messages to the kernel.
RANGES = [[0, 2048], [8192, 100]]
MOVED = [*range(2048), *range(8192, 8292)]
HOOK = """#!/bin/sh
echo begun >>{folder}/hook
if [ "$POINT" = during ] && [ ! -e {folder}/killed ]; then
	touch {folder}/killed
	kill -9 $PPID
fi
echo ended >>{folder}/hook
"""
KINDS = {
    "remap": (Action.REMAP, {"ranges": RANGES}),
    "relocate": (Action.RELOCATE, {"ranges": RANGES}),
    "scan": (Action.SCAN, {"pattern": "focused"}),
    "evacuate": (Action.EVACUATE, {"spare": 1}),
    "spare-add": (Action.SPARE_ADD, {"device": "/dev/shelf-1"}),
    "notify": (Action.NOTIFY, {"severity": "warning", "text": "x", "channels": []}),
    "hook": (Action.HOOK, {"arguments": [], "timeout": 60, "again": False}),
    "hook-again": (Action.HOOK, {"arguments": [], "timeout": 60, "again": True}),
}


class Deadly(Running):
    """A daemon that dies once at a point."""

    def launch(self, **environment):
        notify = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        self.process = Process(self.folder, {**notify, **environment})
        return self.process

    def wait(self):
        status = super().wait()
        self.log = (self.folder / "log").read_text()
        return status

    def write_settings(self, text="", api="", way=""):
        super().write_settings(text, api)
        path = self.folder / "daemon.yaml"
        path.write_text(path.read_text().replace("/'}}}", f"/'{way}}}}}}}"))

    def store(self):
        (self.folder / "state/audit").mkdir(mode=0o700, parents=True, exist_ok=True)
        return Store(self.folder / "state/daemon.db")

    def died_at(self, point):
        """Starts it, and waits until it has killed itself there."""
        self.launch(POINT=point)
        assert self.wait() == -9, self.log
        assert (self.folder / "killed").exists()


@pytest.fixture
def deadly():
    box = Box()
    with folder() as name:
        one = Deadly(name, box)
        one.write_policy(NEVER)
        one.machine.put("srv", a_device(spares=[["in-sync", 100, 0], ["in-sync", 100, 300]]))
        yield one
        one.close()
    box.close()


def planned(deadly, name, point):
    """Writes an action down, as a rule does."""
    kind, parameters = KINDS[name]
    if kind is Action.HOOK:
        program = deadly.folder / "hook.sh"
        text = HOOK.replace("$POINT", point).format(folder=deadly.folder)
        program.write_text(text)
        program.chmod(0o700)
        parameters = {**parameters, "program": str(program)}
    with deadly.store() as store:
        return Actions(store, {}, time.time).order("policy:r", "because", "srv", kind, parameters)


def ended(deadly, message):
    """The action, when the daemon has been stopped in order after it was brought to its end."""
    deadly.start()
    until(lambda: any(what.split()[-1] in ("done", "failed") for what in deadly.told()), "its end")
    until(lambda: deadly.seen().get("srv"), "a look")
    if message:
        until(deadly.box.got.copy, "the message")
    assert deadly.stop() == 0
    with deadly.store() as store:
        (one,) = Actions(store, {}, time.time).all()
        assert store.outbox() == []
    return one


def lines(path):
    return path.read_text().split() if path.exists() else []


def effects(deadly, name):
    """What the action has done, as often as it did."""
    state = deadly.machine.state("srv")
    said = deadly.machine.said("srv")
    match name:
        case "remap" | "relocate":
            assert {one.split()[0] for one in said} == {name}
            return state["moved"], len(said)
        case "scan":
            return state["scan"]["state"], said.count("scan start focused")
        case "evacuate":
            return state["spares"][1][2], len([one for one in said if "migrate" in one])
        case "spare-add":
            return (state["attached"], len(state["spares"])), len(state["attached"])
        case "notify":
            with deadly.store() as store:
                (alert,) = Alerts(store, Routes({}), {}, time.time).all()
            return alert.text, len(deadly.box.got)
        case _:
            found = lines(deadly.folder / "hook")
            return found[-1:], found.count("begun")


# What is there in the end, and how often it may have been done.
WHOLE = {
    "remap": (MOVED, (2, 3, 4)),
    "relocate": (MOVED, (2, 3, 4)),
    "scan": ("running", (1,)),
    "evacuate": (0, (2, 3)),
    "spare-add": ((["/dev/shelf-1"], 3), (1,)),
    "notify": ("x", (1,)),
    "hook": (["ended"], (1,)),
    "hook-again": (["ended"], (1, 2)),
}


@pytest.mark.parametrize(("name", "point"), list(itertools.product(KINDS, POINTS)))
def test_an_action_is_finished_or_undone_and_nothing_comes_twice(deadly, name, point):
    planned(deadly, name, point)
    deadly.died_at(point)
    one = ended(deadly, message=name == "notify")
    done, times = WHOLE[name]
    # nobody may run it twice, and nobody can know whether it ran
    if name == "hook" and point in ("before", "during", "after"):
        assert one.state is State.FAILED
        assert "interrupted" in one.result["error"]
        done, times = ([], (0,)) if point == "before" else (done, times)
    else:
        assert one.state is State.DONE
    if name.startswith("hook") and one.state is not State.DONE and point == "during":
        until(lambda: lines(deadly.folder / "hook")[-1:] == ["ended"], "the hook's own end")
    found, often = effects(deadly, name)
    assert found == done
    assert often in times
    audit = [record for record in deadly.audit() if record.get("action") == one.id]
    told = [record["what"].split()[1] for record in audit]
    assert told[0] == "planned"
    assert told[-1] == one.state.value
    assert told.count(one.state.value) == 1
    assert told.count("running") <= 2
    assert verify(deadly.folder / "state/audit").problems == ()
    assert len(deadly.box.got) == (name == "notify")


class Got(list):
    """What a web hook got; it may end the daemon before that has an answer."""

    victim = None

    def append(self, one):
        super().append(one)
        victim, self.victim = self.victim, None
        if victim:
            victim.process.kill()


def sent(deadly):
    with deadly.store() as store:
        (one,) = Alerts(store, Routes({}), {}, time.time).deliveries()
    return one.state.value


@pytest.mark.parametrize(
    ("point", "repeatable"), list(itertools.product(("taken", "answer", "sent"), (False, True)))
)
def test_a_message_is_sent_once_unless_its_receiver_tells_repetitions(deadly, point, repeatable):
    deadly.box.got = Got()
    if repeatable:
        deadly.write_settings(way=", repeatable: true")
    planned(deadly, "notify", point)
    if point == "answer":
        deadly.box.got.victim = deadly
        deadly.launch()
        assert deadly.wait() == -9, deadly.log
    else:
        deadly.died_at(point)
    arrived = len(deadly.box.got)
    assert arrived == (0 if point == "taken" else 1)
    assert sent(deadly) == "sending"
    for _ in range(2):
        deadly.start()
        until(lambda: len(deadly.box.got) == arrived + repeatable, "what is sent again")
        until(lambda: deadly.seen().get("srv"), "a look")
        assert deadly.stop() == 0
    assert sent(deadly) == ("sent" if repeatable else "unknown")
    assert len(deadly.box.got) == arrived + repeatable
    assert len({one["id"] for one in deadly.box.got}) <= 1
    assert verify(deadly.folder / "state/audit").problems == ()
