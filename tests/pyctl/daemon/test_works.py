"""Actions as they reach the kernel."""

import errno

import pytest

from pyctl import spares
from pyctl.control import Control
from pyctl.daemon.actions import Actions, State
from pyctl.daemon.alerts import Alerts, Routes
from pyctl.daemon.events import Action
from pyctl.daemon.store import Store
from pyctl.daemon.works import all_works
from pyctl.errors import MediaError
from pyctl.pool import Pool, SpareRow
from tests.pyctl.daemon.machine import scan_line
from tests.pyctl.daemon.policy.making import NOW


@pytest.fixture
def world(tmp_path, device):
    """Actions on the fake device `d`."""
    with Store(tmp_path / "db") as store:
        alerts = Alerts(store, Routes({}), {}, lambda: NOW)
        works = all_works(lambda _: Control(device), alerts)
        assert set(works) == set(Action)
        actions = Actions(store, works, lambda: NOW)
        actions.alerts = alerts
        yield actions


def do(world, kind, **parameters):
    return world.run(world.order("policy:r", "because", "d", kind, parameters))


def test_sectors_are_moved(world, device):
    kind = Action.REMAP
    device.bad_main = {101}
    done = do(world, kind, ranges=[[100, 4], [4096, 8]], left_out=0)
    assert done.state is State.DONE
    assert sorted(device.remaps) == [*range(100, 104), *range(4096, 4104)]
    assert done.result["before"] == {"used": 0, "lost": 0}
    assert done.result["after"] == {"used": 12, "lost": 1, "remapped": 12, "already": 0}
    again = do(world, kind, ranges=[[100, 4]], left_out=0)
    assert again.result["after"]["already"] == 4


def test_what_can_be_read_is_moved_before_it_fails(world, device):
    """With `remap`, what can't be read would be given up."""
    device.bad_main = {101}
    done = do(world, Action.RELOCATE, ranges=[[100, 4], [2040, 16]], left_out=0)
    assert done.state is State.DONE
    assert sorted(device.remaps) == [100, 102, 103, *range(2040, 2056)]
    assert done.result["before"] == {"used": 0, "lost": 0}
    assert done.result["after"] == {
        "used": 19, "lost": 0, "relocated": 19, "already": 0, "kept": 1
    }  # fmt: skip
    assert not device.lost
    moving = [words for words in device.sent if words[0] not in ("error", "spare")]
    # one MiB at most at a time
    assert moving == [
        ("relocate", "100", "4"), ("relocate", "2040", "8"), ("relocate", "2048", "8")
    ]  # fmt: skip
    again = do(world, Action.RELOCATE, ranges=[[100, 4]], left_out=0)
    assert again.result["after"] | {"used": 0} == {
        "used": 0, "lost": 0, "relocated": 0, "already": 3, "kept": 1
    }  # fmt: skip


def test_a_device_that_is_gone(world, device):
    device.exists = False
    done = do(world, Action.REMAP, ranges=[[0, 1]], left_out=0)
    assert done.state is State.FAILED
    assert "d" in done.result["error"]


def test_a_scan_is_begun_unless_one_runs(world, device):
    device._scan = lambda *words: scan_line(state="running", pattern=words[-1])
    assert do(world, Action.SCAN, pattern="focused").result["after"] == {"scan": "focused"}
    assert device.sent[-1] == ("scan", "start", "focused")
    device.fail = {"scan": errno.EALREADY}
    assert do(world, Action.SCAN, pattern="focused").result["after"] == {"scan": "ran already"}
    device.fail = {"scan": errno.EINVAL}
    assert do(world, Action.SCAN, pattern="focused").state is State.FAILED


def test_a_scan_is_ended_if_one_runs(world, device):
    device._scan = lambda *words: scan_line(state="waiting")
    assert do(world, Action.SCAN_STOP).result["after"] == {"scan": "waiting"}
    assert device.sent[-1] == ("scan", "stop")
    device.fail = {"scan": errno.ENOENT}
    assert do(world, Action.SCAN_STOP).result["after"] == {"scan": "none ran"}
    device.fail = {"scan": errno.EINVAL}
    assert do(world, Action.SCAN_STOP).state is State.FAILED


@pytest.fixture
def pool(monkeypatch):
    """The rows of the pool, and what was done to them."""
    rows = {n: SpareRow(n, f"7:{n}", "in-sync", used=10 * n) for n in (0, 1)}
    done = []
    monkeypatch.setattr(Pool, "find", lambda self, word: rows[int(word)])
    monkeypatch.setattr(Pool, "members", lambda self: list(rows.values()))
    monkeypatch.setattr(spares, "keep", lambda pool, row: done.append(("keep", row.row)))
    return rows, done


def test_a_spare_is_emptied(world, pool, monkeypatch):
    rows, _ = pool

    def evacuate(pool, row):
        rows[row.row] = SpareRow(row.row, row.device, row.state, used=0)
        return row.used

    monkeypatch.setattr(spares, "evacuate", evacuate)
    done = do(world, Action.EVACUATE, spare=1)
    assert done.result == {"before": {"used": 10}, "after": {"used": 0, "moved": 10}}


def test_an_evacuation_that_was_given_up_lets_the_spare_take_blocks_again(world, pool):
    world.order("policy:r", "because", "d", Action.EVACUATE, {"spare": 1})
    with world.store.transaction():
        world.store.execute("UPDATE actions SET state = 'running', tries = 3")
    (one,) = world.recover()
    assert one.state is State.UNDONE
    assert pool[1] == [("keep", 1)]


def test_an_evacuation_that_fails_says_why(world, pool, monkeypatch):
    def fail(pool, row):
        raise MediaError("3 blocks cannot be read.")

    monkeypatch.setattr(spares, "evacuate", fail)
    done = do(world, Action.EVACUATE, spare=1)
    assert (done.state, done.result["error"]) == (State.FAILED, "3 blocks cannot be read.")


def test_a_spare_is_added(world, pool, monkeypatch):
    rows, _ = pool

    def add(pool, path):
        assert path == "/dev/shelf"
        rows[2] = SpareRow(2, "7:2", "in-sync")
        return rows[2]

    monkeypatch.setattr(spares, "add", add)
    done = do(world, Action.SPARE_ADD, pool="shelf", device="/dev/shelf")
    assert done.result == {"before": {"spares": 2}, "after": {"spares": 3, "row": 2}}


def test_a_notice_is_one_alert(world):
    for count in (1, 2):
        done = do(world, Action.NOTIFY, severity="critical", text="x", channels=["pager"])
        assert done.result == {"after": {"alert": 1, "count": count}}
    (alert,) = world.alerts.all()
    assert (alert.key, alert.severity, alert.channels) == ("r/d", "critical", ("pager",))


@pytest.mark.parametrize(
    "kind", [Action.RELOCATE, Action.REMAP, Action.SCAN, Action.SPARE_ADD, Action.NOTIFY]
)
def test_what_is_finished_by_running_it_again_is_not_undone(world, kind):
    work = world.works[kind]
    assert work.repeatable(None)
    assert not work.undoable(None)
