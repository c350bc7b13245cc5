"""Metadata on the spares: what is believed, repaired, refused."""

import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyctl.format import (
    Entry,
    EntryKind,
    FormatCode,
    Leaf,
    MainGeometry,
    Superblock,
    crc32c,
    plan_set,
)
from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.dm import DmDevice, Error, Linear
from tests.kernel.lib.faults import Delay, FaultyDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import ALL_COPIES, DATA_START, Metadata
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import (
    QuickRemap,
    disks,
    eio,
    failing_write,
    patient,
    pattern,
    refused,
)

Disks = tuple[NullBlk, ...]
_TRACING = Path("/sys/kernel/tracing")


@pytest.fixture
def two() -> Iterator[Disks]:
    """A main disk and one spare."""
    with disks() as made:
        yield made


@pytest.fixture
def three() -> Iterator[Disks]:
    """A main disk and two spares."""
    with disks(spares=2) as made:
        yield made


def test_trap_14_stale_copy_with_a_valid_checksum_is_not_believed(two: Disks) -> None:
    """A copy whose last write failed is old, and its checksum is right.

    Mistake: use copy 0, and the others only when it is damaged. Seen to fail with
    tests/mistakes/14_first_valid_copy.patch.
    """
    main, spare = two
    metadata = Metadata(spare)
    data = pattern(1, seed=14)
    with QuickRemap(main, spare) as dm:
        spare.add_bad(metadata.leaf_sector(replica=0), 8)
        failing_write(main, dm, 1000, data)
        assert dm.stats()["meta_errors"] == 1
        spare.remove_bad(metadata.leaf_sector(replica=0), 8)
        old, *others = metadata.blocks()
        seqs = [_seq(metadata, block) for block in (old, *others)]
        assert seqs[0] < seqs[1] and len(set(seqs[1:])) == 1
        dm.reassemble()
        assert dm.remapped() == {1000}
        assert dm.read(1000) == data
    assert metadata.blocks() == [others[0]] * 5


def test_trap_15_torn_leaf_is_old_or_new_never_lost(two: Disks) -> None:
    """Power goes while a leaf is being written: every write in flight is cut somewhere.

    The block layer's own trace says which replicas are in flight together and which are complete by
    then. Each of those moments is a crash: what was complete is new, what was in flight is cut at
    every 512 bytes, the rest is old. The table must then be the old or the new one, as a whole.

    Mistake: write all five replicas at once. Seen to fail with
    tests/mistakes/15_all_replicas_at_once.patch.
    """
    main, spare = two
    run("modprobe", "dm-delay")
    metadata = Metadata(spare)
    first, second, before = (pattern(10, seed=seed) for seed in (1, 2, 3))
    with DmDevice(Linear(spare, spare.sectors)) as below, QuickRemap(main, below) as dm:
        # The leaf is nearly full, so that the change is in its first sector and in the last ones.
        dm.message("remap", 1000, 215)
        dm.write(1000, first)
        dm.write(2000, before)
        old = metadata.block(0)
        # Now it takes its time: what is submitted together is in flight together.
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=100))
        with _Trace(below) as moments:
            failing_write(main, dm, 2000, second)
        new = metadata.block(0)
    few, many = set(range(1000, 1215)), {*range(1000, 1215), *range(2000, 2010)}
    places = {metadata.leaf_sector(replica): replica for replica in ALL_COPIES}
    crashes = _crashes(moments(), places)
    assert {replica for _, flight in crashes for replica in flight} == set(ALL_COPIES)
    outcomes = set()
    for complete, flight in crashes:
        for sectors in _cuts():
            torn = b"".join(
                (new if i in sectors else old)[i * SECTOR : (i + 1) * SECTOR] for i in range(8)
            )
            for replica in ALL_COPIES:
                whole = new if replica in complete else old
                metadata.put_block(torn if replica in flight else whole, replica)
            with QuickRemap(main, spare) as dm:
                remapped = dm.remapped()
                assert remapped in (few, many)
                assert dm.read(1000, 10) == first
                assert dm.read(2000, 10) == (before if remapped == few else second)
                outcomes.add(len(remapped))
            assert len(set(metadata.blocks())) == 1
    assert outcomes == {len(few), len(many)}


def _cuts() -> list[set[int]]:
    """The sectors of a block that are new after a torn write: cut anywhere, and out of order."""
    rng = random.Random(15)
    return [set(range(cut)) for cut in range(9)] + [set(rng.sample(range(8), 4))]


class _Trace:
    """Follows the writes to a disk; called after the with block, tells them in order."""

    def __init__(self, disk: BlockDevice) -> None:
        number = disk.path.stat().st_rdev
        self._wanted = f"{os.major(number)},{os.minor(number)} W"
        self._events = [
            _TRACING / "events/block" / event / "enable"
            for event in ("block_bio_queue", "block_bio_complete")
        ]

    def __enter__(self) -> Callable[[], list[tuple[bool, int]]]:
        (_TRACING / "trace").write_text("")
        for event in self._events:
            event.write_text("1")
        return self._read

    def __exit__(self, *_: object) -> None:
        for event in self._events:
            event.write_text("0")

    def _read(self) -> list[tuple[bool, int]]:
        """Whether a write was submitted (or completed), and where it began."""
        lines = (_TRACING / "trace").read_text().splitlines()
        found = []
        for line in lines:
            match = re.search(r"block_bio_(queue|complete): (\d+,\d+ W)\S* (\d+)", line)
            if match and match[2] == self._wanted:
                found.append((match[1] == "queue", int(match[3])))
        return found


def _crashes(
    moments: list[tuple[bool, int]], places: dict[int, int]
) -> list[tuple[set[int], set[int]]]:
    """The moments with most writes in flight: (replicas that are complete, replicas in flight)."""
    complete: set[int] = set()
    flight: set[int] = set()
    crashes = []
    growing = False
    for submitted, sector in moments:
        if sector not in places:
            continue
        if submitted:
            flight.add(places[sector])
        else:
            if growing:
                crashes.append((set(complete), set(flight)))
            flight.remove(places[sector])
            complete.add(places[sector])
        growing = submitted
    return crashes


def test_trap_16_blocks_of_a_missing_spare_are_errors(three: Disks) -> None:
    """What was on a spare that is not there is nowhere: main holds what it was before.

    Mistake: read main instead. Seen to fail with tests/mistakes/16_stale_main_data.patch.
    """
    main, *spares = three
    sectors = range(1000, 1040, 10)
    pwrite(main, 0, b"stale..." * (2048 * SECTOR // 8))
    with QuickRemap(main, *spares) as dm:
        for sector in sectors:
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
        assert set(place.values()) == {0, 1}
    with QuickRemap(main, spares[0], opts={"degraded": "yes"}) as dm:
        assert dm.status_fields().fields["spares"] == "1/2"
        for sector in sectors:
            if place[sector] == 0:
                assert dm.read(sector) == pattern(1, seed=sector)
            else:
                assert eio(dm, sector)
        assert dm.read(1001) == b"stale..." * (SECTOR // 8)
        lost = next(sector for sector in sectors if place[sector] == 1)
        # Written anew, it is whole again, on the spare that is there.
        dm.write(lost, pattern(1, seed=1))
        assert dm.read(lost) == pattern(1, seed=1)


def test_missing_spare_needs_the_word_degraded(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
    images = [Metadata(spare).image() for spare in spares]
    refused(kernel_log, QuickRemap(main, spares[1]), "spare 0 .* missing|degraded")
    assert [Metadata(spare).image() for spare in spares] == images
    with QuickRemap(main, spares[1], opts={"degraded": "yes"}) as dm:
        assert dm.status_fields().used == 1


def test_stale_spare_that_comes_back_is_not_used(three: Disks) -> None:
    """It missed remaps; main holds what they replaced."""
    main, *spares = three
    stale = b"s" * SECTOR
    pwrite(main, 1000, stale)
    with QuickRemap(main, *spares) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
        (entry,) = dm.remaps()
    assert entry.spare is not None
    other = 1 - entry.spare
    with QuickRemap(main, spares[other], opts={"degraded": "yes"}) as dm:
        failing_write(main, dm, 2000, pattern(1, seed=2))
        assert eio(dm, 1000)
    with QuickRemap(main, *spares) as dm:
        assert dm.status_fields().fields["spares"] == "1/2"
        assert eio(dm, 1000)
        assert dm.read(2000) == pattern(1, seed=2)
        # It isn't written either.
        failing_write(main, dm, 3000, pattern(1, seed=3))
        assert {e.spare for e in dm.remaps() if e.sector != 1000} == {other}


def test_spares_that_were_each_started_alone_are_refused_together(
    three: Disks, kernel_log: KernelLog
) -> None:
    """Each has remaps that the other does not know: serving either would be stale for some."""
    main, *spares = three
    with QuickRemap(main, *spares):
        pass
    for number, spare in enumerate(spares):
        with QuickRemap(main, spare, opts={"degraded": "yes"}) as dm:
            failing_write(main, dm, 1000 * (number + 1), pattern(1, seed=number))
    refused(kernel_log, QuickRemap(main, *spares), "each started without the other")
    refused(kernel_log, QuickRemap(main, *reversed(spares)), "each started without the other")
    with QuickRemap(main, spares[1]) as dm:
        assert dm.read(2000) == pattern(1, seed=1)


def test_trap_18_bad_spare_blocks_are_never_used_again(two: Disks) -> None:
    """Spares are old disks, too.

    Mistake: forget which of their blocks failed. Seen to fail with
    tests/mistakes/18_bad_spare_units_forgotten.patch.
    """
    main, spare = two
    bad = {DATA_START, DATA_START + 3, DATA_START + 4}
    for sector in bad:
        spare.add_bad(sector)
    sectors = range(1000, 1010)
    with QuickRemap(main, spare) as dm:
        for sector in sectors:
            failing_write(main, dm, sector, pattern(1, seed=sector))
        assert dm.stats()["spare_errors"] == len(bad)
        for sector in bad:
            spare.remove_bad(sector)
        dm.reassemble()
        assert dm.status_fields().fields["bad_spare_units"] == str(len(bad))
        for sector in (2000, 2001, 2002, 2003):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        places = [entry.spare_sector for entry in dm.remaps()]
        assert len(set(places)) == len(places) == 14
        assert not bad & set(places)
        for sector in (*sectors, 2000, 2001, 2002, 2003):
            assert dm.read(sector) == pattern(1, seed=sector)


def test_remapped_block_that_fails_on_its_spare_moves_in_the_same_slot(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
        spare.add_bad(DATA_START)
        dm.write(1000, pattern(1, seed=2))
        (entry,) = dm.remaps()
        assert entry.spare_sector == DATA_START + 1
        dm.reassemble()
        assert dm.read(1000) == pattern(1, seed=2)
        assert [entry.spare_sector for entry in dm.remaps()] == [DATA_START + 1]


_Change = Callable[[dict[int, Entry]], object]


def _changed(slot: int, **fields: object) -> _Change:
    def change(entries: dict[int, Entry]) -> None:
        entries[slot] = replace(entries[slot], **fields)  # type: ignore[arg-type]

    return change


_HOSTILE = (
    ("beyond the main device", _changed(0, main_unit=1 << 40)),
    ("beyond the main device", _changed(0, main_unit=32768)),
    ("outside the data area", _changed(0, spare_unit=1 << 39)),
    ("outside the data area", _changed(0, spare_unit=16384)),
    ("outside the data area", _changed(0, spare_unit=8)),
    ("outside the data area", _changed(0, spare_unit=DATA_START - 1)),
    ("outside the data area", _changed(0, kind=EntryKind.LOST)),
    ("spare that is not in the set", _changed(0, spare_idx=1)),
    ("mapped twice", _changed(1, main_unit=1000)),
    ("used twice", _changed(1, spare_unit=DATA_START)),
    ("kind or flags", _changed(0, kind=9)),
    ("kind or flags", _changed(0, flags=4)),
    ("kind or flags", _changed(0, kind=EntryKind.BAD)),
)


def test_hostile_entries_are_refused(two: Disks, kernel_log: KernelLog) -> None:
    """Beyond main, beyond the spare, on its metadata, twice, and of no known kind."""
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 2)
    good = metadata.block(0)
    for reason, change in _HOSTILE:
        metadata.change_leaf(change)
        hostile = metadata.blocks()
        refused(kernel_log, QuickRemap(main, spare), reason)
        assert metadata.blocks() == hostile
        for replica in ALL_COPIES:
            metadata.put_block(good, replica)
    with QuickRemap(main, spare) as dm:
        assert dm.remapped() == {1000, 1001}


def test_hostile_leaves_are_refused(two: Disks, kernel_log: KernelLog) -> None:
    """Counts that lie, leaves in the wrong place, reserved bits, rubbish."""
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 2)
    good = metadata.block(0)
    sb = metadata.superblock()
    leaf = metadata.leaf()
    for reason, block in (
        ("number of used entries", _resealed(leaf, sb, 28, 1)),
        ("number of used entries|no valid copy", _resealed(leaf, sb, 29, 1)),
        ("run length or reserved", _resealed(leaf, sb, 64 + 14, 0x10)),
        ("leaf 0 .* no valid copy", replace(leaf, number=7, seq=99).encode(sb.set_uuid)),
        ("leaf 0 .* no valid copy", os.urandom(4096)),
        ("leaf 0 .* no valid copy", bytes(4096)),
    ):
        for replica in ALL_COPIES:
            metadata.put_block(block, replica)
        refused(kernel_log, QuickRemap(main, spare), reason)
        assert metadata.blocks() == [block] * 5
    for replica in ALL_COPIES:
        metadata.put_block(good, replica)
    with QuickRemap(main, spare) as dm:
        assert dm.remapped() == {1000, 1001}


def _hostile_superblocks(sb: Superblock) -> tuple[tuple[str, Superblock], ...]:
    larger = (replace(sb.spares[0], sectors=1 << 20),)
    return (
        ("feature that is not known", replace(sb, feature_incompat=1)),
        ("feature that is not known", replace(sb, feature_ro_compat=1)),
        ("size of the main device", replace(sb, main_sectors=0)),
        ("number of leaves", replace(sb, nr_leaves=1 << 30)),
        ("number of leaves", replace(sb, nr_leaves=1)),
        ("unit size", replace(sb, unit_shift=2)),
        ("overflow extent", replace(sb, overflow=(8, 8, 8, 8, 8))),
        ("smaller than the metadata", replace(sb, spares=larger)),
        ("spare table", replace(sb, spare_idx=5)),
    )


def test_hostile_superblocks_are_refused_and_left_alone(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 2)
    sb = metadata.superblock()
    for _, superblock in _hostile_superblocks(sb):
        metadata.put_superblock(superblock)
        image = metadata.image()
        refused(kernel_log, QuickRemap(main, spare), "preresume failed")
        assert metadata.image() == image
    metadata.put_superblock(sb)
    with QuickRemap(main, spare) as dm:
        assert dm.remapped() == {1000, 1001}


def test_refused_superblocks_are_not_called_foreign_data(two: Disks, kernel_log: KernelLog) -> None:
    """Who reads "other data" wipes it: a set of a newer version, or one to be repaired."""
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare):
        pass
    for reason, superblock in _hostile_superblocks(metadata.superblock()):
        metadata.put_superblock(superblock)
        seen = len(kernel_log.lines())
        refused(kernel_log, QuickRemap(main, spare), reason)
        assert not [line for line in kernel_log.lines()[seen:] if "other data" in line]


def _resealed(leaf: Leaf, superblock: Superblock, offset: int, value: int) -> bytes:
    """A leaf with a byte that no API would write, and a right checksum over set and leaf."""
    uuid = superblock.set_uuid
    block = bytearray(replace(leaf, seq=leaf.seq + 1).encode(uuid))
    block[offset] = value
    crc = crc32c(uuid.bytes + bytes(block[8:])) ^ 0xFFFFFFFF
    block[4:8] = crc.to_bytes(4, "little")
    return bytes(block)


def test_foreign_data_on_a_spare_is_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    for sector in (0, 63, 9216, 10239, 16384 - 2048, 16384 - 1):
        pwrite(spare, sector, b"precious".ljust(SECTOR, b"\0"))
        image = Metadata(spare).image()
        refused(kernel_log, QuickRemap(main, spare, target="remap-v4"), "carries other data")
        assert Metadata(spare).image() == image
        pwrite(spare, sector, bytes(SECTOR))
    with QuickRemap(main, spare, target="remap-v4") as dm:
        assert dm.status_fields().used == 0


def test_blank_spares_are_formatted_and_main_is_not_touched(three: Disks) -> None:
    main, *spares = three
    pwrite(main, 0, pattern(4096, seed=1))
    image = pread(main, 0, main.sectors)
    with QuickRemap(main, *spares) as dm:
        status = dm.status_fields()
        assert (status.used, status.lost, status.mode) == (0, 0, "rw")
        assert pread(dm, 0, main.sectors) == image
    superblocks = [Metadata(spare).superblock(copy) for spare in spares for copy in ALL_COPIES]
    assert {superblock.set_uuid for superblock in superblocks} == {superblocks[0].set_uuid}
    assert [superblock.spare_idx for superblock in superblocks] == [0] * 5 + [1] * 5
    for spare in spares:
        for number in (0, 126):
            assert len(set(Metadata(spare).blocks(number))) == 1
    assert pread(main, 0, main.sectors) == image


def test_one_blank_and_one_foreign_spare_leave_both_alone(
    three: Disks, kernel_log: KernelLog
) -> None:
    main, blank, foreign = three
    pwrite(foreign, 100, b"x" * SECTOR)
    refused(kernel_log, QuickRemap(main, blank, foreign), "carries other data")
    assert not any(Metadata(blank).image())


def test_wrong_main_is_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
    image = Metadata(spare).image()
    refused(kernel_log, QuickRemap(main, spare, sectors=main.sectors - 8), "wrong main device")
    with NullBlk(size_mb=16, blocksize=4096) as other:
        refused(kernel_log, QuickRemap(other, spare), "wrong main device")
    assert Metadata(spare).image() == image


def test_spare_of_another_set_is_refused(kernel_log: KernelLog) -> None:
    with disks(spares=3) as (main, one, other, blank):
        for spare in (one, other):
            with QuickRemap(main, spare):
                pass
        refused(kernel_log, QuickRemap(main, one, other), "belongs to set .*, spare .* to set")
        uuid = Metadata(other).superblock().set_uuid
        refused(kernel_log, QuickRemap(main, one, opts={"set": uuid}), "belong to set")
        refused(kernel_log, QuickRemap(main, one, blank), "not one of this set: blank")
        refused(kernel_log, QuickRemap(main, blank, opts={"set": uuid}), "no spare of set")
        assert not any(Metadata(blank).image())


def test_two_copies_of_one_spare_are_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm, NullBlk(size_mb=8) as copy:
        dm.remove()
        pwrite(copy, 0, Metadata(spare).image())
        refused(kernel_log, QuickRemap(main, spare, copy), "same spare, or one is a copy")


_WRONG = (
    ("", "too few arguments"),
    ("{main}", "too few arguments"),
    ("{main} 2 retries 3", "no spare device is given"),
    ("{main} {main}", "main and spare are the same device"),
    ("{main} {spare} {spare}", "given twice"),
    ("{main} {small}", "too small"),
    ("/dev/nothing {spare}", "main device can't be opened"),
    ("{main} /dev/nothing", "spare device can't be opened"),
    ("{main} {spare} 1 retries", "pairs of words"),
    ("{main} {spare} 4 retries 3", "number of option words"),
    ("{main} {spare} 2 retries 3 more", "pairs of words"),
    ("{main} {spare} 99 retries 3", "number of option words"),
    ("{main} {spare} 2 retries 17", "out of range"),
    ("{main} {spare} 2 retries -1", "out of range"),
    ("{main} {spare} 2 backoff_ms 10001", "out of range"),
    ("{main} {spare} 2 breaker_remaps 0", "out of range"),
    ("{main} {spare} 2 colour red", "unknown option"),
    ("{main} {spare} 2 degraded maybe", "degraded is yes or no"),
    ("{main} {spare} 2 set 1234", "needs a UUID"),
)


def test_wrong_arguments_are_told_apart(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with DmDevice(Linear(spare, 12287)) as small:
        for words, reason in _WRONG:
            line = words.format(main=main, spare=spare, small=small)
            refused(kernel_log, DmDevice(f"0 {main.sectors} remap {line}\n"), reason)
    assert not any(Metadata(spare).image())


def test_target_longer_than_main(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    refused(kernel_log, QuickRemap(main, spare, sectors=main.sectors + 1), "smaller than the targ")


def test_nine_spares_are_too_many(kernel_log: KernelLog) -> None:
    with disks(spares=9) as (main, *spares):
        refused(kernel_log, QuickRemap(main, *spares), "too many spares")
        assert not any(Metadata(spares[0]).image())


def test_restore_repairs_a_damaged_replica_and_counts_it(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
        good = metadata.block(0)
        assert dm.message("restore") == "leaves=127 superblocks=5 records=1 repaired=0"
        metadata.put_block(os.urandom(4096), replica=2)
        metadata.put_block(bytes(4096), replica=3, number=126)
        assert dm.message("restore") == "leaves=127 superblocks=5 records=1 repaired=2"
        assert metadata.blocks() == [good] * 5
        assert len(set(metadata.blocks(126))) == 1
        events = int(dm.status_fields().fields["events"])
        assert dm.message("save").startswith(f"saved events={events + 1} ")
        assert metadata.superblock(4).events == events + 1


def test_save_repairs_superblocks(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        pwrite(spare, 1024, bytes(4096))
        dm.message("save")
        assert {metadata.superblock(copy).events for copy in ALL_COPIES} == {2}


def test_one_copy_is_enough(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
    good = metadata.block(0)
    for kept in ALL_COPIES:
        metadata.wipe(*(copy for copy in ALL_COPIES if copy != kept))
        with QuickRemap(main, spare) as dm:
            assert dm.read(1000) == pattern(1, seed=1)
        assert metadata.blocks() == [good] * 5
        assert len({metadata.superblock(copy).events for copy in ALL_COPIES}) == 1


def test_every_spare_holds_the_whole_table(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        for sector in range(1000, 1008):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
    Metadata(spares[0]).wipe()
    refused(kernel_log, QuickRemap(main, *spares), "not one of this set")
    with QuickRemap(main, spares[1], opts={"degraded": "yes"}) as dm:
        assert {entry.sector: entry.spare for entry in dm.remaps()} == place
        for sector, spare in place.items():
            if spare == 1:
                assert dm.read(sector) == pattern(1, seed=sector)
            else:
                assert eio(dm, sector)


def test_spare_that_fails_while_running_is_taken_out(three: Disks) -> None:
    main, *disks_ = three
    with FaultyDevice(disks_[0]) as dying, QuickRemap(main, dying, disks_[1]) as dm:
        for sector in range(1000, 1004):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
        assert set(place.values()) == {0, 1}
        dying.fail()
        # The next commit finds out, whatever it is about.
        failing_write(main, dm, 2000, pattern(1, seed=2000))
        assert dm.status_fields().fields["spares"] == "1/2"
        assert dm.status_fields().mode == "rw"
        for sector, spare in place.items():
            if spare == 0:
                assert eio(dm, sector)
                dm.write(sector, pattern(1, seed=sector))
            assert dm.read(sector) == pattern(1, seed=sector)
        assert {entry.spare for entry in dm.remaps()} == {1}
        # The other one knows that it is stale, although it works again.
        dying.recover()
        dm.reassemble()
        assert dm.status_fields().fields["spares"] == "1/2"
        for sector in (*place, 2000):
            assert dm.read(sector) == pattern(1, seed=sector)


def test_without_any_spare_writes_fail_and_reads_go_on(two: Disks) -> None:
    main, spare = two
    with FaultyDevice(spare) as dying, QuickRemap(main, dying, opts=patient()) as dm:
        dm.write(0, pattern(8, seed=1))
        failing_write(main, dm, 1000, pattern(1, seed=2))
        event = dm.event_nr
        dying.fail()
        main.add_bad(2000)
        with pytest.raises(OSError):
            dm.write(2000, pattern(1, seed=3))
        wait_until(lambda: dm.event_nr > event, "an event")
        assert dm.status_fields().mode == "fail"
        assert dm.status_fields().fields["spares"] == "0/1"
        with pytest.raises(OSError):
            dm.write(0, pattern(8, seed=4))
        assert dm.read(0, 8) == pattern(8, seed=1)
        assert eio(dm, 1000)
        with dm.pause():
            assert dm.suspended
        dm.remove()
        assert not dm.exists()


def test_unreadable_metadata_is_no_obstacle_while_one_copy_is_readable(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    with FaultyDevice(spare) as weak:
        with QuickRemap(main, weak) as dm:
            failing_write(main, dm, 1000, pattern(1, seed=1))
        for copy in (0, 1, 2, 3):
            weak.add_bad(metadata.leaf_sector(copy) - 8, 16)
        with QuickRemap(main, weak) as dm:
            assert dm.read(1000) == pattern(1, seed=1)
            failing_write(main, dm, 1001, pattern(1, seed=2))
            dm.reassemble()
            assert dm.read(1001) == pattern(1, seed=2)


def test_dead_spare_is_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, _ = two
    with DmDevice(Error(16384)) as dead:
        refused(kernel_log, QuickRemap(main, dead), "can't be read|not one of this set|not valid")


def test_sets_made_by_the_tools_are_taken(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    (planned,) = plan_set(MainGeometry(main.sectors), [spare.sectors])
    _format(metadata, planned)
    with QuickRemap(main, spare, opts={"set": planned.set_uuid}) as dm:
        assert dm.message("ping").endswith(f"set={planned.set_uuid}")


def test_units_larger_than_the_devices_blocks_are_refused(
    two: Disks, kernel_log: KernelLog
) -> None:
    """A write of part of a unit must not exist."""
    main, spare = two
    metadata = Metadata(spare)
    (planned,) = plan_set(MainGeometry(main.sectors), [spare.sectors], unit_bytes=4096)
    _format(metadata, planned)
    refused(kernel_log, QuickRemap(main, spare), "remaps units of 4096 bytes")


def _format(metadata: Metadata, planned: Superblock) -> None:
    leaves = b"".join(Leaf(n).encode(planned.set_uuid) for n in range(planned.nr_leaves))
    for copy in ALL_COPIES:
        pwrite(metadata.spare, metadata.leaf_sector(copy), leaves)
    metadata.put_superblock(planned)


def _seq(metadata: Metadata, block: bytes) -> int:
    code, seq = Leaf.probe(block, metadata.superblock().set_uuid, 0)
    assert code == FormatCode.OK
    return seq


def test_table_larger_than_the_slots_is_kept_in_the_overflow_extents() -> None:
    """127 leaves lie in the slots of a spare; the entries behind them must not get lost."""
    inline = 127 * 252
    parameter = Path("/sys/module/dm_remap/parameters/max_remaps")
    with NullBlk(32) as main, NullBlk(32) as spare:
        pwrite(main, inline, pattern(64, seed=1))
        parameter.write_text(str(2 * inline))
        try:
            with QuickRemap(main, spare) as dm:
                assert dm.status_fields().capacity > inline + 64
                dm.message("remap", 0, inline + 64)
                dm.write(inline + 63, pattern(1, seed=2))
                dm.reassemble()
                assert dm.status_fields().used == inline + 64
                assert dm.read(inline, 63) == pattern(64, seed=1)[: 63 * SECTOR]
                assert dm.read(inline + 63) == pattern(1, seed=2)
        finally:
            parameter.write_text("0")
