"""Random operations and faults against a model of what must be readable (lib/state_machine).

hypothesis chooses the steps. After each of them the device must show what the model says: which
units are remapped, lost or unknown, which spares are in use, how many places are free, and that
everything has the copies that it should have. Units are read all the time, and all of them at the
end, twice: then the set is stopped and started once more.
What fails is shrunk to few steps, which are printed.
"""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

import tests.properties  # noqa: F401 (sets hypothesis up)
from tests.kernel.lib.state_machine.actions import Actions
from tests.kernel.lib.state_machine.bench import SPARES, UNITS, bench
from tests.kernel.lib.state_machine.steps import ALL_STEPS, Step

pytestmark = pytest.mark.long

STEPS = 30
# What both sizes of units do together.
LEAST_STEPS = 500


class Machine(Actions, RuleBasedStateMachine):
    """Does one step after the other; a subclass has the bench."""

    # Steps of all runs, and what came of them.
    done: ClassVar[int] = 0
    outcomes: ClassVar[Counter[str]] = Counter()

    @initialize()
    def start(self) -> None:
        """Healthy disks, and a set with all spares."""
        self.going_well = False
        self.set_up()
        self.going_well = True

    def teardown(self) -> None:
        """Everything once more, and after a stop and a start."""
        if not hasattr(self, "dm"):
            return
        try:
            # After a failure there would be another one, which nobody wants to see.
            if self.going_well:
                self.finish()
        finally:
            if self.dm.exists():
                self.dm.remove()

    def finish(self) -> None:
        """Read everything, as the set is, and after it was started once more."""
        for number in range(UNITS):
            self.check_read(range(number, number + 1))
        if self.startable():
            self.restart(self.usable(range(SPARES)))
            for number in range(UNITS):
                self.check_read(range(number, number + 1))

    @rule(step=ALL_STEPS)
    def do(self, step: Step) -> None:
        """One step; nothing is done where it makes no sense."""
        type(self).done += 1
        self.outcomes[step.name] += 1
        self.going_well = False
        getattr(self, step.name)(**step.arguments)
        self.sample()
        self.going_well = True


@pytest.mark.timeout(900)
@pytest.mark.parametrize("unit_bytes", [512, 4096])
def test_state_machine(
    unit_bytes: int,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """See the module. --machine-runs makes it longer, --no-shrink ends with the first failure."""
    runs = request.config.getoption("--machine-runs")
    phases = [Phase.generate]
    if not request.config.getoption("--no-shrink"):
        phases.append(Phase.shrink)
    with bench(unit_bytes) as made:

        class RemapMachine(Machine):
            bench = made
            done: ClassVar[int] = 0
            outcomes: ClassVar[Counter[str]] = Counter()

        if settings().derandomize:
            # Other steps for each size.
            seed(unit_bytes)(RemapMachine)
        run_state_machine_as_test(
            RemapMachine,
            settings=settings(
                max_examples=runs,
                stateful_step_count=STEPS,
                phases=phases,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
            ),
        )
    record_property("outcomes", str(dict(RemapMachine.outcomes)))
    print(RemapMachine.outcomes)
    assert RemapMachine.done >= LEAST_STEPS // 2
