"""Redundancy: remaps on two spares, and how that is changed. Row R32."""

import pytest

from pyctl.errors import DmError
from tests.kernel.lib.directio import pwrite
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.pool import attach, join, migrate_all, row
from tests.kernel.lib.redundancy import (
    SECTORS,
    below,
    copies,
    free_units,
    load,
    lower_redundancy,
    mirror_units,
    mirrored,
    raise_redundancy,
    same_everywhere,
    settled,
)
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import (
    Disks,
    QuickRemap,
    disks,
    pattern,
)
from tests.kernel.lib.units import check_units, remap_units, write_units


def test_raise_and_lower_under_load(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, SECTORS)
        assert (dm.message("get", "redundancy"), below(dm)) == ("redundancy=1", 0)
        free = free_units(dm)
        with load(dm, SECTORS):
            for _ in range(3):
                raise_redundancy(dm)
                assert dm.stats()["mirrors"] == len(SECTORS)
                lower_redundancy(dm)
        assert free_units(dm) == free
        assert dm.message("verify") == f"verified={len(SECTORS)} errors=0"
        raise_redundancy(dm)
        write_units(dm, SECTORS, seed=2)
        same_everywhere(dm, spares)
        assert dm.message("verify") == f"verified={len(SECTORS)} errors=0"
    superblock = Metadata(spares[0]).superblock()
    assert (superblock.redundancy, superblock.feature_incompat) == (2, 1)


def test_new_remaps_are_on_two_spares_at_once(three: Disks) -> None:
    """One commit: no block is below its redundancy when its write is acknowledged."""
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        dm.message("set", "redundancy", 2)
        main.add_bad(1000, 8)
        dm.write(1000, pattern(8, seed=1))
        assert (below(dm), dm.stats()["mirrors"]) == (0, 8)
        assert dm.read(1000, 8) == pattern(8, seed=1)
        dm.write(996, pattern(16, seed=2))
        same_everywhere(dm, spares)
        assert dm.read(996, 16) == pattern(16, seed=2)


def test_unremap_and_clear_take_both_copies(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        free = free_units(dm)
        mirror_units(dm)
        assert dm.message("unremap", 1000, 8) == "unremapped=8 kept=0 lost=0"
        assert dm.stats()["mirrors"] == len(SECTORS) - 8
        assert dm.message("clear") == f"cleared={len(SECTORS) - 8} kept=0 lost=0"
        assert (dm.stats()["mirrors"], below(dm)) == (0, 0)
        assert free_units(dm) == free
        check_units(dm, SECTORS)
        dm.reassemble()
        check_units(dm, SECTORS)
        assert dm.stats()["mirrors"] == 0


def test_with_one_spare_all_is_below(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("set", "redundancy", 2)
        remap_units(dm, SECTORS)
        assert below(dm) == len(SECTORS)
        check_units(dm, SECTORS)
        dm.reassemble()
        assert below(dm) == len(SECTORS)
        check_units(dm, SECTORS)


def test_reload_and_restart_keep_it(three: Disks) -> None:
    main, *spares = three
    with mirrored(main, *spares) as dm:
        places = [copies(dm, sector) for sector in SECTORS]
        with load(dm, SECTORS):
            for _ in range(5):
                dm.reload(dm.target())
        write_units(dm, SECTORS)
        dm.reassemble()
        assert [copies(dm, sector) for sector in SECTORS] == places
        assert (dm.message("get", "redundancy"), below(dm)) == ("redundancy=2", 0)
        check_units(dm, SECTORS)
        same_everywhere(dm, spares)


def test_full_spare_leaves_blocks_with_one_copy(three: Disks) -> None:
    """Second copies are made when there is room again."""
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        usable = dm.stats()["spare0_usable"]
        # Each in turns, so that both are nearly full.
        dm.message("remap", 0, 2 * usable - 8)
        dm.message("set", "redundancy", 2)
        wait_until(lambda: dm.stats()["mirrors"] >= 6, "some second copies")
        assert 0 < below(dm) <= 2 * usable - 8 - dm.stats()["mirrors"]
        main_sector = 2 * usable + 100
        pwrite(main, main_sector, pattern(1, seed=1))
        dm.message("unremap", 0, usable + 100)
        settled(dm)
        assert dm.message("verify").endswith("errors=0")


def test_full_table_leaves_blocks_with_one_copy(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        remap_units(dm, SECTORS)
        limit = "/sys/module/dm_remap/parameters/max_remaps"
        try:
            with open(limit, "w", encoding="ascii") as file:
                file.write(str(len(SECTORS) + 5))
            dm.message("set", "redundancy", 2)
            settled(dm, len(SECTORS) - 5)
            with pytest.raises(DmError):
                dm.message("remap", 5000)
            check_units(dm, SECTORS)
        finally:
            with open(limit, "w", encoding="ascii") as file:
                file.write("0")
        raise_redundancy(dm)


def test_only_one_and_two_are_known(three: Disks) -> None:
    main, *spares = three
    with QuickRemap(main, *spares) as dm:
        for value in ("0", "3", "two", ""):
            with pytest.raises(DmError):
                dm.message("set", "redundancy", value or "''")
        assert dm.message("get", "redundancy") == "redundancy=1"


@pytest.mark.parametrize("spares", [2, 3])
def test_evacuation_takes_second_copies_along(spares: int) -> None:
    """With two spares, what is left has one copy."""
    with disks(spares=spares) as (main, *disks_), mirrored(main, *disks_) as dm:
        with load(dm, SECTORS):
            dm.message("spare", "drain", 0, "on")
            migrate_all(dm, 0)
            assert row(dm, 0).used == 0
            dm.message("spare", "drop", 0)
            settled(dm, 0 if spares == 3 else len(SECTORS))
        write_units(dm, SECTORS, seed=4)
        if spares == 3:
            same_everywhere(dm, disks_)
        assert dm.message("verify") == f"verified={len(SECTORS)} errors=0"
        dm.reassemble()
        check_units(dm, SECTORS, seed=4)


def test_second_copies_are_made_when_a_spare_is_drained_no_more(three: Disks) -> None:
    main, *disks_ = three
    with QuickRemap(main, *disks_) as dm:
        dm.message("spare", "drain", 1, "on")
        dm.message("set", "redundancy", 2)
        remap_units(dm, SECTORS)
        wait_until(lambda: not dm.stats()["mending"], "nothing can be done")
        assert below(dm) == len(SECTORS)
        dm.message("spare", "drain", 1, "off")
        settled(dm)
        same_everywhere(dm, disks_)


def test_moving_between_spares_keeps_both_copies() -> None:
    with disks(spares=3) as (main, *disks_), mirrored(main, *disks_) as dm:
        before = row(dm, 0).used
        migrate_all(dm, 0, 2)
        assert row(dm, 0).used < before
        assert below(dm) == 0
        same_everywhere(dm, disks_)
        check_units(dm, SECTORS)
        assert sum(row(dm, number).used for number in range(3)) == 2 * len(SECTORS)


def test_spare_that_joins_is_used_for_second_copies(two: Disks) -> None:
    main, spare = two
    with disks(spares=1) as (_, third), QuickRemap(main, spare) as dm:
        dm.message("set", "redundancy", 2)
        remap_units(dm, SECTORS)
        assert below(dm) == len(SECTORS)
        with load(dm, SECTORS):
            attach(dm, spare, third)
            join(dm, third)
            settled(dm)
        write_units(dm, SECTORS, seed=2)
        same_everywhere(dm, (spare, third))
