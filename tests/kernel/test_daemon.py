"""dm-remapd with the real kernel: it hears what happens, acts on it, and counts it once."""

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.daemon.audit import read
from pyctl.daemon.events import Kind
from pyctl.daemon.store import Store
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.retry import PATIENCE, wait_until
from tests.kernel.lib.scanned import Scanned
from tests.kernel.lib.setup import disks, failing_write, pattern
from tests.pyctl.daemon.remembered import remembered

# An emulated guest needs seconds to start such a program.
_START = 120
_RULES = """
version: 1
name: test
rules:
  - name: look
    when: {{errors: {{at-least: 1, within: 1h}}}}
    do:
      - scan: {{pattern: focused}}
      - hook: {{program: /usr/bin/touch, arguments: ["{folder}/{{device}}"]}}
    cool-down: 6h
"""


class Daemon:
    """The program in a folder of its own; it may be started several times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "daemon.yaml"
        self.config.write_text(
            f"version: 1\npolicy: {folder}/policy.yaml\nstate: {folder}/state\nread-every: 1s\n"
        )
        (folder / "policy.yaml").write_text(_RULES.format(folder=folder))

    @contextlib.contextmanager
    def running(self, dm: Scanned) -> Iterator["subprocess.Popen[bytes]"]:
        """It runs and has seen a device; at the end it is stopped, unless it is dead."""
        seen = len(self.told("started"))
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [Path(sys.prefix) / "bin/dm-remapd", "--config", self.config],
                stderr=log,
                stdout=log,
            )
        try:
            wait_until(lambda: len(self.told("started")) > seen, "it has started", _START)
            # What came before it saw a device for the first time is no event.
            wait_until(
                lambda: self.remembered(dm, "write_errors") is not None, "it has seen it", _START
            )
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(_START * PATIENCE) in (0, -signal.SIGKILL), self.log()
        finally:
            process.kill()
            process.wait()

    def told(self, what: str) -> list[str]:
        """Why something was done, each time, as the audit log has it."""
        folder = self.folder / "state/audit"
        records = read(folder) if (folder / "audit.jsonl").exists() else []
        return [record["why"] for record in records if record["what"] == what]

    def log(self) -> str:
        """What it said."""
        return (self.folder / "log").read_text()

    def remembered(self, dm: Scanned, what: str) -> int | None:
        """How a device was seen last, if anything of it is written down; it may be running."""
        seen = remembered(self.folder / "state").get(dm.name)
        return int(seen[what]) if seen else None

    def heard(self) -> Counter[Kind]:
        """How often each kind of event was counted; it must not run."""
        found: Counter[Kind] = Counter()
        with Store(self.folder / "state/daemon.db") as store:
            for event in store.events():
                found[event.kind] += event.count
        return found


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """A daemon that isn't running, with a policy."""
    return Daemon(tmp_path)


def _spoil(main: NullBlk, dm: Scanned, *sectors: int) -> None:
    for sector in sectors:
        failing_write(main, dm, sector, pattern(1, seed=sector))


@pytest.mark.timeout(600)
def test_an_error_is_heard_and_what_is_near_it_is_looked_at(daemon: Daemon) -> None:
    with disks() as (main, spare), Scanned(main, spare) as dm, daemon.running(dm):
        assert dm.count("last") == 0
        _spoil(main, dm, 1000)
        done = daemon.folder / dm.name
        wait_until(done.exists, "the hook has run", _START)
        wait_until(lambda: daemon.remembered(dm, "scanned"), "it has seen the end", _START)
        assert dm.scan()["pattern"] == "focused"
        (why,) = daemon.told("scan done")
        assert "errors" in why, why
    assert daemon.heard()[Kind.SCAN_DONE] == 1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_each_error_is_counted_once_whenever_the_daemon_is_killed(daemon: Daemon) -> None:
    with disks() as (main, spare), Scanned(main, spare) as dm:
        _spoil(main, dm, 1000)
        with daemon.running(dm) as process:
            _spoil(main, dm, 2000, 2001)
            wait_until(lambda: daemon.told("scan done"), "it has heard of them", _START)
            process.kill()
        _spoil(main, dm, 3000, 3001, 3002)
        with daemon.running(dm):
            _spoil(main, dm, 4000)
            wait_until(
                lambda: daemon.remembered(dm, "write_errors") == 7, "it has heard of all", _START
            )
        heard = daemon.heard()
        assert heard[Kind.REMAP] == heard[Kind.WRITE_ERROR] == 6, heard
        # The scan and the hook of its rule are done once in six hours, whoever is killed.
        assert len(daemon.told("scan done")) == 1
