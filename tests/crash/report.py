"""What a run has to say: lines on the screen, build/crash.json, cases for the sum of all tests."""

import json
import time
from pathlib import Path

from tests.crash.campaign import Campaign
from tests.crash.checker import Counts, Violation
from tests.crash.controls import Verdict
from tests.crash.plan import Variant
from tests.vm import junit

_SHOWN = 5


class Screen:
    """Prints what happens."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def generation(self, variant: Variant, number: int, found: int, counts: Counts) -> None:
        """A generation is over."""
        print(
            f"{variant.name:15} generation {number}: {counts.cuts} of {self._wanted} cuts,"
            f" {counts.cuts_by_kernel} booted, {found} violations ({self.seconds:.0f} s)",
            flush=True,
        )

    def violation(self, where: str, found: list[Violation], kept: Path | None) -> None:
        """A cut had violations."""
        print(f"VIOLATION at {where}:")
        for violation in found[:_SHOWN]:
            print(f"  {violation}")
        if len(found) > _SHOWN:
            print(f"  and {len(found) - _SHOWN} more")
        if kept:
            print(f"  look at it again: build/venv/bin/python -m tests.crash replay {kept}")

    def control(self, verdict: Verdict) -> None:
        """A negative control is over."""
        what = "found, as it must be" if verdict.passed else "NOT FOUND: the checks are worthless"
        print(
            f"{verdict.name}: {what}: {verdict.broken} of {verdict.cuts} cuts, and"
            f" {verdict.booted_broken} of {verdict.booted} that were booted ({self.seconds:.0f} s)"
        )
        if verdict.first:
            print(f"  {verdict.first}")


def write_json(
    path: Path,
    campaign: Campaign,
    verdicts: list[Verdict],
    *,
    kernel: str,
    seed: int,
    seconds: float,
) -> None:
    """Write crash.json."""
    counts = campaign.counts
    path.write_text(
        json.dumps(
            {
                "cuts": counts.cuts + counts.cuts_by_kernel,
                "acknowledged_writes_checked": counts.acknowledged_writes,
                "mappings_checked": counts.mappings,
                "violations": len(campaign.violations),
                "cuts_checked_on_host": counts.cuts,
                "cuts_checked_by_kernel": counts.cuts_by_kernel,
                "marks": counts.marks,
                "marks_checked": counts.marks_checked,
                "kernel": kernel,
                "seed": seed,
                "seconds": round(seconds, 1),
                "variants": {
                    name: {**vars(outcome.counts), "violations": len(outcome.violations)}
                    for name, outcome in campaign.outcomes.items()
                },
                "negative_controls": {
                    verdict.name: {
                        "found": verdict.passed,
                        "cuts": verdict.cuts,
                        "cuts_with_violations": verdict.broken,
                        "booted": verdict.booted,
                        "booted_with_violations": verdict.booted_broken,
                        "first": verdict.first,
                    }
                    for verdict in verdicts
                },
            },
            indent=2,
        )
        + "\n"
    )


def write_junit(path: Path, suite: str, campaign: Campaign, verdicts: list[Verdict]) -> None:
    """Record a case for every variant and every control."""
    path.unlink(missing_ok=True)
    for name, outcome in campaign.outcomes.items():
        failure = "\n".join(outcome.violations) or None
        if not outcome.checked:
            failure = failure or "Too little was checked to show anything."
        junit.record(path, suite, name, failure)
    for verdict in verdicts:
        failure = None if verdict.passed else "The checks did not find the mistake."
        junit.record(path, suite, f"control {verdict.name}", failure)


def conclude(campaign: Campaign, verdicts: list[Verdict], seed: int) -> int:
    """Print the sum and return the exit status."""
    counts = campaign.counts
    print(
        f"{counts.cuts} cuts checked on the host and {counts.cuts_by_kernel} by a booted kernel,"
        f" {counts.acknowledged_writes} acknowledged writes, {counts.mappings} mappings:"
        f" {len(campaign.violations)} violations (seed {seed})"
    )
    idle = [name for name, outcome in campaign.outcomes.items() if not outcome.checked]
    if idle:
        print(f"error: too little was checked to show anything: {', '.join(idle)}")
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    if failed:
        print(f"error: negative controls that found nothing: {', '.join(failed)}")
    return 1 if failed or idle or campaign.violations else 0
