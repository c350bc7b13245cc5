"""Requests of any size and kind over sectors that are here and there."""

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.lib.aio import Aio, Write
from tests.kernel.lib.blockdev import SECTOR, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.ioctl import discard, zero_out
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import DATA_START, Metadata
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import Disks, QuickRemap, eio, patient, pattern, refused

FIRST = 4096
COUNT = 2048  # 1 MiB


@pytest.fixture
def checkered(two: Disks) -> Iterator[QuickRemap]:
    """A device with every other one of COUNT sectors from FIRST on remapped."""
    main, spare = two
    with FaultyDevice(main) as faulty, QuickRemap(faulty, spare) as dm:
        faulty.set_bad(range(FIRST, FIRST + COUNT, 2))
        dm.write(FIRST, pattern(COUNT, seed=25))
        faulty.heal()
        assert dm.remapped() == set(range(FIRST, FIRST + COUNT, 2))
        yield dm


def _sector(data: bytes, number: int) -> bytes:
    return data[number * SECTOR : (number + 1) * SECTOR]


def _check(dm: QuickRemap, model: bytes) -> None:
    """The model is what is read at once, sector by sector, and on the disks themselves."""
    assert dm.read(FIRST, COUNT) == model
    with DirectFile(dm) as file:
        for number in range(0, COUNT, 61):
            assert file.pread((FIRST + number) * SECTOR, SECTOR) == _sector(model, number)
    main = pread(dm.main, FIRST, COUNT)
    spare = pread(dm.spares[0], DATA_START, COUNT)
    places = {remap.sector - FIRST: remap.spare_sector for remap in dm.remaps()}
    for number in range(COUNT):
        place = places.get(number)
        if place is None:
            assert _sector(main, number) == _sector(model, number)
        else:
            assert _sector(spare, place - DATA_START) == _sector(model, number)


def _write(dm: QuickRemap, model: bytearray) -> None:
    model[:] = pattern(COUNT, seed=1)
    dm.write(FIRST, bytes(model))


def _write_through(dm: QuickRemap, model: bytearray) -> None:
    model[:] = pattern(COUNT, seed=2)
    dm.write(FIRST, bytes(model), os.RWF_DSYNC)


def _write_and_flush(dm: QuickRemap, model: bytearray) -> None:
    model[: 99 * SECTOR] = pattern(99, seed=3)
    with DirectFile(dm) as file:
        file.pwrite(FIRST * SECTOR, bytes(model[: 99 * SECTOR]))
        file.fsync()


def _zero(dm: QuickRemap, model: bytearray) -> None:
    model[7 * SECTOR : 2000 * SECTOR] = bytes(1993 * SECTOR)
    zero_out(dm, FIRST + 7, 1993)


def _many_at_once(dm: QuickRemap, model: bytearray) -> None:
    writes = []
    for number, start in enumerate(range(0, COUNT, 32)):
        data = pattern(32, seed=100 + number)
        model[start * SECTOR : (start + 32) * SECTOR] = data
        writes.append(Write((FIRST + start) * SECTOR, data))
    with Aio(dm) as aio:
        aio.write(writes)
        assert aio.wait() == [32 * SECTOR] * len(writes)


def _buffered(dm: QuickRemap, model: bytearray) -> None:
    model[:] = pattern(COUNT, seed=5)
    with open(dm.path, "r+b") as file:
        file.seek(FIRST * SECTOR)
        file.write(model)
        file.flush()
        os.fsync(file.fileno())


def _odd_pieces(dm: QuickRemap, model: bytearray) -> None:
    rng = random.Random(25)
    with DirectFile(dm) as file:
        for number in range(12):
            start = rng.randrange(COUNT)
            count = rng.randint(1, COUNT - start)
            data = pattern(count, seed=200 + number)
            model[start * SECTOR : (start + count) * SECTOR] = data
            file.pwrite((FIRST + start) * SECTOR, data)


def test_trap_25_every_operation_over_every_other_sector_remapped(checkered: QuickRemap) -> None:
    """Each request is cut 2,047 times, whatever it does.

    Mistake: send a request where its first sector is. Seen to fail with
    tests/mistakes/25_not_cut.patch.
    """
    dm = checkered
    model = bytearray(pattern(COUNT, seed=25))
    _check(dm, bytes(model))
    operations: tuple[Callable[[QuickRemap, bytearray], None], ...] = (
        _write,
        _write_through,
        _write_and_flush,
        _zero,
        _many_at_once,
        _buffered,
        _odd_pieces,
    )
    for operation in operations:
        operation(dm, model)
        _check(dm, bytes(model))
    # What a discarded sector holds is undefined; its neighbours and the mapping stay.
    discard(dm, FIRST + 1, COUNT - 2)
    assert dm.remapped() == set(range(FIRST, FIRST + COUNT, 2))
    last = COUNT - 1
    assert dm.read(FIRST) == bytes(model[:SECTOR])
    assert dm.read(FIRST + last) == bytes(model[last * SECTOR :])
    _write(dm, model)
    _check(dm, bytes(model))
    dm.reassemble()
    _check(dm, bytes(model))


def test_trap_25_fio_verifies_its_own_writes(checkered: QuickRemap) -> None:
    """Engines and depths that no other test here has."""
    for engine in ("libaio", "io_uring"):
        run(
            "fio",
            "--name=split",
            f"--filename={checkered}",
            f"--ioengine={engine}",
            "--direct=1",
            "--rw=randwrite",
            "--bsrange=512-64k",
            "--blockalign=512",
            "--iodepth=16",
            f"--offset={FIRST * SECTOR}",
            f"--size={COUNT * SECTOR}",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--randseed=25",
            "--fsync=32",
        )
    assert len(checkered.remapped()) == COUNT // 2


def test_write_zeroes_request_over_every_other_sector_remapped() -> None:
    """null_blk takes no write-zeroes, so that was ordinary writes; a SCSI disk takes them."""
    with (
        ScsiDebug(dev_size_mb=32, lbpws=1, lbpws10=1) as disk,
        DmDevice(Linear(disk, 32768)) as main,
        DmDevice(Linear(disk, 16384, offset=32768)) as spare,
        FaultyDevice(main) as faulty,
        QuickRemap(faulty, spare) as dm,
    ):
        faulty.set_bad(range(FIRST, FIRST + 256, 2))
        model = bytearray(pattern(256, seed=1))
        dm.write(FIRST, bytes(model))
        assert dm.queue("write_zeroes_max_bytes") > 0
        # Some fail: those are zeroed on a spare.
        faulty.set_bad((FIRST + 101, FIRST + 103))
        zero_out(dm, FIRST + 3, 200)
        model[3 * SECTOR : 203 * SECTOR] = bytes(200 * SECTOR)
        assert dm.read(FIRST, 256) == bytes(model)
        assert len(dm.remapped()) == 128 + 2


@pytest.mark.parametrize("which", ["main", "spare"])
def test_trap_25_zoned_disks_are_refused(kernel_log: KernelLog, which: str) -> None:
    """Sectors of a zoned disk can't be moved one by one."""
    with (
        NullBlk(64, zoned=1, zone_size=4) as zoned,
        NullBlk(64) as plain,
    ):
        main, spare = (zoned, plain) if which == "main" else (plain, zoned)
        refused(kernel_log, QuickRemap(main, spare), "zoned|zone")
        assert not any(Metadata(plain).image())


def test_random_operations_agree_with_a_model(two: Disks) -> None:
    """Reads, writes, zeroing, errors that come and go, moves and reloads, 300 of them."""
    main, spare = two
    rng = random.Random(2026)
    steps = itertools.count(1)
    size = 96
    model = [bytes(SECTOR)] * size
    bad: set[int] = set()

    def some() -> tuple[int, int]:
        start = rng.randrange(size)
        return start, rng.randint(1, min(24, size - start))

    def write() -> None:
        start, count = some()
        data = pattern(count, seed=next(steps))
        model[start : start + count] = [_sector(data, i) for i in range(count)]
        dm.write(start, data, rng.choice((0, os.RWF_DSYNC)))

    def zero() -> None:
        start, count = some()
        model[start : start + count] = [bytes(SECTOR)] * count
        zero_out(dm, start, count)

    def read() -> None:
        start, count = some()
        readable = bad <= dm.remapped()
        try:
            assert dm.read(start, count) == b"".join(model[start : start + count])
        except OSError as error:
            assert error.errno in (errno.EIO, None)
            assert not readable
            assert (bad - dm.remapped()) & set(range(start, start + count))

    def turn_bad() -> None:
        sector = rng.randrange(size)
        main.add_bad(sector)
        bad.add(sector)

    def heal() -> None:
        if bad:
            sector = rng.choice(sorted(bad))
            main.remove_bad(sector)
            bad.remove(sector)

    def remap() -> None:
        # Not where main can't be read: that would make data unknown.
        start, count = some()
        for sector in range(start, start + count):
            if sector not in bad:
                dm.message("remap", sector)

    def unremap() -> None:
        dm.message("unremap", *some())

    def activate() -> None:
        if rng.random() < 0.5:
            dm.reassemble(opts=patient())
        else:
            dm.reload(dm.target(patient()))

    actions = [write] * 8 + [read] * 8 + [zero] * 2 + [turn_bad] * 2
    actions += [heal, remap, unremap, activate]
    with QuickRemap(main, spare, opts=patient()) as dm:
        for _ in range(300):
            rng.choice(actions)()
        places = [remap.spare_sector for remap in dm.remaps() if remap.kind == "remap"]
        assert len(set(places)) == len(places) > 0
        for sector in sorted(bad):
            main.remove_bad(sector)
        dm.reassemble()
        assert dm.read(0, size) == b"".join(model)
        dm.message("clear")
        assert dm.remapped() == set()
    assert pread(main, 0, size) == b"".join(model)


def test_requests_at_the_end_and_across_regions(two: Disks) -> None:
    """The index has regions of 32,768 units: one ends in the middle of this device."""
    _, spare = two
    with NullBlk(32) as main, QuickRemap(main, spare) as dm:
        assert main.sectors == 65536
        for sector in (0, 32767, 32768, 65535):
            dm.message("remap", sector)
        for start, count in ((0, 8), (32760, 16), (65528, 8)):
            data = pattern(count, seed=start + 1)
            dm.write(start, data)
            assert dm.read(start, count) == data
        dm.message("clear")
        assert dm.read(32760, 16) == pattern(16, seed=32761)
        assert pread(main, 65528, 8) == pattern(8, seed=65529)
        pwrite(main, 0, bytes(SECTOR))
        assert dm.read(0) == bytes(SECTOR)


def test_a_nowait_write_that_would_block_in_the_middle_writes_nothing(two: Disks) -> None:
    """A lost sector is written by the engine, for which a NOWAIT write can't wait.

    The sectors before it must not be under way already: EAGAIN would then come from an interrupt,
    where io_uring can't repeat the write, and its caller would see it as an error.
    """
    main, spare = two
    with QuickRemap(main, spare) as dm:
        old, new = pattern(16, seed=1), pattern(16, seed=2)
        dm.write(FIRST, old)
        main.add_bad(FIRST + 8)
        assert eio(dm, FIRST + 8)
        main.remove_bad(FIRST + 8)
        assert dm.status_fields().lost == 1
        with DirectFile(dm) as file:
            with pytest.raises(BlockingIOError):
                file.pwrite(FIRST * SECTOR, new, os.RWF_NOWAIT)
            assert pread(main, FIRST, 16) == old
            file.pwrite(FIRST * SECTOR, new)
        assert dm.read(FIRST, 16) == new
