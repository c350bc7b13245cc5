"""`metadata check` and `metadata repair`."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pyctl import output
from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading, for_writing
from pyctl.commands.metadata.identity import main_findings
from pyctl.errors import CheckNotRunError, CheckStatus, PyctlError
from pyctl.format import Checked, Finding, Severity, Survey, check_and_repair

__all__ = ["COMMANDS"]


@command("check")
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--repair", "-y", "mend", is_flag=True, help="Rewrite what a better copy exists of.")
@click.option("--main", type=click.Path(), help="Also check that this is the set's main device.")
def check(app: App, devices: tuple[str, ...], mend: bool, main: str | None) -> None:
    """Check the metadata on the spares of one set, some or all.

    The exit status is fsck's: 0 nothing is wrong, 1 all that was wrong is repaired, 4 errors are
    left, 8 it could not be checked.
    """
    with _as_fsck():
        _run(app, devices, mend=mend, main=main)


@command("repair")
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--dry-run", is_flag=True, help="Only print what would be repaired.")
def repair(app: App, devices: tuple[str, ...], dry_run: bool) -> None:
    """Rewrite damaged and old copies from the best one; the same as `check --repair`.

    Stale spares are not touched, and nothing is made up: what has no valid copy stays an error.
    """
    with _as_fsck():
        _run(app, devices, mend=not dry_run, main=None)


@contextmanager
def _as_fsck() -> Iterator[None]:
    try:
        yield
    except PyctlError as error:
        raise CheckNotRunError(error.message, hint=error.hint) from error


def _run(app: App, devices: tuple[str, ...], *, mend: bool, main: str | None) -> None:
    busy: list[str] = []
    if mend:
        with for_writing(devices) as opened:
            done = check_and_repair(opened, repair=True)
    else:
        with for_reading(devices) as (opened, busy):
            done = check_and_repair(opened, repair=False)
    findings = [_in_motion(path) for path in busy] + done.findings
    if main is not None:
        findings += main_findings(main, done.survey)
    status = _status(findings, done)
    data = {
        "set_uuid": str(done.survey.reference.set_uuid),
        "status": int(status),
        "findings": [_describe(one, repaired=False) for one in findings]
        + [_describe(one, repaired=True) for one in done.repaired],
        "summary": _summary(done.survey),
    }
    app.emit(data, _table(done.survey))
    if not app.json:
        for one in done.repaired:
            output.show(f"repaired: {_at(one)}{one.text}")
        for one in findings:
            output.show(f"{_WORDS[one.severity]}: {_at(one)}{one.text}")
        output.show(_verdict(findings, done))
    click.get_current_context().exit(status)


_WORDS = {Severity.NOTE: "note", Severity.LEFT: "ERROR", Severity.REPAIRABLE: "error, repairable"}


def _status(findings: list[Finding], done: Checked) -> CheckStatus:
    if any(one.severity != Severity.NOTE for one in findings):
        return CheckStatus.LEFT
    return CheckStatus.REPAIRED if done.repaired else CheckStatus.CLEAN


def _verdict(findings: list[Finding], done: Checked) -> str:
    count = Counter(one.severity for one in findings)
    words = [
        f"{len(done.repaired)} repaired",
        f"{count[Severity.REPAIRABLE]} repairable",
        output.counted(count[Severity.LEFT], "other error"),
        output.counted(count[Severity.NOTE], "note"),
    ]
    wrong = count[Severity.REPAIRABLE] + count[Severity.LEFT]
    return f"{'Errors are left' if wrong else 'The metadata is clean'}: {', '.join(words)}."


def _in_motion(path: str) -> Finding:
    text = f"{path} is in use: what was read may have been in motion."
    return Finding(Severity.NOTE, path, "device", None, text)


def _at(one: Finding) -> str:
    return "" if one.sector is None else f"{one.device}, sector {one.sector}: "


def _describe(one: Finding, *, repaired: bool) -> dict[str, Any]:
    return {
        "severity": str(one.severity),
        "repaired": repaired,
        "device": one.device or None,
        "block": one.block,
        "sector": one.sector,
        "message": one.text,
    }


def _summary(survey: Survey) -> list[dict[str, Any]]:
    return [
        {
            "device": spare.path,
            "spare": spare.superblock.spare_idx if spare.superblock else None,
            "role": str(spare.role),
            "superblocks": sum(copy.superblock is not None for copy in spare.copies),
            "leaf_copies": sum(
                seq != 0 and seq == survey.best_seq.get(number)
                for row in spare.seqs
                for number, seq in enumerate(row)
            ),
            "generations": sum(copy.generation is not None for copy in spare.records),
            "states": sum(copy.state is not None for copy in spare.states),
        }
        for spare in survey.spares
    ]


def _table(survey: Survey) -> output.Rows:
    leaves = survey.reference.nr_leaves * 5
    return output.Rows(
        ["DEVICE", "SPARE", "ROLE", "SUPERBLOCKS", "NEWEST LEAVES", "GENERATIONS", "STATES"],
        [
            [
                row["device"],
                "-" if row["spare"] is None else row["spare"],
                row["role"],
                f"{row['superblocks']}/5",
                f"{row['leaf_copies']}/{leaves}",
                row["generations"],
                row["states"],
            ]
            for row in _summary(survey)
        ],
    )


COMMANDS = (check, repair)
