"""Errors of the main device: writes go to a spare, reads are rescued. Traps 6, 7, 8 and 11.

"Seen to fail with" names a patch of tests/mistakes, which makes the mistake.
"""

import contextlib
import errno
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.lib.aio import Aio, Write
from tests.kernel.lib.blockdev import FAILS_COMMANDS, SECTOR, BlockDevice, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear, Target
from tests.kernel.lib.faults import FaultyDevice, Flakey
from tests.kernel.lib.ioctl import discard, set_read_only, zero_out
from tests.kernel.lib.lio import LoopedScsi
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import QUICK

MIB = 1 << 20

# Pauses long enough that a test can make a sector readable again between two attempts.
PATIENT = {"retries": 6, "backoff_ms": 100}


def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes of which no sector is like another."""
    return random.Random(seed).randbytes(length)


def write_merges(device: BlockDevice) -> int:
    """How many writes a disk has merged into others."""
    return int((device.sysfs / "stat").read_text().split()[5])


# --- Writes that fail


@pytest.mark.parametrize("target", ["remap", "remap-v4"])
def test_failed_write_goes_to_the_spare(null_blk: NullBlk, spare: NullBlk, target: str) -> None:
    data = pattern(SECTOR)
    with RemapDevice(null_blk, spare, opts=QUICK, target=target) as dm:
        null_blk.add_bad(1000)
        dm.write(1000, data)
        assert dm.read(1000) == data
        (remap,) = dm.remaps()
        assert (remap.sector, remap.sectors, remap.kind) == (1000, 1, "remap")
        assert (remap.spare, remap.manual) == (0, False)
        assert remap.spare_sector is not None
        assert pread(spare, remap.spare_sector) == data
        status = dm.status_fields()
        assert (status.used, status.auto, status.manual, status.lost) == (1, 1, 0, 0)
        dm.reassemble()
        assert dm.read(1000) == data
        assert dm.remapped() == {1000}


def test_failed_writes_of_all_sizes(dm: RemapDevice, null_blk: NullBlk) -> None:
    bad = set()
    start = 64
    for sectors in (1, 2, 3, 7, 8, 9, 64, 255, 256, 257, 2048, 4096):
        for place in {0, sectors // 2, sectors - 1}:
            null_blk.add_bad(start + place)
            bad.add(start + place)
        data = pattern(sectors * SECTOR, seed=sectors)
        dm.write(start, data)
        assert dm.read(start, sectors) == data
        start += sectors + 1
    assert dm.remapped() == bad
    assert dm.status_fields().errors_w == len(bad)


def test_units_of_4096_bytes() -> None:
    with (
        NullBlk(blocksize=4096) as main,
        NullBlk(size_mb=16) as spare,
        RemapDevice(main, spare, opts=QUICK) as dm,
    ):
        assert dm.queue("logical_block_size") == 4096
        main.add_bad(8 * 100 + 3)
        data = pattern(64 * SECTOR)
        dm.write(768, data)
        assert dm.read(768, 64) == data
        assert [(remap.sector, remap.sectors) for remap in dm.remaps()] == [(800, 8)]


def test_remapped_sectors_are_written_again_in_place(dm: RemapDevice, null_blk: NullBlk) -> None:
    null_blk.add_bad(1000, 4)
    for seed in range(3):
        data = pattern(64 * SECTOR, seed)
        dm.write(980, data)
        assert dm.read(980, 64) == data
    assert dm.remapped() == {1000, 1001, 1002, 1003}
    assert dm.stats()["auto_remaps"] == 4


def test_an_event_tells_that_the_breaker_opened(null_blk: NullBlk, spare: NullBlk) -> None:
    with FaultyDevice(null_blk) as main, RemapDevice(main, spare, opts=QUICK) as dm:
        before = dm.event_nr
        main.fail()
        with pytest.raises(OSError):
            dm.write(0, bytes(SECTOR))
        dm.wait(before)
        assert dm.event_nr > before


def test_trap_06_neighbours_of_a_bad_sector_stay(dm: RemapDevice, null_blk: NullBlk) -> None:
    """The error of a request reaches all bios that were merged into it.

    So the status of a bio says nothing about its sectors: only one that fails alone may be
    remapped. Seen to fail with 06_whole_bio_is_remapped.
    """
    null_blk.add_bad(4096 + 100)
    merges = write_merges(null_blk)
    writes = [Write(4096 * SECTOR + 4096 * i, pattern(4096, i)) for i in range(64)]
    with Aio(dm) as aio:
        aio.write(writes)
        assert aio.wait() == [4096] * 64
    assert write_merges(null_blk) > merges, "nothing was merged: this test shows nothing"
    assert dm.remapped() == {4196}
    assert dm.stats()["slow_writes"] > 1
    for write in writes:
        assert dm.read(write.offset // SECTOR, 8) == write.data


def test_trap_06_one_remap_for_each_bad_sector(dm: RemapDevice, null_blk: NullBlk) -> None:
    """Several bad sectors in merged writes, two of them in one. See the test above."""
    bad = {4096, 4196, 4197, 4196 + 64, 4096 + 511}
    for sector in bad:
        null_blk.add_bad(sector)
    with Aio(dm) as aio:
        aio.write([Write(4096 * SECTOR + 4096 * i, pattern(4096, i)) for i in range(64)])
        assert aio.wait() == [4096] * 64
    assert dm.remapped() == bad


@contextlib.contextmanager
def failing_scsi(way: str) -> Iterator[tuple[BlockDevice, Callable[[], None]]]:
    """A SCSI disk, and what makes its writes of sector 1000 fail."""
    if way == "looped":
        with NullBlk() as below, LoopedScsi(below) as disk:
            yield disk, lambda: below.add_bad(1000)
        return
    with ScsiDebug(delay=0) as debug:
        errors = Path("/sys/kernel/debug/scsi_debug", debug.hctl, "error")
        # Medium error, write error: any WRITE (10), for a target cannot be told a sector.
        sense = "2 1 0x2a 0 0 0x2 0x3 0xc 0x0\n"
        try:
            yield debug, lambda: _write(errors, sense)
        finally:
            _write(errors, "- 2 0x2a\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text)


# scsi_debug takes errors per command since 6.7; the looped disk fails on every kernel.
SCSI_WAYS = ["looped", *["sense"] * (FAILS_COMMANDS)]


@pytest.mark.parametrize("way", SCSI_WAYS)
def test_trap_07_scsi_write_error_is_remapped(way: str, spare: NullBlk) -> None:
    """A SCSI or ATA disk's write error (sense 3/0c/00) arrives as BLK_STS_IOERR, not as MEDIUM.

    Who remaps only after BLK_STS_MEDIUM saves no SCSI disk from anything. Seen to fail with
    07_only_medium_is_remapped.
    """
    with (
        failing_scsi(way) as (main, fail),
        RemapDevice(main, spare, opts={"retries": 0}) as dm,
    ):
        fail()
        with DirectFile(main) as file, pytest.raises(OSError) as caught:
            file.pwrite(1000 * SECTOR, pattern(SECTOR))
        assert caught.value.errno == errno.EIO
        dm.write(1000, pattern(SECTOR))
        assert dm.remapped() == {1000}
        assert dm.read(1000) == pattern(SECTOR)


def test_trap_08_dead_device_eats_no_spares(null_blk: NullBlk, spare: NullBlk) -> None:
    """When everything fails, the device is gone: sectors of it need no spare.

    Without a breaker the first minute of a pulled cable uses all spares up. Once the device is
    back, a message closes the breaker. Seen to fail with 08_breaker_never_opens.
    """
    with FaultyDevice(null_blk) as main, RemapDevice(main, spare, opts=QUICK) as dm:
        dm.write(0, pattern(MIB))
        main.fail()
        for sector in range(0, 2048, 32):
            with pytest.raises(OSError) as caught:
                dm.write(sector, pattern(16 * SECTOR, seed=2))
            assert caught.value.errno == errno.EIO
        with pytest.raises(OSError):
            dm.read(2000)
        status = dm.status_fields()
        assert status.breaker == "open"
        assert status.used <= 8
        assert status.lost == 0
        main.recover()
        assert dm.message("set", "breaker", "closed") == "breaker=closed"
        assert dm.status_fields().breaker == "closed"
        # Main is as it was, but for what got a spare before the breaker opened.
        used = dm.remapped()
        assert dm.read(2000, 48) == pattern(MIB)[2000 * SECTOR :]
        main.add_bad(3000)
        dm.write(3000, pattern(SECTOR, seed=3))
        assert dm.read(3000) == pattern(SECTOR, seed=3)
        assert dm.remapped() == used | {3000}


def test_trap_08_read_only_device_eats_no_spares(dm: RemapDevice, null_blk: NullBlk) -> None:
    """A device that is known to be read-only. See the first test of trap 8."""
    null_blk.add_bad(1000)
    set_read_only(null_blk, on=True)
    try:
        with pytest.raises(OSError):
            dm.write(1000, pattern(SECTOR))
        status = dm.status_fields()
        assert (status.used, status.breaker) == (0, "open")
    finally:
        set_read_only(null_blk, on=False)
    assert dm.message("set", "breaker", "closed") == "breaker=closed"
    dm.write(1000, pattern(SECTOR))
    assert dm.remapped() == {1000}


def test_trap_08_device_that_takes_no_write_eats_few_spares(
    null_blk: NullBlk, spare: NullBlk
) -> None:
    """A device that answers reads and refuses every write, as some do when they give up.

    It can't be told at once from one that has a bad spot there, but soon. See the first test of
    trap 8.
    """
    run("modprobe", "dm-flakey")
    sectors = null_blk.sectors
    with (
        DmDevice(Linear(null_blk, sectors)) as main,
        RemapDevice(main, spare, opts=QUICK) as dm,
    ):
        main.reload(Flakey(null_blk, sectors, features=("error_writes",)), noflush=True)
        with pytest.raises(OSError):
            dm.write(0, pattern(MIB // 2))
        status = dm.status_fields()
        assert status.breaker == "open"
        assert status.used <= 256
        assert dm.read(30000) == bytes(SECTOR)


@contextlib.contextmanager
def crypt(below: BlockDevice) -> Iterator[DmDevice]:
    """dm-crypt over a device."""
    for module in ("dm-crypt", "aesni_intel", "xts", "ecb", "cbc"):
        # A processor without AES instructions has other code for it, and some have it built in.
        with contextlib.suppress(CommandError):
            run("modprobe", module)
    line = Target("crypt", below.sectors, ("aes-xts-plain64", "11" * 64, 0, below, 0))
    with DmDevice(line) as device:
        yield device


@pytest.mark.timeout(60)
def test_trap_11_a_stack_of_targets_under_errors(null_blk: NullBlk, spare: NullBlk) -> None:
    """map runs inside submit_bio(), where what it submits starts only after it has returned.

    I/O that it waits for never ends. Deep stacks share the pools of bios, too: dm-remap on
    dm-linear on dm-crypt, and dm-crypt on top, with errors in reads and writes at every turn. Seen
    to fail with 11_map_waits_for_io.
    """
    bad = {4096 + 97 * i for i in range(16)}
    with (
        crypt(null_blk) as lower,
        DmDevice(Linear(lower, lower.sectors)) as linear,
        RemapDevice(linear, spare, opts=QUICK) as dm,
        crypt(dm) as top,
    ):
        pwrite(top, 4096, pattern(MIB, seed=1))
        for sector in bad:
            null_blk.add_bad(sector)
        writes = [Write(4096 * SECTOR + 4096 * i, pattern(4096, i)) for i in range(256)]
        with Aio(top) as aio:
            aio.read([(4096 * SECTOR + MIB * 2 + 4096 * i, 4096) for i in range(64)])
            aio.wait()
            for _ in range(2):
                aio.write(writes)
                assert aio.wait() == [4096] * 256
                aio.read([(write.offset, 4096) for write in writes])
                assert aio.wait() == [4096] * 256
        assert dm.remapped() == bad
        data = b"".join(write.data for write in writes)
        assert pread(top, 4096, MIB // SECTOR) == data


# --- Reads that fail


def test_weak_sector_is_rescued(null_blk: NullBlk, spare: NullBlk) -> None:
    data = pattern(16 * SECTOR)
    with RemapDevice(null_blk, spare, opts=PATIENT) as dm:
        dm.write(1000, data)
        null_blk.add_bad(1003, 2)
        result: list[bytes] = []
        reader = threading.Thread(target=lambda: result.append(dm.read(1000, 16)))
        reader.start()
        wait_until(lambda: dm.stats()["read_errors"] == 2, "both sectors have failed alone")
        null_blk.remove_bad(1003, 2)
        reader.join(30)
        assert result == [data]
        assert dm.remapped() == {1003, 1004}
        stats = dm.stats()
        assert (stats["rescued"], stats["lost"]) == (2, 0)
        # It stays good when the sector dies for ever.
        null_blk.add_bad(1003, 2)
        assert dm.read(1000, 16) == data
        dm.reassemble()
        assert dm.read(1000, 16) == data


def test_write_during_a_rescue_wins(null_blk: NullBlk, spare: NullBlk) -> None:
    with RemapDevice(null_blk, spare, opts=PATIENT) as dm:
        dm.write(1000, pattern(SECTOR, seed=1))
        null_blk.add_bad(1000)
        result: list[bytes] = []
        reader = threading.Thread(target=lambda: result.append(dm.read(1000)))
        reader.start()
        wait_until(lambda: dm.stats()["read_errors"] == 1, "the sector has failed alone")
        writer = threading.Thread(target=lambda: dm.write(1000, pattern(SECTOR, seed=2)))
        writer.start()
        null_blk.remove_bad(1000)
        writer.join(30)
        reader.join(30)
        assert not writer.is_alive()
        assert result in ([pattern(SECTOR, seed=1)], [pattern(SECTOR, seed=2)])
        assert dm.read(1000) == pattern(SECTOR, seed=2)


def test_unreadable_sector_is_lost_until_it_is_written(dm: RemapDevice, null_blk: NullBlk) -> None:
    data = pattern(16 * SECTOR)
    dm.write(1000, data)
    null_blk.add_bad(1003)
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            dm.read(1003)
        assert caught.value.errno == errno.EIO
        status = dm.status_fields()
        assert (status.used, status.lost) == (0, 1)
    # Its neighbours are there.
    assert dm.read(1000, 3) + dm.read(1004, 12) == data[: 3 * SECTOR] + data[4 * SECTOR :]
    (lost,) = dm.remaps()
    assert (lost.sector, lost.kind, lost.spare) == (1003, "lost", None)
    # It is remembered on the spares.
    dm.reassemble(QUICK)
    assert dm.status_fields().lost == 1
    with pytest.raises(OSError):
        dm.read(1003)
    dm.write(1003, pattern(SECTOR, seed=2))
    assert dm.read(1003) == pattern(SECTOR, seed=2)
    status = dm.status_fields()
    assert (status.used, status.lost) == (1, 0)
    dm.reassemble(QUICK)
    assert dm.status_fields().lost == 0
    assert dm.read(1003) == pattern(SECTOR, seed=2)


def test_lost_sector_that_main_takes_again_needs_no_spare(
    dm: RemapDevice, null_blk: NullBlk
) -> None:
    null_blk.add_bad(1003)
    with pytest.raises(OSError):
        dm.read(1003)
    null_blk.remove_bad(1003)
    dm.write(1000, pattern(16 * SECTOR))
    status = dm.status_fields()
    assert (status.used, status.lost) == (0, 0)
    assert dm.remaps() == []
    assert dm.read(1000, 16) == pattern(16 * SECTOR)
    assert pread(null_blk, 1000, 16) == pattern(16 * SECTOR)


def test_large_read_with_one_lost_sector_fails_as_a_whole(
    dm: RemapDevice, null_blk: NullBlk
) -> None:
    dm.write(4096, pattern(MIB))
    null_blk.add_bad(4096 + 1024)
    with pytest.raises(OSError):
        dm.read(4096, MIB // SECTOR)
    assert dm.status_fields().lost == 1
    null_blk.add_bad(4096 + 3)
    with pytest.raises(OSError):
        dm.read(4096, 8)
    assert {remap.sector for remap in dm.remaps()} == {4099, 5120}


def test_scsi_medium_error_is_lost_and_healed_by_a_write(
    scsi_debug: ScsiDebug, spare: NullBlk
) -> None:
    with RemapDevice(scsi_debug, spare, opts={"retries": 1, "backoff_ms": 1}) as dm:
        scsi_debug.set_opts(ScsiDebug.MEDIUM_ERROR)
        with pytest.raises(OSError) as caught:
            dm.read(4100)
        assert caught.value.errno in (errno.EIO, errno.ENODATA)
        assert dm.status_fields().lost == 1
        # scsi_debug takes the write and goes on failing reads: the sector is lost once more then.
        scsi_debug.set_opts(0)
        dm.write(4100, pattern(SECTOR))
        assert dm.status_fields().lost == 0
        assert dm.read(4100) == pattern(SECTOR)


# --- Other operations


def test_zeroing_over_bad_sectors(dm: RemapDevice, null_blk: NullBlk) -> None:
    dm.write(992, pattern(64 * SECTOR))
    null_blk.add_bad(1003, 2)
    zero_out(dm, 1000, 16)
    data = pattern(64 * SECTOR)
    assert dm.read(992, 64) == data[: 8 * SECTOR] + bytes(16 * SECTOR) + data[24 * SECTOR :]
    assert dm.remapped() == {1003, 1004}


def test_write_zeroes_requests() -> None:
    """On halves of a scsi_debug disk, for null_blk takes no write-zeroes requests."""
    with (
        ScsiDebug(lbpws=1, lbpws10=1) as disk,
        DmDevice(Linear(disk, 49152)) as half,
        DmDevice(Linear(disk, disk.sectors - 49152, 49152)) as spare,
        FaultyDevice(half) as main,
        RemapDevice(main, spare, opts=QUICK) as dm,
    ):
        assert dm.queue("write_zeroes_max_bytes") > 0
        data = pattern(64 * SECTOR)
        zeroed = data[: 8 * SECTOR] + bytes(16 * SECTOR) + data[24 * SECTOR :]
        dm.write(992, data)
        assert dm.message("remap", 1003, 2) == "remapped=2 lost=0 already=0"
        zero_out(dm, 1000, 16)
        assert dm.read(992, 64) == zeroed
        assert dm.remapped() == {1003, 1004}
        for remap in dm.remaps():
            assert remap.spare_sector is not None
            assert pread(spare, remap.spare_sector) == bytes(SECTOR)
        # Where it fails, zeros go to the spare as data.
        dm.write(992, data)
        main.add_bad(1010)
        zero_out(dm, 1000, 16)
        assert dm.read(992, 64) == zeroed
        assert dm.remapped() == {1003, 1004, 1010}


def test_discard_keeps_the_mapping(dm: RemapDevice, null_blk: NullBlk) -> None:
    null_blk.add_bad(1003, 2)
    dm.write(1000, pattern(16 * SECTOR))
    discard(dm, 992, 64)
    assert dm.remapped() == {1003, 1004}
    dm.write(1000, pattern(16 * SECTOR, seed=2))
    assert dm.read(1000, 16) == pattern(16 * SECTOR, seed=2)
    assert dm.remapped() == {1003, 1004}
