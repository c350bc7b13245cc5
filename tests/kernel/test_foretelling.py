"""dm-remapd foretells that a region fails, moves it by the shipped policy, and then it fails."""

import contextlib
import json
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyctl.daemon.audit import read, verify
from pyctl.daemon.events import Event
from pyctl.daemon.store import Store
from tests.kernel.lib.blockdev import BlockDevice, NullBlk
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.scanned import QuickWeak, Scanned
from tests.kernel.lib.setup import eio, patient, pattern
from tests.kernel.test_daemon import Daemon
from tests.vm import paths

MAIN_MB = 8
REGION = 2048
BLOCK = 4096
# An emulated guest needs seconds to start the daemon, and up to a minute to load a BPF program.
_START = 120
_LOADING = 600
_SLOW_MS = 20
_FAILING = 5 * REGION
_SMARTCTL = """#!/bin/sh
printf '%s\\n' "$*" >>{folder}/asked
echo '{told}'
"""


class Foreteller(Daemon):
    """The daemon with the shipped policy, in which a rule may act again soon."""

    def __init__(self, folder: Path, foretell: str) -> None:
        super().__init__(folder)
        with self.config.open("a") as file:
            file.write(f"foretell: {foretell}\napi: {{socket: {folder}/api.sock}}\n")
        text = (paths.PROJECT / "packaging/policy/default.yaml").read_text()
        rule = r"(- name: move-weak-regions.*?cool-down:) 1h"
        text, times = re.subn(rule, r"\1 20s", text, count=1, flags=re.DOTALL)
        assert times == 1
        (folder / "policy.yaml").write_text(text)

    def metrics(self) -> str:
        """What Prometheus gets."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.folder / "api.sock"))
            asking.sendall(b"GET /metrics HTTP/1.0\r\nHost: local\r\n\r\n")
            return asking.makefile().read()

    def moved(self) -> list[dict[str, Any]]:
        """What the audit log has of relocations that were done."""
        folder = self.folder / "state/audit"
        return [one for one in read(folder) if one["what"] == "relocate done"]


class Application:
    """Reads and writes blocks all the while, and knows what each must hold."""

    def __init__(self, device: BlockDevice) -> None:
        self._device = device
        self._random = random.Random(1)
        self._versions = dict.fromkeys(range(device.size // BLOCK), 0)
        self._ended = threading.Event()
        self.errors: list[str] = []
        self.requests = 0
        with DirectFile(device) as file:
            for block in self._versions:
                file.pwrite(block * BLOCK, self._content(block))

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """It works; what it met is in `errors`."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def look(self) -> None:
        """Read everything."""
        with DirectFile(self._device, os.O_RDONLY) as file:
            for block in self._versions:
                self._read(file, block)

    def _work(self) -> None:
        with DirectFile(self._device) as file:
            while not self._ended.is_set():
                block = self._random.randrange(len(self._versions))
                if self._random.random() < 0.8:
                    self._read(file, block)
                else:
                    self._write(file, block)
                self.requests += 1
                # others have something to do, too
                time.sleep(0.001)

    def _read(self, file: DirectFile, block: int) -> None:
        try:
            if file.pread(block * BLOCK, BLOCK) != self._content(block):
                self.errors.append(f"block {block} is wrong")
        except OSError as error:
            self.errors.append(f"block {block}: {error}")

    def _write(self, file: DirectFile, block: int) -> None:
        self._versions[block] += 1
        try:
            file.pwrite(block * BLOCK, self._content(block))
        except OSError as error:
            self.errors.append(f"writing block {block}: {error}")

    def _content(self, block: int) -> bytes:
        return (b"%d/%d;" % (block, self._versions[block])).ljust(32, b".") * (BLOCK // 32)


def lines(file: Path) -> list[str]:
    """Those of a file, if it is there."""
    return file.read_text().splitlines() if file.exists() else []


def stored(daemon: Daemon) -> list[Event]:
    """All that it has heard; it must not run."""
    with Store(daemon.folder / "state/daemon.db") as store:
        return list(store.events())


# A disk with an NVMe's log, whatever disk it is asked of.
def _smartctl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    program = folder / "smartctl"
    told = {"device": {"protocol": "NVMe"}, "temperature": {"current": 47}}
    program.write_text(_SMARTCTL.format(folder=folder, told=json.dumps(told)))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_region_that_gets_slow_is_moved_before_it_dies(tmp_path: Path) -> None:
    """Probes see it, the predictor judges, the shipped policy acts; nobody above notices."""
    daemon = Foreteller(tmp_path, "{every: 1s, probes: {region-mib: 1}}")
    with (
        NullBlk(MAIN_MB, BLOCK) as main,
        NullBlk(MAIN_MB, BLOCK) as spare,
        QuickWeak(main) as weak,
        Scanned(weak, spare, opts=patient(), sectors=main.sectors) as dm,
    ):
        application = Application(dm)
        with application.working(), daemon.running(dm):
            wait_until(lambda: "own past now" in daemon.log(), "its past is known", _LOADING)
            assert "no probes" not in daemon.log()
            reads = rf'^dm_remap_io_seconds_count{{device="{dm.name}",operation="read",.*}} [1-9]'
            assert re.search(reads, daemon.metrics(), re.MULTILINE)
            slow = range(_FAILING, _FAILING + REGION, weak.PIECE)
            weak.spoil(slow=slow, read_ms=_SLOW_MS)
            region = set(range(_FAILING, _FAILING + REGION))
            wait_until(lambda: region <= dm.moved(), "the region is moved", _LOADING)

            weak.spoil(bad=region, read_ms=0)
            done = application.requests
            wait_until(lambda: application.requests > done + 500, "it goes on", _START)
        application.look()
        assert application.errors == []
        assert eio(weak, _FAILING, BLOCK // 512)

        [record] = [
            one for one in daemon.moved() if [_FAILING, REGION] in one["parameters"]["ranges"]
        ][:1]
        assert record["who"] == "policy:move-weak-regions"
        assert f"at sector {_FAILING} may fail within" in record["why"], record["why"]
        assert re.search(r"it takes \d+\.\d times what", record["why"]), record["why"]
        assert record["after"]["kept"] == 0, record
        assert not verify(tmp_path / "state/audit").problems


@pytest.mark.long
@pytest.mark.timeout(600)
def test_without_probes_what_lies_around_failed_blocks_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan finds blocks that can't be read any more; their neighbours are next.

    And the disk below has a temperature, of which smartctl tells.
    """
    daemon = Foreteller(tmp_path, "{every: 1s}\ndisks: {every: 1s}")
    _smartctl(tmp_path / "bin", monkeypatch)
    bad = range(_FAILING + 400, _FAILING + 408)
    near = {*range(bad.start - 100, bad.stop + 100)} - set(bad)
    with (
        NullBlk(MAIN_MB) as main,
        NullBlk(MAIN_MB) as spare,
        QuickWeak(main) as weak,
        Scanned(weak, spare, opts=patient(), sectors=main.sectors) as dm,
    ):
        written = pattern(REGION, seed=1)
        dm.write(_FAILING, written)
        with daemon.running(dm):
            weak.spoil(bad=bad, read_ms=0)
            dm.whole_pass("sequential")
            wait_until(lambda: near <= dm.moved(), "its neighbours are moved", _START)
            asked = tmp_path / "bin/asked"
            wait_until(lambda: len(lines(asked)) > 4, "disks are asked time and again", _START)
        assert {line.rpartition("/")[2] for line in lines(asked)} == {main.name, spare.name}
        assert 47 in [one.reading.temperature for one in stored(daemon) if one.reading]
        # what can't be read is left what it is
        assert not dm.moved() & set(bad)
        weak.spoil(bad=range(bad.start - 100, bad.stop + 100), read_ms=0)
        first, last = bad.start - _FAILING, bad.stop - _FAILING
        assert dm.read(_FAILING, first) == written[: first * 512]
        assert dm.read(bad.stop, REGION - last) == written[last * 512 :]
        assert eio(dm, bad.start)
    (why, *_) = [one["why"] for one in daemon.moved()]
    assert "could not be read there lately" in why, why
