"""The pool as pyctl understands it, without a kernel."""

from dataclasses import replace
from uuid import UUID

import pytest

from pyctl import spares
from pyctl.errors import MediaError, NotFoundError, PyctlError, RefusedError
from pyctl.pool import Migrated, SpareRow

ONE = UUID("11111111-2222-4333-8444-555555555555")
LINE = (
    f"3 254:7 in-sync {ONE} sectors=65536 usable=55296 free=55290 used=4 bad=2 tier=1 health=90"
    " draining=1"
)


def test_a_row_is_read():
    row = SpareRow.parse(LINE)
    assert row == SpareRow(3, "254:7", "in-sync", ONE, 65536, 55296, 55290, 4, 2, 1, 90, True)
    assert row.in_use
    assert SpareRow.parse("- 254:9 attached") == SpareRow(None, "254:9", "attached")
    missing = SpareRow.parse(LINE.replace("254:7", "-").replace("in-sync", "missing"))
    assert missing.device is None and not missing.in_use and missing.path == "spare 3 (not there)"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "3",
        "x 254:7 in-sync",
        LINE.replace("free=", "fee="),
        LINE.replace("=90", "=9o"),
        LINE.replace(str(ONE), "nobody"),
    ],
)
def test_another_line_is_refused(line):
    with pytest.raises(PyctlError, match="Cannot understand the line"):
        SpareRow.parse(line)


class FakePool:
    """Spares that blocks can be moved between; blocks of `stuck` can't be read."""

    name = "d"

    def __init__(self, *used, usable=1000, stuck=0):
        self.row = [
            SpareRow(i, None, "in-sync", ONE, 0, usable, usable - n, n) for i, n in enumerate(used)
        ]
        self.stuck = stuck
        self.moves = []

    def members(self):
        return list(self.row)

    def find(self, word):
        return self.row[int(word)]

    def drain(self, number, on):
        self.row[number] = replace(self.row[number], draining=on)

    def _shift(self, number, count):
        row = self.row[number]
        self.row[number] = replace(row, used=row.used + count, free=row.free - count)

    def migrate(self, number, target, blocks):
        to = target
        if to is None:
            others = [r for r in self.row if r.row != number and not r.draining]
            to = max(others, key=lambda r: r.free).row
        count = min(blocks, self.row[number].used - self.stuck)
        self._shift(number, -count)
        self._shift(to, count)
        self.moves.append(count)
        left = self.row[number].used
        return Migrated(count, left, self.stuck if count < blocks else 0, count < blocks)


def test_evacuation_moves_everything_in_steps():
    pool, seen = FakePool(600, 0), []
    assert spares.evacuate(pool, pool.row[0], lambda *step: seen.append(step)) == 600
    assert pool.row[0].used == 0 and pool.row[0].draining
    assert max(pool.moves) == spares.STEP
    assert seen[-1] == (600, 600)


def test_blocks_that_can_not_be_read_are_told():
    pool = FakePool(600, 0, stuck=5)
    with pytest.raises(MediaError, match="5 blocks"):
        spares.evacuate(pool, pool.row[0])
    assert pool.row[0].used == 5


def test_what_is_away_can_not_be_evacuated():
    pool = FakePool(6, 0)
    pool.row[0] = replace(pool.row[0], state="failed")
    with pytest.raises(RefusedError, match="is failed"):
        spares.evacuate(pool, pool.row[0])


@pytest.mark.parametrize("used", [(900, 0), (0, 900), (500, 500), (1, 0), (700, 100, 400, 0)])
def test_rebalance_ends_with_all_filled_alike(used):
    pool = FakePool(*used)
    spares.rebalance(pool)
    fills = [row.used for row in pool.row]
    assert sum(fills) == sum(used)
    assert max(fills) - min(fills) <= 2 * 1000 * spares.UNEVEN // 1000
    assert spares.rebalance(pool) == 0


def test_rebalance_leaves_a_draining_spare_alone():
    pool = FakePool(100, 0, 0)
    pool.drain(2, True)
    spares.rebalance(pool)
    assert [row.used for row in pool.row] == [50, 50, 0]


def test_rebalance_needs_two():
    with pytest.raises(RefusedError, match="fewer than two"):
        spares.rebalance(FakePool(10))


def test_an_unknown_spare_is_named():
    from pyctl.control import Control
    from pyctl.pool import Pool
    from tests.pyctl.fakes import FakeDevice

    device = FakeDevice()
    device._spare = lambda *words: LINE
    pool = Pool(Control(device))
    assert pool.find("3").uuid == ONE
    assert pool.find("1111").row == 3
    with pytest.raises(NotFoundError, match="5 is no spare of d"):
        pool.find("5")
