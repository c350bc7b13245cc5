"""Main is copied to another disk while it is in use, and that disk becomes main. Trap 26."""

import contextlib
import errno
import os
from collections.abc import Iterator

import pytest

from pyctl.errors import DmError
from pyctl.format import Move, Reason
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear, Target, table
from tests.kernel.lib.faults import Delay, FaultyDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.replacement import NEW_MB, SLOW, Replacing, copying
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.scribbling import Scribbling
from tests.kernel.lib.setup import MAIN_MB, QuickRemap, disks, eio, failing_write, patient, pattern

# Sectors.
MIB = 2048


class SlowWrites(DmDevice):
    """A disk whose writes take a while."""

    def __init__(self, disk: BlockDevice) -> None:
        super().__init__(Delay(disk, disk.sectors, 0, 100, 0))


@contextlib.contextmanager
def loaded(dm: QuickRemap) -> Iterator[Scribbling]:
    """A load that goes on for the with block, and did something."""
    load = Scribbling(dm, dm.sectors, (1, 2, 8, 64))
    with Background(load.run) as thread:
        try:
            yield load
            before = load.done
            wait_until(lambda: load.done > before + 50 or not thread.running(), "the load goes on")
            assert thread.running()
        finally:
            load.stop.set()
    assert load.done > 50
    load.check_all()


def test_trap_26_everything_is_copied_under_load() -> None:
    """What is written while it is copied reaches both disks, wherever the copy has come to.

    Mistakes: copy without holding writes back, and send writes below the watermark to main alone.
    Seen to fail with tests/mistakes/26_window_is_not_held.patch and 26_no_twin.patch.
    """
    with copying(copy_rate=SLOW) as it:
        with loaded(it.dm):
            it.dm.message("copy", "start")
            it.wait_for(it.main.sectors // 2)
            it.dm.message("set", "copy_rate", 0)
            it.wait("copied")
        copied = it.copy()
        assert copied["copied"] == copied["total"] == str(it.main.sectors)
        assert copied["lost"] == "0"
        assert it.same()


def test_the_replacement_becomes_main_and_the_load_does_not_notice() -> None:
    with copying() as it, loaded(it.dm) as load:
        it.run()
        before = load.done
        it.replace()
        wait_until(lambda: load.done > before + 100, "the load goes on")
        fields = it.dm.status_fields().fields
        assert fields["main"] == it.new.number.replace(",", ":")
        assert "copy" not in fields
        assert it.copy()["state"] == "off"
        superblock = Metadata(it.spare).superblock()
        assert superblock.identity == "serial=NEW fstype=none"
        assert superblock.move_state == Move.NONE
        assert Metadata(it.spare).generations()[-1].reason == Reason.MAIN_REPLACED
        # Main is not asked any more, for whatever.
        it.main.add_bad(0, it.main.sectors)
        before = load.done
        wait_until(lambda: load.done > before + 100, "the load goes on")
        assert it.dm.stats()["write_errors"] == it.dm.stats()["read_errors"] == 0


def test_the_old_main_is_another_disk_afterwards(kernel_log: KernelLog) -> None:
    """What was written since the change is not on it, and a stop in order tells them apart."""
    with copying() as it:
        it.run()
        it.replace()
        it.dm.write(0, pattern(1, 9))
        it.dm.reassemble(patient())
        assert it.dm.read(0) == pattern(1, 9)
        it.dm.main = it.main
        with pytest.raises(DmError):
            it.dm.reassemble(patient())
        assert "has changed since the set was stopped" in "\n".join(kernel_log.lines())


def test_what_is_on_a_spare_stays_there_until_it_is_cleared() -> None:
    """Bad sectors of main cost nothing: remapped ones aren't read, and go to the new disk."""
    with copying() as it:
        data = pattern(4, 5)
        it.main.add_bad(100, 4)
        it.dm.write(100, data)
        failing_write(it.main, it.dm, 9000, data)
        it.dm.message("remap", 20000, 8)
        assert it.dm.status_fields().used == 16
        it.run()
        # Below the watermark, from here on.
        it.main.add_bad(12000, 2)
        it.dm.write(12000, data)
        assert it.dm.read(12000, 4) == data
        assert it.copy()["lost"] == "0"
        it.replace()
        assert it.dm.status_fields().used == 18
        assert it.dm.message("clear").startswith("cleared=18 kept=0 lost=0")
        for sector in (100, 9000, 12000):
            assert it.dm.read(sector, 4) == pread(it.new, sector, 4) == data
        expected = bytearray(pattern(it.main.sectors, 1))
        for sector in (100, 9000, 12000):
            expected[sector * SECTOR : (sector + 4) * SECTOR] = data
        assert pread(it.new, 0, it.main.sectors) == bytes(expected)


def test_trap_26_what_main_cannot_read_is_lost_and_not_invented() -> None:
    """Mistake: the new main is asked what the old one could not read.

    Seen to fail with tests/mistakes/26_lost_stay_known.patch.
    """
    with copying() as it:
        bad = [300, 301, 5000, it.main.sectors - 1]
        for sector in bad:
            it.main.add_bad(sector)
        it.run()
        assert it.copy()["lost"] == "4"
        assert [r.sector for r in it.dm.remaps() if r.kind == "lost"] == bad
        it.replace()
        assert all(eio(it.dm, sector) for sector in bad)
        assert it.dm.read(302, 8) == pattern(310, 1)[302 * SECTOR :]
        # As ever, a write heals it, and it is an ordinary sector then.
        it.dm.write(300, pattern(1, 7))
        assert it.dm.read(300) == pread(it.new, 300, 1) == pattern(1, 7)
        assert it.copy()["lost"] == "3"
        assert pread(it.new, 301, 1) == bytes(SECTOR)


def test_a_unit_that_main_can_read_again_was_not_given_up() -> None:
    """Lost units are unknown only when main is replaced; until then main is asked."""
    with copying() as it:
        it.main.add_bad(300)
        it.run()
        it.main.remove_bad(300)
        assert it.dm.read(300) == pattern(301, 1)[300 * SECTOR :]
        it.dm.message("copy", "abort")
        it.dm.write(300, pattern(1, 3))
        assert it.dm.read(300) == pattern(1, 3)
        assert it.dm.status_fields().lost == 0


def test_a_lost_sector_that_main_can_read_again_is_copied() -> None:
    """What could be read from the device before must not be lost by the copy."""
    with copying() as it:
        it.main.add_bad(300)
        assert eio(it.dm, 300)
        assert it.dm.status_fields().lost == 1
        it.main.remove_bad(300)
        it.run()
        assert it.copy()["lost"] == "0"
        it.replace()
        assert it.dm.read(300) == pattern(301, 1)[300 * SECTOR :]


def test_a_sector_that_goes_bad_behind_the_copy_is_read_from_the_new_disk() -> None:
    with copying() as it:
        it.run()
        it.main.add_bad(700)
        assert it.dm.read(700) == pattern(701, 1)[700 * SECTOR :]
        assert it.copy()["lost"] == "0"
        assert it.dm.stats()["rescued"] == 1


def test_a_sector_that_goes_bad_behind_the_copy_is_remapped_with_its_data() -> None:
    """The new disk is asked for what it was given, and for nothing else."""
    with copying() as it:
        it.main.add_bad(300)
        it.run()
        it.main.add_bad(700, 2)
        assert it.dm.message("remap", 700, 2) == "remapped=2 lost=0 already=0"
        assert it.dm.read(700, 2) == pattern(702, 1)[700 * SECTOR :]
        assert it.dm.message("remap", 300) == "remapped=1 lost=1 already=0"
        assert eio(it.dm, 300)


def test_main_that_is_dead_stops_the_copy_and_loses_nothing() -> None:
    with copying() as it:
        it.main.add_bad(0, it.main.sectors)
        it.dm.message("copy", "start")
        wait_until(lambda: it.copy()["state"] == "paused", "it waits")
        assert it.copy()["reason"] == "main-dead"
        assert it.copy()["lost"] == "0"
        it.main.remove_bad(0, it.main.sectors)
        wait_until(lambda: it.copy()["state"] == "copied" or _again(it), "it goes on")
        assert it.same()


def _again(it: Replacing) -> bool:
    """Start it again: for a second main still counts as dead."""
    if it.copy()["state"] == "paused":
        it.dm.message("copy", "start")
    return False


def test_a_new_disk_that_takes_no_write_is_refused_and_the_device_is_not_affected() -> None:
    with copying() as it, loaded(it.dm):
        it.new.add_bad(20000)
        it.dm.message("copy", "start")
        wait_until(lambda: it.copy()["state"] == "failed", "it fails")
        status = it.copy()
        assert status["reason"] == "write"
        assert status["lost"] == "0"
        assert it.dm.stats()["write_errors"] == 0
        assert it.dm.status_fields().fields["copy"].startswith("failed:")
        with pytest.raises(DmError):
            it.dm.message("copy", "complete", "x=y")
        wait_until(lambda: Metadata(it.spare).superblock().move_state == Move.NONE, "it is noted")


def test_a_new_disk_that_fails_while_it_is_written_costs_the_copy_only() -> None:
    """A twin's error is none of the write's."""
    with copying() as it:
        it.run()
        it.new.add_bad(40, 8)
        it.dm.write(40, pattern(8, 2))
        assert it.dm.read(40, 8) == pattern(8, 2)
        wait_until(lambda: it.copy()["state"] == "failed", "it fails")
        assert it.copy()["at"] == "40"
        assert it.dm.status_fields().used == 0
        # Once more, with a disk that works.
        it.new.remove_bad(40, 8)
        it.run()
        assert it.same()


def test_a_new_disk_that_lies_is_found_out() -> None:
    """What was written is read back."""

    class Liar(DmDevice):
        def __init__(self, disk: BlockDevice) -> None:
            bad = Target("flakey", 64, (disk, 4096, 0, 1, 1, "drop_writes"))
            rest = disk.sectors - 4096 - 64
            super().__init__(Linear(disk, 4096), bad, Linear(disk, rest, 4096 + 64))

    with copying(Liar) as it:
        it.dm.message("copy", "start")
        wait_until(lambda: it.copy()["state"] == "failed", "it fails")
        assert it.copy()["reason"] == "verify"


def test_trap_26_a_write_whose_main_half_fails_goes_to_the_spare() -> None:
    """Mistake: the engine's writes to main stay there.

    Seen to fail with tests/mistakes/26_engine_writes_main_only.patch.
    """
    with copying() as it:
        it.run()
        it.main.add_bad(64, 3)
        it.dm.write(60, pattern(16, 4))
        assert it.dm.remapped() == {64, 65, 66}
        assert it.dm.read(60, 16) == pattern(16, 4)
        assert it.copy()["state"] == "copied"
        # The rest of that bio went to both.
        assert pread(it.new, 60, 4) == pattern(16, 4)[: 4 * SECTOR]
        assert pread(it.new, 67, 9) == pattern(16, 4)[7 * SECTOR :]
        it.main.remove_bad(64, 3)
        assert it.dm.message("unremap", 64, 3).startswith("unremapped=3")
        assert pread(it.new, 60, 16) == pattern(16, 4)


def test_lost_sectors_that_are_written_reach_both() -> None:
    with copying() as it:
        it.main.add_bad(900)
        it.run()
        it.main.remove_bad(900)
        it.dm.write(900, pattern(1, 6))
        assert pread(it.main, 900, 1) == pread(it.new, 900, 1) == pattern(1, 6)
        assert it.dm.status_fields().lost == 0


def test_zeroes_and_discards_reach_both() -> None:
    with copying() as it:
        it.run()
        run("blkdiscard", "--zeroout", "-f", "-o", 4096 * 8, "-l", 4096 * 16, it.dm.path)
        assert pread(it.dm, 64, 128) == pread(it.new, 64, 128) == bytes(128 * SECTOR)
        run("blkdiscard", "-f", "-o", 1 << 20, "-l", 1 << 20, it.dm.path)
        assert it.copy()["state"] == "copied"
        assert it.same()


def test_a_write_across_the_watermark_is_cut() -> None:
    with copying(copy_rate=SLOW) as it:
        it.dm.message("copy", "start")
        it.wait_for(4096)
        it.dm.message("copy", "pause")
        edge = int(it.copy()["copied"])
        assert edge < it.main.sectors
        it.dm.write(edge - 8, pattern(16, 8))
        assert pread(it.new, edge - 8, 8) == pattern(16, 8)[: 8 * SECTOR]
        assert pread(it.new, edge, 8) == bytes(8 * SECTOR)
        assert it.copy()["state"] == "paused"
        it.dm.message("set", "copy_rate", 0)
        it.run()
        assert it.same()


def test_a_write_that_must_not_wait_is_told_to_try_again() -> None:
    """Both halves can't be known not to block."""
    with copying() as it:
        it.run()
        with DirectFile(it.dm) as file:
            with pytest.raises(BlockingIOError):
                file.pwrite(0, pattern(8, 3), os.RWF_NOWAIT)
            file.pwrite(0, pattern(8, 3))
        assert it.same()


def test_trap_26_a_window_that_is_copied_slowly_holds_writes_back_but_loses_none() -> None:
    """A write that comes while its sectors are on their way waits, and reaches both."""
    with copying(SlowWrites) as it:
        it.dm.message("copy", "start")
        for number in range(20):
            it.dm.write(number * 64, pattern(64, number))
        it.wait("copied")
        assert it.same()


def test_reloads_and_suspends_in_the_middle() -> None:
    with copying(copy_rate=SLOW // 4) as it:
        with loaded(it.dm):
            it.dm.message("copy", "start")
            for number in range(10):
                it.reload(copy_rate=SLOW // 4)
                it.dm.suspend(noflush=number % 2 == 0)
                it.dm.resume()
                assert it.copy()["state"] == "running"
            it.dm.message("set", "copy_rate", 0)
            it.wait("copied")
        assert it.same()


def test_an_orderly_stop_goes_on_where_it_was() -> None:
    with copying(copy_rate=SLOW) as it:
        it.dm.message("copy", "start")
        it.wait_for(8 * MIB)
        it.dm.remove()
        superblock = Metadata(it.spare).superblock()
        assert superblock.move_state == Move.STOPPED
        assert superblock.move_units >= 8 * MIB
        # Below the watermark nothing is looked at any more but samples: this is to be seen.
        pwrite(it.new, 3000, pattern(1, 99))
        it.dm.__enter__()
        assert int(it.copy()["copied"]) == superblock.move_units
        assert Metadata(it.spare).superblock().move_state == Move.RUNNING
        it.dm.message("set", "copy_rate", 0)
        it.run()
        assert it.differences() == [3000]


def test_trap_26_after_a_crash_it_begins_at_zero() -> None:
    """What was under way may have reached one of both only.

    Mistake: go on where it was. Seen to fail with
    tests/mistakes/26_crash_looks_like_a_stop.patch.
    """
    with copying(copy_rate=SLOW) as it:
        it.dm.message("copy", "start")
        it.wait_for(8 * MIB)
        # So that the superblocks say how far it has come, and that it goes on.
        it.dm.remove()
        it.dm.__enter__()
        superblock = Metadata(it.spare).superblock()
        assert superblock.move_state == Move.RUNNING
        assert superblock.move_units >= 8 * MIB
        image = Metadata(it.spare).image()
        it.dm.remove()
        # As the spare was while the set ran, and one sector that only main has.
        pwrite(it.spare, 0, image)
        pwrite(it.main, 3000, pattern(1, 99))
        it.dm.__enter__()
        assert it.copy()["copied"] == "0"
        it.dm.message("set", "copy_rate", 0)
        it.run()
        assert it.same()


def test_a_start_without_the_new_disk_makes_the_copy_worthless() -> None:
    """Even if nothing is written then: only the one who starts the set can know."""
    with copying() as it:
        it.run()
        it.dm.remove()
        assert Metadata(it.spare).superblock().move_state == Move.STOPPED
        it.dm._initial = table(it.dm.target(patient()))
        it.dm.__enter__()
        assert Metadata(it.spare).superblock().move_state == Move.NONE
        it.dm.write(5000, pattern(8, 5))
        it.dm.reassemble(it.options())
        assert it.copy()["copied"] == "0"
        it.run()
        assert it.same()
        # A reload without it is the same.
        it.reload_without()
        it.dm.write(6000, pattern(8, 6))
        it.reload()
        assert it.copy()["copied"] == "0"
        it.run()
        assert it.same()


def test_another_new_disk_is_not_taken_for_the_first() -> None:
    with copying(copy_id=1) as it, NullBlk(NEW_MB) as other:
        it.run()
        it.dm.remove()
        it.assemble(copy_to=other, copy_id=2)
        assert it.copy()["copied"] == "0"
        it.run()
        it.dm.remove()
        it.assemble(copy_to=other, copy_id=2)
        assert it.copy()["state"] == "copied"
        it.dm.remove()
        # Nor the same one, when something else is on it.
        pwrite(other, 0, bytes(SECTOR))
        it.assemble(copy_to=other, copy_id=2)
        assert it.copy()["copied"] == "0"


def test_only_what_differs_is_written_again() -> None:
    with copying() as it:
        it.run()
        it.reload_without()
        it.dm.write(5000, pattern(8, 5))
        it.reload()
        written = _sectors_written(it.new)
        it.run()
        assert it.same()
        assert 0 < _sectors_written(it.new) - written <= 2 * MIB


def _sectors_written(disk: BlockDevice) -> int:
    return int((disk.sysfs / "stat").read_text().split()[6])


@pytest.mark.parametrize(
    ("state", "prepare"),
    [("paused", ()), ("off", ("abort",)), ("copied", ("start",))],
)
def test_main_can_only_be_replaced_when_all_is_copied(
    state: str, prepare: tuple[str, ...], kernel_log: KernelLog
) -> None:
    """And when somebody has said so: a reload by mistake doesn't do it."""
    with copying() as it:
        for word in prepare:
            it.dm.message("copy", word)
        it.wait(state) if state == "copied" else None
        assert it.copy()["state"] == state
        it.dm.load(QuickRemap(it.new, it.spare, sectors=it.main.sectors, opts=patient()).target())
        it.dm.suspend()
        with pytest.raises(DmError):
            it.dm.resume()
        assert "can't be changed by a reload" in "\n".join(kernel_log.lines())
        it.reload()
        assert it.dm.read(0, 8) == pattern(8, 1)


def test_the_new_disk_must_fit(kernel_log: KernelLog) -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB - 1) as small, NullBlk(NEW_MB, 4096) as coarse:
        for device, reason in (
            (small, "is smaller than the target"),
            (main, "is main or a spare"),
            (spare, "is main or a spare"),
            ("/dev/nothing", "can't be opened"),
            (coarse, "logical blocks of 4096 bytes, and the set remaps units of 512"),
        ):
            dm = QuickRemap(main, spare, opts={"copy_to": device})
            with pytest.raises(DmError):
                dm.__enter__()
            assert reason in "\n".join(kernel_log.lines())


def test_the_table_tells_of_the_copy() -> None:
    with copying(copy_id=77, copy_rate=500) as it:
        number = it.new.number.replace(",", ":")
        assert f"copy_to {number} copy_id 77 copy_rate 500" in run("dmsetup", "table", it.dm.name)
        it.dm.reload(run("dmsetup", "table", it.dm.name))
        assert it.copy()["state"] == "paused"
        assert it.dm.status_fields().fields["copy"] == "paused:0"


def test_messages_that_make_no_sense_are_refused() -> None:
    with copying() as it:
        for words in (("complete",), ("sideways",)):
            with pytest.raises(DmError) as caught:
                it.dm.message("copy", *words)
            assert caught.value.errno in (errno.EBUSY, errno.EINVAL)
        assert "not sideways" in it.dm.message("error")
        it.reload_without()
        with pytest.raises(DmError):
            it.dm.message("copy", "start")
        assert "names no replacement" in it.dm.message("error")
        assert it.copy()["state"] == "off"


def test_a_failing_new_disk_under_load_by_its_whole() -> None:
    """It goes dead in the middle: nothing above notices."""
    with copying(FaultyDevice, copy_rate=SLOW) as it, loaded(it.dm):
        it.dm.message("copy", "start")
        it.wait_for(4096)
        assert isinstance(it.to, FaultyDevice)
        it.to.fail()
        wait_until(lambda: it.copy()["state"] == "failed", "it fails")
        assert it.dm.stats()["write_errors"] == 0


def test_a_spare_dies_before_the_last_words_of_a_copy() -> None:
    """It is missed when the set is stopped. That is news, for which nobody is left."""
    with (
        disks(spares=2) as (main, spare, other),
        NullBlk(NEW_MB) as new,
        FaultyDevice(other) as dying,
        QuickRemap(main, spare, dying, opts={**patient(), "copy_to": new}) as dm,
    ):
        dm.message("copy", "start")
        wait_until(lambda: "state=copied" in dm.message("copy", "status"), "it is copied", 60)
        dying.fail()
        dm.spares = (spare,)
        dm.reassemble({**patient(), "degraded": "yes"})
        assert dm.status_fields().fields["spares"] == "1/2"
