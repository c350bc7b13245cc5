"""dm-remapd hears where things happen, notices what it missed, and survives the module."""

import os
import signal
from pathlib import Path

import pytest

from pyctl.daemon.events import Event, Kind
from pyctl.daemon.store import Store
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.news import storm
from tests.kernel.lib.retry import retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.scanned import Scanned
from tests.kernel.lib.setup import disks, failing_write, pattern
from tests.kernel.test_daemon import Daemon
from tests.vm import paths

# An emulated guest needs seconds to start such a program.
_START = 120
_STORM = 240
# MiB that the daemon may need more than it did, however long the storm.
_MORE = 40


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """A daemon that isn't running, with a policy."""
    return Daemon(tmp_path)


def stored(daemon: Daemon, kind: Kind) -> list[Event]:
    """What it has heard of a kind; it must not run."""
    with Store(daemon.folder / "state/daemon.db") as store:
        return [event for event in store.events() if event.kind is kind]


def peak(pid: int) -> int:
    """The most memory that a process had, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


@pytest.mark.timeout(600)
def test_it_knows_where_errors_were(daemon: Daemon) -> None:
    with disks() as (main, spare), Scanned(main, spare) as dm:
        with daemon.running(dm):
            wait_until(lambda: "not heard" not in daemon.log(), "it hears", _START)
            for sector in (1000, 3000):
                failing_write(main, dm, sector, pattern(2, seed=sector))
            wait_until(
                lambda: daemon.remembered(dm, "write_errors") == 4, "it has heard of all", _START
            )
        for kind in (Kind.WRITE_ERROR, Kind.REMAP):
            found = stored(daemon, kind)
            assert sum(one.count for one in found) == 4, found
            sectors = {
                one.sector + i
                for one in found
                if one.sector is not None
                for i in range(one.sectors or 0)
            }
            assert sectors == {1000, 1001, 3000, 3001}, found
        assert not stored(daemon, Kind.EVENTS_LOST)


@pytest.mark.timeout(900)
def test_a_storm_while_it_is_stopped_is_noticed_and_counted(daemon: Daemon, share: float) -> None:
    count = max(2000, int(20000 * share))
    with NullBlk(64) as main, NullBlk(32) as spare, Scanned(main, spare) as dm:
        with daemon.running(dm) as process:
            before = peak(process.pid)
            os.kill(process.pid, signal.SIGSTOP)
            storm(dm, count)
            os.kill(process.pid, signal.SIGCONT)
            wait_until(lambda: daemon.remembered(dm, "remapped") == count, "it has counted", _STORM)
            more = peak(process.pid) - before
        assert sum(one.count for one in stored(daemon, Kind.REMAP)) == count
        assert "events of the kernel were lost" in daemon.log()
        assert stored(daemon, Kind.EVENTS_LOST)
        assert more < _MORE, f"{more} MiB"


@pytest.mark.timeout(600)
def test_it_survives_the_module(daemon: Daemon) -> None:
    module = paths.module(os.uname().release)
    with disks() as (main, spare):
        with Scanned(main, spare) as dm, daemon.running(dm):
            dm.remove()
            retry(lambda: run("rmmod", "dm_remap"), CommandError, 30)
            wait_until(lambda: "not heard" in daemon.log(), "it has noticed", _START)
            run("insmod", module)
            wait_until(lambda: "heard again" in daemon.log(), "it hears again", _START)
            with Scanned(main, spare, name=dm.name) as again:
                failing_write(main, again, 2000, pattern(1, seed=1))
                wait_until(
                    lambda: daemon.remembered(again, "write_errors") == 1, "it has heard", _START
                )
        (error,) = stored(daemon, Kind.WRITE_ERROR)
        assert (error.count, error.sector) == (1, 2000)
