"""A real Prometheus that scrapes a daemon, and a real Alertmanager."""

import contextlib
import http.client
import json
import subprocess
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.pyctl.daemon.running import ROOT, until
from tests.pyctl.daemon.test_api import TOKENS, free_port

PROGRAMS = ROOT / "build/prometheus"
# Debian's Alertmanager has a file in /usr/share without which it ends.
_SHARE = (
    f"mount -t overlay overlay -o 'lowerdir={PROGRAMS}/share:/usr/share' /usr/share && exec \"$@\""
)
RULES = ROOT / "packaging/prometheus/dm-remap.rules.yaml"


@dataclass
class Prometheus:
    """A real one, that scrapes a daemon with a token."""

    port: int

    def ask(self, path):
        """The data of an answer; None while it is not up yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())["data"]
        except (OSError, ValueError, KeyError):
            return None
        finally:
            connection.close()

    def query(self, expression):
        """The samples of an expression. Fails if it is none."""
        found = self.ask(f"/api/v1/query?{urlencode({'query': expression})}")
        assert found is not None, expression
        return found["result"]

    def rules(self):
        """The rules, when all were evaluated."""
        found = (self.ask("/api/v1/rules") or {"groups": []})["groups"]
        rows = [rule for group in found for rule in group["rules"]]
        return rows if rows and all(one["health"] != "unknown" for one in rows) else None


@contextlib.contextmanager
def scraping(own, place, more=""):
    """A Prometheus that scrapes a daemon, and has done so several times."""
    port = free_port()
    (place / "token").write_text(TOKENS["viewer"])
    (place / "prometheus.yaml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
        f"rule_files: [{RULES}]\n"
        "scrape_configs:\n"
        "  - job_name: dm-remap\n"
        f"    authorization: {{credentials_file: {place}/token}}\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{own.port}']}}]\n{more}"
    )
    made = Prometheus(port)
    with process(
        "prometheus",
        f"--config.file={place}/prometheus.yaml",
        f"--storage.tsdb.path={place}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ):
        until(lambda: made.ask("/api/v1/query?query=1"), "Prometheus")
        until(lambda: made.query("count_over_time(dm_remap_up[1h]) > 3"), "some scrapes")
        yield made


@contextlib.contextmanager
def process(name, *words, before=()):
    """One of the programs while it runs."""
    with subprocess.Popen([*before, PROGRAMS / name, *words]) as started:
        try:
            yield started
        finally:
            started.terminate()


@contextlib.contextmanager
def alertmanager(place, config):
    """An Alertmanager with a configuration; the port on which it listens."""
    port = free_port()
    (place / "alertmanager.yaml").write_text(config)
    with process(
        "prometheus-alertmanager",
        f"--config.file={place}/alertmanager.yaml",
        f"--storage.path={place}/alerts",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
        before=(
            "/usr/bin/unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            _SHARE,
            "sh",
        ),
    ):
        until(lambda: _ready(port), "Alertmanager")
        yield port


def _ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
