"""Sequences of changes: what is in them, and that nothing later is. PyTorch is not needed."""

from dataclasses import replace

import numpy as np
import pytest

from pyctl.predict.days import DriveDays, daily
from pyctl.predict.log import ATTRIBUTES, day_number, make_log
from pyctl.predict.sequences import CHANNELS, STATIC, STEPS, build
from tests.pyctl.predict.fleet import BEGIN

FIRST = day_number(BEGIN)
AGO = 0
LEVEL_197 = 1 + 3 * ATTRIBUTES.index(197)
FIRST_ROW = CHANNELS - 1


def built(log, at):
    return build(log, at, np.arange(len(log.drives)) % 3)


def whole(sequences):
    """Every number of all sequences, of drive-days in their order."""
    everyone = np.arange(len(sequences))
    return sequences.steps(everyone), sequences.static, sequences.length, sequences.model


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(whole(one), whole(other), strict=True))


@pytest.mark.parametrize("day", [0, 1, 59, 250, 440])
def test_cutting_the_log_after_a_day_changes_nothing(log, day):
    at = daily(log.drives, FIRST + day, FIRST + day)
    hour = np.full(len(log.drives), -1)
    hour[at.drive] = at.hour
    cut = log.until(hour)
    assert day > 400 or len(cut.drive) < len(log.drive)
    assert same(built(log, at), built(cut, at))


def test_changing_the_log_after_a_day_changes_nothing(log):
    at = daily(log.drives, FIRST + 250, FIRST + 250)
    later = log.hour > log.drives.first_hour[log.drive] + 250 * 24
    values = {a: np.where(later, v + 1000, v) for a, v in log.values.items()}
    other = make_log(log.drives, log.drive, log.hour, values)
    assert same(built(log, at), built(other, at))
    # and what is there by then does count
    values = {a: np.where(later, v, v + 1000) for a, v in log.values.items()}
    assert not same(built(log, at), built(make_log(log.drives, log.drive, log.hour, values), at))


def test_the_end_of_a_drive_is_not_seen(log):
    at = daily(log.drives, FIRST + 30, FIRST + 30)
    drives = replace(
        log.drives,
        failed=~log.drives.failed,
        last_day=log.drives.last_day + 50,
        last_hour=log.drives.last_hour + 1000,
    )
    assert same(built(log, at), built(make_log(drives, log.drive, log.hour, log.values), at))


def test_other_drives_are_not_seen(log):
    at = daily(log.drives, FIRST + 250, FIRST + 260)
    steps, static, length, _ = whole(built(log, at))
    for drive in (0, 17, 100):
        one = log.of_drives(np.array([drive]))
        mine = at.drive == drive
        alone = DriveDays(np.zeros(mine.sum(), dtype=np.int64), at.day[mine], at.hour[mine])
        found = built(one, alone)
        longest = int(found.length.max())
        assert np.array_equal(found.steps(np.arange(len(found))), steps[mine][:, :longest])
        assert np.array_equal(found.static, static[mine])
        assert np.array_equal(found.length, length[mine])


def test_a_sequence_is_the_newest_rows_oldest_first(log):
    rows = STEPS + 5
    drives = log.drives.take(np.array([0]))
    drives = replace(drives, first_hour=np.array([1000]), last_hour=np.array([9000]))
    hour = 1000 + 24 * np.arange(rows)
    values = {a: np.zeros(rows, dtype=np.float32) for a in ATTRIBUTES}
    values[197] = np.arange(rows, dtype=np.float32)
    line = make_log(drives, np.zeros(rows, dtype=np.int64), hour, values)
    here = np.zeros(2, dtype=np.int64)
    at = DriveDays(here, np.array([0, 0]), np.array([hour[2] + 12, hour[-1] + 48]))
    found = build(line, at, np.array([-1]))
    steps = found.steps(np.arange(2))
    assert steps.shape == (2, STEPS, CHANNELS)
    assert found.static.shape == (2, STATIC)
    assert found.length.tolist() == [3, STEPS]
    assert not found.model.any()
    counts = np.expm1(4 * steps[:, :, LEVEL_197].astype(np.float64))
    assert np.allclose(counts[0, :3], [0, 1, 2], atol=1e-4)
    assert not steps[0, 3:].any()
    assert np.allclose(counts[1], np.arange(5, rows), rtol=1e-4)
    ago = np.expm1(4 * steps[1, :, AGO].astype(np.float64))
    assert np.allclose(ago, np.arange(STEPS)[::-1] + 2, rtol=1e-4)
    assert steps[0, :, FIRST_ROW].tolist() == [1.0] + [0.0] * (STEPS - 1)
    assert not steps[1, :, FIRST_ROW].any()
    assert np.isfinite(steps).all()


def test_an_attribute_that_is_not_reported_is_not_zero(log):
    at = daily(log.drives, FIRST + 100, FIRST + 100)
    steps = built(log, at).steps(np.arange(len(at)))
    reported = steps[:, 0, 3 + 3 * ATTRIBUTES.index(187)]
    assert np.array_equal(reported == 1, np.arange(len(log.drives))[at.drive] % 3 != 2)
