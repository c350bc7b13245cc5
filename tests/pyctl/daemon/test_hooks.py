import time
from pathlib import Path

import pytest

from pyctl.daemon.actions import Actions, State
from pyctl.daemon.events import Action
from pyctl.daemon.hooks import Hooks
from pyctl.daemon.store import Store
from tests.pyctl.daemon.policy.making import NOW


@pytest.fixture
def hook(tmp_path):
    """Runs a shell script as a hook; returns the intent at its end."""
    script = tmp_path / "hook"

    def run(text, *arguments, mode=0o755, **more):
        script.write_text(text)
        script.chmod(mode)
        parameters = {
            "program": str(script),
            "arguments": list(arguments),
            "timeout": 10,
            "again": False,
            **more,
        }
        with Store(tmp_path / "db") as store:
            actions = Actions(store, {Action.HOOK: Hooks()}, lambda: NOW)
            return actions.run(actions.order("root", "because", "srv", Action.HOOK, parameters))

    return run


def test_a_hook_gets_its_arguments_as_they_are(hook):
    nasty = ["a b", "$(reboot)", "; rm -rf /", "--device=srv", ""]
    done = hook('#!/bin/sh\nfor one in "$@"; do echo "<$one>"; done\n', *nasty)
    assert done.state is State.DONE
    assert done.result["after"]["said"].splitlines() == [f"<{one}>" for one in nasty]


def test_a_hook_has_an_environment_of_its_own(hook, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    said = hook("#!/bin/sh\nenv; pwd; cat\n").result["after"]["said"].splitlines()
    assert "DM_REMAP_DEVICE=srv" in said
    assert "DM_REMAP_WHY=because" in said
    assert "PATH=/usr/sbin:/usr/bin:/sbin:/bin" in said
    assert not any(line.startswith("SECRET") for line in said)
    assert said[-1] == "/"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\necho no; exit 3\n", "ended with status 3: no"),
        ("#!/bin/sh\nkill -9 $$\n", "ended with status -9"),
        ("#!/nothing/here\n", "Cannot start"),
        ("no program", "Cannot start"),
    ],
)
def test_a_hook_that_fails_says_why(hook, text, words):
    done = hook(text)
    assert done.state is State.FAILED
    assert words in done.result["error"]


def test_a_hook_that_is_not_there(hook):
    assert "Cannot start" in hook("", program="/nothing/here").result["error"]


def test_what_a_hook_prints_is_cut(hook):
    done = hook("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x\n")
    assert done.result["after"]["said"] == "x" * 4096


def test_a_hook_that_takes_too_long_is_ended_with_what_it_started(hook, tmp_path):
    begun = time.monotonic()
    done = hook(f"#!/bin/sh\nsleep 60 &\necho $! >{tmp_path}/pid\nwait\n", timeout=0.5)
    assert "took longer than 0.5 s" in done.result["error"]
    assert time.monotonic() - begun < 30
    assert ended(int((tmp_path / "pid").read_text()))


# Gone, or dead and not waited for yet by whoever adopts orphans here.
def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_hook_that_others_may_change_is_not_started(hook, mode):
    done = hook("#!/bin/sh\n", mode=mode)
    assert "others than root may change it" in done.result["error"]


@pytest.mark.parametrize(("again", "state"), [(True, State.DONE), (False, State.FAILED)])
def test_a_hook_that_was_cut_off_is_repeated_only_if_it_may_be(tmp_path, again, state):
    parameters = {"program": "/bin/true", "arguments": [], "timeout": 10, "again": again}
    with Store(tmp_path / "db") as store:
        actions = Actions(store, {Action.HOOK: Hooks()}, lambda: NOW)
        actions.order("root", "because", "srv", Action.HOOK, parameters)
        # as it is after a kill while it ran
        with store.transaction():
            store.execute("UPDATE actions SET state = 'running', tries = 1")
        (one,) = actions.recover()
    assert one.state is state
    assert again or "is not known" in one.result["error"]


def test_nothing_of_a_hook_can_be_undone():
    hooks = Hooks()
    assert not hooks.undoable(None)
