"""The part that runs in the VM: python -m tests.storm.agent COUNT

dm-remapd runs with the shipped policy as it is while so many sectors are remapped one by one: once
while it listens, once while it is stopped (SIGSTOP). Each time on a set of its own.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pyctl.daemon.client import Client
from pyctl.daemon.events import Event, Kind
from pyctl.daemon.store import Store
from pyctl.errors import PyctlError
from pyctl.netlink.sets import Kernel
from tests.demo.daemon.service import Receiver, Serving, serving
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.news import storm
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.scanned import Scanned
from tests.storm.outcome import Storm
from tests.vm.events import emit

_SECONDS = 300
_SIZE = Path("/sys/module/dm_remap/parameters/max_remaps")


def main() -> int:
    """Make both storms and return the exit status."""
    count = int(sys.argv[1])
    try:
        storms = [_storm(count, stopped) for stopped in (False, True)]
    except (PyctlError, TimeoutError) as error:
        emit("failed", message=str(error))
        return 1
    emit("over", outcome={"storms": [asdict(one) for one in storms]})
    return 0


def _storm(count: int, stopped: bool) -> Storm:
    folder = Path(tempfile.mkdtemp(prefix="dmr-storm."))
    receiver = Receiver()
    try:
        # sectors that don't touch, and room for what the set keeps beside its data
        size = count // 1024 + 16
        with (
            _room(count),
            NullBlk(size) as main_disk,
            NullBlk(size) as spare,
            Scanned(main_disk, spare) as dm,
        ):
            emit("step", text=f"{dm.name} is there; dm-remapd starts")
            return _seen(folder, receiver, dm, count, stopped)
    finally:
        receiver.close()
        shutil.rmtree(folder)


def _seen(folder: Path, receiver: Receiver, dm: Scanned, count: int, stopped: bool) -> Storm:
    with serving(folder, receiver) as daemon:
        client, pid = daemon.client, daemon.process.pid
        wait_until(lambda: client.get("/v1/status")["hearing"], "it hears", _SECONDS)
        was, first = client.get("/v1/status"), Kernel().get(dm.name).seq
        before = _memory(pid, "VmRSS")
        with _paused(daemon, stopped):
            begun = time.monotonic()
            storm(dm, count)
            ended = time.monotonic()
        emit("step", text=f"{count} sectors are remapped")
        wait_until(lambda: _believed(client, dm) == count, "it knows of all", _SECONDS)
        caught_up = time.monotonic() - ended
        wait_until(lambda: _quiet(client), "it has heard all", _SECONDS)
        now, peak, after = client.get("/v1/status"), _memory(pid, "VmHWM"), _memory(pid, "VmRSS")
        believed, dumped, last = _believed(client, dm), _dumped(dm), Kernel().get(dm.name).seq
    events = _stored(folder)
    remaps = [one for one in events if one.kind is Kind.REMAP]
    named = [one for one in remaps if one.sector is not None]
    sectors = {one.sector + i for one in named if one.sector is not None for i in _span(one)}
    return Storm(
        stopped=stopped,
        remaps=count,
        seconds=ended - begun,
        caught_up=caught_up,
        before=before,
        peak=peak,
        after=after,
        told=last - first,
        heard=now["kernel_events"] - was["kernel_events"],
        lost=now["kernel_events_lost"] - was["kernel_events_lost"],
        gaps=sum(one.kind is Kind.EVENTS_LOST for one in events),
        counted=sum(one.count for one in remaps),
        placed=sum(one.count for one in named),
        elsewhere=len(sectors - dumped),
        believed=believed,
        dumped=len(dumped),
        store_mib=(folder / "state/daemon.db").stat().st_size / (1 << 20),
    )


# A table of that size; the one of default sets is smaller.
@contextlib.contextmanager
def _room(count: int) -> Iterator[None]:
    _SIZE.write_text(str(2 * count))
    try:
        yield
    finally:
        _SIZE.write_text("0")


@contextlib.contextmanager
def _paused(daemon: Serving, stopped: bool) -> Iterator[None]:
    if stopped:
        os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)


def _memory(pid: int, what: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{what}:")]
    return int(line.split()[1]) // 1024


def _believed(client: Client, dm: Scanned) -> int:
    return int(client.get(f"/v1/devices/{dm.name}")["remapped"])


# It has heard of, or knows to have missed, all that the kernel has told.
def _quiet(client: Client) -> bool:
    before = client.get("/v1/status")
    time.sleep(1)
    now = client.get("/v1/status")
    return all(before[key] == now[key] for key in ("kernel_events", "kernel_events_lost"))


def _dumped(dm: Scanned) -> set[int]:
    kernel = Kernel()
    entries = kernel.remaps(kernel.get(dm.name).uuid)
    return {one.sector + i for one in entries for i in range(one.sectors)}


def _stored(folder: Path) -> list[Event]:
    with Store(folder / "state/daemon.db") as store:
        return list(store.events())


def _span(event: Event) -> range:
    return range(event.sectors or 0)


if __name__ == "__main__":
    sys.exit(main())
