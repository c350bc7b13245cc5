"""What survives a restart beside the table: counters, samples of main, generations."""

import time

import pytest

from pyctl.errors import DmError
from pyctl.format import (
    COUNTERS,
    NR_SAMPLES,
    Reason,
    SpareState,
    gen_sector,
    sample_unit,
    state_sector,
)
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import BLOCK_SECTORS, Metadata
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import Disks, QuickRemap, failing_write, pattern, refused

CHANGED = "has changed since the set was stopped"


def lost_power(dm: QuickRemap, *spares: NullBlk) -> None:
    """Remove the device, but leave the spares as they were just before."""
    images = [Metadata(spare).image() for spare in spares]
    dm.remove()
    for spare, image in zip(spares, images, strict=True):
        pwrite(spare, 0, image)


def test_counters_survive_a_restart(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(3, seed=1))
        dm.read(2000)
        before = dm.stats()
        dm.reassemble()
        after = dm.stats()
        assert before["write_errors"] == 3
        assert {name: after[name] for name in COUNTERS if not name.startswith("fast_")} == {
            name: before[name] for name in COUNTERS if not name.startswith("fast_")
        }
        assert after["fast_reads"] >= before["fast_reads"] >= 1
        assert dm.status_fields().errors_w == 3


def test_autosave_writes_when_something_has_happened(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare, opts={"autosave_seconds": 1}) as dm:
        first = metadata.state().seq
        dm.write(0, pattern(8, seed=1))
        time.sleep(2.5)
        assert metadata.state().seq == first, "a healthy device writes nothing"
        failing_write(main, dm, 1000, pattern(2, seed=1))
        wait_until(lambda: metadata.state().seq > first, "the counters are saved")
        assert metadata.state().counters["write_errors"] == 2
        assert not metadata.state().clean
        lost_power(dm, spare)
    with QuickRemap(main, spare) as dm:
        assert dm.stats()["write_errors"] == 2


def test_autosave_can_be_switched_off_and_leaves_a_suspended_device_alone(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare, opts={"autosave_seconds": 1}) as dm:
        first = metadata.state().seq
        dm.suspend()
        dm.message("clear_stats")
        dm.resume()
        assert dm.message("set", "autosave_seconds", 0) == "autosave_seconds=0"
        failing_write(main, dm, 1000, pattern(2, seed=1))
        time.sleep(1.5)
        assert metadata.state().seq == first
        dm.message("set", "autosave_seconds", 1)
        dm.suspend()
        time.sleep(1.5)
        assert metadata.state().seq == first
        dm.resume()
        wait_until(lambda: metadata.state().seq > first, "the counters are saved")


def test_save_and_restore_of_the_counters(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(2, seed=1))
        dm.message("save")
        saved = dm.stats()
        failing_write(main, dm, 2000, pattern(2, seed=1))
        dm.message("clear_stats")
        assert dm.stats()["write_errors"] == 0
        dm.message("repair")
        assert dm.stats()["write_errors"] == 0
        dm.message("restore")
        assert dm.stats()["write_errors"] == saved["write_errors"] == 2
        assert dm.stats()["auto_remaps"] == 2
        assert dm.remapped() == {1000, 1001, 2000, 2001}


def test_state_that_no_spare_takes_is_no_obstacle(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        spare.add_bad(state_sector(0), 2 * BLOCK_SECTORS)
        failing_write(main, dm, 1000, pattern(1, seed=1))
        with pytest.raises(DmError):
            dm.message("save")
        dm.reassemble()
        assert dm.read(1000) == pattern(1, seed=1)
        assert dm.status_fields().fields["spares"] == "1/1"


@pytest.mark.parametrize("number", range(NR_SAMPLES))
def test_main_that_was_changed_behind_our_back_is_refused(
    two: Disks, kernel_log: KernelLog, number: int
) -> None:
    main, spare = two
    with QuickRemap(main, spare):
        pass
    assert Metadata(spare).state().clean
    sector = sample_unit(Metadata(spare).superblock(), number)
    pwrite(main, sector, pattern(1, seed=5))
    before = Metadata(spare).image()
    refused(kernel_log, QuickRemap(main, spare), f"{CHANGED}.* sector {sector};")
    assert Metadata(spare).image() == before
    with QuickRemap(main, spare, opts={"accept_main": "yes"}) as dm:
        assert dm.read(sector) == pattern(1, seed=5)
        dm.reassemble()


def test_changed_main_after_a_crash_says_nothing(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        lost_power(dm, spare)
    pwrite(main, 0, pattern(1, seed=5))
    with QuickRemap(main, spare) as dm:
        assert dm.read(0) == pattern(1, seed=5)


def test_old_data_of_remapped_units_is_no_sample(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 0, 16)
    pwrite(main, 0, pattern(16, seed=5))
    with QuickRemap(main, spare) as dm:
        assert dm.read(0, 16) == bytes(16 * SECTOR)


def test_unreadable_sample_is_not_compared(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare):
        pass
    main.add_bad(0, 16)
    with QuickRemap(main, spare, opts={"retries": 0, "backoff_ms": 0}):
        pass
    main.remove_bad(0, 16)
    pwrite(main, 0, pattern(1, seed=5))
    with QuickRemap(main, spare) as dm:
        assert dm.read(0) == pattern(1, seed=5)


def test_other_main_of_the_same_size_is_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.write(0, pattern(64, seed=1))
    with NullBlk(main.sectors * SECTOR >> 20) as other:
        refused(kernel_log, QuickRemap(other, spare), CHANGED)


def test_generations_tell_what_happened_to_the_members(three: Disks) -> None:
    main, one, two = three
    with FaultyDevice(two) as faulty:
        with QuickRemap(main, one, faulty) as dm:
            assert [g.reason for g in Metadata(one).generations()] == [Reason.CREATED]
            dm.message("remap", 1000, 5)
            faulty.fail()
            dm.message("remap", 2000)
            created, failed = Metadata(one).generations()
            assert (created.number, failed.number) == (1, 2)
            assert failed.reason == Reason.SPARE_FAILED
            assert failed.spare_idx == 1
            assert failed.remaps == 5
            assert [row.state for row in failed.spares] == [SpareState.IN_SYNC, SpareState.FAILED]
            assert failed.events == Metadata(one).superblock().events
            assert Metadata(one).superblock().generation == 2
        with QuickRemap(main, one) as dm:
            assert Metadata(one).superblock(4).generation == 2


def test_start_without_a_spare_is_a_generation(three: Disks) -> None:
    main, one, two = three
    with QuickRemap(main, one, two):
        pass
    with QuickRemap(main, two, opts={"degraded": "yes"}):
        pass
    last = Metadata(two).generations()[-1]
    assert (last.number, last.reason, last.spare_idx) == (2, Reason.SPARE_MISSING, 0)
    assert last.spares[0].state == SpareState.MISSING
    assert [g.number for g in Metadata(one).generations()] == [1]


def test_repair_rewrites_superblocks_and_records(three: Disks) -> None:
    main, one, two = three
    with QuickRemap(main, one, two) as dm:
        record = pread(one, gen_sector(1, 0), BLOCK_SECTORS)
        pwrite(one, 1024, bytes(4096))
        pwrite(two, gen_sector(1, 1), bytes(4096))
        pwrite(one, gen_sector(1, 0), b"\xa5" * 4096)
        assert dm.message("repair") == "leaves=127 superblocks=10 records=1 repaired=3"
        assert dm.message("repair") == "leaves=127 superblocks=10 records=1 repaired=0"
        for spare in (one, two):
            for copy in (0, 1):
                assert pread(spare, gen_sector(1, copy), BLOCK_SECTORS) == record
        assert Metadata(one).superblock(1).events == Metadata(one).superblock(0).events


def test_copy_that_was_unreadable_and_one_ahead_is_not_believed_later(two: Disks) -> None:
    """A crash left one copy ahead; it is unreadable, and the set goes on without it."""
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
    leaf = metadata.leaf()
    leaf.seq += 1
    leaf.entries.clear()
    ahead = leaf.encode(metadata.superblock().set_uuid)
    with FaultyDevice(spare) as faulty:
        sector = metadata.leaf_sector(2)
        faulty.add_bad(sector, BLOCK_SECTORS)
        with QuickRemap(main, faulty) as dm:
            dm.message("remap", 2000)
    metadata.put_block(ahead, 2)
    with QuickRemap(main, spare) as dm:
        assert dm.remapped() == {1000, 2000}
