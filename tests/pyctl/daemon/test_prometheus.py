"""The alert rules: each fires, and has a near miss. They and the dashboard in a real Prometheus."""

import json
import re
import subprocess

import pytest
from ruamel.yaml import YAML

from pyctl.daemon.dashboard import dashboard, expressions
from pyctl.daemon.metrics import METRICS
from tests.pyctl.daemon.prometheus import PROGRAMS, RULES, scraping
from tests.pyctl.daemon.running import ROOT, until
from tests.pyctl.daemon.test_api import served

DASHBOARD = ROOT / "packaging/grafana/dm-remap.json"
ALERTS = {rule["alert"]: rule for rule in YAML(typ="safe").load(RULES)["groups"][0]["rules"]}
OF_DEVICE = 'instance="i", device="srv", set="u"'
OF_SPARE = f'{OF_DEVICE}, spare="1", uuid="s"'
DAY = 86_400


def metric(name, values, labels=OF_DEVICE):
    return {"series": f"dm_remap_{name}{{{labels}}}", "values": values}


# For each alert: series (a value each minute) with which it fires, and some with which it doesn't;
# the minutes after which that is so.
CASES = {
    "DmRemapDaemonDown": (
        [{"series": 'up{job="dm-remap", instance="i"}', "values": "0x10"}],
        [{"series": 'up{job="dm-remap", instance="i"}', "values": "0x3 1x7"}],
        6,
    ),
    "DmRemapDeviceGone": (
        [metric("up", "1x2 0x20"), metric("stopped", "0x22")],
        [metric("up", "1x2 0x20"), metric("stopped", "0x2 1x20")],
        20,
    ),
    "DmRemapDeviceSilent": (
        [metric("last_seen_timestamp_seconds", "60x30"), metric("up", "1x30")],
        [metric("last_seen_timestamp_seconds", "60x30"), metric("up", "0x30")],
        17,
    ),
    "DmRemapFailed": ([metric("failed", "1x3")], [metric("failed", "0x3")], 1),
    "DmRemapBreakerOpen": ([metric("breaker_open", "1x3")], [metric("breaker_open", "0x3")], 1),
    "DmRemapDataLost": ([metric("lost_blocks", "1x3")], [metric("lost_blocks", "0x3")], 1),
    "DmRemapSpareOut": (
        [metric("spare_in_sync", "0x20", OF_SPARE)],
        [metric("spare_in_sync", "0x14 1x6", OF_SPARE)],
        16,
    ),
    "DmRemapSpareWeak": (
        [metric("spare_health_score", "59x20", OF_SPARE)],
        [metric("spare_health_score", "60x20", OF_SPARE)],
        16,
    ),
    "DmRemapBelowRedundancy": (
        [metric("below_redundancy_blocks", "1x150")],
        [metric("below_redundancy_blocks", "1x100 0x1 1x49")],
        125,
    ),
    "DmRemapSpaceLow": (
        [
            metric("space_low", "0x3"),
            metric("table_used_blocks", "85x3"),
            metric("table_capacity_blocks", "100x3"),
        ],
        [
            metric("space_low", "0x3"),
            metric("table_used_blocks", "84x3"),
            metric("table_capacity_blocks", "100x3"),
        ],
        1,
    ),
    "DmRemapFullSoon": (
        [metric("spares_full_timestamp_seconds", f"{13 * DAY}x3")],
        [metric("spares_full_timestamp_seconds", f"{15 * DAY}x3")],
        1,
    ),
    "DmRemapErrors": (
        [metric("read_errors_total", "5x30 6x30"), metric("write_errors_total", "1x30 15x30")],
        [metric("read_errors_total", "5x30 6x30"), metric("write_errors_total", "99x60")],
        59,
    ),
    "DmRemapHealthLow": ([metric("health_score", "49x20")], [metric("health_score", "50x20")], 16),
    "DmRemapActionFailed": (
        [metric("daemon_actions_total", "0x5 1x5", 'instance="i", kind="scan", state="failed"')],
        [metric("daemon_actions_total", "0x5 1x5", 'instance="i", kind="scan", state="done"')],
        9,
    ),
    "DmRemapDaemonTrouble": (
        [metric("daemon_trouble", "1x10", 'instance="i"')],
        [metric("daemon_trouble", "1x4 0x6", 'instance="i"')],
        6,
    ),
}


def promtool(*words):
    done = subprocess.run([PROGRAMS / "promtool", *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_every_alert_has_a_case():
    assert list(CASES) == list(ALERTS)


def test_every_metric_is_in_the_table():
    known = {meter.name for meter in METRICS}
    for name, rule in ALERTS.items():
        named = set(re.findall(r"dm_remap_\w+", rule["expr"]))
        assert named <= known, name


@pytest.mark.parametrize("name", CASES)
def test_when_they_fire(name, tmp_path):
    """promtool compares what fires with what is expected; so the other answer must be wrong."""
    firing, quiet, minutes = CASES[name]
    for series, fires in ((firing, True), (quiet, False)):
        for wanted in (fires, not fires):
            (tmp_path / "test.json").write_text(
                json.dumps(
                    {
                        "rule_files": [str(RULES)],
                        "evaluation_interval": "1m",
                        "tests": [
                            {
                                "interval": "1m",
                                "input_series": series,
                                "promql_expr_test": [
                                    {
                                        "expr": f'count(ALERTS{{alertname="{name}",'
                                        ' alertstate="firing"})',
                                        "eval_time": f"{minutes}m",
                                        "exp_samples": [{"labels": "{}", "value": 1}]
                                        if wanted
                                        else [],
                                    }
                                ],
                            }
                        ],
                    }
                )
            )
            status, said = promtool("test", "rules", str(tmp_path / "test.json"))
            assert (status == 0) == (wanted is fires), said


def test_promtool_finds_nothing_wrong():
    status, said = promtool("check", "rules", str(RULES))
    assert (status, f"{len(ALERTS)} rules found" in said) == (0, True), said


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """A daemon, and a Prometheus that has scraped it several times."""
    with served() as own:
        own.raise_alert()
        with scraping(own, tmp_path_factory.mktemp("prometheus")) as made:
            yield own, made


def test_a_real_prometheus_evaluates_every_rule_and_one_fires(scraped):
    own, prometheus = scraped
    own.machine.change("srv", breaker="open")
    found = until(prometheus.rules, "the rules")
    assert {one["name"]: one["health"] for one in found} == dict.fromkeys(ALERTS, "ok")
    (alert,) = until(lambda: prometheus.ask("/api/v1/alerts")["alerts"], "the alert")
    assert alert["labels"]["alertname"] == "DmRemapBreakerOpen"
    assert alert["labels"]["device"] == "srv"
    assert alert["annotations"]["summary"] == "srv: the main disk was taken for dead"


@pytest.mark.parametrize("expression", expressions())
def test_every_panel_of_the_dashboard_shows_something(scraped, expression):
    _, prometheus = scraped
    found = prometheus.query(expression.replace("$device", "srv|other"))
    # what a healthy device has not, and what there is with probes or real disks only
    absent = r"dm_remap_(spares_full|daemon_messages_waiting|io_|temperature|failure_probability)"
    assert bool(found) != bool(re.search(absent, expression))
    if "$device" in expression:
        assert {one["metric"]["device"] for one in found} <= {"srv"}
        assert prometheus.query(expression.replace("$device", "other")) == []


def test_the_dashboard_is_made_from_the_table():
    assert json.loads(DASHBOARD.read_text()) == dashboard()
    (variable,) = [one for one in dashboard()["templating"]["list"] if one["type"] == "query"]
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
    assert any(one.name == asked[1] and asked[2] in one.labels for one in METRICS)
    panels = [one for one in dashboard()["panels"] if one["type"] != "row"]
    assert sorted(one["title"] for one in panels) == sorted(one.about for one in METRICS)
    assert len({one["id"] for one in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_no_panel_lies_over_another():
    taken = set()
    for one in dashboard()["panels"]:
        at = one["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        taken |= cells
