"""`metadata backup` and `metadata restore`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pyctl import output, probe
from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading, for_writing
from pyctl.errors import MediaError, RefusedError, UsageError
from pyctl.format import (
    Opened,
    RestorePlan,
    RestoreWishes,
    Survey,
    execute_restore,
    load_archive,
    membership_problems,
    pack_archive,
    plan_restore,
    save_archive,
    table_problems,
    take_survey,
)
from pyctl.output import Rows, counted, when

__all__ = ["COMMANDS"]

# A running set is read until two readings are the same.
_TRIES = 5


@command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--force", is_flag=True, help="Replace FILE.")
def backup(app: App, file: Path, devices: tuple[str, ...], force: bool) -> None:
    """Write the whole metadata of a set into FILE: members, table, history, state.

    The data of remapped blocks is not in it. The set may be running.
    """
    now = int(time.time())
    with for_reading(devices) as (opened, busy):
        seen, data = _pack(opened, now, steady=not busy)
    save_archive(file, data, force=force)
    counts = {"leaves": len(seen.best), "lost_leaves": seen.lost}
    app.emit(
        {
            "file": str(file),
            "bytes": len(data),
            "set_uuid": str(seen.reference.set_uuid),
            "events": seen.reference.events,
            "generation": seen.reference.generation,
            "time": now,
            "entries": sum(1 for _ in seen.entries()),
            **counts,
        },
        f"{file}: the set {seen.reference.set_uuid} at event {seen.reference.events}, with"
        f" {counted(sum(1 for _ in seen.entries()), 'table entry', 'table entries')}.",
    )
    if seen.lost:
        raise MediaError(
            f"{counted(len(seen.lost), 'leaf', 'leaves')} of the table had no valid copy, and are"
            " not in the backup.",
            hint="`pyctl metadata check` shows which; an older backup may have them.",
        )


def _pack(opened: Sequence[Opened], now: int, *, steady: bool) -> tuple[Survey, bytes]:
    before = b""
    for _ in range(_TRIES):
        seen = take_survey(opened)
        for finding in [*membership_problems(seen), *table_problems(seen)]:
            raise RefusedError(finding.text, hint="`pyctl metadata check` tells more.")
        data = pack_archive(seen, now)
        if steady or data == before:
            return seen, data
        before = data
    raise RefusedError(
        "The table of the running set changes all the time.",
        hint="Try again when there is less to remap, or `pyctl remove` the device first.",
    )


@command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--yes", is_flag=True, help="Write. Without it, only what would be done is printed.")
@click.option(
    "--force-older",
    is_flag=True,
    help="Accept a file that is older than the table; only superblocks are taken from it.",
)
@click.option(
    "--assign",
    multiple=True,
    metavar="DEVICE=INDEX",
    help="DEVICE, which has no superblock, is spare INDEX.",
)
@click.option(
    "--trust-data",
    is_flag=True,
    help="An assigned device without any trace of the set still has the set's data.",
)
def restore(
    app: App,
    file: Path,
    devices: tuple[str, ...],
    yes: bool,
    force_older: bool,
    assign: tuple[str, ...],
    trust_data: bool,
) -> None:
    """Put back from FILE what the spares have lost: superblocks, leaves of the table.

    What can be read on the spares always wins. Whatever could serve old data is refused.
    """
    wishes = RestoreWishes(_assignments(assign), force_older, trust_data)
    archive = load_archive(file)
    _require_ours(wishes)
    with for_writing(devices) as opened:
        plan = plan_restore(archive, opened, wishes)
        data = _describe(plan, file)
        for warning in plan.warnings:
            app.note(f"Warning: {warning}.")
        written = yes and plan.needed
        if written:
            data["events"] = execute_restore(plan).events
    app.emit({**data, "written": written}, _table(plan))
    app.note(_ending(plan, written=written))


def _assignments(words: Sequence[str]) -> dict[str, int]:
    found = {}
    for word in words:
        path, _, index = word.rpartition("=")
        if not path or not (index.isascii() and index.isdecimal()):
            raise UsageError(f"--assign wants DEVICE=INDEX, not {word}.")
        found[path] = int(index)
    return found


def _require_ours(wishes: RestoreWishes) -> None:
    for path in wishes.assign:
        found = probe.signatures(path)
        if found:
            raise RefusedError(
                f"{path} carries {found[0]}, so it is not the spare that the backup tells of.",
                hint="If that can go, erase it with `wipefs --all`.",
            )


def _describe(plan: RestorePlan, file: Path) -> dict[str, Any]:
    header = plan.archive.header
    return {
        "file": str(file),
        "set_uuid": str(plan.survey.reference.set_uuid),
        "backup_time": header["time"],
        "backup_events": header["events"],
        "needed": plan.needed,
        "leaves_from_file": plan.from_file,
        "newer_leaves": plan.newer,
        "changed_entries": plan.changed,
        "units_from_file": plan.file_units,
        "changed_units": plan.changed_units,
        "warnings": plan.warnings,
        "devices": [
            {
                "device": spare.path,
                "spare": spare.index,
                "role": str(spare.role),
                "superblock_from_file": spare.path in plan.superblocks,
                "leaf_copies": plan.leaf_copies(spare) if spare in plan.survey.current else 0,
            }
            for spare in plan.survey.spares
        ],
    }


def _table(plan: RestorePlan) -> Rows:
    return output.Rows(
        ["DEVICE", "SPARE", "ROLE", "SUPERBLOCKS", "LEAF COPIES TO WRITE"],
        [
            [
                spare.path,
                spare.index,
                str(spare.role),
                "from the file" if spare.path in plan.superblocks else "its own",
                plan.leaf_copies(spare) if spare in plan.survey.current else 0,
            ]
            for spare in plan.survey.spares
        ],
    )


def _ending(plan: RestorePlan, *, written: bool) -> str:
    made = when(int(plan.archive.header["time"]))
    if not plan.needed:
        return "Nothing is missing that the file has; damaged copies: `pyctl metadata repair`."
    what = (
        f"{counted(len(plan.from_file), 'leaf', 'leaves')} and the superblocks of"
        f" {counted(len(plan.superblocks), 'device')} from the backup of {made}"
    )
    if written:
        return f"Restored: {what}."
    return f"Would restore {what}. Nothing was written; --yes does it."


COMMANDS = (backup, restore)
