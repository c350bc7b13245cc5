from datetime import timedelta
from itertools import pairwise

import numpy as np

from pyctl.predict.days import NEVER, as_of, daily, truth
from pyctl.predict.log import day_number
from tests.pyctl.predict.fleet import BEGIN, rows

FIRST = day_number(BEGIN)


def test_every_day_of_every_drive_but_its_last(log):
    at = daily(log.drives, 0, 1 << 20)
    assert len(at) == (log.drives.last_day - log.drives.first_day).sum()
    assert (at.day < log.drives.last_day[at.drive]).all()
    assert (at.hour < log.drives.last_hour[at.drive]).all()
    assert len(np.unique(at.drive * 1_000_000 + at.day)) == len(at)


def test_the_hour_of_a_day(log):
    at = daily(log.drives, FIRST + 30, FIRST + 30)
    assert (at.hour == log.drives.first_hour[at.drive] + 30 * 24).all()


def test_labels_are_those_of_a_plain_count(folder, log):
    static, changes = rows(folder)
    at = daily(log.drives, FIRST + 100, FIRST + 130)
    found = truth(log, at)
    for index in range(0, len(at), 97):
        drive = static[at.drive[index]]
        hour = at.hour[index]
        own = [one for one in changes if one["drive_id"] == drive["drive_id"]]
        risen = [
            new["hour"]
            for old, new in pairwise(own)
            if any((new[f"smart_{a}"] or 0) > (old[f"smart_{a}"] or 0) for a in (5, 187, 197, 198))
        ]
        later = [one - hour for one in risen if one > hour]
        assert found.to_sector_event[index] == min(later, default=NEVER)
        left = drive["last_hour"] - hour if drive["failed"] else NEVER
        assert found.to_failure[index] == left
        assert found.failure()[index] == (left <= 7 * 24 + 12)
    assert found.failure().any()
    assert found.sector_event().any()


def test_the_row_that_held(log):
    at = daily(log.drives, FIRST + 200, FIRST + 200)
    found = as_of(log, at)
    assert (log.drive[found] == at.drive).all()
    assert (log.hour[found] <= at.hour).all()
    following = np.minimum(found + 1, len(log.drive) - 1)
    same = (log.drive[following] == at.drive) & (following > found)
    assert (log.hour[following][same] > at.hour[same]).all()


def test_days_before_a_drive_was_seen(log):
    before = day_number(BEGIN - timedelta(days=9))
    assert len(daily(log.drives, before, before)) == 0
