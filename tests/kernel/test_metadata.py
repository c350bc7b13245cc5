"""The table and its copies on the spares: believed, repaired, written."""

import os
from pathlib import Path

from pyctl.format import FormatCode, Leaf, MainGeometry, plan_set
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.metadata import ALL_COPIES, DATA_START, Metadata
from tests.kernel.lib.setup import Disks, QuickRemap, failing_write, pattern


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


def test_sets_made_by_the_tools_are_taken(two: Disks) -> None:
    main, spare = two
    metadata = Metadata(spare)
    (planned,) = plan_set(MainGeometry(main.sectors), [spare.sectors])
    metadata.format(planned)
    with QuickRemap(main, spare, opts={"set": planned.set_uuid}) as dm:
        assert dm.message("ping").endswith(f"set={planned.set_uuid}")


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
