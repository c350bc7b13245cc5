"""Metadata that is destroyed: what one copy of five, and one spare of several, are good for."""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

import pytest

from pyctl.format import slot_sector
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import ALL_COPIES, BLOCK_SECTORS, SLOT_SECTORS, Metadata
from tests.kernel.lib.setup import Disks, QuickRemap, disks, eio, patient, pattern, refused

# What is remapped: entries in more than one leaf.
FIRST, COUNT = 1000, 300
DATA = pattern(COUNT, seed=6)

# Parts of a slot, as (first sector, sectors).
PARTS = {
    "superblock": (0, BLOCK_SECTORS),
    "leaves": (BLOCK_SECTORS, SLOT_SECTORS - BLOCK_SECTORS),
    "both": (0, SLOT_SECTORS),
}
# Any one of the five copies, any two, any four.
CHOICES = [copies for count in (1, 2, 4) for copies in itertools.combinations(ALL_COPIES, count)]

_Destroy = Callable[[NullBlk, int, int], object]


def _zero(spare: NullBlk, sector: int, sectors: int) -> None:
    pwrite(spare, sector, bytes(sectors * SECTOR))


def _garbage(spare: NullBlk, sector: int, sectors: int) -> None:
    pwrite(spare, sector, random.Random(sector).randbytes(sectors * SECTOR))


def _unreadable(spare: NullBlk, sector: int, sectors: int) -> None:
    spare.add_bad(sector, sectors)


DESTROY: dict[str, _Destroy] = {"zeros": _zero, "garbage": _garbage, "unreadable": _unreadable}


def _remapped(main: NullBlk, *spares: NullBlk) -> dict[int, int | None]:
    """Make a set with data on its spares; which of them has each sector."""
    with QuickRemap(main, *spares) as dm:
        dm.message("remap", FIRST, COUNT)
        dm.write(FIRST, DATA)
        return {remap.sector: remap.spare for remap in dm.remaps()}


def _check(dm: QuickRemap, place: dict[int, int | None], gone: int | None = None) -> None:
    """The table is whole, and so is the data but for what was on a spare that is gone."""
    assert {remap.sector: remap.spare for remap in dm.remaps()} == place
    if gone is None:
        assert dm.read(FIRST, COUNT) == DATA
        return
    for sector, spare in place.items():
        if spare == gone:
            assert eio(dm, sector)
        else:
            assert dm.read(sector) == _data(sector)


def _data(sector: int) -> bytes:
    return DATA[(sector - FIRST) * SECTOR :][:SECTOR]


def _leaves(spare: NullBlk) -> list[bytes]:
    """All leaves of each replica."""
    start, sectors = PARTS["leaves"]
    return [pread(spare, slot_sector(copy) + start, sectors) for copy in ALL_COPIES]


def _all_valid_and_equal(spare: NullBlk, leaves: bytes) -> bool:
    superblocks = Metadata(spare).superblocks()
    events = {superblock.events if superblock else None for superblock in superblocks}
    return None not in events and len(events) == 1 and _leaves(spare) == [leaves] * 5


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("way", DESTROY)
def test_any_four_copies_destroyed_lose_nothing(two: Disks, part: str, way: str) -> None:
    """Any one, any two, any four: the set starts, and makes them good."""
    main, spare = two
    start, sectors = PARTS[part]
    place = _remapped(main, spare)
    leaves = _leaves(spare)[0]
    assert _all_valid_and_equal(spare, leaves)
    for copies in CHOICES:
        for copy in copies:
            DESTROY[way](spare, slot_sector(copy) + start, sectors)
        with QuickRemap(main, spare, opts=patient()) as dm:
            _check(dm, place)
            if way == "unreadable":
                for copy in copies:
                    spare.remove_bad(slot_sector(copy) + start, sectors)
                # They were not written to, and are old now: the newest are believed.
                dm.message("save")
                dm.reassemble()
                _check(dm, place)
        assert _all_valid_and_equal(spare, leaves), copies


@pytest.mark.parametrize("way", DESTROY)
def test_table_of_which_no_copy_is_left_on_one_spare_comes_from_another(
    three: Disks, way: str
) -> None:
    """Every spare has the whole table; a spare whose superblocks are right gets it back."""
    main, *spares = three
    start, sectors = PARTS["leaves"]
    place = _remapped(main, *spares)
    leaves = _leaves(spares[0])[0]
    for victim in spares:
        for copy in ALL_COPIES:
            DESTROY[way](victim, slot_sector(copy) + start, sectors)
        with QuickRemap(main, *spares) as dm:
            assert dm.status_fields().fields["spares"] == "2/2"
            _check(dm, place)
        if way == "unreadable":
            for copy in ALL_COPIES:
                victim.remove_bad(slot_sector(copy) + start, sectors)
            with QuickRemap(main, *spares) as dm:
                _check(dm, place)
        assert all(_all_valid_and_equal(spare, leaves) for spare in spares)


@pytest.mark.parametrize("part", ["superblock", "leaves"])
@pytest.mark.parametrize("way", DESTROY)
def test_five_copies_destroyed_are_refused_and_left_alone(
    two: Disks, kernel_log: KernelLog, part: str, way: str
) -> None:
    """Nothing is left to believe; pyctl may know more, so nothing is written either."""
    main, spare = two
    start, sectors = PARTS[part]
    _remapped(main, spare)
    for copy in ALL_COPIES:
        DESTROY[way](spare, slot_sector(copy) + start, sectors)
    before = _readable(spare)
    refused(kernel_log, QuickRemap(main, spare), "no valid copy|carries other data|can't be read")
    assert _readable(spare) == before


def _readable(spare: NullBlk) -> list[bytes]:
    """All of a spare that can be read, in pieces of a metadata block."""
    return [data for sector in _blocks(spare) for data in _try_read(spare, sector)]


def _blocks(spare: NullBlk) -> Iterable[int]:
    return range(0, spare.sectors, SLOT_SECTORS // 2)


def _try_read(spare: NullBlk, sector: int) -> Iterator[bytes]:
    try:
        yield pread(spare, sector, SLOT_SECTORS // 2)
    except OSError:
        yield b"unreadable"


@pytest.mark.parametrize("way", ["zeros", "garbage", "missing"])
@pytest.mark.parametrize("count", [2, 3])
def test_one_whole_spare_destroyed_costs_only_what_was_on_it(
    kernel_log: KernelLog, count: int, way: str
) -> None:
    """The others know the table, and which part of it is gone.

    Nobody may be told that all is well: the set wants the word "degraded" once.
    """
    with disks(spares=count) as (main, *spares):
        place = _remapped(main, *spares)
        assert set(place.values()) == set(range(count))
        images = [Metadata(spare).image() for spare in spares]
        for number, victim in enumerate(spares):
            others = [spare for spare in spares if spare is not victim]
            if way != "missing":
                DESTROY[way](victim, 0, victim.sectors)
                refused(kernel_log, QuickRemap(main, *spares), "not one of this set")
            refused(kernel_log, QuickRemap(main, *others), "degraded")
            with QuickRemap(main, *others, opts={"degraded": "yes"}) as dm:
                assert dm.status_fields().fields["spares"] == f"{count - 1}/{count}"
                _check(dm, place, gone=number)
                # From now on it is known.
                dm.reassemble()
                _check(dm, place, gone=number)
                for sector, spare in place.items():
                    if spare == number:
                        dm.write(sector, _data(sector))
                assert dm.read(FIRST, COUNT) == DATA
                dm.reassemble()
                assert dm.read(FIRST, COUNT) == DATA
                assert number not in {remap.spare for remap in dm.remaps()}
            for spare, image in zip(spares, images, strict=True):
                pwrite(spare, 0, image)
