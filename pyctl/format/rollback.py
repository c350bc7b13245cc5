"""Putting the members of an older generation back, with the table as it is now.

docs/design/decisions.md has the argument why no old data can be served then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyctl.errors import NotFoundError, RefusedError
from pyctl.format.check import leaf_writes, membership_problems, table_problems
from pyctl.format.membership import Change, commit, write_all
from pyctl.format.model import (
    BLOCK_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    SpareDesc,
    SpareState,
    Superblock,
)
from pyctl.format.records import STATE_BLOCKS, Generation, Reason, state_sector
from pyctl.format.spare import Opened
from pyctl.format.survey import Survey, SurveyedSpare, take_survey
from pyctl.format.writing import BlockWrite

__all__ = ["RollbackPlan", "execute_rollback", "plan_rollback"]


@dataclass(frozen=True)
class RollbackPlan:
    """What is going to be done. `stay` and `join` are the spares in sync afterwards."""

    survey: Survey
    target: Generation
    superblock: Superblock
    stay: list[SurveyedSpare]
    join: list[SurveyedSpare]
    leave: list[int]

    def leaf_copies(self, spare: SurveyedSpare) -> int:
        """How many leaf copies would be written to a spare."""
        return len(list(leaf_writes(self.survey, spare)))


def plan_rollback(
    opened: Sequence[Opened], number: int, *, kept_power: bool = False
) -> RollbackPlan:
    """Check everything; nothing is written.

    `kept_power`: failed spares have not lost what was in their write caches. Raises NotFoundError
    if there is no such generation, RefusedError whenever old data could be served.
    """
    seen = take_survey(opened)
    target = _find(seen, number)
    _require_sound(seen)
    _require_same_main(seen, number)
    reference = seen.reference
    rows = _rows(reference, target)
    changed = replace(reference, spares=rows, identity=target.identity)
    if (rows, target.identity) == (reference.spares, reference.identity):
        raise RefusedError(f"The set has the members of generation {number} already.")
    wanted = {i for i, row in enumerate(rows) if row.state == SpareState.IN_SYNC}
    before = {i for i, row in enumerate(reference.spares) if row.state == SpareState.IN_SYNC}
    given = {spare.index: spare for spare in seen.spares if spare.superblock}
    _require_given(reference, (wanted | before) - given.keys())
    if not wanted & before:
        raise RefusedError(f"None of the spares of generation {number} is in sync now.")
    join = [given[index] for index in sorted(wanted - before)]
    for spare in join:
        _require_joinable(spare, reference, before)
    entries = [entry for _, _, entry in seen.entries()]
    _require_reachable(entries, wanted, before - wanted, len(rows))
    if not kept_power:
        _require_kept_power(entries, reference, wanted - before)
    stay = sorted((given[i] for i in wanted & before), key=lambda one: -one.own.events)
    problems = table_problems(seen, [*stay, *join])
    if problems:
        raise RefusedError(problems[0].text)
    return RollbackPlan(seen, target, changed, stay, join, sorted(before - wanted))


def execute_rollback(plan: RollbackPlan) -> Superblock:
    """Do what the plan says: first the table, then the superblocks; those that join come last.

    Returns the new superblock. Raises MediaError if a spare takes no copy of some block; until
    the first superblock is written, the set is as it was.
    """
    for spare in (*plan.stay, *plan.join):
        write_all(list(leaf_writes(plan.survey, spare)))
    for spare in plan.join:
        _write_state(plan.survey, spare)
    entries = [entry for _, _, entry in plan.survey.entries()]
    about = plan.join[0].index if plan.join else next(iter(plan.leave), 0)
    about = about if about < len(plan.superblock.spares) else 0
    change = Change(plan.superblock, Reason.ROLLED_BACK, about)
    return commit(plan.survey, change, [*plan.stay, *plan.join], entries)


def _find(seen: Survey, number: int) -> Generation:
    known = {one.number: one for one in seen.generations()}
    if number not in known:
        raise NotFoundError(
            f"The set has no record of a generation {number}; it has"
            f" {', '.join(map(str, known)) or 'none'}.",
            hint="`pyctl metadata history` shows them.",
        )
    return known[number]


# The old main has not had a write since it was replaced.
def _require_same_main(seen: Survey, number: int) -> None:
    for one in seen.generations():
        if one.number > number and one.reason == Reason.MAIN_REPLACED:
            raise RefusedError(
                f"Main was replaced in generation {one.number}: the main device of generation"
                f" {number} has old data."
            )


def _require_sound(seen: Survey) -> None:
    for finding in [*membership_problems(seen), *table_problems(seen)]:
        raise RefusedError(finding.text, hint="`pyctl metadata check` tells more.")
    if seen.lost or seen.disputed:
        raise RefusedError(
            f"Leaf {[*seen.lost, *sorted(seen.disputed)][0]} of the table is lost or disputed.",
            hint="`pyctl metadata check` tells more.",
        )
    newest = max(spare.leaf_events for spare in seen.spares)
    if newest > seen.reference.events:
        raise RefusedError(
            f"The table was written at event {newest}, the newest superblock is of event"
            f" {seen.reference.events}: the present members are not known.",
            hint="`pyctl metadata check` tells more.",
        )


# The table of spares with the states of the older generation.
def _rows(reference: Superblock, target: Generation) -> tuple[SpareDesc, ...]:
    if target.main_sectors != reference.main_sectors:
        raise RefusedError(
            f"Main had {target.main_sectors} sectors in generation {target.number}, it has"
            f" {reference.main_sectors} now."
        )
    now = reference.spares
    for index, row in enumerate(target.spares):
        if index >= len(now) or (now[index].uuid, now[index].sectors) != (row.uuid, row.sectors):
            raise RefusedError(
                f"Spare {index} of generation {target.number} ({row.uuid}) is no member of the set"
                " any more: it would not come back with the data that was on it."
            )
    return tuple(
        # a spare that has failed must not become one that is merely missing on its way back
        replace(now[index], state=row.state)
        if SpareState.IN_SYNC in (row.state, now[index].state)
        else now[index]
        for index, row in enumerate(target.spares)
    )


def _require_given(reference: Superblock, missing: set[int]) -> None:
    if missing:
        raise RefusedError(
            "All spares that are in sync now or would be afterwards must be given; missing: "
            + ", ".join(f"{i} ({reference.spares[i].uuid})" for i in sorted(missing))
            + "."
        )


def _require_joinable(spare: SurveyedSpare, reference: Superblock, in_sync: set[int]) -> None:
    own = spare.own
    calls_missing = [
        index
        for index in sorted(in_sync)
        if index >= len(own.spares) or own.spares[index].state != SpareState.IN_SYNC
    ]
    if calls_missing:
        raise RefusedError(
            f"{spare.path} has been in use without spare {calls_missing[0]}: each may have remaps"
            " that the other does not know.",
            hint="Its changes and those of the others cannot be put together.",
        )
    if (own.nr_leaves, own.unit_shift) != (reference.nr_leaves, reference.unit_shift):
        raise RefusedError(f"{spare.path} has a table of another size than the set.")


def _require_reachable(
    entries: Sequence[Entry], wanted: set[int], leaving: set[int], nr_rows: int
) -> None:
    gone = sum(e.spare_idx >= nr_rows for e in entries)
    if gone:
        raise RefusedError(
            f"{gone} entries of the table point to spares that would be no members any more.",
            hint="`pyctl clear` moves remapped blocks back to main.",
        )
    used = sum(
        e.kind == EntryKind.REMAP and e.spare_idx in leaving and e.spare_idx not in wanted
        for e in entries
    )
    if used:
        raise RefusedError(
            f"{used} remapped blocks are on spares that are in sync now and would not be"
            " afterwards: they would return errors.",
            hint="`pyctl clear` moves remapped blocks back to main.",
        )


# A spare that was taken out of use while the set ran may have lost what was in its cache.
def _require_kept_power(entries: Sequence[Entry], reference: Superblock, joining: set[int]) -> None:
    failed = {i for i in joining if reference.spares[i].state == SpareState.FAILED}
    at_risk = sum(
        e.kind in (EntryKind.REMAP, EntryKind.MIRROR)
        and not e.flags & EntryFlag.UNKNOWN
        and e.spare_idx in failed
        for e in entries
    )
    if at_risk:
        raise RefusedError(
            f"{at_risk} remapped blocks are on a spare that failed while the set was running. If it"
            " lost power then, writes that were acknowledged may never have left its write cache,"
            " and it would serve older data.",
            hint="If it has had power all the time, or has no volatile write cache, add"
            " --kept-power.",
        )


# Its own state is of another time: it gets the newest of the others.
def _write_state(seen: Survey, spare: SurveyedSpare) -> None:
    state = seen.state()
    blocks = {place: bytes(BLOCK_SIZE) for place in range(STATE_BLOCKS)}
    if state:
        blocks[state.seq % STATE_BLOCKS] = state.encode(seen.reference.set_uuid)
    write_all(
        [
            BlockWrite(spare.opened, state_sector(place), block, place, f"state block {place}")
            for place, block in blocks.items()
        ]
    )
