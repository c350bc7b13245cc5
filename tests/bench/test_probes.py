"""The judgement on what probes cost, without a machine."""

import pytest

from tests.bench.guest import Samples
from tests.bench.probes import plan
from tests.bench.probes.figures import probing_of
from tests.bench.probes.guest import Measured

LOAD = plan.LOADS[0]


def measured(more: float, beside: float) -> Measured:
    def samples(probed: float, other: float) -> dict[str, Samples]:
        # The clock interrupts a round in four.
        rounds = {plan.PROBED: probed, plan.BESIDE: other}
        return {
            name: Samples([value] * 18 + [value + 500] * 6, [0] * 24)
            for name, value in rounds.items()
        }

    return Measured(LOAD, samples(7000, 7000), samples(7000 + more, 7000 + beside))


@pytest.mark.parametrize(
    ("more", "beside", "missed"),
    [
        (plan.LIMIT, plan.BESIDE_LIMIT, False),
        (plan.LIMIT + 1, 0, True),
        (0, plan.BESIDE_LIMIT + 1, True),
    ],
)
def test_what_probes_may_add(more: float, beside: float, missed: bool) -> None:
    figure = probing_of("6.12", measured(more, beside))
    assert (figure.insns, figure.more, figure.beside) == (7000, more, beside)
    assert figure.ratio == pytest.approx(1 + more / 7000, abs=1e-5)
    assert figure.is_missed == missed
    assert f"add {more:.0f} instructions to {LOAD.name}" in str(figure)
