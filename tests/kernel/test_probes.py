"""The probes count what was issued, where it was issued, and what became of it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyctl.probes.frames import Frame, Header, Part
from pyctl.probes.layout import Counters, What, slot_bounds
from pyctl.probes.recording import Recording
from pyctl.probes.source import Worker
from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.dm import DmDevice, Error, Linear
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import QUICK

MIB = 2048
READ, WRITE, OTHER = range(3)
SLOW_MS = 60
# dm-delay counts jiffies. Of those a busy host gives a guest several at once, and some of the delay
# is over before it has begun.
AT_LEAST = SLOW_MS * 10**6 // 6
SLOW = range(8, 12)
BAD = 20 * MIB + 8
BAD_SECTORS = 8
# Ends of the block layer's reads and writes in those of a device made of others.
LAYERS, BELOW, REMAP = range(3)
IOERR = 10
HOUR = 3600.0
# clang in an emulated guest whose host does other things.
LOADING = 600


@dataclass
class Probed:
    """Devices under probes: `layers` over `below`, and a dm-remap device over `main`.

    Layers has slow regions, and a few sectors without a device. Regions have 1 MiB.
    """

    worker: Worker
    layers: DmDevice
    below: NullBlk
    remap: RemapDevice
    main: NullBlk

    @property
    def header(self) -> Header:
        """What the worker looks at."""
        return self.worker.header

    def take(self) -> Frame:
        """What has happened since the last time."""
        return self.worker.frame()


@pytest.fixture(scope="module")
def devices() -> Iterator[Probed]:
    """One set of devices and one worker for all tests: to load it takes long here."""
    run("modprobe", "dm-delay")
    options = {"queue_mode": 2, "irqmode": 0}
    with (
        NullBlk(**options) as below,
        NullBlk(32, cache_size=1, **options) as main,
        NullBlk(16, **options) as spare,
        DmDevice(
            Linear(below, SLOW.start * MIB),
            Delay(below, len(SLOW) * MIB, SLOW_MS, offset=SLOW.start * MIB),
            Linear(below, BAD - SLOW.stop * MIB, SLOW.stop * MIB),
            Error(BAD_SECTORS),
            Linear(below, 64 * MIB - BAD - BAD_SECTORS, BAD + BAD_SECTORS),
        ) as layers,
        RemapDevice(main, spare, opts=QUICK) as remap,
    ):
        worker = Worker([str(layers), str(below), str(remap)], MIB, HOUR)
        try:
            yield Probed(worker, layers, below, remap, main)
        finally:
            worker.close()


@pytest.fixture
def probed(devices: Probed) -> Probed:
    """The devices, with what happened before forgotten."""
    devices.take()
    return devices


def read(device: BlockDevice, *starts: int, sectors: int = 8) -> None:
    """Read at each of these sectors."""
    with DirectFile(device, os.O_RDONLY) as file:
        for start in starts:
            file.pread(start * SECTOR, sectors * SECTOR)


def write(device: BlockDevice, *starts: int, sectors: int = 8) -> None:
    """Write at each of these sectors."""
    with DirectFile(device) as file:
        for start in starts:
            file.pwrite(start * SECTOR, bytes(sectors * SECTOR))


def part(frame: Frame, device: int, region: int) -> Part:
    """That of a region; an empty one if nothing happened."""
    return frame.parts.get((device, region), Part())


def regions(frame: Frame, device: int) -> set[int]:
    """Where something happened."""
    return {region for its, region in frame.parts if its == device}


def lost(frame: Frame) -> dict[str, int]:
    """What was not counted."""
    names = {name for each in frame.losses for name in each}
    return {name: sum(each.get(name, 0) for each in frame.losses) for name in names}


def test_it_is_bpf_that_counts(probed: Probed) -> None:
    assert probed.header.source == "bpf"
    assert probed.header.statuses[IOERR] == "ioerr"
    assert [device.regions for device in probed.header.devices] == [64, 64, 32]


def test_every_io_is_counted_where_it_was_issued(probed: Probed) -> None:
    step = 24
    read(probed.layers, *range(3 * MIB, 3 * MIB + 40 * step, step))
    write(probed.layers, *range(5 * MIB, 5 * MIB + 17 * 32, 32), sectors=16)
    frame = probed.take()
    # null_blk takes requests, dm takes bios; both see the same
    for device in (LAYERS, BELOW):
        assert regions(frame, device) == {3, 5}
        reads, writes = part(frame, device, 3).counters, part(frame, device, 5).counters
        assert (reads.ios, reads.sectors) == ([40, 0, 0], [320, 0, 0])
        assert (writes.ios, writes.sectors) == ([0, 17, 0], [0, 272, 0])
        assert (sum(reads.read), sum(reads.write)) == (40, 0)
        assert (sum(writes.read), sum(writes.write)) == (0, 17)
        assert reads.ns[READ] > 0
        assert reads.sequential == writes.sequential == [0, 0, 0]
    assert not part(frame, LAYERS, 3).faults
    assert frame.in_flight == [0, 0, 0]
    assert lost(frame) == {}


def test_many_ios_with_addresses_used_again(probed: Probed) -> None:
    """A bio has the address of an earlier one nearly each time."""
    with DirectFile(probed.layers, os.O_RDONLY) as file:
        for number in range(2000):
            file.pread((number % 8 * MIB + number) * SECTOR // 4096 * 4096, 4096)
    frame = probed.take()
    for device in (LAYERS, BELOW):
        found = [part(frame, device, region).counters.ios for region in range(8)]
        assert sum(ios[READ] for ios in found) == 2000
        assert regions(frame, device) <= set(range(9))
    assert lost(frame) == {}


def test_errors_and_what_is_tried_again_by_status_and_region(probed: Probed) -> None:
    def failing(what: object, times: int) -> None:
        for _ in range(times):
            with pytest.raises(OSError, match="Input/output error"):
                what(probed.layers, BAD)  # type: ignore[operator]

    failing(read, 3)
    failing(write, 2)
    failing(read, 1)
    read(probed.layers, BAD - 8)
    frame = probed.take()
    assert regions(frame, LAYERS) == {20}
    assert part(frame, LAYERS, 20).faults == {
        (What.ERROR, READ, IOERR): 4,
        (What.ERROR, WRITE, IOERR): 2,
        # of reads the first of three, and the one after the writes, follow no failed read
        (What.RETRY, READ, IOERR): 2,
        (What.RETRY, WRITE, IOERR): 1,
    }
    assert part(frame, LAYERS, 20).counters.ios == [5, 2, 0]
    # what has no device below never came there
    assert not part(frame, BELOW, 20).faults
    assert part(frame, BELOW, 20).counters.ios == [1, 0, 0]


def test_an_error_of_the_disk_is_one_of_each_layer(probed: Probed) -> None:
    sector = 30 * MIB + 16
    probed.below.add_bad(sector)
    with pytest.raises(OSError, match="Input/output error"):
        read(probed.layers, sector)
    probed.below.remove_bad(sector)
    read(probed.layers, sector)
    read(probed.layers, sector)
    frame = probed.take()
    for device in (LAYERS, BELOW):
        # what has gone well is no failure to try again
        assert part(frame, device, 30).faults == {
            (What.ERROR, READ, IOERR): 1,
            (What.RETRY, READ, IOERR): 1,
        }
        assert part(frame, device, 30).counters.ios == [3, 0, 0]


def test_a_slow_region_stands_out(probed: Probed) -> None:
    for region in (2, SLOW.start + 1):
        read(probed.layers, *range(region * MIB + 8, region * MIB + 8 + 20 * 64, 64))
    frame = probed.take()
    slow = part(frame, LAYERS, SLOW.start + 1).counters
    assert slow.ios[READ] == 20
    assert slow.ns[READ] >= 20 * AT_LEAST
    fastest = min(slot for slot, number in enumerate(slow.read) if number)
    assert slot_bounds(fastest)[1] > AT_LEAST
    quick = part(frame, LAYERS, 2).counters
    fastest = min(slot for slot, number in enumerate(quick.read) if number)
    assert slot_bounds(fastest)[1] < AT_LEAST
    # it is the delay that takes so long, not the disk
    disk = part(frame, BELOW, SLOW.start + 1).counters
    fastest = min(slot for slot, number in enumerate(disk.read) if number)
    assert slot_bounds(fastest)[1] < AT_LEAST


def test_what_follows_the_one_before_is_sequential(probed: Probed) -> None:
    read(probed.layers, *range(40 * MIB + 64, 40 * MIB + 64 + 50 * 8, 8))
    assert part(probed.take(), LAYERS, 40).counters.sequential == [49, 0, 0]
    # two streams side by side; the writes don't go on where reads have ended
    streams = zip(range(41 * MIB, 42 * MIB, 8), range(42 * MIB, 43 * MIB, 8), strict=True)
    for one, other in list(streams)[:30]:
        write(probed.layers, one, other)
    frame = probed.take()
    found = [part(frame, LAYERS, region).counters.sequential for region in (41, 42)]
    assert found == [[0, 29, 0], [0, 29, 0]]
    read(probed.layers, *range(44 * MIB - 8, 43 * MIB, -16))
    assert part(probed.take(), LAYERS, 43).counters.sequential == [0, 0, 0]


def test_the_time_from_one_to_the_next(probed: Probed) -> None:
    read(probed.layers, *range(50 * MIB, 50 * MIB + 160, 16))
    # the first that a region ever gets has none before it
    assert sum(part(probed.take(), LAYERS, 50).counters.gaps) == 9
    read(probed.layers, 50 * MIB)
    assert sum(part(probed.take(), LAYERS, 50).counters.gaps) == 1


def test_how_many_are_under_way_together(probed: Probed) -> None:
    """While the device is suspended they begin, and none ends."""
    places = range(51 * MIB, 51 * MIB + 16 * 16, 16)
    with ThreadPoolExecutor(len(places)) as pool:
        probed.layers.suspend()
        try:
            reads = [pool.submit(read, probed.layers, place) for place in places]
            wait_until(lambda: probed.take().in_flight[LAYERS] == 16, "all have begun", timeout=60)
        finally:
            probed.layers.resume()
        for each in reads:
            each.result()
    frame = probed.take()
    counters = part(frame, LAYERS, 51).counters
    assert counters.ios == [16, 0, 0]
    assert sum(counters.depth) == 16
    # whoever came last, alone or with others, found 15 there
    assert counters.depth[4] >= 1
    assert counters.depth[0] <= 1
    assert not any(counters.depth[5:])
    assert frame.in_flight == [0, 0, 0]
    read(probed.layers, 52 * MIB, 52 * MIB + 16)
    assert part(probed.take(), LAYERS, 52).counters.depth[:2] == [2, 0]


def test_a_split_bio_is_one_above_and_its_pieces_below(probed: Probed) -> None:
    border = SLOW.start * MIB
    read(probed.layers, border - 8, sectors=16)
    frame = probed.take()
    above = part(frame, LAYERS, SLOW.start - 1).counters
    assert (above.ios, above.sectors) == ([1, 0, 0], [16, 0, 0])
    assert above.ns[READ] >= AT_LEAST
    assert regions(frame, LAYERS) == {SLOW.start - 1}
    for region in (SLOW.start - 1, SLOW.start):
        below = part(frame, BELOW, region).counters
        assert (below.ios, below.sectors) == ([1, 0, 0], [8, 0, 0])
    assert frame.in_flight == [0, 0, 0]
    assert lost(frame) == {}


def test_a_flush_has_no_place(probed: Probed) -> None:
    """Only a disk with a cache is sent one."""
    with DirectFile(probed.remap) as file:
        file.fsync()
    frame = probed.take()
    elsewhere = probed.header.devices[REMAP].elsewhere
    assert part(frame, REMAP, elsewhere).counters.ios == [0, 0, 1]
    assert regions(frame, REMAP) == {elsewhere}


def test_what_dm_remap_hides_and_moves(probed: Probed) -> None:
    sector = 7 * MIB + 24
    probed.main.add_bad(sector)
    probed.remap.write(sector, bytes(SECTOR))
    probed.main.remove_bad(sector)
    found = part(probed.take(), REMAP, 7)
    assert found.counters.ios == [0, 1, 0]
    assert found.count(What.ERROR) == 0
    assert found.faults[What.INNER_ERROR, WRITE, 5] >= 1
    assert found.faults[What.REMAP, OTHER, 1] == 1


@pytest.mark.timeout(2 * LOADING)
def test_a_share_of_the_time(devices: Probed) -> None:
    """The tracepoints come and go while there is I/O."""
    issued = 0
    stop = threading.Event()

    def reading() -> None:
        nonlocal issued
        with DirectFile(devices.layers, os.O_RDONLY) as file:
            while not stop.is_set():
                file.pread(issued % 64 * SECTOR * 8, SECTOR * 8)
                issued += 1

    frames: list[Frame] = []
    worker = Worker([str(devices.layers)], MIB, 0.4, share=0.5)
    try:
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(reading)
            try:
                for frame in worker.frames():
                    frames.append(frame)
                    windows = [each for each in frames if each.looked and each.parts]
                    if len(windows) >= 4:
                        break
            finally:
                stop.set()
            done.result()
        frames.append(worker.finish())
    finally:
        worker.close()
    assert worker.header.share == 0.5
    assert 0 < sum(each.looked or 0 for each in frames) < sum(each.seconds for each in frames)
    found = Counters()
    for each in frames:
        found.add(part(each, 0, 0).counters)
    assert 0 < found.ios[READ] < issued
    assert sum(found.read) == sum(found.depth) == found.ios[READ]
    # one at a time; what was under way when it rested is no neighbour of those after
    assert found.depth[0] == found.ios[READ]
    assert all(lost(each) == {} for each in frames)


@pytest.mark.timeout(2 * LOADING)
def test_the_commands(devices: Probed, tmp_path: Path) -> None:
    """A recording that is killed, and its replay."""
    file = tmp_path / "recording"
    words = [sys.executable, "-m", "pyctl", "probe", "record", str(file), str(devices.layers)]
    process = subprocess.Popen([*words, "--region-size", "1M", "--interval", "0.5"])
    try:
        # Its header is there as a whole, or nothing is.
        wait_until(lambda: file.exists() and file.stat().st_size, "it records", timeout=LOADING)
        read(devices.layers, *range(6 * MIB, 6 * MIB + 30 * 16, 16))
        wait_until(lambda: _reads(file) == 30, "all are recorded", timeout=LOADING)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    replayed = subprocess.run(
        [sys.executable, "-m", "pyctl", "probe", "replay", str(file), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (shown,) = json.loads(replayed.stdout)["devices"]
    assert shown["ios"]["read"] == 30
    assert [region["region"] for region in shown["regions"]] == [6]
    assert "interrupted" in replayed.stderr
    top = run(*words[:4], "top", devices.layers, "--no-bpf", "--count", 1, "--interval", "0.2")
    assert re.search(rf"^{devices.layers.name} +all ", top, re.MULTILINE)


def _reads(file: Path) -> int:
    recording = Recording(file)
    return sum(
        part.counters.ios[READ] for frame in recording.frames() for part in frame.parts.values()
    )
