"""Negative controls: disks that lie, and modules that do things in the wrong order.

The very same checks must find violations with them. If they don't, they are worth nothing.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from tests.crash import guest
from tests.crash.plan import CONTROL_CUTS, CONTROL_RUNS, VARIANTS
from tests.crash.run import Run
from tests.mistakes.__main__ import Mistake, build
from tests.vm.kernels import Kernel

PATCHES = Path(__file__).with_name("mistakes")
LYING_FLUSH = "lying_flush"

# No trouble but the mistake: what is found must come from a cut.
_VARIANT = replace(VARIANTS[0], bad_spare_units=0)


@dataclass(frozen=True)
class Verdict:
    """What a control has found: on how many cuts of how many, and the first of it."""

    name: str
    cuts: int
    broken: int
    booted: int
    booted_broken: int
    first: str

    @property
    def passed(self) -> bool:
        """Did both the check on the host and a booted kernel find the mistake?"""
        return self.broken > 0 and self.booted_broken > 0


def mistakes() -> list[Mistake]:
    """The wrong modules."""
    return [Mistake(path) for path in sorted(PATCHES.glob("[0-9][0-9]_*.patch"))]


def lying_flush(machine: guest.Machine, seed: int) -> Verdict:
    """The right module on disks that answer flushes and FUA writes, and do nothing for them."""
    return _attempt(LYING_FLUSH, machine, seed, lying=True)


def mistake(which: Mistake, kernel: Kernel, seed: int) -> Verdict:
    """A wrong module on disks that are honest."""
    with guest.saved(kernel, build(which, kernel)) as machine:
        return _attempt(which.patch.stem, machine, seed, lying=False)


def _attempt(name: str, machine: guest.Machine, seed: int, *, lying: bool) -> Verdict:
    """Run until the host and a booted kernel have both found something, or for long enough."""
    cuts = broken = booted = booted_broken = 0
    first = ""
    for number in range(CONTROL_RUNS):
        run = Run(_VARIANT, machine, seed + number)
        generation = run.first_generation()
        run.live(generation)
        for moment in run.replay(generation, run.choose(generation, CONTROL_CUTS), lying=lying):
            found = run.checker.check(moment.disks, moment.promises)
            cuts += 1
            broken += bool(found)
            if found and not booted_broken:
                first = first or str(found[0])
                booted += 1
                booted_broken += bool(run.boot(generation, moment))
        if booted_broken:
            break
    return Verdict(name, cuts, broken, booted, booted_broken, first)
