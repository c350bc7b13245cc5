"""Nothing that is known later may change a score."""

from dataclasses import replace

import numpy as np
import pytest

from pyctl.predict import features
from pyctl.predict.days import DriveDays, daily, truth
from pyctl.predict.evaluating import split
from pyctl.predict.log import day_number, make_log
from pyctl.predict.training import examples
from tests.pyctl.predict.fleet import BEGIN

FIRST = day_number(BEGIN)


def computed(log, at):
    codes = np.arange(len(log.drives)) % 3
    return features.compute(log, at, codes)


@pytest.mark.parametrize("day", [0, 1, 59, 250, 440])
def test_cutting_the_log_after_a_day_changes_nothing(log, day):
    at = daily(log.drives, FIRST + day, FIRST + day)
    hour = np.full(len(log.drives), -1)
    hour[at.drive] = at.hour
    cut = log.until(hour)
    assert day > 400 or len(cut.drive) < len(log.drive)
    assert np.array_equal(computed(log, at), computed(cut, at), equal_nan=True)


def test_changing_the_log_after_a_day_changes_nothing(log):
    at = daily(log.drives, FIRST + 250, FIRST + 250)
    later = log.hour > log.drives.first_hour[log.drive] + 250 * 24
    assert later.any()
    values = {a: np.where(later, v + 1000, v) for a, v in log.values.items()}
    other = make_log(log.drives, log.drive, log.hour, values)
    assert np.array_equal(computed(log, at), computed(other, at), equal_nan=True)


def test_a_change_on_the_day_itself_is_seen(log):
    at = daily(log.drives, FIRST + 250, FIRST + 250)
    drive = at.drive[:1]
    values = {a: np.append(v, np.float32(7777)) for a, v in log.values.items()}
    other = make_log(
        log.drives, np.append(log.drive, drive), np.append(log.hour, at.hour[:1]), values
    )
    level = features.NAMES.index("level_197")
    assert computed(other, at)[0, level] == 7777
    assert computed(log, at)[0, level] != 7777


def test_the_end_of_a_drive_is_not_seen(log):
    """Neither whether it failed, nor when it was seen last."""
    at = daily(log.drives, FIRST + 30, FIRST + 30)
    drives = replace(
        log.drives,
        failed=~log.drives.failed,
        last_day=log.drives.last_day + 50,
        last_hour=log.drives.last_hour + 1000,
    )
    other = make_log(drives, log.drive, log.hour, log.values)
    assert np.array_equal(computed(log, at), computed(other, at), equal_nan=True)


def test_other_drives_are_not_seen(log):
    at = daily(log.drives, FIRST + 250, FIRST + 260)
    everything = features.compute(log, at, np.zeros(len(log.drives), dtype=np.int64))
    for drive in (0, 17, 100):
        one = log.of_drives(np.array([drive]))
        mine = at.drive == drive
        alone = DriveDays(np.zeros(mine.sum(), dtype=np.int64), at.day[mine], at.hour[mine])
        found = features.compute(one, alone, np.zeros(1, dtype=np.int64))
        assert np.array_equal(found, everything[mine], equal_nan=True)


def test_the_order_of_drives_does_not_matter(log):
    order = np.random.default_rng(3).permutation(len(log.drives))
    mixed = log.of_drives(order)
    at, other = (
        daily(log.drives, FIRST + 99, FIRST + 99),
        daily(mixed.drives, FIRST + 99, FIRST + 99),
    )
    codes = np.arange(len(log.drives)) % 3
    plain = features.compute(log, at, codes)
    found = features.compute(mixed, other, codes[order])
    back = np.argsort(order[other.drive])
    assert np.array_equal(plain, found[back], equal_nan=True)


def test_no_drive_is_learned_from_and_tested(log):
    learn, test = split(log)
    assert not set(learn) & set(test)
    assert len(learn) + len(test) == len(log.drives)
    assert min(len(learn), len(test)) > len(log.drives) / 5
    order = np.random.default_rng(3).permutation(len(log.drives))
    mixed = log.of_drives(order)
    assert set(mixed.drives.ids[split(mixed)[1]]) == set(log.drives.ids[test])


def test_labels_don_t_look_beyond_what_is_learned_from(log):
    """What comes after the last day is the same as nothing, for drives that fail or have events."""
    last = FIRST + 200
    everyone = np.arange(len(log.drives))
    codes = np.zeros(len(log.drives), dtype=np.int64)
    drives = log.drives
    alive = drives.last_day > last + 1
    later = replace(drives, failed=drives.failed & ~alive)
    quiet = make_log(
        later,
        *(
            lambda keep: (
                log.drive[keep],
                log.hour[keep],
                {a: v[keep] for a, v in log.values.items()},
            )
        )(
            log.hour
            <= drives.first_hour[log.drive] + (last - drives.first_day[log.drive]) * 24 + 12
        ),
    )
    plain = examples(log, codes, everyone, FIRST, last)
    found = examples(quiet, codes, everyone, FIRST, last)
    assert np.array_equal(plain.label["fail7"], found.label["fail7"])
    assert np.array_equal(plain.label["sec7"], found.label["sec7"])
    assert np.array_equal(plain.features, found.features, equal_nan=True)


def test_the_day_of_the_failure_itself_is_never_scored_or_learned_from(log):
    at = daily(log.drives, 0, 1 << 20)
    assert truth(log, at).to_failure.min() >= 1
    assert not (at.day == log.drives.last_day[at.drive]).any()


def test_a_drive_that_fails_out_of_the_blue_has_the_score_of_a_healthy_one(log):
    """Its only sign would be that its record ends."""
    at = daily(log.drives, FIRST + 58, FIRST + 58)
    first = np.flatnonzero(np.r_[True, np.diff(log.drive) > 0])
    flat = make_log(
        replace(log.drives, first_hour=np.zeros(len(log.drives), dtype=np.int64)),
        log.drive[first],
        np.zeros(len(first), dtype=np.int64),
        {a: np.zeros(len(first), dtype=np.float32) for a in log.values},
    )
    same = DriveDays(at.drive, at.day, np.full(len(at), 58 * 24))
    found = features.compute(flat, same, np.zeros(len(log.drives), dtype=np.int64))
    assert log.drives.failed.any()
    assert (found == found[0]).all()
