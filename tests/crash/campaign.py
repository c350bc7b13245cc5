"""Many runs: every kind of set, cut as often as was asked for, and the sum of it."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.crash import guest, keep
from tests.crash.checker import Counts, Violation
from tests.crash.plan import (
    GENERATIONS,
    KERNEL_CUTS,
    PATIENCE,
    VARIANTS,
    Variant,
    cuts_per_generation,
)
from tests.crash.run import Cut, Generation, Run
from tests.vm.errors import GuestLostError

KEPT = 10


class Listener(Protocol):
    """Somebody who is told what happens."""

    def generation(self, variant: Variant, number: int, found: int, counts: Counts) -> None:
        """A generation is over; `found` cuts had violations."""

    def violation(self, where: str, found: list[Violation], kept: Path | None) -> None:
        """A cut had violations."""


@dataclass
class Outcome:
    """What became of the runs of one variant."""

    counts: Counts = field(default_factory=Counts)
    violations: list[str] = field(default_factory=list)

    @property
    def checked(self) -> bool:
        """Was there anything that could have been wrong?"""
        return all(vars(self.counts).values())


class Campaign:
    """Runs on one machine."""

    def __init__(
        self, machine: guest.Machine, wanted: int, seed: int, directory: Path, listener: Listener
    ) -> None:
        self._machine = machine
        self._wanted = wanted
        self._seed = seed
        self._directory = directory
        self._listener = listener
        self._kept = 0
        self.outcomes = {variant.name: Outcome() for variant in VARIANTS}

    @property
    def counts(self) -> Counts:
        """The sum over all variants."""
        total = Counts()
        for outcome in self.outcomes.values():
            total.add(outcome.counts)
        return total

    @property
    def violations(self) -> list[str]:
        """Everything that was found."""
        return [line for outcome in self.outcomes.values() for line in outcome.violations]

    def run(self) -> None:
        """Check at least as many cuts as are wanted, and every variant as often as the others."""
        seeds = itertools.count(self._seed)
        while self.counts.cuts < self._wanted:
            seed = next(seeds)
            for variant in VARIANTS:
                self._run(Run(variant, self._machine, seed))

    def _run(self, run: Run) -> None:
        outcome = self.outcomes[run.variant.name]
        generation = run.first_generation()
        for last in (*(False,) * (GENERATIONS - 1), True):
            before = len(outcome.violations)
            self._live(run, generation)
            self._check(run, generation)
            found = len(outcome.violations) - before
            self._listener.generation(run.variant, generation.number, found, self.counts)
            if last or found:
                return
            generation = run.next_generation(generation)

    def _live(self, run: Run, generation: Generation) -> None:
        try:
            found = run.live(generation)
        except GuestLostError as error:
            found = [Violation("the kernel died", "kernel", str(error))]
        self._collect(run, generation, Cut(generation.start, "start"), found)

    def _check(self, run: Run, generation: Generation) -> None:
        cuts = run.choose(generation, cuts_per_generation(self._wanted))
        due = [len(cuts) * (2 * n + 1) // (2 * KERNEL_CUTS) for n in range(KERNEL_CUTS)]
        for number, moment in enumerate(run.replay(generation, cuts)):
            found = run.check(moment)
            late = due and number >= due[0] + PATIENCE
            if not found and due and number >= due[0] and (late or run.checker.differing):
                due.pop(0)
                found = run.boot(generation, moment)
            self._collect(run, generation, moment.cut, found)

    def _collect(self, run: Run, generation: Generation, cut: Cut, found: list[Violation]) -> None:
        outcome = self.outcomes[run.variant.name]
        outcome.counts.add(run.checker.take_counts())
        if not found:
            return
        where = f"{run.variant.name}, seed {run.seed}, generation {generation.number}"
        where += f", position {cut.position}"
        outcome.violations += [f"{where}: {violation}" for violation in found]
        kept = None
        if self._kept < KEPT:
            self._kept += 1
            kept = self._directory / f"violation-{self._kept}"
            keep.save(kept, run, generation, cut, found)
        self._listener.violation(where, found, kept)
