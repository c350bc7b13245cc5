"""All of it: a background in, a card out."""

import csv
import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyctl.errors import FormatError
from pyctl.predict.regions.background import Background, DeviceSeries, day_of
from pyctl.predict.regions.generator import FAILURES
from pyctl.predict.regions.judging.failures import Outcome, fail_regions
from pyctl.predict.regions.judging.shares import Share
from pyctl.predict.regions.judging.slowdowns import Slowdown, slow_down
from pyctl.predict.regions.judging.untouched import Untouched, watch_untouched
from pyctl.predict.regions.settings import DEFAULT

__all__ = ["Evaluation", "evaluate", "generator_seed", "read_labels"]

# so few regions are tried apart
_COMPANY = (1, 2, 3)

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]


@dataclass(frozen=True)
class Company:
    """What is left of it when a device has only so many regions that can be compared."""

    regions: int
    false_alarms: Share
    found: Share

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        return {
            "regions": self.regions,
            "false_alarms_region_days": self.false_alarms.card(),
            "found_x_1_5": self.found.card(),
        }


@dataclass(frozen=True)
class Evaluation:
    """What was measured; `seed` and `training` say which failures were generated."""

    background: Background
    seed: int
    training: bool
    untouched: Untouched
    slowdowns: list[Slowdown]
    outcome: Outcome
    company: list[Company]

    def card(self) -> dict[str, Any]:
        """Aggregates only: no reading of the background is in it."""
        days = {day_of(time) for device in self.background.devices for time, _ in device.intervals}
        return {
            "format": "dm-remap region evaluation 1",
            "background": {
                "devices": len(self.background.devices),
                "regions": sum(len(device.regions) for device in self.background.devices),
                "days": len(days),
                "rows": self.background.rows,
            },
            "seed": self.seed,
            "seeds": "training" if self.training else "test",
            "settings": asdict(DEFAULT),
            "generator": asdict(FAILURES),
            "untouched": self.untouched.card(),
            "slowdowns": [each.card() for each in self.slowdowns],
            "failures": self.outcome.card(),
            "company": [each.card() for each in self.company],
        }


def generator_seed(seed: int, *, training: bool) -> random.Random:
    """Random numbers: those of training and of test never come from the same seed."""
    return random.Random(f"regions {'training' if training else 'test'} {seed}")  # noqa: S311


def evaluate(
    background: Background,
    slow: set[tuple[int, int]],
    seed: int,
    progress: Progress,
    *,
    training: bool = False,
    trials: int = 600,
    failures: int = 800,
) -> Evaluation:
    """Measure false alarms, slowdowns and generated failures.

    `slow` are regions (host, disk) that are known to be slow: they are told apart.
    """
    rng = generator_seed(seed, training=training)
    with progress("false alarms") as step:
        untouched = watch_untouched(background, slow, step)
    with progress("slowdowns") as step:
        slowdowns = slow_down(background, slow, rng, trials, step)
    with progress("failures (simulated)") as step:
        outcome = fail_regions(background, slow, rng, failures, step)
    company = []
    with progress("few regions") as step:
        for done, number in enumerate(_COMPANY, 1):
            few = _only(background, number)
            [slowed] = slow_down(few, slow, rng, trials, factors=(1.5,))
            alone = watch_untouched(few, slow)
            company.append(Company(number, alone.days, slowed.found))
            if step:
                step(done, len(_COMPANY))
    return Evaluation(background, seed, training, untouched, slowdowns, outcome, company)


# The first so many regions of each device.
def _only(background: Background, number: int) -> Background:
    devices = []
    for device in background.devices:
        kept = set(device.regions[:number])
        intervals = [
            (time, {key: seen for key, seen in interval.items() if key in kept})
            for time, interval in device.intervals
        ]
        devices.append(DeviceSeries(device.host, [each for each in intervals if each[1]]))
    return Background(devices, background.rows)


def read_labels(path: Path, background: Path) -> set[tuple[int, int]]:
    """Regions that are known to be slow: a CSV file with the columns host and disk.

    When it has a column `cluster` and the background is called `cluster_X…`, only the rows of that
    cluster count. Raises FormatError, OSError.
    """
    named = re.match(r"cluster_([A-Za-z0-9]+)_", background.name)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {
            (int(row["host"]), int(row["disk"]))
            for row in rows
            if not named or "cluster" not in row or row["cluster"] == named[1]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is no list of slow drives: {error}.") from error
