"""A storm of events takes no more memory the longer it lasts, and nothing of it is lost."""

import tracemalloc
from pathlib import Path

from pyctl.daemon.alerts import Alerts, Routes
from pyctl.daemon.audit import Audit
from pyctl.daemon.core import Core
from pyctl.daemon.policy.loading import load_policy
from pyctl.daemon.store import Store
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.policy.making import NOW, event

POLICY = Path(__file__).resolve().parents[3] / "packaging/policy/default.yaml"
LOOKS, EVENTS, DEVICES = 16, 1000, 5


def storm(look):
    first = look * EVENTS
    return [
        event(
            "write-error" if number % 2 else "remap",
            NOW + look,
            device=f"d{number % DEVICES}",
            source="k",
            seq=number,
            sector=number * 8,
            sectors=8,
        )
        for number in range(first, first + EVENTS)
    ]


def test_a_storm():
    with folder() as name, Store(Path(name) / "db") as store, Audit(Path(name)) as log:
        now = [float(NOW)]

        def clock():
            return now[0]

        core = Core(
            store, log, Alerts(store, Routes({}), {}, clock), load_policy(POLICY), {}, clock
        )
        used = []
        tracemalloc.start()
        try:
            for look in range(LOOKS):
                now[0] = NOW + look
                core.hear(storm(look))
                used.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        # by half time all that is bounded is full
        assert used[-1] - used[LOOKS // 2] < 500_000
        assert len(list(store.events())) == LOOKS * EVENTS
        assert store.gaps() == []
        # thousands of errors, and one scan of each device
        scans = [one for one in core.pending() if one.kind == "scan"]
        assert sorted(one.device for one in scans) == [f"d{number}" for number in range(DEVICES)]
