"""Operations under a load that verifies every block (tests/kernel/lib/verify.py)."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from pyctl.errors import DmError
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear, Segment
from tests.kernel.lib.faults import Flakey
from tests.kernel.lib.mortal import UNPLUGGED, Mortal
from tests.kernel.lib.pool import attach, join, migrate_all, row, rows
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import (
    Disks,
    QuickFaulty,
    QuickRemap,
    disks,
    eio,
    patient,
    pattern,
)
from tests.kernel.lib.under_load import (
    UnderLoad,
    everything_is_verified,
    everything_survives,
    parts,
    spread,
    units_on,
)
from tests.kernel.lib.verify import (
    JOBS,
    LOAD_SECTORS,
    PROBER_SECTORS,
    PROBER_START,
    LoadError,
    VerifyingLoad,
)

pytestmark = pytest.mark.long


@pytest.mark.parametrize("blocksize", [512, 4096])
def test_sectors_move_under_load(under_load: UnderLoad, blocksize: int) -> None:
    with disks(spares=2, blocksize=blocksize) as (main, *spares), QuickRemap(main, *spares) as dm:
        with under_load(dm) as load:
            for start in parts(16):
                dm.message("remap", start + 8, 200)
                load.work()
                dm.message("verify")
                dm.message("unremap", start + 64, 64)
            assert dm.status_fields().lost == 0
            everything_is_verified(dm)
        stats = dm.stats()
        assert stats["manual_remaps"] >= 16 * 200 * SECTOR // blocksize
        assert stats["unremaps"] >= 16 * 64 * SECTOR // blocksize
        with under_load(dm):
            assert dm.message("clear").endswith(" kept=0 lost=0")
        assert not dm.remapped()


def test_metadata_is_written_and_tables_are_reloaded_under_load(
    three: Disks, under_load: UnderLoad
) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        with under_load(dm) as load:
            for number, start in enumerate(parts(8)):
                dm.message("remap", start, 128)
                dm.message("save")
                assert dm.message("repair").endswith(" repaired=0")
                dm.reload(dm.target(), noflush=number % 2 == 0)
                load.work()
                dm.suspend(noflush=number % 2 == 1)
                dm.resume()
                load.work()
            everything_is_verified(dm)
        assert dm.status_fields().used == 8 * 128


@pytest.mark.parametrize("blocksize", [512, 4096])
def test_main_takes_some_writes_no_more_under_load(under_load: UnderLoad, blocksize: int) -> None:
    """Sectors that can be read, but not written: nobody above sees anything of it."""
    with (
        disks(spares=2, blocksize=blocksize) as (main, *spares),
        QuickFaulty(main) as ailing,
        QuickRemap(ailing, *spares) as dm,
    ):
        with under_load(dm) as load:
            for start in parts(8):
                ailing.add_bad(start, 128, reads=False)
                load.work()
        assert dm.status_fields().auto > 8 * 128 * SECTOR // blocksize // 4
        assert dm.status_fields().lost == 0
        everything_is_verified(dm)


def test_main_loses_sectors_under_load(two: Disks, under_load: UnderLoad) -> None:
    """What was on them can't be read until it is written; nothing else may fail."""
    main, spare = two
    bad = [sector for start in parts(8) for sector in range(start, start + 512, 64)]
    with QuickRemap(main, spare, opts=patient()) as dm:
        with under_load(dm) as load:
            load.may_fail(bad)
            for sector in bad:
                main.add_bad(sector)
            load.work(400)
        assert dm.status_fields().auto > 0
        assert dm.remapped() | _lost(dm) <= set(bad)


def _lost(dm: QuickRemap) -> set[int]:
    return {remap.sector for remap in dm.remaps() if remap.kind == "lost"}


def test_spare_dies_under_load(three: Disks, under_load: UnderLoad) -> None:
    """What was on it can't be read until it is written, on the other one; nothing else may fail.

    Without flushes: one of them would have to fail, and all that follows, for the spare may have
    taken writes into a cache.
    """
    main, *rest = three
    with QuickFaulty(rest[0]) as dying, QuickRemap(main, dying, rest[1], opts=patient()) as dm:
        for start in parts(8):
            dm.message("remap", start, 256)
        dead = {remap.sector for remap in dm.remaps() if remap.spare == 0}
        assert 0 < len(dead) < len(dm.remapped())
        with under_load(dm, flush=False) as load:
            load.may_fail(dead)
            dying.fail()
            load.work(200)
            # A commit finds out, whatever it is about.
            dm.message("remap", LOAD_SECTORS)
            assert dm.status_fields().fields["spares"] == "1/2"
            load.work(200)
        assert dm.status_fields().mode == "rw"
        moved = {remap.sector for remap in dm.remaps() if remap.spare == 1 and not remap.manual}
        assert moved and moved <= dead


# --- The pool ----------------------------------------------------------------------------------


def test_spare_is_added_under_load(two: Disks, third: NullBlk, under_load: UnderLoad) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        spread(dm, 128)
        with under_load(dm) as load:
            attach(dm, spare, third)
            load.work()
            assert join(dm, third) == 1
            load.work()
            dm.message("remap", LOAD_SECTORS // 2 + 1024, 100)
            load.work()
        assert len(units_on(dm, 1)) == 100
        everything_survives(dm, under_load)


def test_spare_is_removed_under_load(three: Disks, under_load: UnderLoad) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        spread(dm)
        with under_load(dm) as load:
            dm.message("spare", "drain", 0, "on")
            assert migrate_all(dm, 0) >= 8 * 128
            load.work()
            dm.message("spare", "drop", 0)
            attach(dm, spares[1])
            load.work()
        assert [found.row for found in rows(dm)] == [1]
        everything_survives(dm, under_load)


def test_spare_is_replaced_under_load(three: Disks, third: NullBlk, under_load: UnderLoad) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        spread(dm)
        with under_load(dm) as load:
            attach(dm, *spares, third)
            new = join(dm, third)
            dm.message("spare", "drain", 0, "on")
            moved = units_on(dm, 0)
            assert migrate_all(dm, 0, new) == len(moved)
            load.work()
            dm.message("spare", "drop", 0)
            attach(dm, spares[1], third)
            load.work()
        assert units_on(dm, new) >= moved
        everything_survives(dm, under_load)


def test_spares_are_evacuated_under_load(three: Disks, under_load: UnderLoad) -> None:
    """All from the one to the other, and back."""
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        spread(dm)
        with under_load(dm) as load:
            for away in (0, 1, 0):
                dm.message("spare", "drain", away, "on")
                migrate_all(dm, away)
                assert not units_on(dm, away)
                load.work()
                dm.message("spare", "drain", away, "off")
        everything_survives(dm, under_load)


def test_spares_are_rebalanced_under_load(
    two: Disks, third: NullBlk, under_load: UnderLoad
) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        spread(dm)
        with under_load(dm) as load:
            attach(dm, spare, third)
            join(dm, third)
            while len(units_on(dm, 1)) < len(units_on(dm, 0)):
                dm.message("spare", "migrate", 0, 1, 100)
                load.work(10)
        assert abs(len(units_on(dm, 0)) - len(units_on(dm, 1))) < 200
        everything_survives(dm, under_load)


@pytest.mark.parametrize("mortal", UNPLUGGED)
def test_spare_is_unplugged_under_load(two: Disks, mortal: Mortal, under_load: UnderLoad) -> None:
    """The device itself is gone. Only what was on it can't be read, until it is written."""
    main, spare = two
    with mortal() as (other, unplug), QuickRemap(main, spare, other, opts=patient()) as dm:
        spread(dm)
        gone = units_on(dm, 1)
        assert gone
        # Without flushes: see test_spare_dies_under_load.
        with under_load(dm, flush=False) as load:
            load.may_fail(gone)
            unplug()
            load.work(200)
            dm.message("remap", LOAD_SECTORS)
            assert dm.status_fields().fields["spares"] == "1/2"
            load.work(200)
        assert dm.status_fields().mode == "rw"
        left = units_on(dm, 1)
        assert left < gone
        # It is given up, and the set is whole again.
        assert dm.message("spare", "drop", 1, "lose") == f"row=1 lost={len(left)}"
        attach(dm, spare, opts=patient())
        with under_load(dm) as load:
            load.may_fail(left)
            load.work(200)


def test_stale_spare_comes_back_under_load(three: Disks, under_load: UnderLoad) -> None:
    """It missed a part of the load. What was not written since can be read again."""
    main, *rest = three
    with QuickFaulty(rest[1]) as faulty, QuickRemap(main, rest[0], faulty, opts=patient()) as dm:
        spread(dm)
        resting = range(LOAD_SECTORS + 8, LOAD_SECTORS + 108)
        for sector in resting:
            dm.message("remap", sector)
            dm.write(sector, pattern(1, seed=sector))
        on_it = units_on(dm, 1)
        assert on_it & set(resting)
        with under_load(dm, flush=False) as load:
            load.may_fail(on_it)
            faulty.fail()
            load.work(100)
            dm.message("remap", LOAD_SECTORS)
            assert row(dm, 1).state == "failed"
            assert all(eio(dm, sector) for sector in on_it & set(resting))
            faulty.recover()
            assert join(dm, faulty) == 1
            load.work(100)
        assert dm.status_fields().lost == 0
        for sector in resting:
            assert dm.read(sector) == pattern(1, seed=sector)
        everything_survives(dm, under_load)
        for sector in resting:
            assert dm.read(sector) == pattern(1, seed=sector)


def test_spares_are_full_under_load(two: Disks, third: NullBlk, under_load: UnderLoad) -> None:
    """Nothing can be remapped any more; what is remapped, and what is well, goes on."""
    main, spare = two
    with QuickFaulty(main) as ailing, QuickRemap(ailing, spare) as dm:
        spread(dm, 64)
        behind = LOAD_SECTORS + 1024
        with under_load(dm) as load:
            with pytest.raises(DmError):
                dm.message("remap", behind, main.sectors - behind)
            assert dm.status_fields().fields["space"] == "full"
            ailing.add_bad(LOAD_SECTORS, reads=False)
            with pytest.raises(OSError):
                dm.write(LOAD_SECTORS, pattern(1, seed=1))
            load.work(200)
            # One more spare, and there is room.
            attach(dm, spare, third)
            join(dm, third)
            dm.write(LOAD_SECTORS, pattern(1, seed=2))
            load.work(100)
        assert dm.read(LOAD_SECTORS) == pattern(1, seed=2)
        assert units_on(dm, 1) == {LOAD_SECTORS}
        everything_survives(dm, under_load)


def test_eight_spares_under_load(under_load: UnderLoad) -> None:
    """From one to eight, and back to one."""
    with disks(spares=8) as (main, *spares), QuickRemap(main, spares[0]) as dm:
        with under_load(dm) as load:
            for count in range(2, 9):
                attach(dm, *spares[:count])
                join(dm, spares[count - 1])
            dm.message("set", "allocation", "round-robin")
            spread(dm, 64)
            assert all(len(units_on(dm, spare)) == 64 for spare in range(8))
            load.work(100)
            for last in range(7, 0, -1):
                dm.message("spare", "drain", last, "on")
                migrate_all(dm, last)
                dm.message("spare", "drop", last)
                attach(dm, *spares[:last])
            load.work(100)
        assert len(units_on(dm, 0)) == 8 * 64
        everything_survives(dm, under_load)


# --- The load itself: what it must notice ------------------------------------------------------


@dataclass(frozen=True)
class Below:
    """What is under dm-remap: a disk, and a device over all of it that can be made to lie."""

    disk: NullBlk
    device: DmDevice

    def become(self, *segments: Segment) -> None:
        """Be another device from now on."""
        self.device.reload(*segments, noflush=True)


Lie = Callable[[Below, VerifyingLoad], None]


def _flakey(*features: object) -> Lie:
    def lie(below: Below, load: VerifyingLoad) -> None:
        run("modprobe", "dm-flakey")
        below.become(Flakey(below.disk, below.disk.sectors, features=features))

    return lie


def _stale(start: int, sectors: int) -> Lie:
    """Have a range hold what it did a while ago, in the midst of the writes."""

    def lie(below: Below, load: VerifyingLoad) -> None:
        old = pread(below.disk, start, sectors)
        for _ in range(10):
            load.work(100)
            pwrite(below.disk, start, old)

    return lie


def _swap(below: Below, load: VerifyingLoad) -> None:
    """Exchange two MiB that both belong to a job of the load, back and forth.

    Once is not enough: the job may have read all that it had written just then.
    """
    mib = (1 << 20) // SECTOR
    rest = range(3, below.disk.sectors // mib)
    for order in itertools.islice(itertools.cycle([(0, 2, 1), (0, 1, 2)]), 20):
        below.become(*(Linear(below.disk, mib, mib * number) for number in (*order, *rest)))
        load.work(20)


def _lose(below: Below, load: VerifyingLoad) -> None:
    below.disk.add_bad(PROBER_START // SECTOR, PROBER_SECTORS)


def _range_of(name: str) -> tuple[int, int]:
    (job,) = (job for job in JOBS if job.name == name)
    return job.start // SECTOR, job.size // SECTOR


LIES: Iterable[Any] = (
    pytest.param(_flakey("corrupt_bio_byte", 300, "r", 1, 0), "verify: |hold", id="corrupt_read"),
    pytest.param(_flakey("drop_writes"), "verify: |hold", id="dropped_writes"),
    pytest.param(_stale(*_range_of("settled")), "bad header numberio", id="stale_settled"),
    pytest.param(_stale(*_range_of("churn")), "bad header numberio", id="stale_churn"),
    pytest.param(_stale(PROBER_START // SECTOR, PROBER_SECTORS), "written was", id="stale_probed"),
    pytest.param(_swap, "verify: bad header offset", id="misplaced"),
    pytest.param(_lose, "prober: .*Input/output error", id="lost"),
)


@pytest.mark.parametrize(("lie", "message"), LIES)
def test_the_load_notices(two: Disks, lie: Lie, message: str) -> None:
    """The negative control: a main disk that lies, without dm-remap knowing of it."""
    main, spare = two
    with (
        DmDevice(Linear(main, main.sectors)) as device,
        QuickRemap(device, spare, opts=patient()) as dm,
    ):
        load = VerifyingLoad(dm)
        with pytest.raises(LoadError, match=message), load:
            lie(Below(main, device), load)
            load.work(400)


def test_the_load_notices_a_pause_and_idleness(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        pause = pytest.raises(LoadError, match=r"took 1\.\d s")
        with pause, VerifyingLoad(dm, pause=1), dm.pause():
            run("sleep", 1.2)
        idle = pytest.raises(LoadError, match="prober did .* requests only")
        with idle, VerifyingLoad(dm, least=1_000_000):
            pass
