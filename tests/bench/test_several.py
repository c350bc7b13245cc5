"""The judgement on several processors and several spares, without a machine."""

from collections.abc import Sequence

import pytest

from tests.bench.smp.figures import Scaling, scaling_of
from tests.bench.smp.guest import Round
from tests.bench.spares import plan
from tests.bench.spares.figures import Throughput, allocations_of, throughputs_of
from tests.bench.spares.guest import Filled, Written

SLOW, FAST = plan.KINDS


def scaling(together: Sequence[float]) -> Scaling:
    # dm-linear takes 7,000 alone and with others, dm-remap 7,070 alone.
    rounds = [Round(7000, 7000, 7070, t) for t in together]
    return scaling_of("6.12", 4, "randread-4k-psync", rounds)


@pytest.mark.parametrize(("together", "missed"), [(7070, False), (7130, False), (7150, True)])
def test_scaling_may_be_a_hundredth_less_than_that_of_linear(together: float, missed: bool) -> None:
    figure = scaling([together] * 3)
    assert figure.scaling_linear == 4
    assert figure.scaling == pytest.approx(4 * 7070 / together, abs=1e-4)
    assert figure.is_missed == missed


def test_one_odd_round_does_not_count_but_shows() -> None:
    figure = scaling([7070, 7070, 9000])
    assert figure.ratio == 1
    assert figure.spread > 0.2
    assert not figure.is_missed


def throughputs(kind: plan.Spares, linearity: float, busy: float) -> Throughput:
    one = 10**9
    of_two = round(one / 2 / linearity)
    measured = [
        Written(kind, 1, one, one // 2),
        Written(kind, 2, of_two, round(of_two * (1 - busy))),
    ]
    return throughputs_of("6.12", measured)[1]


@pytest.mark.parametrize(
    ("kind", "linearity", "busy", "missed"),
    [
        (SLOW, 1.0, 0.5, False),
        (SLOW, 0.96, 0.5, True),
        # Slow spares never need the whole processor: if they do, that is wrong, too.
        (SLOW, 0.96, 1.0, True),
        (FAST, 1.0, 0.5, False),
        (FAST, 0.8, 1.0, False),
        (FAST, 0.96, 0.9, True),
    ],
)
def test_writes_add_up_until_the_processor_is_full(
    kind: plan.Spares, linearity: float, busy: float, missed: bool
) -> None:
    figure = throughputs(kind, linearity, busy)
    assert figure.linearity == pytest.approx(linearity, abs=1e-3)
    assert figure.busy == pytest.approx(busy, abs=1e-3)
    assert figure.is_missed == missed


def test_a_write_takes_the_time_that_is_not_idle() -> None:
    figure = throughputs(FAST, 1.0, 0.5)
    assert figure.insns == round(10**9 / 2 / 2 / (plan.WRITERS * FAST.writes))


@pytest.mark.parametrize(
    ("median", "most", "missed"),
    [(130, 200, False), (140, 200, True), (130, 1000, False), (130, 1001, True)],
)
def test_allocation_is_flat_and_cheap(median: float, most: float, missed: bool) -> None:
    measured = [Filled("random", 0, 91, 110), Filled("random", plan.UNITS - 1, median, most)]
    figures = allocations_of("6.12", measured)
    assert [figure.is_missed for figure in figures] == [False, missed]
