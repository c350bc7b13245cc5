"""From the metrics of a daemon to a person: real Prometheus, real Alertmanager, a web hook."""

import subprocess

from ruamel.yaml import YAML

from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.prometheus import PROGRAMS, alertmanager, scraping
from tests.pyctl.daemon.running import ROOT, Box, until
from tests.pyctl.daemon.test_api import served

EXAMPLE = ROOT / "packaging/prometheus/alertmanager.example.yaml"


def amtool(*words):
    done = subprocess.run([PROGRAMS / "amtool", *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_amtool_finds_nothing_wrong_with_the_example(tmp_path):
    status, said = amtool("check-config", str(EXAMPLE))
    assert (status, "SUCCESS" in said) == (0, True), said
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text().replace("receiver: people", "receiver: nobody", 1))
    assert amtool("check-config", str(wrong))[0] != 0


def hurried(url):
    """The example, for a receiver of ours, and without its pauses."""
    config = EXAMPLE.read_text().replace("http://127.0.0.1:8080/alerts", url)
    for one in ("group_wait: 30s", "group_interval: 5m"):
        assert one in config
        config = config.replace(one, f"{one.partition(':')[0]}: 1s")
    return config


def test_an_alert_is_told_with_its_labels_and_resolved(tmp_path):
    box = Box()
    try:
        with served() as own, alertmanager(tmp_path, hurried(box.url)) as port:
            target = f"[{{static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
            with scraping(own, tmp_path, f"alerting: {{alertmanagers: {target}}}\n"):
                own.machine.change("srv", breaker="open")
                (told,) = until(lambda: fired(box, "firing"), "the message")
                assert told["labels"] == {
                    "alertname": "DmRemapBreakerOpen",
                    "device": "srv",
                    "instance": f"127.0.0.1:{own.port}",
                    "job": "dm-remap",
                    "set": a_device()["set"],
                    "severity": "critical",
                }
                summary = "srv: the main disk was taken for dead"
                assert told["annotations"]["summary"] == summary
                own.machine.change("srv", breaker="closed")
                (over,) = until(lambda: fired(box, "resolved"), "the end")
                assert over["labels"] == told["labels"]
    finally:
        box.close()


def fired(box, state):
    """The first alerts in this state that came."""
    for one in list(box.got):
        found = [alert for alert in one["alerts"] if alert["status"] == state]
        if found:
            return found
    return []


def test_the_example_knows_the_alerts():
    """What is left out while something else is wrong is named as the rules name it."""
    rules = (ROOT / "packaging/prometheus/dm-remap.rules.yaml").read_text()
    for one in YAML(typ="safe").load(EXAMPLE)["inhibit_rules"]:
        (source,) = one["source_matchers"]
        name = source.partition('="')[2].rstrip('"')
        assert f"- alert: {name}\n" in rules
