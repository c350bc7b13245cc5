"""How counters rise: what counts as a rise, and how it fades."""

from datetime import date

import numpy as np
import pytest

from pyctl.predict import rises
from pyctl.predict.days import DriveDays
from pyctl.predict.log import ATTRIBUTES, Drives, day_number, make_log

NAN = float("nan")
DAY = day_number(date(2020, 1, 1))
BEGIN = 1000


def line(*rows, drives=1):
    """Drives with the same rows: day, and the attributes that are not zero."""
    many = np.arange(drives)
    record = Drives(
        ids=many,
        model=np.array(["M"] * drives, dtype=np.object_),
        manufacturer=np.array(["ST"] * drives, dtype=np.object_),
        size_tb=np.full(drives, 4.0),
        first_day=np.full(drives, DAY),
        last_day=np.full(drives, DAY + 1000),
        first_hour=np.full(drives, BEGIN),
        last_hour=np.full(drives, BEGIN + 24_000),
        failed=np.zeros(drives, dtype=bool),
    )
    hours = np.array([BEGIN + 24 * day for day, _ in rows] * drives)
    values = {
        one: np.array([given.get(one, 0) for _, given in rows] * drives, dtype=np.float32)
        for one in ATTRIBUTES
    }
    return make_log(record, np.repeat(many, len(rows)), hours, values)


def on(log, day, drive=0):
    at = DriveDays(np.array([drive]), np.array([DAY + day]), np.array([BEGIN + 24 * day]))
    return {name: float(values[0]) for name, values in rises.recent(log, at).items()}


def test_every_name_has_a_value():
    log = line((0, {}), (5, {5: 8}))
    assert tuple(on(log, 6)) and set(on(log, 6)) == set(rises.NAMES)


def test_a_rise_counts_half_after_its_half_life():
    log = line((0, {}), (10, {187: 7}))
    fresh = [on(log, day)["fresh_187_7d"] for day in (9, 10, 17, 24)]
    assert fresh == pytest.approx([0, np.log(8), np.log(8) / 2, np.log(8) / 4])


def test_rises_add_up():
    log = line((0, {}), (10, {187: 7}), (12, {187: 8}))
    assert on(log, 12)["fresh_187_2d"] == pytest.approx(np.log(8) / 2 + np.log(2))
    assert on(log, 12)["rise_days_187_7d"] == 2
    assert on(log, 18)["rise_days_187_7d"] == 1
    assert on(log, 12)["rise_187_365d"] == 8


def test_another_drive_s_rises_are_not_counted():
    log = line((0, {}), (10, {187: 7}), drives=2)
    # the second one's day before its own rise
    assert on(log, 9, drive=1)["fresh_187_120d"] == 0
    assert on(log, 9, drive=1)["days_since_189"] == 2000


@pytest.mark.parametrize("glitch", [65_535.0, NAN])
def test_a_glitch_is_no_rise(glitch):
    log = line((0, {197: 8}), (3, {197: glitch}), (4, {197: 8}))
    found = on(log, 5)
    assert found["fresh_197_30d"] == found["rise_days_197_7d"] == found["fall_197_30d"] == 0
    assert found["most_pending"] == 8
    assert found["changes_7d"] == 2


def test_for_a_sector_event_an_attribute_that_appears_was_zero():
    log = line((0, {197: NAN}), (3, {197: 8}))
    assert rises.rise(log, 197).tolist() == [0, 8]
    assert on(log, 5)["fresh_197_30d"] == 0


def test_pending_sectors_that_go_away():
    log = line((0, {}), (3, {197: 24}), (9, {197: 8}))
    found = on(log, 11)
    assert (found["fall_197_30d"], found["days_since_fall_197"]) == (16, 2)
    assert found["most_pending"] == 24


def test_packed_counters():
    log = line((0, {188: 0x1_0001}), (3, {188: 0x2_0003}))
    assert rises.rise(log, 188).tolist() == [0, 2]


def test_a_log_without_any_rise():
    assert on(line((0, {})), 3)["fresh_5_7d"] == 0
