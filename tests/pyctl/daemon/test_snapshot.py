"""The events between two moments of a device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.control import Control
from pyctl.daemon.snapshot import SOURCE, Snapshot, changes, first_sight, look, reading
from pyctl.errors import NotFoundError, PyctlError
from tests.pyctl.daemon.machine import Machine, a_device

NOW = 1_800_000_000.0


def snapshot(tmp_path, **changed):
    machine = Machine(tmp_path)
    machine.put("d", a_device(**changed))
    return look(Control(machine.open_device("d")), NOW)


def told(before, now):
    return [(one.kind.value, one.count, one.spare) for one in changes("d", before, now)]


def test_all_that_the_kernel_says(tmp_path):
    one = snapshot(
        tmp_path,
        health=81,
        read_errors=3,
        write_errors=4,
        remapped=250,
        lost=2,
        below=5,
        mode="fail",
        breaker="open",
        space="low",
        copy="running",
        spares=[["in-sync", 90, 12], ["left", 100, 0], ["missing", 100, 3]],
    )
    assert (one.health, one.read_errors, one.write_errors) == (81, 3, 4)
    assert (one.remapped, one.lost, one.used, one.capacity, one.below) == (250, 2, 250, 1000, 5)
    assert (one.failed, one.breaker_open, one.space, one.copy_phase) == (
        True,
        True,
        "low",
        "running",
    )
    assert one.fill == 25
    # what has left the set is none of it
    assert [(s.row, s.state, s.health, s.used) for s in one.spares] == [
        (0, "in-sync", 90, 12),
        (2, "missing", 100, 3),
    ]
    assert "scan" in one.commands
    assert Snapshot.model_validate_json(one.model_dump_json()) == one


def test_what_cannot_be_understood_is_an_error(tmp_path):
    with pytest.raises(PyctlError, match="Cannot understand"):
        snapshot(tmp_path, garbage=True)
    with pytest.raises(PyctlError, match="below='many'"):
        snapshot(tmp_path, below="many")
    with pytest.raises(NotFoundError):
        look(Control(Machine(tmp_path).open_device("gone")), NOW)


def test_a_reading(tmp_path):
    event = reading("d", snapshot(tmp_path, health=70, remapped=500, lost=1, below=2))
    assert (event.kind, event.source) == ("reading", SOURCE)
    got = event.reading
    assert (got.health, got.spare_fill, got.lost, got.below_redundancy) == (70, 50, 1, 2)
    assert got.spare_full_in == float("inf")
    assert [one.index for one in got.spares] == [0, 1]
    # nobody has measured it, which is not the same as 0
    assert (got.temperature, got.prediction) == (None, None)
    full = reading("d", snapshot(tmp_path, remapped=1000))
    assert full.reading.spare_full_in == 0


@pytest.mark.parametrize(
    ("changed", "events"),
    [
        ({}, []),
        ({"health": 12}, []),
        ({"read_errors": 15}, [("read-error", 5, None)]),
        ({"write_errors": 11, "remapped": 12}, [("write-error", 1, None), ("remap", 2, None)]),
        ({"lost": 13}, [("lost", 3, None)]),
        # moved back, written again: no event
        ({"remapped": 4, "lost": 0}, []),
        # somebody has cleared the counters, and there were two errors since
        ({"read_errors": 2}, [("read-error", 2, None)]),
        ({"mode": "fail"}, [("set-failed", 1, None)]),
        ({"breaker": "open"}, [("breaker-open", 1, None)]),
        ({"space": "low"}, [("space-low", 1, None)]),
        ({"space": "full"}, [("space-full", 1, None)]),
        ({"copy": "running"}, []),
        ({"copy": "copied"}, [("copy-done", 1, None)]),
        ({"copy": "failed"}, [("copy-failed", 1, None)]),
        ({"spares": [["failed", 100, 0], ["in-sync", 100, 0]]}, [("spare-failed", 1, 0)]),
        ({"spares": [["in-sync", 100, 0], ["missing", 100, 0]]}, [("spare-missing", 1, 1)]),
        ({"spares": [["in-sync", 100, 0]]}, [("spare-removed", 1, 1)]),
        ({"spares": [["in-sync", 1, 0]] * 3}, [("spare-added", 1, 2)]),
        (
            {"set": "bbbbbbbb-0000-4000-8000-000000000000", "write_errors": 99, "lost": 99},
            [("set-started", 1, None)],
        ),
    ],
)
def test_changes(tmp_path, changed, events):
    start = {"read_errors": 10, "write_errors": 10, "remapped": 10, "lost": 10}
    before = snapshot(tmp_path, **start)
    assert told(before, snapshot(tmp_path, **{**start, **changed})) == events


def test_what_gets_better_is_no_news_but_a_spare(tmp_path):
    bad = snapshot(
        tmp_path,
        mode="fail",
        breaker="open",
        space="full",
        copy="failed",
        spares=[["failed", 1, 0], ["missing", 1, 0]],
    )
    assert told(bad, snapshot(tmp_path)) == [("spare-returned", 1, 0), ("spare-returned", 1, 1)]
    assert told(bad, bad) == []


def test_a_scan_is_told_when_it_begins_and_when_all_was_read(tmp_path):
    def scan(**state):
        return snapshot(tmp_path, scan={"state": "waiting", "pass": 1, "last": 100, **state})

    rests, runs = scan(), scan(state="running", **{"pass": 2})
    assert told(first_sight(rests), rests) == [("set-started", 1, None)]
    assert told(rests, runs) == [("scan-started", 1, None)]
    # whatever it waits for, it is the same scan
    for state in ("paused", "suspended", "running"):
        assert told(runs, scan(state=state, **{"pass": 2})) == []
    # stopped, and at its end
    assert told(runs, scan(**{"pass": 2})) == []
    assert told(runs, scan(last=200, **{"pass": 2})) == [("scan-done", 1, None)]
    # it was over before anybody looked, and the next one is under way
    assert told(rests, scan(state="running", last=200, **{"pass": 3})) == [
        ("scan-done", 1, None),
        ("scan-started", 1, None),
    ]
    # one that was under way when it was seen first
    assert told(first_sight(runs), runs)[1:] == [("scan-started", 1, None)]


def test_a_module_without_a_scanner_is_not_asked_for_scans(tmp_path):
    old = snapshot(tmp_path, commands=["ping", "help"], scan={"state": "garbage"})
    assert (old.scan, old.scanned) == (None, 0)
    # as an older daemon has written it down
    body = old.model_dump(exclude={"scan", "scanned"}, mode="json")
    assert Snapshot.model_validate(body) == old


def test_a_set_that_was_started_again_with_older_counters(tmp_path):
    before = snapshot(tmp_path, write_errors=10).model_copy(update={"present": False})
    assert told(before, snapshot(tmp_path, write_errors=8)) == [("set-started", 1, None)]
    assert told(before, snapshot(tmp_path, write_errors=12)) == [
        ("set-started", 1, None),
        ("write-error", 2, None),
    ]


def test_at_first_sight_what_is_bad_is_told_and_what_was_counted_is_not(tmp_path):
    now = snapshot(
        tmp_path,
        write_errors=50,
        remapped=20,
        mode="fail",
        space="low",
        spares=[["in-sync", 100, 0], ["failed", 100, 0]],
    )
    assert told(first_sight(now), now) == [
        ("set-started", 1, None),
        ("set-failed", 1, None),
        ("space-low", 1, None),
        ("spare-failed", 1, 1),
    ]


@given(st.lists(st.integers(0, 50), min_size=1), st.data())
def test_however_often_one_looks_the_counts_are_the_same(steps, data):
    """Looks coalesce: what several tell in turn, one tells at once."""
    base = Snapshot(
        time=NOW,
        set="s",
        health=100,
        read_errors=0,
        write_errors=0,
        remapped=0,
        lost=0,
        used=0,
        capacity=1,
        below=0,
        unit_bytes=512,
        failed=False,
        breaker_open=False,
        space="ok",
        copy_phase="off",
        full_at=None,
        spares=(),
        commands=frozenset(),
    )
    total, last, count = 0, base, 0
    for step in steps:
        total += step
        if data.draw(st.booleans()):
            now = base.model_copy(update={"write_errors": total})
            count += sum(one.count for one in changes("d", last, now))
            last = now
    end = base.model_copy(update={"write_errors": total})
    count += sum(one.count for one in changes("d", last, end))
    assert count == sum(one.count for one in changes("d", base, end)) == total
