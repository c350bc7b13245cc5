"""`pyctl spare`: each command does everything that it takes, and can be run again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyctl.errors import DmError, ExitCode
from pyctl.format import MIN_SPARE_SECTORS, read_spare
from pyctl.pool import Pool
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import SPARE_MB, Disks, disks, pattern

NAME = "pool"
NODE = f"/dev/mapper/{NAME}"
UNITS = range(100, 1100, 10)


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    with contextlib.suppress(Exception):
        run("dmsetup", "remove", NAME)


@pytest.fixture
def third() -> Iterator[NullBlk]:
    """Another spare."""
    with NullBlk(SPARE_MB) as disk:
        yield disk


def make(main: NullBlk, *spares: NullBlk) -> None:
    """The device, with data on its spares."""
    pyctl("create", NAME, main, *spares, "--retries", 1, "--backoff-ms", 0)
    pyctl("remap", NAME, UNITS[0], UNITS[-1] + 1 - UNITS[0])
    pyctl("unremap", NAME, 101, 8)
    for unit in UNITS:
        pwrite(NODE, unit, pattern(1, unit))


def check() -> None:
    """What was written is there."""
    with DirectFile(NODE) as file:
        for unit in UNITS:
            assert file.pread(unit * SECTOR, SECTOR) == pattern(1, unit), unit


def listed() -> dict[str, dict[str, Any]]:
    """The spares by path; a guest without udev has names from the kernel alone."""
    return {row["path"]: row for row in pyctl("spare", "list", NAME)}


def states() -> dict[str, str]:
    return {path: row["state"] for path, row in listed().items()}


def test_add_and_remove(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    used = listed()[str(spare)]["used"]
    added = pyctl("spare", "add", NAME, third)
    assert added["row"] == 1 and added["state"] == "in-sync"
    # Again: nothing is to be done.
    assert pyctl("spare", "add", NAME, third)["row"] == 1
    done = pyctl("spare", "remove", NAME, spare)
    assert done == {"row": 0, "moved": used, "lost": 0}
    assert states() == {str(third): "in-sync"}
    check()
    assert read_spare(spare.path).superblock is None
    pyctl("remove", NAME)
    pyctl("assemble", NAME, main, third)
    check()


def test_replace(three: Disks, third: NullBlk) -> None:
    main, first, second = three
    make(main, first, second)
    pyctl("spare", "tier", NAME, 0, 3)
    used = listed()[str(first)]["used"]
    done = pyctl("spare", "replace", NAME, first, third)
    assert (done["row"], done["replaced"], done["moved"]) == (2, 0, used)
    assert states() == {str(second): "in-sync", str(third): "in-sync"}
    assert listed()[str(third)]["tier"] == 3
    check()


def test_replace_by_a_smaller_one(three: Disks) -> None:
    main, first, second = three
    with NullBlk(MIN_SPARE_SECTORS * SECTOR >> 20) as small:
        pyctl("create", NAME, main, first, second)
        pyctl("spare", "policy", NAME, "first-fit")
        pyctl("remap", NAME, 0, 4000)
        assert listed()[str(first)]["used"] == 4000
        pyctl("spare", "replace", NAME, 0, small)
        rows = listed()
        assert set(rows) == {str(second), str(small)}
        assert rows[str(small)]["free"] == 0
        assert sum(row["used"] for row in rows.values()) == 4000


def test_evacuate_and_undo(three: Disks) -> None:
    main, first, second = three
    make(main, first, second)
    done = pyctl("spare", "evacuate", NAME, first)
    assert done["moved"] > 0
    assert listed()[str(first)]["used"] == 0 and listed()[str(first)]["draining"]
    # Again: nothing is left to be moved.
    assert pyctl("spare", "evacuate", NAME, first)["moved"] == 0
    pyctl("spare", "evacuate", NAME, first, "--undo")
    assert not listed()[str(first)]["draining"]
    check()


def test_rebalance(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    pyctl("remap", NAME, 2000, 4000)
    pyctl("spare", "add", NAME, third)
    before = listed()[str(spare)]["used"]
    moved = pyctl("spare", "rebalance", NAME)["moved"]
    rows = listed()
    assert moved and rows[str(third)]["used"] == moved
    assert abs(rows[str(spare)]["used"] - moved) <= rows[str(spare)]["usable"] // 100
    assert rows[str(spare)]["used"] + moved == before
    assert pyctl("spare", "rebalance", NAME)["moved"] == 0
    check()


def test_an_interrupted_removal_goes_on(three: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    main, first, second = three
    make(main, first, second)
    monkeypatch.setattr("pyctl.spares.STEP", 10)
    real, calls = Pool.migrate, iter(range(1000))

    def interrupted(self: Pool, *args: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(Pool, "migrate", interrupted)
    pyctl("spare", "remove", NAME, first, status=ExitCode.INTERRUPTED)
    row = listed()[str(first)]
    assert row["draining"] and row["used"]
    check()
    assert pyctl("spare", "remove", NAME, first)["moved"] == row["used"]
    check()


def test_a_removal_that_ended_before_the_reload_goes_on(three: Disks) -> None:
    main, first, second = three
    make(main, first, second)
    pyctl("spare", "evacuate", NAME, first)
    run("dmsetup", "message", NAME, 0, "spare", "drop", 0)
    assert states() == {str(first): "attached", str(second): "in-sync"}
    pyctl("spare", "remove", NAME, first)
    assert states() == {str(second): "in-sync"}


def test_a_spare_that_was_refused_leaves_the_table(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    pwrite(third, 6000, pattern(1, 1))
    error = pyctl("spare", "add", NAME, third, status=ExitCode.FAILED)
    assert "carries other data" in error
    assert states() == {str(spare): "in-sync"}
    run("mkfs.ext4", "-q", "-F", third.path)
    assert "ext4" in pyctl("spare", "add", NAME, third, status=ExitCode.REFUSED)
    assert pyctl("spare", "add", NAME, third, "--force")["row"] == 1


def test_a_spare_of_another_set_is_refused(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    with disks() as (other, other_spare):
        pyctl("create", "second", other, other_spare)
        try:
            assert "in use" in pyctl("spare", "add", NAME, other_spare, status=ExitCode.REFUSED)
        finally:
            pyctl("remove", "second")
        error = pyctl("spare", "add", NAME, other_spare, status=ExitCode.REFUSED)
        assert "belongs to set" in error
        assert pyctl("spare", "add", NAME, other_spare, "--force")["row"] == 1
        pyctl("remove", NAME)
    assert Path(third.path).exists()


def test_the_only_spare_and_a_full_pool_are_refused(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    assert "the last spare" in pyctl("spare", "remove", NAME, 0, status=ExitCode.REFUSED)
    pyctl("spare", "add", NAME, third)
    pyctl("spare", "policy", NAME, "first-fit")
    pyctl("remap", NAME, 2000, listed()[str(spare)]["free"] + 10)
    pyctl("remap", NAME, 20000, listed()[str(third)]["free"])
    assert "have room for 0" in pyctl("spare", "remove", NAME, 0, status=ExitCode.REFUSED)
    check()


def test_giving_up_a_dead_spare(three: Disks, third: NullBlk) -> None:
    main, first, second = three
    make(main, first, second)
    gone = [row["sector"] for row in pyctl("list", NAME) if row["spare"] == 0]
    first.add_bad(0, first.sectors)
    pyctl("remap", NAME, 9000)
    assert states()[str(first)] == "failed"
    assert "can't be moved" in pyctl("spare", "remove", NAME, 0, status=ExitCode.REFUSED)
    done = pyctl("spare", "replace", NAME, 0, third, "--lose", "--yes")
    assert done["lost"] == len(gone)
    assert states() == {str(second): "in-sync", str(third): "in-sync"}
    with pytest.raises(OSError, match="Input/output"):
        pread(NODE, gone[0])
    for unit in gone:
        pwrite(NODE, unit, pattern(1, unit))
    check()


def test_policies_are_shown_and_kept(two: Disks) -> None:
    main, spare = two
    make(main, spare)
    assert pyctl("spare", "policy", NAME) == {"policy": "least-used"}
    pyctl("spare", "policy", NAME, "tiered")
    pyctl("remove", NAME)
    pyctl("assemble", NAME, main, spare)
    assert pyctl("spare", "policy", NAME) == {"policy": "tiered"}


def test_a_spare_has_three_names(two: Disks) -> None:
    main, spare = two
    make(main, spare)
    row = listed()[str(spare)]
    for word in ("0", str(spare), row["uuid"], row["uuid"][:6]):
        assert pyctl("spare", "tier", NAME, word, 1)["row"] == 0
    assert "no spare" in pyctl("spare", "tier", NAME, "5", 1, status=ExitCode.NOT_FOUND)


def test_a_table_that_is_refused_is_put_back(two: Disks, third: NullBlk) -> None:
    main, spare = two
    make(main, spare)
    from pyctl.control import Control
    from pyctl.dm import Device

    pool = Pool(Control(Device(NAME)))
    with pytest.raises(DmError, match="missing from the new table"):
        pool.reload([str(third)])
    check()
    assert states() == {str(spare): "in-sync"}


def test_the_forecast_knows_what_was_used(two: Disks) -> None:
    main, spare = two
    make(main, spare)
    pyctl("remove", NAME)
    pyctl("assemble", NAME, main, spare)
    seen = pyctl("spare", "forecast", NAME)
    used = listed()[str(spare)]["used"]
    assert seen["used"] == used and seen["capacity"] == seen["free"] + used
    # The first note is of the empty set, seconds ago: the shortest time counted is an hour.
    assert seen["recent_per_day"] == pytest.approx(used * 24)
    assert seen["full_at"] > seen["since"] > 0
