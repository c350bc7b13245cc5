"""Rewriting damaged and old copies from the best one, as the kernel module does on load."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyctl.format.check import SUPERBLOCK, Finding, Severity, check_set
from pyctl.format.spare import Opened
from pyctl.format.survey import Survey, take_survey
from pyctl.format.writing import write_in_phases

__all__ = ["Checked", "check_and_repair"]


@dataclass(frozen=True)
class Checked:
    """Result of a check. `repaired` were found and are no more; `findings` are still there."""

    survey: Survey
    findings: list[Finding]
    repaired: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """Findings that are no mere notes."""
        return [finding for finding in self.findings if finding.severity != Severity.NOTE]


def check_and_repair(opened: Sequence[Opened], *, repair: bool) -> Checked:
    """Check a set and, with `repair`, rewrite what can be; then check it again.

    The table comes before the superblocks. Copies that a medium does not take stay among the
    findings. Raises FormatError if there is no set on these devices.
    """
    seen = take_survey(opened)
    found = check_set(seen)
    if not repair or not any(finding.fix for finding in found):
        return Checked(seen, found, [])
    fixes = [finding.fix for finding in found if finding.fix]
    write_in_phases([fix for fix in fixes if fix.what != SUPERBLOCK])
    # who was away longest comes last: superblocks that call it missing must not be left beside its
    for spare in sorted(seen.current, key=lambda one: -one.own.events):
        mine = [fix for fix in fixes if fix.what == SUPERBLOCK and fix.spare is spare.opened]
        write_in_phases(mine)
    seen = take_survey(opened)
    still = check_set(seen)
    there = {(finding.device, finding.block) for finding in still}
    repaired = [
        finding for finding in found if finding.fix and (finding.device, finding.block) not in there
    ]
    return Checked(seen, still, repaired)
