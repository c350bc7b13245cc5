"""What is refused and left alone: hostile metadata, foreign data, wrong arguments."""

import os
from collections.abc import Callable
from dataclasses import replace

from pyctl.format import Entry, EntryKind, Leaf, MainGeometry, Superblock, crc32c, plan_set
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pwrite
from tests.kernel.lib.dm import DmDevice, Error, Linear
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import ALL_COPIES, DATA_START, Metadata
from tests.kernel.lib.setup import Disks, QuickRemap, disks, refused

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
        ("feature that is not known", replace(sb, feature_incompat=1 << 40)),
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


def test_dead_spare_is_refused(two: Disks, kernel_log: KernelLog) -> None:
    main, _ = two
    with DmDevice(Error(16384)) as dead:
        refused(kernel_log, QuickRemap(main, dead), "can't be read|not one of this set|not valid")


def test_units_larger_than_the_devices_blocks_are_refused(
    two: Disks, kernel_log: KernelLog
) -> None:
    """A write of part of a unit must not exist."""
    main, spare = two
    metadata = Metadata(spare)
    (planned,) = plan_set(MainGeometry(main.sectors), [spare.sectors], unit_bytes=4096)
    metadata.format(planned)
    refused(kernel_log, QuickRemap(main, spare), "remaps units of 4096 bytes")
