"""The judgement on the scan, without a machine."""

import dataclasses
from typing import Any

import pytest

from tests.bench.finding import plan as finding_plan
from tests.bench.finding.figures import Finding, Pass, findings_of
from tests.bench.scan import plan
from tests.bench.scan.figures import Foreground, foreground_of, idle_of
from tests.bench.scan.guest import Alone, Beside

INSTANT, SLOW = plan.DISKS
ONE, MANY = plan.LOADS


def foreground(on: float, delayed: int) -> Foreground:
    # 1000 I/Os, of which so many wait for the scan.
    each = [100.0] * (1000 - delayed) + [200.0] * delayed
    return foreground_of("6.12", Beside(SLOW, ONE, [100.0] * 4, [on] * 4, [100.0] * 1000, each, 9))


@pytest.mark.parametrize(
    ("on", "delayed", "missed"), [(101, 9, False), (101.1, 0, True), (100, 20, True)]
)
def test_a_user_may_lose_a_hundredth(on: float, delayed: int, missed: bool) -> None:
    figure = foreground(on, delayed)
    assert figure.ratio == pytest.approx(on / 100)
    assert figure.is_missed == missed


def test_many_at_once_have_no_percentile() -> None:
    figure = foreground_of("6.12", Beside(SLOW, MANY, [100.0], [100.5], [], [], 9))
    assert (figure.p99, figure.p99_ratio, figure.is_missed) == (None, None, False)


@pytest.mark.parametrize(
    ("disk", "speed", "missed"), [(SLOW, 0.95, False), (SLOW, 0.85, True), (INSTANT, 0.3, False)]
)
def test_an_idle_disk_is_read_as_fast_as_it_can(
    disk: plan.Disk, speed: float, missed: bool
) -> None:
    assert idle_of("6.12", Alone(disk, speed * 1e6, 1e6)).is_missed == missed


FAULTS = finding_plan.faults()
WHOLE = 2_000_000


def one_pass(**changes: Any) -> Finding:
    number = changes.get("number", 1)
    bad = FAULTS.all_bad if number == 1 else FAULTS.all_new
    slow = {sector + i for sector in FAULTS.slow for i in range(finding_plan.PIECE)}
    seen = Pass(
        pattern="staggered",
        number=1,
        state="waiting",
        total=WHOLE,
        found=[(sector, WHOLE // 2) for sector in sorted(bad)],
        slow=len(FAULTS.slow),
        moved=sorted(slow) if number == 2 else [],
    )
    return findings_of("6.12", FAULTS, [dataclasses.replace(seen, **changes)])[0]


def test_a_pass_that_finds_all_and_moves_nothing() -> None:
    figure = one_pass()
    assert (figure.bad_found, figure.met, figure.mean, figure.last) == (96, 0.5, 0.5, 0.5)
    assert not figure.is_missed


def test_the_next_pass_moves_what_is_slow() -> None:
    figure = one_pass(number=2)
    assert (figure.bad, figure.moved, figure.wrongly_moved) == (32, 1, 0)
    assert not figure.is_missed


@pytest.mark.parametrize(
    "changes",
    [
        {"found": [(sector, 1) for sector in sorted(FAULTS.all_bad)[1:]]},
        {"slow": 5},
        {"moved": sorted(FAULTS.slow)},
        {"number": 2, "moved": []},
        {"number": 2, "moved": [1], "pattern": "random"},
    ],
)
def test_what_must_not_be(changes: dict[str, object]) -> None:
    assert one_pass(**changes).is_missed


def test_a_cluster_is_met_with_its_first_error() -> None:
    first, *others = FAULTS.bad
    found = [(sector, 100 * (i + 1)) for i, sector in enumerate(sorted(first))]
    found += [(sector, 1000) for cluster in others for sector in cluster]
    figure = one_pass(found=found)
    assert figure.met == pytest.approx((100 + 15 * 1000) / 16 / WHOLE, abs=1e-3)
    assert figure.last == pytest.approx(1000 / WHOLE, abs=1e-3)


def test_a_sample_need_not_find_anything() -> None:
    figure = one_pass(pattern="random", found=[], slow=0)
    assert (figure.met, figure.mean, figure.last) == (None, None, None)
    assert not figure.is_missed


def test_faults_are_the_same_every_time_and_apart() -> None:
    assert finding_plan.faults() == FAULTS
    assert len(FAULTS.all_bad) == finding_plan.CLUSTERS * finding_plan.ERRORS
    assert not FAULTS.all_bad & FAULTS.all_new
    assert len(FAULTS.slow) == finding_plan.SLOW
