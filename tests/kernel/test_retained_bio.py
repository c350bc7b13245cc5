"""Bios that dm-remap keeps after they failed: traps 1-5, 9 and 10 of the design notes.

"Seen to fail with" names a patch of tests/mistakes, which makes the mistake.
"""

import errno
import json
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.lib.aio import Aio, Write
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import HUGE_PAGES, DirectFile, pread
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.ioctl import Partition
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import must_end, wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import QUICK

MIB = 1 << 20


UNBOUND_CPUS = Path("/sys/devices/virtual/workqueue/cpumask")
CGROUP = Path("/sys/fs/cgroup")


def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes of which no sector is like another."""
    return random.Random(seed).randbytes(length)


def drain_both_epochs(dm: RemapDevice) -> None:
    """Have dm-remap wait twice for all I/O that is under way, as it does to move a sector."""
    remapped = dm.status_fields().used
    for sector in (5000, 5001):
        must_end(partial(dm.message, "remap", sector), "the wait for I/O that is under way")
    assert dm.status_fields().used == remapped + 2


def test_trap_01_one_error_is_counted_once_and_nothing_waits_for_ever(
    dm: RemapDevice, null_blk: NullBlk
) -> None:
    """end_io runs a second time when a kept bio is ended.

    Counting the bio out twice leaves a counter below 0, and the next drain waits for ever; handling
    its error twice makes two errors of one. Seen to fail with 01_end_io_runs_twice.
    """
    null_blk.add_bad(1000)
    null_blk.add_bad(3000)
    dm.write(1000, pattern(SECTOR))
    with pytest.raises(OSError) as caught:
        dm.read(3000)
    assert caught.value.errno == errno.EIO
    status = dm.status_fields()
    assert (status.errors_w, status.errors_r, status.used, status.lost) == (1, 1, 1, 1)
    drain_both_epochs(dm)
    with dm.pause():
        assert dm.suspended
    with dm.pause(noflush=True):
        assert dm.suspended
    assert dm.read(1000) == pattern(SECTOR)


def test_trap_02_bio_that_is_killed_is_not_waited_for(dm: RemapDevice, null_blk: NullBlk) -> None:
    """Core calls no end_io for a bio that map refused with DM_MAPIO_KILL.

    Counted in and never out, it makes every later drain wait for ever. Here a remapped sector whose
    data is unknown is read. Seen to fail with 02_killed_bio_stays_counted.
    """
    null_blk.add_bad(1000)
    assert dm.message("remap", 1000) == "remapped=1 lost=1 already=0"
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            dm.read(1000)
        assert caught.value.errno == errno.EIO
    drain_both_epochs(dm)
    with dm.pause():
        assert dm.suspended


def test_trap_02_fail_mode_can_be_suspended(null_blk: NullBlk, spare: NullBlk) -> None:
    """In fail mode map kills every write; the device can be suspended and removed all the same.

    Nothing drains in fail mode, so the mistake above doesn't show here: this guards the state.
    """
    with (
        FaultyDevice(spare) as faulty_spare,
        RemapDevice(null_blk, faulty_spare, opts=QUICK) as dm,
    ):
        dm.write(2000, pattern(SECTOR))
        null_blk.add_bad(1000)
        faulty_spare.fail()
        with pytest.raises(OSError):
            dm.write(1000, pattern(SECTOR))
        assert dm.status_fields().mode == "fail"
        for sector in range(8):
            with pytest.raises(OSError):
                dm.write(sector, pattern(SECTOR))
        assert dm.read(2000) == pattern(SECTOR)
        with dm.pause():
            assert dm.suspended
        with dm.pause(noflush=True):
            assert dm.suspended


@pytest.mark.parametrize("bad", [(1024, 1), (1021, 7), (0, 1), (2047, 1)])
def test_trap_03_every_byte_of_a_large_write_arrives(
    dm: RemapDevice, null_blk: NullBlk, bad: tuple[int, int]
) -> None:
    """The layers below use bi_iter up: at end_io it says that nothing is left to write.

    A retry from there writes nothing, or the wrong part, and reports success.
    Seen to fail with 03_bi_iter_consumed.
    """
    start, first, count = 4096, *bad
    null_blk.add_bad(start + first, count)
    data = pattern(MIB)
    dm.write(start, data)
    assert dm.read(start, MIB // SECTOR) == data
    assert dm.remapped() == {start + first + i for i in range(count)}


def writes_of(device: DmDevice) -> int:
    """How many bios were written to it so far, and have ended."""
    return int((device.sysfs / "stat").read_text().split()[4])


@pytest.mark.skipif(not HUGE_PAGES.exists(), reason="the kernel has no huge pages")
@pytest.mark.parametrize("bad", [0, 2048, 4095])
def test_trap_03_bio_that_is_longer_than_its_tag_can_tell(
    dm: RemapDevice, null_blk: NullBlk, bad: int
) -> None:
    """A bio's tag has room for a length of 1 MiB. Seen to fail with 03_tag_of_a_long_bio."""
    start, data = 4096, pattern(2 * MIB)
    null_blk.add_bad(start + bad)
    before = writes_of(dm)
    with DirectFile(dm) as file:
        file.pwrite_huge(start * SECTOR, data)
    assert writes_of(dm) == before + 1
    assert dm.read(start, 2 * MIB // SECTOR) == data
    assert dm.remapped() == {start + bad}


def test_trap_03_bio_that_begins_in_the_middle_of_its_pages(
    dm: RemapDevice, null_blk: NullBlk
) -> None:
    """A tag doesn't tell where in its pages a bio begins, as it does behind a remapped sector.

    Seen to fail with 03_tag_of_a_part.
    """
    start, data = 4096, pattern(MIB)
    dm.message("remap", start + 9)
    for sector in (10, 700, 2047):
        null_blk.add_bad(start + sector)
    dm.write(start, data)
    assert dm.read(start, MIB // SECTOR) == data
    assert dm.remapped() == {start + sector for sector in (9, 10, 700, 2047)}


@pytest.mark.parametrize("wrong", [(3, 700, 1024, 2047), (2047,)], ids=["many", "last"])
@pytest.mark.parametrize("max_sectors", [8, 24])
def test_trap_04_error_in_a_bio_that_the_device_below_splits(
    max_sectors: int, wrong: tuple[int, ...]
) -> None:
    """A device that split a bio has counted its __bi_remaining down to 0.

    Whoever submits that bio again has it ended before its last part has: what becomes of that part
    is not known then. Seen to fail with 04_bi_remaining_not_restored, which submits it again.
    """
    limits = {"max_sectors": max_sectors, "irqmode": 2, "completion_nsec": 200_000}
    with (
        NullBlk(**limits) as main,
        NullBlk(size_mb=16) as spare,
        RemapDevice(main, spare, opts=QUICK) as dm,
        DmDevice(Linear(dm, main.sectors)) as top,
    ):
        assert main.queue("max_sectors_kb") == max_sectors // 2
        bad = {4096 + sector for sector in wrong}
        for sector in bad:
            main.add_bad(sector)
        data = pattern(MIB)
        with DirectFile(top) as file:
            for _ in range(2):
                file.pwrite(4096 * SECTOR, data)
                assert file.pread(4096 * SECTOR, MIB) == data
        assert dm.remapped() == bad


def test_trap_05_retries_stay_in_their_partition(null_blk: NullBlk, spare: NullBlk) -> None:
    """bi_flags tell what the layers below did with a bio, such as moving it into its partition.

    A retry that inherits BIO_REMAPPED goes to the start of the disk instead of the partition: what
    was to be written is not there, and a neighbour is overwritten. Seen to fail with
    05_bi_flags_lost.
    """
    start, sectors = 65536, 65536
    before = pattern(MIB, seed=2)
    with DirectFile(null_blk) as file:
        file.pwrite(4096 * SECTOR, before)
    with (
        Partition(null_blk, start, sectors) as main,
        RemapDevice(main, spare, opts=QUICK) as dm,
    ):
        null_blk.add_bad(start + 4096 + 500)
        data = pattern(MIB)
        dm.write(4096, data)
        assert dm.read(4096, MIB // SECTOR) == data
        assert dm.remapped() == {4596}
        assert pread(null_blk, start + 4096, 500) == data[: 500 * SECTOR]
    assert pread(null_blk, 4096, MIB // SECTOR) == before


def test_trap_05_errors_inside_a_limited_cgroup(dm: RemapDevice, null_blk: NullBlk) -> None:
    """A cgroup's I/O controllers mark bios in bi_flags and count them out when they end.

    With marks of a first life in a second one they count twice and hold I/O back for ever. All
    controllers that the kernel has are on: io.latency (Debian's kernels lack it), io.cost, io.max.
    Only io.latency would be held up by that; elsewhere this guards the data and the counters, and
    the test above shows the mistake.
    """
    (CGROUP / "cgroup.subtree_control").write_text("+io")
    group = CGROUP / "dm-remap-test"
    group.mkdir()
    number = (null_blk.sysfs / "dev").read_text().strip()
    top_number = (dm.sysfs / "dev").read_text().strip()
    try:
        (CGROUP / "io.cost.qos").write_text(f"{number} enable=1")
        for each in (number, top_number):
            (group / "io.max").write_text(f"{each} wbps=1073741824 riops=100000")
        latency = group / "io.latency"
        if latency.exists():
            latency.write_text(f"{number} target=1000")
        bad = {1000 + 100 * i for i in range(20)}
        for sector in bad:
            null_blk.add_bad(sector)
        data = pattern(MIB)
        child = os.fork()
        if not child:
            status = 1
            try:
                (group / "cgroup.procs").write_text(str(os.getpid()))
                for _ in range(3):
                    dm.write(1000, data)
                    assert dm.read(1000, MIB // SECTOR) == data
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert dm.remapped() == bad
        wait_until(
            lambda: (null_blk.sysfs / "inflight").read_text().split() == ["0", "0"],
            "nothing is in flight",
        )
        with dm.pause():
            assert dm.suspended
    finally:
        (CGROUP / "io.cost.qos").write_text(f"{number} enable=0")
        group.rmdir()
        (CGROUP / "cgroup.subtree_control").write_text("-io")


def test_trap_09_failed_readahead_remaps_nothing(dm: RemapDevice, null_blk: NullBlk) -> None:
    """Read-ahead fails fast, for reasons of its own, and nobody waits for its data.

    Its error is no reason to move or give up a sector. Seen to fail with 09_readahead_is_rescued.
    """
    null_blk.add_bad(1000, 8)
    with open(dm.path, "rb") as file:
        before = (dm.sysfs / "stat").read_text().split()[0]
        os.posix_fadvise(file.fileno(), 992 * SECTOR, 24 * SECTOR, os.POSIX_FADV_WILLNEED)
        wait_until(
            lambda: (
                (dm.sysfs / "stat").read_text().split()[0] != before
                and (dm.sysfs / "inflight").read_text().split() == ["0", "0"]
            ),
            "the read-ahead has ended",
        )
        stats = dm.stats()
        assert (stats["slow_reads"], stats["read_errors"], stats["lost"]) == (0, 0, 0)
        assert (stats["remaps"], stats["auto_remaps"]) == (0, 0)


def test_trap_09_a_write_that_would_block_remaps_nothing() -> None:
    """A NOWAIT bio that finds the queue full ends with BLK_STS_AGAIN: that is no medium error.

    It must come back as EAGAIN at once, and leave no trace. Seen to fail with
    09_wouldblock_is_a_medium_error.
    """
    slow = {"hw_queue_depth": 1, "irqmode": 2, "completion_nsec": 300_000_000, "submit_queues": 1}
    with (
        NullBlk(**slow) as main,
        NullBlk(size_mb=16) as spare,
        RemapDevice(main, spare, opts=QUICK) as dm,
        Aio(dm) as occupier,
        DirectFile(dm) as file,
    ):
        occupier.write([Write(0, pattern(4096))])
        with pytest.raises(BlockingIOError):
            file.pwrite(MIB, pattern(4096), os.RWF_NOWAIT)
        with pytest.raises(BlockingIOError):
            file.pread(MIB, 4096, os.RWF_NOWAIT)
        assert occupier.wait() == [4096]
        stats = dm.stats()
        assert (stats["slow_writes"], stats["slow_reads"]) == (0, 0)
        assert (stats["remaps"], stats["lost"]) == (0, 0)


@pytest.mark.timeout(40)
@pytest.mark.parametrize("direction", ["write", "read"])
def test_trap_10_retry_of_a_polled_bio_ends(direction: str) -> None:
    """A polled bio ends only when somebody polls the queue that it went to.

    A retry that stays REQ_POLLED is waited for by a worker that doesn't poll, and hangs: on another
    processor it is in another queue than the one that the submitter polls. So the workers are kept
    off the submitter's processor here. Seen to fail with 10_retry_stays_polled.
    """
    assert os.cpu_count() == 2
    with (
        NullBlk(poll_queues=2, submit_queues=2) as main,
        NullBlk(size_mb=16) as spare,
        RemapDevice(main, spare, opts=QUICK) as dm,
    ):
        assert dm.queue("io_poll") == 1
        kinds = Path("/sys/kernel/debug/block", main.path.name).glob("hctx*/type")
        assert [kind.read_text().strip() for kind in kinds].count("poll") == 2
        main.add_bad(1000)
        usual = UNBOUND_CPUS.read_text()
        UNBOUND_CPUS.write_text("2")
        try:
            report = polled_fio(dm, direction)
        finally:
            UNBOUND_CPUS.write_text(usual)
        if direction == "write":
            assert report["error"] == 0
            assert report["write"]["total_ios"] == 64
            assert dm.remapped() == {1000}
        else:
            assert report["total_err"] == 1
            assert report["read"]["total_ios"] == 64
            assert dm.status_fields().lost == 1


def polled_fio(dm: RemapDevice, direction: str) -> dict[str, Any]:
    """1 MiB in requests of 16 KiB by polled io_uring on processor 0; fio's report."""
    reply = run(
        "fio",
        "--name=polled",
        f"--filename={dm}",
        "--ioengine=io_uring",
        "--hipri=1",
        "--direct=1",
        f"--rw={direction}",
        "--bs=16k",
        "--iodepth=8",
        f"--size={MIB}",
        "--cpus_allowed=0",
        "--continue_on_error=io",
        "--output-format=json",
        timeout=20,
    )
    report = json.loads(reply[reply.index("{") :])
    job: dict[str, Any] = report["jobs"][0]
    return job
