import errno
import os
import random
import uuid
from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyctl.errors import FormatError, MediaError, NotFoundError, UsageError
from pyctl.format import (
    BLOCK_SIZE,
    MIN_SPARE_SECTORS,
    Entry,
    EntryKind,
    FormatCode,
    Generation,
    Leaf,
    MainGeometry,
    Reason,
    SpareState,
    format_set,
    gen_sector,
    open_exclusively,
    plan_set,
    read_set,
    read_spare,
    slot_sector,
)

MAIN = MainGeometry(204800, 512, "wwid=x")


def make(paths, **options):
    """Format a set on images, return its superblocks."""
    sectors = [path.stat().st_size // 512 for path in paths]
    superblocks = plan_set(MAIN, sectors, now=1000, **options)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_exclusively(path, write=True)) for path in paths]
        format_set(opened, superblocks)
    return superblocks


def poke(path, sector, data):
    with path.open("r+b") as file:
        file.seek(sector * 512)
        file.write(data)


def write_leaf(path, superblock, leaf, replicas=range(5)):
    for replica in replicas:
        sector = superblock.leaf_sector(leaf.number, replica)
        poke(path, sector, leaf.encode(superblock.set_uuid))


@pytest.mark.parametrize("unit", [512, 4096])
@pytest.mark.parametrize("max_remaps", [1, 32004, 100_000])
def test_a_formatted_set_reads_back_whole(images, unit, max_remaps):
    paths = images(65536, 131072)
    superblocks = make(paths, unit_bytes=unit, max_remaps=max_remaps)
    found = read_set(paths)
    assert found.problems == []
    assert found.superblock.set_uuid == superblocks[0].set_uuid
    assert found.superblock.unit_bytes == unit
    assert found.superblock.identity == "wwid=x"
    assert len(found.leaves) == superblocks[0].nr_leaves >= max_remaps / 252
    assert {leaf.seq for leaf in found.leaves} == {1}
    assert list(found.entries()) == []
    assert [row.state for row in found.superblock.spares] == [SpareState.IN_SYNC] * 2
    for index, path in enumerate(paths):
        assert read_spare(path).superblock.spare_idx == index
        block = path.read_bytes()[gen_sector(1, 1) * 512 :][:BLOCK_SIZE]
        code, first = Generation.try_decode(block, superblocks[0].set_uuid, 1)
        assert code == FormatCode.OK
        assert first == Generation.of(found.superblock, Reason.CREATED)
        assert set(read_spare(path).copies) == {FormatCode.OK}


def test_formatting_tells_its_progress(images):
    paths = images(65536)
    superblocks = plan_set(MAIN, [65536], max_remaps=100_000)
    steps = []
    with open_exclusively(paths[0], write=True) as spare:
        format_set([spare], superblocks, lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1] > 5 << 20
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_formatting_clears_what_was_in_the_metadata_area(images):
    paths = images(65536)
    poke(paths[0], 0, b"\xaa" * (65536 * 512))
    make(paths)
    data = paths[0].read_bytes()
    for first, behind in [(3072, 4096), (5120, 8192), (9728, 10240)]:
        assert not any(data[first * 512 : behind * 512])
    assert data[10240 * 512 :] == b"\xaa" * ((65536 - 10240) * 512)


def test_sizes_are_rounded_down_to_units():
    superblock = plan_set(MainGeometry(1003), [65537], unit_bytes=4096)[0]
    assert superblock.main_sectors == 1000
    assert superblock.spares[0].sectors == 65536


@pytest.mark.parametrize(
    ("main", "spares", "options", "words"),
    [
        (MAIN, [], {}, "1 to 8 spares"),
        (MAIN, [65536] * 9, {}, "1 to 8 spares"),
        (MAIN, [MIN_SPARE_SECTORS - 1], {}, "spare is smaller"),
        (MAIN, [65536], {"max_remaps": 0}, "0 remaps"),
        (MAIN, [65536], {"max_remaps": 2_000_000}, "does not fit"),
        (MAIN, [65536], {"unit_bytes": 1024}, "512 or 4096"),
        (MainGeometry(7), [65536], {"unit_bytes": 4096}, "size of the main device"),
        (MainGeometry(1 << 50), [65536], {}, "size of the main device"),
    ],
)
def test_an_impossible_set_is_refused(main, spares, options, words):
    with pytest.raises(FormatError, match=words):
        plan_set(main, spares, **options)


def test_every_set_and_spare_has_a_uuid_of_its_own():
    a, b = plan_set(MAIN, [65536] * 2), plan_set(MAIN, [65536] * 2)
    uuids = [a[0].set_uuid, b[0].set_uuid, *(s.spare_uuid for s in (*a, *b))]
    assert len(set(uuids)) == 6
    wanted = uuid.uuid4()
    assert plan_set(MAIN, [65536], set_uuid=wanted)[0].set_uuid == wanted


def test_the_highest_sequence_number_wins_wherever_it_is(images):
    paths = images(65536, 65536)
    superblocks = make(paths)
    new = Leaf(3, seq=9, entries={0: Entry(EntryKind.REMAP, 5, 10300)})
    write_leaf(paths[1], superblocks[1], new, replicas=[4])
    write_leaf(paths[0], superblocks[0], Leaf(3, seq=8), replicas=[0, 1])
    found = read_set(paths)
    assert list(found.entries()) == [Entry(EntryKind.REMAP, 5, 10300)]
    assert found.problems == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    copies=st.sets(st.integers(0, 4), min_size=1, max_size=4),
    bit=st.integers(0, BLOCK_SIZE * 8 - 1),
)
def test_damaged_copies_are_told_and_not_used(images, copies, bit):
    paths = images(20480)
    superblock = make(paths)[0]
    write_leaf(paths[0], superblock, Leaf(0, 2, entries={1: Entry(EntryKind.LOST, 77)}))
    for copy in copies:
        for sector in (slot_sector(copy), superblock.leaf_sector(0, copy)):
            data = bytearray(paths[0].read_bytes()[sector * 512 : sector * 512 + BLOCK_SIZE])
            data[bit // 8] ^= 1 << bit % 8
            poke(paths[0], sector, data)
    found = read_set(paths)
    assert list(found.entries()) == [Entry(EntryKind.LOST, 77)]
    assert len(found.problems) == 2 * len(copies)


def test_a_set_whose_copies_are_all_damaged_is_refused(images):
    paths = images(65536)
    make(paths)
    for copy in range(5):
        poke(paths[0], slot_sector(copy) + 3, b"\xff")
    with pytest.raises(FormatError, match=f"no dm-remap metadata on {paths[0]}.*checksum"):
        read_set(paths)
    assert read_spare(paths[0]).damaged


def test_a_lost_leaf_is_told(images):
    paths = images(65536)
    superblock = make(paths)[0]
    for replica in range(5):
        poke(paths[0], superblock.leaf_sector(12, replica), bytes(BLOCK_SIZE))
    found = read_set(paths)
    assert any("No copy of leaf 12 is whole" in problem for problem in found.problems)
    assert len(found.leaves) == superblock.nr_leaves - 1


def test_spares_of_different_sets_are_refused(images):
    a, b = images(65536, 65536)
    make([a])
    make([b])
    with pytest.raises(FormatError, match="different sets"):
        read_set([a, b])


def test_a_stale_spare_is_told_and_not_used(images):
    paths = images(65536, 65536)
    superblocks = make(paths)
    rows = (replace(superblocks[0].spares[0], events=5), superblocks[0].spares[1])
    rows = (rows[0], replace(rows[1], state=SpareState.FAILED))
    newer = replace(superblocks[0], events=5, spares=rows)
    for copy in range(5):
        poke(paths[0], slot_sector(copy), newer.encode(copy))
    write_leaf(paths[1], superblocks[1], Leaf(0, 99, entries={0: Entry(EntryKind.LOST, 1)}))
    found = read_set(paths)
    assert found.superblock == replace(newer, copy_idx=found.superblock.copy_idx)
    assert any(
        f"{paths[1]} is stale: the set calls it failed" in problem for problem in found.problems
    )
    assert list(found.entries()) == []


def test_blank_means_the_whole_metadata_area(images):
    blank, almost = images(65536, 65536)
    poke(almost, 10239, b"\0" * 511 + b"\1")
    assert read_spare(blank).blank
    assert not read_spare(almost).blank
    assert not read_spare(almost).damaged
    with pytest.raises(FormatError, match="blank: nothing was ever written"):
        read_set([blank])


def test_a_tiny_file_is_no_spare(images):
    (path,) = images(5)
    found = read_spare(path)
    assert found.superblock is None
    assert found.copies_text()[4] == "beyond the end of the device"


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere: No such file"):
        read_spare(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="neither a block device nor a regular file"):
        read_spare("/dev/zero")


def test_a_failing_write_is_a_media_error(images, monkeypatch):
    def fail(*_args):
        raise OSError(errno.EIO, "no")

    paths = images(65536)
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(MediaError, match=f"Cannot write sector 0 of {paths[0]}: Input/output"):
        make(paths)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_random_images_never_crash(images, seed):
    (path,) = images(0)
    path.write_bytes(random.Random(seed).randbytes(16 << 10))
    assert read_spare(path).superblock is None
