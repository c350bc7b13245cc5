"""What the guest may rely on."""

import pytest

from tests.crash.journal import (
    MAIN,
    Acknowledged,
    Died,
    GoneBad,
    MediaError,
    Seen,
    Synced,
)
from tests.crash.promises import Promises

V = 1 << 32


@pytest.fixture
def promises() -> Promises:
    """Four units of eight sectors in version 0."""
    before = [(0,) * 8] * 4
    return Promises(before, before, [False] * 4, 8)


def test_an_acknowledged_write_is_promised_by_the_next_sync(promises: Promises) -> None:
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    assert promises.units[2].floor == -1
    promises.feed(Synced(1, 0))
    assert promises.units[2].floor == V + 1


def test_a_sync_that_began_before_promises_nothing(promises: Promises) -> None:
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    promises.feed(Acknowledged(2, 3, V + 2, sync=False, error=0))
    promises.feed(Synced(1, 0))
    assert [unit.floor for unit in promises.units] == [-1, -1, V + 1, -1]


def test_a_synchronous_write_is_promised_at_once(promises: Promises) -> None:
    promises.feed(Acknowledged(1, 2, V + 1, sync=True, error=0))
    assert promises.units[2].floor == V + 1
    assert not promises.units[2].mapped


def test_a_redirected_write_is_promised_at_once_with_its_mapping(promises: Promises) -> None:
    promises.feed(MediaError(MAIN, (16,), ((2, V + 1),)))
    assert promises.units[2].floor == -1
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    assert promises.units[2].floor == V + 1
    assert promises.units[2].mapped
    # the next one is a write like any other
    promises.feed(Acknowledged(2, 2, V + 2, sync=False, error=0))
    assert promises.units[2].floor == V + 1


def test_an_old_version_that_fails_says_nothing_of_the_next_write(promises: Promises) -> None:
    """A unit was read at last and met a bad unit of the spare on its way there."""
    promises.feed(MediaError(1, (80,), ((2, 0),)))
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    assert promises.units[2].floor == -1
    assert not promises.units[2].mapped


def test_an_old_sync_does_not_take_a_promise_back(promises: Promises) -> None:
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    promises.feed(Acknowledged(2, 2, V + 2, sync=True, error=0))
    promises.feed(Synced(1, 0))
    assert promises.units[2].floor == V + 2


def test_a_failed_write_promises_nothing_and_is_a_complaint(promises: Promises) -> None:
    promises.feed(MediaError(MAIN, (16,), ((2, V + 1),)))
    promises.feed(Acknowledged(1, 2, V + 1, sync=True, error=5))
    assert promises.units[2].floor == -1
    assert not promises.units[2].mapped
    assert len(list(promises.new_complaints())) == 1
    assert list(promises.new_complaints()) == []


def test_only_what_the_medium_has_lost_may_fail(promises: Promises) -> None:
    promises.feed(GoneBad(MAIN, 17, 2, readable=False))
    promises.feed(GoneBad(MAIN, 8, 1, readable=True))
    promises.feed(GoneBad(1, 0, 8, readable=False))
    assert [promises.may_fail(unit) for unit in range(4)] == [False, False, True, False]
    promises.feed(MediaError(MAIN, (17,), ((2, V + 1),)))
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    assert not promises.may_fail(2)


def test_a_read_while_the_power_is_on_must_give_the_last_version(promises: Promises) -> None:
    promises.feed(Acknowledged(1, 2, V + 1, sync=False, error=0))
    promises.feed(Seen(2, V + 1, 0))
    promises.feed(Seen(3, 0, 0))
    assert list(promises.new_complaints()) == []
    promises.feed(Seen(2, 0, 0))
    promises.feed(Seen(3, -1, 5))
    assert len(list(promises.new_complaints())) == 2


def test_with_a_dead_spare_a_read_may_fail(promises: Promises) -> None:
    promises.feed(Died(2))
    promises.feed(Seen(3, -1, 5))
    assert promises.dead_spares == {1}
    assert list(promises.new_complaints()) == []
