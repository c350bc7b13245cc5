"""What could go wrong while spares come and go under I/O. Traps 30 to 33."""

import errno
import random
import threading
from collections.abc import Iterator

import pytest

from pyctl.errors import DmError
from pyctl.format import Entry, EntryKind
from tests.kernel.lib.background import Background, in_flight
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.dm import DmDevice, Linear, Segment
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.hostile import INLINE_LEAVES
from tests.kernel.lib.metadata import ALL_COPIES, DATA_START, Metadata
from tests.kernel.lib.pool import attach, join, migrate_all, refusal, row, rows
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import SPARE_MB, Disks, QuickRemap, pattern


def test_trap_30_a_spare_that_joins_takes_what_is_committed_meanwhile(two: Disks) -> None:
    """A leaf changes that was copied to the new spare, while others are still being copied.

    Mistake: commit to those that are in sync only. Then the new spare keeps the old leaf, which
    nobody sees until it is the only one; or until the leaf changes again. Seen to fail with
    tests/mistakes/30_joining_spare_takes_no_commits.patch.
    """
    main, spare = two
    leaves = range(16)  # the first that are copied
    run("modprobe", "dm-delay")
    with QuickRemap(main, spare):
        pass
    for leaf in leaves:
        add_remap(spare, leaf)
    with (
        NullBlk(SPARE_MB) as third,
        DmDevice(Linear(third, third.sectors)) as below,
        QuickRemap(main, spare) as dm,
    ):
        assert dm.remapped() == set(leaves)
        dm.write(0, pattern(len(leaves), 1))
        attach(dm, spare, below)
        below.reload(*slow_from_leaf(third, len(leaves)))
        with Background(lambda: join(dm, below)) as joining:
            wait_until(lambda: has_leaf(third, leaves[-1]), "the first leaves are copied")
            dm.message("unremap", 0)
            in_time = joining.running()
            below.reload(Linear(third, third.sectors))
        assert in_time
        left = dm.remapped()
        assert left == set(leaves) - {0}
        dm.spares = (below,)
        dm.reassemble({"degraded": "yes"})
        assert dm.remapped() == left
        assert dm.read(0) == pattern(len(leaves), 1)[:SECTOR]


def slow_from_leaf(spare: NullBlk, number: int) -> Iterator[Segment]:
    """A spare on which the first copy of each leaf from this one on takes four seconds.

    A join writes 16 at a time, so it takes 28 seconds for all but the first: a message may take
    long to be sent from a busy host. Who waits for the lock gets that after two or three of them.
    """
    start, end = (Metadata(spare).leaf_sector(0, leaf) for leaf in (number, INLINE_LEAVES))
    yield Linear(spare, start)
    yield Delay(spare, end - start, read_ms=0, write_ms=4000, flush_ms=0, offset=start)
    yield Linear(spare, spare.sectors - end, offset=end)


def add_remap(spare: NullBlk, number: int) -> None:
    """Remap a sector by an entry in the leaf of the same number."""
    entry = Entry(EntryKind.REMAP, main_unit=number, spare_unit=DATA_START + number)
    Metadata(spare).change_leaf(lambda entries: entries.update({0: entry}), number)


def has_leaf(spare: NullBlk, number: int) -> bool:
    """Whether the last copy of a leaf is on a spare that was blank."""
    return any(Metadata(spare).block(ALL_COPIES[-1], number))


def test_trap_31_migration_keeps_a_write_that_is_in_flight(three: Disks) -> None:
    """A write is on its way to the old place when it is copied to the new one.

    Mistake: copy without waiting for it. Seen to fail with
    tests/mistakes/31_migration_does_not_drain.patch.
    """
    main, first, second = three
    run("modprobe", "dm-delay")
    new = pattern(1, seed=2)
    with DmDevice(Linear(first, first.sectors)) as below, QuickRemap(main, below, second) as dm:
        dm.message("set", "allocation", "first-fit")
        dm.message("remap", 1000)
        dm.write(1000, pattern(1, seed=1))
        below.reload(Delay(first, first.sectors, read_ms=0, write_ms=300))
        with Background(lambda: dm.write(1000, new)):
            wait_until(lambda: in_flight(dm), "the write is under way")
            assert migrate_all(dm, 0) == 1
        below.reload(Linear(first, first.sectors))
        assert row(dm, 1).used == 1
        assert dm.read(1000) == new
        dm.remove()


def test_trap_31_writes_wait_while_their_unit_migrates(three: Disks) -> None:
    """A write comes after the copy, but before the table says where it is.

    Mistake: let it go to the old place. Seen to fail with
    tests/mistakes/31_migration_does_not_hold.patch.
    """
    main, first, second = three
    run("modprobe", "dm-delay")
    new = pattern(1, seed=2)
    with (
        DmDevice(Linear(second, second.sectors)) as below,
        QuickRemap(main, first, below) as dm,
    ):
        dm.message("set", "allocation", "first-fit")
        dm.message("remap", 1000)
        dm.write(1000, pattern(1, seed=1))
        below.reload(Delay(second, second.sectors, read_ms=0, write_ms=300))
        before = dm.stats()["commit_writes"]
        with Background(lambda: migrate_all(dm, 0)):
            wait_until(lambda: dm.stats()["commit_writes"] > before, "the table is written")
            dm.write(1000, new)
        below.reload(Linear(second, second.sectors))
        assert dm.read(1000) == new
        assert row(dm, 1).used == 1
        dm.remove()


def test_trap_32_a_place_is_not_given_away_while_it_is_read(three: Disks) -> None:
    """A read goes to the old place of a unit when that has moved already.

    Mistake: free it at once. Then another unit is put there, and the read returns its data. The
    read begins when the migration has waited for others before it, and is held back below the
    spare, where writes pass it. Seen to fail with tests/mistakes/32_freed_while_read.patch.
    """
    main, first, second = three
    run("modprobe", "dm-delay")
    old = pattern(1, seed=1)
    answers = []
    data = second.sectors - DATA_START
    with (
        DmDevice(Linear(first, first.sectors)) as reads,
        DmDevice(Linear(second, DATA_START)) as metadata,
        DmDevice(Delay(reads, first.sectors, read_ms=0, writes=first)) as old_spare,
        DmDevice(Linear(metadata, DATA_START), Linear(second, data, DATA_START)) as new_spare,
        QuickRemap(main, old_spare, new_spare) as dm,
    ):
        dm.message("set", "allocation", "first-fit")
        dm.message("remap", 1000)
        dm.write(1000, old)
        before = dm.stats()["commit_writes"]
        metadata.suspend(noflush=True)
        with Background(lambda: migrate_all(dm, 0)):
            wait_until(lambda: dm.stats()["commit_writes"] > before, "the unit was copied")
            reads.suspend(noflush=True)
            with Background(lambda: answers.append(dm.read(1000))):
                wait_until(lambda: in_flight(dm), "the read is under way")
                metadata.resume()
                wait_until(lambda: dm.remaps()[0].spare == 1, "the unit has moved")
                # Other units need places, more than one, lest the first came before the mistake.
                main.add_bad(2000, 8)
                for sector in range(2000, 2008):
                    dm.write(sector, pattern(1, seed=sector))
                reads.resume()
        assert answers == [old]
        assert row(dm, 0).used == 8
        dm.remove()


def test_trap_33_a_table_that_joined_badly_is_not_believed(two: Disks) -> None:
    """A copy of a leaf can't be written on the spare that joins; an older life left a newer one.

    Mistake: take a spare in that has taken some copies of each leaf. Seen to fail with
    tests/mistakes/33_torn_join_is_taken.patch.
    """
    main, spare = two
    with NullBlk(SPARE_MB) as third, QuickRemap(main, spare) as dm:
        attach(dm, spare, third)
        third.add_bad(1024 + 8, 8)
        dm.message("remap", 100)
        with refusal(errno.EIO, dm, "can't be copied"):
            join(dm, third, "force")
        assert [found.state for found in rows(dm)] == ["in-sync", "missing"]
        third.remove_bad(1024 + 8, 8)
        assert join(dm, third) == 1
        assert Metadata(third).leaf().seq == Metadata(spare).leaf().seq


def test_a_spare_whose_join_was_cut_off_may_be_listed_first(two: Disks) -> None:
    """Its superblock is as new as the others, and says that nothing on it counts."""
    main, spare = two
    with NullBlk(SPARE_MB) as third, QuickRemap(main, spare) as dm:
        dm.message("remap", 100)
        dm.write(100, pattern(1, seed=1))
        attach(dm, spare, third)
        third.add_bad(1024 + 8, 8)
        with refusal(errno.EIO, dm, "can't be copied"):
            join(dm, third, "force")
        assert Metadata(third).superblock().events == Metadata(spare).superblock().events
        dm.spares = (third, spare)
        dm.reassemble()
        assert [found.state for found in rows(dm)] == ["in-sync", "missing"]
        assert dm.read(100) == pattern(1, seed=1)
        # Alone it is nothing.
        dm.remove()
        dm.spares = (third,)
        with pytest.raises(DmError):
            dm.reassemble({"degraded": "yes"})


def test_spares_come_and_go_under_writes(three: Disks) -> None:
    """Every acknowledged write is found again, wherever its sector is then."""
    main, first, second = three
    area = 400
    newest: dict[int, bytes] = {}
    stop = threading.Event()

    def write() -> None:
        rng = random.Random(30)
        with DirectFile(dm) as file:
            for number in range(1, 1 << 30):
                sector = rng.randrange(area - 8)
                sectors = rng.randint(1, 8)
                data = pattern(sectors, seed=number)
                file.pwrite(sector * SECTOR, data)
                for i in range(sectors):
                    newest[sector + i] = data[i * SECTOR : (i + 1) * SECTOR]
                check = rng.choice(list(newest))
                assert file.pread(check * SECTOR, SECTOR) == newest[check], check
                if stop.is_set() and number > 100:
                    return

    with QuickRemap(main, first, second) as dm:
        dm.message("remap", 0, area // 2)
        members, away = [first, second], []
        rng = random.Random(31)
        with Background(write) as writer:
            try:
                for _ in range(12):
                    if len(members) == 2:
                        number = rng.choice([found.row for found in rows(dm)])
                        dm.message("spare", "drain", number, "on")
                        migrate_all(dm, number)
                        dm.message("spare", "drop", number)
                        device = next(f.device for f in rows(dm) if f.state == "attached")
                        gone = next(m for m in members if m.number.replace(",", ":") == device)
                        members.remove(gone)
                        away.append(gone)
                        attach(dm, *members)
                    else:
                        back = away.pop()
                        members.append(back)
                        attach(dm, *members)
                        join(dm, back, "force")
                        dm.message("remap", rng.randrange(area - 50), 50)
                    assert writer.running()
            finally:
                stop.set()
        for sector, data in newest.items():
            assert dm.read(sector) == data
        dm.spares = tuple(members)
        dm.reassemble()
        for sector, data in newest.items():
            assert dm.read(sector) == data
