"""What Prometheus scrapes, by its own parser, and the table in docs/metrics.md."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyctl.daemon.metrics import METRICS
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import until
from tests.pyctl.daemon.test_api import served

DOCS = Path(__file__).resolve().parents[3] / "docs/metrics.md"


@pytest.fixture(scope="module")
def daemon():
    with served() as own:
        own.machine.put(
            'od"d',
            a_device(
                1,
                health=42,
                read_errors=3,
                lost=2,
                remapped=10,
                mode="fail",
                breaker="open",
                space="full",
                spares=[["in-sync", 77, 5], ["missing", 1, 0]],
            ),
        )
        until(lambda: own.seen().get('od"d'), "the look")
        own.raise_alert()
        own.machine.change("srv", remapped=1)
        until(lambda: own.machine.said("srv"), "the scan")
        until(lambda: own.client.get("/v1/actions")[0]["state"] == "done", "its end")
        yield own


def scrape(daemon):
    """Samples by name, and by their labels."""
    status, text, headers = daemon.call("GET", "/metrics", role="viewer")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels.values())] = (one.labels, one.value)
    return found


def value(found, name, **labels):
    (one,) = [number for had, number in found[name].values() if labels.items() <= had.items()]
    return one


def test_values(daemon):
    found = scrape(daemon)
    odd = {"device": 'od"d', "set": a_device(1)["set"]}
    for name, wanted in (
        ("up", 1),
        ("health_score", 42),
        ("read_errors_total", 3),
        ("lost_blocks", 2),
        ("remapped_blocks", 10),
        ("table_used_blocks", 10),
        ("table_capacity_blocks", 1000),
        ("block_bytes", 512),
        ("failed", 1),
        ("breaker_open", 1),
        ("space_low", 1),
    ):
        assert value(found, f"dm_remap_{name}", **odd) == wanted, name
    assert value(found, "dm_remap_failed", device="srv") == 0
    assert value(found, "dm_remap_spare_in_sync", spare="0", **odd) == 1
    assert value(found, "dm_remap_spare_in_sync", spare="1", **odd) == 0
    assert value(found, "dm_remap_spare_health_score", spare="0", **odd) == 77
    assert value(found, "dm_remap_daemon_events_total", kind="write-error") == 3
    assert value(found, "dm_remap_daemon_actions_total", kind="scan", state="done") == 1
    assert value(found, "dm_remap_daemon_alerts", severity="warning", state="open") == 1
    assert value(found, "dm_remap_daemon_info", policy="test") == 1
    assert value(found, "dm_remap_daemon_trouble") == 0
    assert found["dm_remap_daemon_look_seconds_count"][()][1] >= 2
    assert found["process_resident_memory_bytes"][()][1] > 1e6
    # nobody knows when they will be full, which is not never and not now
    assert "dm_remap_spares_full_timestamp_seconds" not in found


def test_a_device_that_has_gone_stays(daemon):
    daemon.machine.put("old", a_device(2, write_errors=9))
    until(lambda: daemon.seen().get("old"), "the look")
    daemon.machine.remove("old")
    until(lambda: not daemon.seen()["old"]["present"], "its end")
    found = scrape(daemon)
    assert value(found, "dm_remap_up", device="old") == 0
    assert value(found, "dm_remap_write_errors_total", device="old") == 9
    assert daemon.stop() == 0
    daemon.start()
    until(lambda: daemon.client.get("/v1/status")["devices_up"] == 2, "the others")
    found = scrape(daemon)
    assert value(found, "dm_remap_up", device="old") == 0
    assert value(found, "dm_remap_write_errors_total", device="old") == 9


def test_every_metric_has_the_labels_of_the_table(daemon):
    daemon.learn(temperature=47, prediction=0.031)
    found = scrape(daemon)
    assert value(found, "dm_remap_temperature_celsius", device="srv") == 47
    assert value(found, "dm_remap_failure_probability", device="srv") == 0.031
    for meter in METRICS:
        names = [meter.name]
        if meter.type == "histogram":
            names = [f"{meter.name}_sum", f"{meter.name}_count"]
        for name in names:
            for labels, _ in found.get(name, {}).values():
                assert set(labels) == set(meter.labels), name
    ours = {name for name in found if name.startswith("dm_remap_")}
    told = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in ours}
    assert told <= {meter.name for meter in METRICS} | {
        # when a histogram began to count
        "dm_remap_daemon_look_seconds",
    }
    # absent until it is in sight, until there are channels, and without probes
    assert {meter.name for meter in METRICS} - told == {
        "dm_remap_spares_full_timestamp_seconds",
        "dm_remap_daemon_messages_waiting",
        "dm_remap_io_seconds",
    }


def test_the_table_in_the_docs():
    row = re.compile(r"^\| `(dm_remap\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", re.MULTILINE)
    rows = row.findall(DOCS.read_text())
    assert rows == [
        (meter.name, meter.type, " ".join(f"`{one}`" for one in meter.labels) or "-", meter.about)
        for meter in METRICS
    ]
