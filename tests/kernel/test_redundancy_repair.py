"""Redundancy: copies that can't be read, or are not the same. Row R32."""

import pytest

from pyctl.format import Entry, EntryKind
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.faults import faulty
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.pool import migrate_all
from tests.kernel.lib.redundancy import (
    SECTORS,
    below,
    copies,
    free_units,
    mirror_units,
    mirrored,
    same_everywhere,
    settled,
)
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import (
    Disks,
    QuickRemap,
    eio,
    patient,
    pattern,
    refused,
)
from tests.kernel.lib.units import check_units


def test_medium_error_of_the_first_copy_is_repaired(three: Disks) -> None:
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        for sector in (1004, 2000):
            (spare, at), (second, there) = copies(dm, sector)
            spares[spare].add_bad(at)
            assert dm.read(sector) == pattern(1, sector)
            assert copies(dm, sector)[0] == (second, there)
            settled(dm)
            assert copies(dm, sector)[1] != (spare, at)
        check_units(dm, SECTORS)
        assert dm.status_fields().fields["bad_spare_units"] == "2"
        assert dm.status_fields().fields["spares"] == "2/2"
        # The second copy fails when it is written: another unit takes its place.
        (_, _), (second, there) = copies(dm, 3000)
        spares[second].add_bad(there)
        dm.write(3000, pattern(1, seed=3000))
        assert copies(dm, 3000)[1] != (second, there)
        assert below(dm) == 0
        (spare, at), _ = copies(dm, 3000)
        spares[spare].add_bad(at)
        assert dm.read(3000) == pattern(1, seed=3000)
        # Large reads find single ones, too.
        for sector in (1001, 1009):
            (spare, at), _ = copies(dm, sector)
            spares[spare].add_bad(at)
        assert dm.read(1000, 16) == b"".join(pattern(1, s) for s in range(1000, 1016))
        settled(dm)
        assert dm.message("verify") == f"verified={len(SECTORS)} errors=0"


def test_trap_34_second_copy_that_took_no_write_is_dropped(three: Disks) -> None:
    """What it has is old, and would be served when the first copy can't be read.

    Mistake: leave its entry as it is. Seen to fail with
    tests/mistakes/34_second_copy_is_kept.patch.
    """
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        (first, at), (second, there) = copies(dm, 3000)
        spares[second].add_bad(there)
        dm.write(3000, pattern(1, seed=5))
        spares[second].remove_bad(there)
        spares[first].add_bad(at)
        assert dm.read(3000) == pattern(1, seed=5)


def test_trap_34_what_a_second_copy_says_is_durably_the_first(three: Disks) -> None:
    """Or a later read may be answered by the other one, which may differ.

    Mistake: end the read before the commit. Seen to fail with
    tests/mistakes/34_shown_before_it_is_durable.patch.
    """
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        (first, at), (second, there) = copies(dm, 2000)
        spares[first].add_bad(at)
        assert dm.read(2000) == pattern(1, seed=2000)
        for disk in disks_:
            entries = Metadata(disk).leaf().entries.values()
            (entry,) = (e for e in entries if (e.kind, e.main_unit) == (EntryKind.REMAP, 2000))
            assert (entry.spare_idx, entry.spare_unit) == (second, there)


def test_without_any_readable_copy_there_is_an_error(three: Disks) -> None:
    main, *disks_ = three
    with faulty(*disks_) as spares, QuickRemap(main, *spares, opts=patient()) as dm:
        pwrite(main, 1000, pattern(1, seed=99))
        mirror_units(dm)
        for spare, at in copies(dm, 1000):
            spares[spare].add_bad(at)
        assert eio(dm, 1000)
        for disk in spares:
            disk.remove_bad(0, disk.sectors)
        # It stays lost: one of them may have been older.
        assert eio(dm, 1000)
        assert dm.read(1001) == pattern(1, seed=1001)
        dm.write(1000, pattern(1, seed=5))
        assert dm.read(1000) == pattern(1, seed=5)
        settled(dm)
        same_everywhere(dm, spares)


@pytest.mark.parametrize("leaves", [0, 1], ids=["first_leaves", "second_leaves"])
def test_evacuation_takes_no_bad_copy_for_a_good_one(three: Disks, leaves: int) -> None:
    """The copy that would stay can't be read, which nobody has noticed yet."""
    main, *disks_ = three
    with faulty(*disks_) as spares, mirrored(main, *spares, opts=patient()) as dm:
        found = copies(dm, 3000)
        away, (stays, at) = found[leaves][0], found[1 - leaves]
        spares[stays].add_bad(at)
        dm.message("spare", "drain", away, "on")
        assert migrate_all(dm, away) == len(SECTORS)
        dm.message("spare", "drop", away)
        check_units(dm, SECTORS)
        assert copies(dm, 3000)[0] not in found
        assert dm.status_fields().fields["bad_spare_units"] == "1"


def test_what_was_read_at_last_is_not_left_to_a_bad_copy(three: Disks) -> None:
    """The first copy answers at the second attempt, the other one never does."""
    main, *disks_ = three
    with (
        faulty(*disks_) as spares,
        mirrored(main, *spares, opts={"retries": 4, "backoff_ms": 500}) as dm,
    ):
        (first, at), (second, there) = copies(dm, 3000)
        # No new second copy there: what is read must be somewhere else.
        dm.message("spare", "drain", first, "on")
        spares[second].add_bad(there)
        spares[first].add_bad(at)
        with Background(lambda: dm.read(3000)) as reader:
            wait_until(lambda: dm.stats()["read_errors"] or not reader.running(), "it fails")
            spares[first].remove_bad(at)
        assert dm.stats()["rescued"] == 1
        check_units(dm, SECTORS)
        (place,) = copies(dm, 3000)
        assert place not in ((first, at), (second, there))


def test_copies_are_made_the_same_after_a_power_cut(three: Disks) -> None:
    """A write may have reached one of them; until they are the same, the first one decides."""
    main, *spares = three
    with mirrored(main, *spares) as dm:
        places = {sector: copies(dm, sector) for sector in SECTORS}
        images = [Metadata(spare).image() for spare in spares]
    # As it was while it ran, but for what a write that was cut off did to one copy.
    for spare, image in zip(spares, images, strict=True):
        pwrite(spare, 0, image)
    for sector in (1003, 9000):
        second, there = places[sector][1]
        pwrite(spares[second], there, pattern(1, seed=77))
    first, at = places[2002][0]
    pwrite(spares[first], at, pattern(1, seed=78))
    with QuickRemap(main, *spares) as dm:
        settled(dm)
        same_everywhere(dm, spares)
        for sector in set(SECTORS) - {2002}:
            assert dm.read(sector) == pattern(1, sector)
        assert dm.read(2002) == pattern(1, seed=78)


def test_after_an_orderly_stop_nothing_is_compared(three: Disks) -> None:
    main, *spares = three
    with mirrored(main, *spares) as dm:
        (_, _), (second, there) = copies(dm, 1000)
    pwrite(spares[second], there, pattern(1, seed=77))
    with QuickRemap(main, *spares) as dm:
        settled(dm)
        assert pread(spares[second], there) == pattern(1, seed=77)
        assert dm.message("verify") == f"verified={len(SECTORS)} errors=1"


@pytest.mark.parametrize(
    "left", ["no first copy", "promotion half done", "first copy elsewhere on that spare"]
)
def test_leftovers_of_a_crash_are_dropped(three: Disks, left: str) -> None:
    """Two leaves of one batch, and a crash between them."""
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        free = free_units(dm)
        dm.message("set", "redundancy", 2)
        for sector in (1000, 1001):
            dm.message("remap", sector)
        fill_two = pattern(2, seed=1)
        dm.write(1000, fill_two)
        settled(dm)

    def change(entries: dict[int, Entry]) -> None:
        (slot, first), (_, second) = (
            (slot, entry) for slot, entry in sorted(entries.items()) if entry.main_unit == 1000
        )
        assert (first.kind, second.kind) == (EntryKind.REMAP, EntryKind.MIRROR)
        if left == "no first copy":
            del entries[slot]
        else:
            away = 0 if left == "promotion half done" else 100
            entries[slot] = Entry(
                EntryKind.REMAP, 1000, second.spare_unit + away, second.spare_idx, first.flags
            )

    for spare in spares:
        Metadata(spare).change_leaf(change)
    with QuickRemap(main, *spares) as dm:
        settled(dm)
        assert dm.read(1001) == pattern(2, seed=1)[SECTOR:]
        if left == "promotion half done":
            assert dm.read(1000) == pattern(1, seed=1)
        assert dm.stats()["mirrors"] == len(dm.remaps())
        same_everywhere(dm, spares)
        dm.message("clear")
        dm.reassemble()
        assert free_units(dm) == free


def test_two_units_on_one_spare_unit_are_refused(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        dm.message("set", "redundancy", 2)
        dm.message("remap", 1000, 2)
        settled(dm)

    def change(entries: dict[int, Entry]) -> None:
        one, other = (
            (slot, e) for slot, e in sorted(entries.items()) if e.kind == EntryKind.MIRROR
        )
        entries[one[0]] = Entry(
            EntryKind.MIRROR, one[1].main_unit, other[1].spare_unit, other[1].spare_idx
        )

    for spare in spares:
        Metadata(spare).change_leaf(change)
    refused(kernel_log, QuickRemap(main, *spares), "used twice")


def test_second_copies_without_the_feature_are_refused(three: Disks, kernel_log: KernelLog) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        dm.message("remap", 1000)
    for spare in spares:
        Metadata(spare).change_leaf(
            lambda entries: entries.update({9: Entry(EntryKind.MIRROR, 1000, 12000, 1)})
        )
    refused(kernel_log, QuickRemap(main, *spares), "kind or flags")
