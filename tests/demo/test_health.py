"""The judgement on the demo of a region that dies, without a machine."""

import dataclasses

import pytest

from tests.demo.health.story import (
    REGION_SECTORS,
    STORY,
    Night,
    Outcome,
    Work,
    as_it_should_be,
    moved_on,
)

CALM = Work(800, 0, 0, 5.0)
BEFORE = Night(100, 0, 0, 0, 0, 0)
AFTER = dataclasses.replace(BEFORE, inside=REGION_SECTORS)


def raw(errors: int = 3, unreadable: int = 256) -> Outcome:
    return Outcome([CALM] * 3 + [dataclasses.replace(CALM, errors=errors)], [], unreadable, 0)


def remap(nights: list[Night], days: list[Work] | None = None, unreadable: int = 0) -> Outcome:
    return Outcome(days or [CALM] * len(STORY), nights, unreadable, 0)


IN_TIME = [BEFORE, BEFORE, AFTER, AFTER]


def test_the_data_is_moved_in_time() -> None:
    assert moved_on(IN_TIME) == 3
    assert as_it_should_be(raw(), remap(IN_TIME))


@pytest.mark.parametrize(
    ("bare", "ours"),
    [
        (raw(), remap([BEFORE] * 4)),
        (raw(), remap([BEFORE] * 3 + [AFTER])),
        (raw(), remap([*IN_TIME[:3], dataclasses.replace(AFTER, outside=8)])),
        (raw(), remap(IN_TIME, [CALM] * 3 + [dataclasses.replace(CALM, errors=1)])),
        (raw(), remap(IN_TIME, [CALM] * 3 + [dataclasses.replace(CALM, wrong=1)])),
        (raw(), remap(IN_TIME, unreadable=1)),
        # Without an error of the bare disk nothing is shown.
        (raw(errors=0), remap(IN_TIME)),
        (raw(unreadable=0), remap(IN_TIME)),
    ],
)
def test_what_must_not_be(bare: Outcome, ours: Outcome) -> None:
    assert not as_it_should_be(bare, ours)
