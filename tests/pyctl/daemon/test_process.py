"""The daemon as a process: real signals, real sockets, real kills."""

import resource
import time
from uuid import UUID

import pytest

from pyctl.daemon.actions import Actions, State
from pyctl.daemon.audit import verify
from pyctl.daemon.store import Store
from pyctl.registry import Registry
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import HELP, a_device
from tests.pyctl.daemon.policy.making import rule
from tests.pyctl.daemon.running import Box, Running, until

ERRORS = rule(
    "{errors: {at-least: 3, within: 1h}}", '- notify: {text: "{why}"}', "cool-down: 1s", "errors"
)
SCAN = rule("{event: [remap]}", "- scan: {}", "cool-down: 1s", "scan")


@pytest.fixture
def running():
    box = Box()
    with folder() as name:
        one = Running(name, box)
        one.write_policy(ERRORS + SCAN)
        one.machine.put("srv", a_device())
        yield one
        one.close()
    box.close()


def saw(running, name="srv"):
    """Waits until the daemon has looked at a device, as it is now, and has written that down."""
    state = running.machine.state(name)
    numbers = [state["read_errors"], state["write_errors"], state["remapped"]]

    def written():
        seen = running.seen().get(name)
        return (
            seen and [seen[key] for key in ("read_errors", "write_errors", "remapped")] == numbers
        )

    until(written, "a look")


def launched(running, *words):
    running.launch(*words)
    return running.wait()


def actions(running):
    with Store(running.folder / "state/daemon.db") as store:
        return Actions(store, {}, time.time).all()


def test_started_and_stopped(running):
    running.start()
    until(lambda: running.notified.count("WATCHDOG=1") > 3, "the watchdog")
    until(lambda: "STATUS=1 devices, 0 actions under way" in running.notified, "the status")
    assert running.stop() == 0
    assert "STOPPING=1" in running.notified
    assert running.told() == ["started", "stopped"]
    assert str(running.folder / "policy.yaml") in running.audit()[0]["why"]
    assert verify(running.folder / "state/audit").problems == ()
    assert (running.folder / "state").stat().st_mode & 0o077 == 0


def test_from_the_kernel_s_counters_to_the_message(running):
    running.start()
    saw(running)
    running.machine.change("srv", write_errors=2)
    saw(running)
    running.machine.change("srv", write_errors=2, read_errors=1)
    until(running.box.got.copy, "the message")
    assert running.stop() == 0
    (message,) = running.box.got
    assert message["subject"] == "[warning] srv: errors"
    assert "any errors within 1h: at least 3 (3)" in message["body"]
    assert running.told()[1:-1] == ["notify planned", "notify running", "notify done"]


def test_what_happened_before_the_first_look_is_not_new(running):
    running.machine.put("srv", a_device(write_errors=50, remapped=7))
    running.start()
    saw(running)
    assert running.stop() == 0
    assert running.box.got == []
    assert running.machine.said("srv") == []


def test_what_happened_meanwhile_is_told_once(running):
    running.start()
    saw(running)
    assert running.stop() == 0
    running.machine.change("srv", write_errors=3)
    for _ in range(2):
        running.start()
        saw(running)
        assert running.stop() == 0
    assert running.box.subjects() == ["[warning] srv: errors"]


def test_counted_once_over_kills(running):
    """However often it is killed: each error and each remap is counted once."""
    errors = 0
    for pause in (0, 0.05, 0.1, 0.2, 0.3, 0.4):
        running.start()
        errors += 10
        running.machine.change("srv", write_errors=errors)
        time.sleep(pause)
        running.kill()
    running.start()
    saw(running)
    assert running.stop() == 0
    with Store(running.folder / "state/daemon.db") as store:
        events = [one for one in store.events() if one.kind == "write-error"]
    # what came before the first look is not counted
    assert errors - 10 <= sum(one.count for one in events) <= errors
    assert verify(running.folder / "state/audit").problems == ()


def test_a_bad_policy_changes_nothing(running):
    running.start()
    saw(running)
    running.write_policy("- name: errors\n  when: {helth: {below: 5}}\n  do: [scan: {}]\n")
    running.hup()
    assert "policy.yaml:6:9: there is no condition 'helth'. Did you mean health?" in running.log
    running.machine.change("srv", write_errors=3)
    until(running.box.got.copy, "the message")
    assert running.stop() == 0
    assert running.told().count("reloaded") == 0


def test_bad_settings_change_nothing(running):
    running.start()
    running.write_settings("colour: red\n")
    running.hup()
    assert "daemon.yaml:8:1: there is no key 'colour' here" in running.log
    assert running.stop() == 0


def test_a_good_policy_counts_from_now_on(running):
    running.start()
    saw(running)
    running.write_policy(rule("{health: {below: 50}}", '- notify: {text: "health"}', name="health"))
    running.hup()
    running.machine.change("srv", write_errors=3, health=40)
    until(running.box.got.copy, "the message")
    assert running.stop() == 0
    assert running.box.subjects() == ["[warning] srv: health"]
    assert running.told().count("reloaded") == 1


def test_wrong_files_are_told_all_and_nothing_starts(running):
    running.write_policy("- name: x\n  when: {helth: {below: 5}}\n  do: [scn: {}]\n")
    for words in ((), ("--check",)):
        assert launched(running, *words) == 2
    assert running.log.count("policy.yaml:6:9: there is no condition 'helth'") == 2
    assert running.log.count("policy.yaml:7:8: there is no action 'scn'") == 2
    assert not (running.folder / "state").exists()
    running.write_policy(ERRORS)
    assert launched(running, "--check") == 0
    assert "nothing is wrong" in running.log


def test_no_second_daemon(running):
    running.start()
    first = running.process
    second = running.launch()
    assert second.wait(30) == 4
    running.process = first
    assert running.stop() == 0
    assert "Only one dm-remapd can run" in running.log


def test_not_with_a_damaged_audit_log(running):
    running.start()
    assert running.stop() == 0
    path = running.folder / "state/audit/audit.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert launched(running) == 1
    assert "was cut" in running.log


def test_an_action_is_done_and_in_the_audit_log(running):
    running.start()
    saw(running)
    running.machine.change("srv", remapped=1)
    until(lambda: "scan done" in running.told(), "the scan")
    assert running.stop() == 0
    assert running.machine.said("srv") == ["scan start sequential"]
    assert running.told()[1:-1] == ["scan planned", "scan running", "scan done"]


def test_killed_within_an_action(running):
    """It is done again, and that is what the log says."""
    running.machine.put("srv", a_device(hang=["behind scan"]))
    running.start()
    saw(running)
    running.machine.change("srv", remapped=1)
    until(lambda: running.machine.said("srv"), "the scan")
    running.kill()
    running.machine.change("srv", hang=[])
    running.start()
    until(lambda: "scan done" in running.told(), "the scan")
    assert running.stop() == 0
    assert running.machine.said("srv") == ["scan start sequential"] * 2
    told = [what for what in running.told() if what.startswith("scan")]
    assert told == ["scan planned", "scan running", "scan running", "scan done"]
    assert verify(running.folder / "state/audit").problems == ()


def test_an_action_that_takes_long_keeps_nothing_else_waiting(running):
    running.machine.put("srv", a_device(hang=["behind scan"]))
    running.machine.put("other", a_device(1))
    running.start()
    saw(running)
    saw(running, "other")
    running.machine.change("srv", remapped=1)
    until(lambda: running.machine.said("srv"), "the scan")
    until(lambda: "STATUS=2 devices, 1 actions under way" in running.notified, "the status")
    # of the same device: messages are not kept waiting; of another: nothing is
    running.machine.change("srv", write_errors=3)
    running.machine.change("other", remapped=1)
    until(running.box.got.copy, "the message")
    until(lambda: running.machine.said("other"), "the other scan")
    running.machine.change("srv", hang=[])
    assert running.stop() == 0
    assert [one.state for one in actions(running)] == [State.DONE] * 3


def test_a_stop_waits_for_what_is_under_way(running):
    running.machine.put("srv", a_device(hang=["behind scan"]))
    running.start()
    saw(running)
    running.machine.change("srv", remapped=1)
    until(lambda: running.machine.said("srv"), "the scan")
    running.process.terminate()
    until(lambda: "STOPPING=1" in running.notified, "the stop")
    running.machine.change("srv", hang=[])
    assert running.wait() == 0
    assert [one.state for one in actions(running)] == [State.DONE]


def test_a_device_that_does_not_answer(running):
    """Others are watched all the same, and nobody waits for it at the end."""
    running.machine.put("srv", a_device(hang=["spare"]))
    running.machine.put("other", a_device(1))
    running.start()
    saw(running, "other")
    running.machine.change("other", write_errors=3)
    until(running.box.got.copy, "the message")
    assert running.stop() == 0
    assert running.box.subjects() == ["[warning] other: errors"]


def test_a_device_that_answers_nonsense(running):
    running.machine.put("other", a_device(1))
    running.start()
    saw(running)
    running.machine.change("srv", garbage=True)
    until(lambda: "cannot be asked" in running.log, "the complaint")
    running.machine.change("other", write_errors=0)
    running.machine.change("srv", garbage=False, write_errors=3)
    until(running.box.got.copy, "the message")
    assert running.stop() == 0
    assert running.log.count("Cannot understand the status line") == 1
    assert running.log.count("answers again") == 1


def test_without_a_scanner_no_scan_is_tried(running):
    running.machine.put("srv", a_device(commands=[one for one in HELP if one != "scan"]))
    running.start()
    saw(running)
    running.machine.change("srv", remapped=1)
    saw(running)
    assert running.stop() == 0
    assert running.machine.said("srv") == []
    assert actions(running) == []


def test_stopped_in_order_or_just_gone(running):
    registry = Registry(running.folder / "etc", running.folder / "run")
    running.machine.put("other", a_device(1))
    running.start()
    saw(running)
    saw(running, "other")
    for name in ("srv", "other"):
        if name == "srv":
            registry.mark_stopped(UUID(running.machine.state(name)["set"]), stopped=True)
        running.machine.remove(name)
    until(lambda: running.seen()["srv"]["stopped"], "the stop")
    until(lambda: not running.seen()["other"]["present"], "the other's end")
    assert running.stop() == 0
    with Store(running.folder / "state/daemon.db") as store:
        stopped = [one.device for one in store.events() if one.kind == "set-stopped"]
    assert stopped == ["srv"]


def test_what_is_not_of_dm_remap_is_left_alone(running):
    running.machine.put("lv", a_device(2, prefix=False, kind="linear"))
    running.machine.put("made-by-hand", a_device(3, prefix=False))
    running.start()
    saw(running, "made-by-hand")
    saw(running)
    assert running.stop() == 0
    with Store(running.folder / "state/daemon.db") as store:
        assert sorted(store.seen()) == ["made-by-hand", "srv"]


def test_a_full_disk_ends_nothing(running):
    """Nothing that came while nothing could be written is lost, or told twice."""
    running.start()
    saw(running)
    pid = running.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    running.machine.change("srv", write_errors=3, remapped=1)
    until(lambda: "tried again until it works" in running.log, "the complaint")
    time.sleep(0.5)
    assert running.process.poll() is None
    assert running.box.got == []
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    until(running.box.got.copy, "the message")
    until(lambda: "scan done" in running.told(), "the scan")
    assert running.stop() == 0
    assert "works again" in running.log
    assert running.box.subjects() == ["[warning] srv: errors"]
    assert running.machine.said("srv") == ["scan start sequential"]
    assert verify(running.folder / "state/audit").problems == ()
    assert running.log.count("tried again until it works") == 1
