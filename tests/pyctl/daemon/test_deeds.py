"""What the kernel did, as records of the audit log."""

import json

from pyctl.daemon.deeds import deeds
from pyctl.daemon.events import iso
from tests.pyctl.daemon.policy.making import NOW, event


def seen(**counts):
    return json.dumps({"remapped": 0, "lost": 0, "health": 90, **counts})


def test_remaps_with_where_how_many_and_with_which_errors():
    events = [
        event("write-error", NOW, device="srv", count=3, sector=800, sectors=3),
        event("remap", NOW, device="srv", count=2, sector=800, sectors=2),
        event("remap", NOW, device="srv", count=1),
        event("remap", NOW, device="other", count=5),
        event("lost", NOW, device="srv", count=1, sector=900, sectors=1),
        event("read-error", NOW, device="srv", count=1),
    ]
    before = {"srv": seen(remapped=4), "other": seen()}
    after = {"srv": seen(remapped=7, lost=1), "other": seen(remapped=5)}
    other, remapped, lost = deeds(events, before, after)
    assert remapped == {
        "time": iso(NOW),
        "who": "kernel",
        "what": "remap",
        "why": "heard with 1 read-error and 3 write-error",
        "device": "srv",
        "before": {"remapped": 4, "lost": 0},
        "after": {"remapped": 7, "lost": 1},
        "count": 3,
        "sectors": [[800, 2]],
    }
    assert (lost["what"], lost["count"], lost["sectors"]) == ("lost", 1, [[900, 1]])
    assert (other["device"], other["count"], other["why"]) == ("other", 5, "heard without an error")


def test_spares_and_sets():
    events = [
        event("set-stopped", NOW, device="srv"),
        event("spare-failed", NOW, device="srv", spare=2),
        event("spare-failed", NOW, device="srv", spare=3),
    ]
    failed, stopped = deeds(events, {}, {})
    assert (failed["what"], failed["spares"], failed["before"]) == ("spare-failed", [2, 3], None)
    assert (stopped["what"], stopped["count"]) == ("set-stopped", 1)


def test_what_moves_no_data_is_no_deed():
    assert deeds([event("read-error", NOW), event("scan-done", NOW)], {}, {}) == []


def test_a_device_that_was_never_seen_has_nothing_before():
    (remapped,) = deeds([event("remap", NOW, device="srv")], {}, {"srv": seen(remapped=1)})
    assert (remapped["before"], remapped["after"]) == (None, {"remapped": 1, "lost": 0})
