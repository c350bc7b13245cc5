"""Putting metadata back from a backup file, without ever serving old data.

What can be read on the spares always wins over the file: only superblocks of devices that have
none, and leaves that have no valid copy, come from it. docs/design/decisions.md says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyctl.errors import RefusedError, UsageError
from pyctl.format.archive import Archive
from pyctl.format.check import leaf_writes, lived_apart, table_problems
from pyctl.format.membership import Change, commit, write_all
from pyctl.format.model import (
    DATA_START,
    MAX_NUMBER,
    SECTOR_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    Leaf,
    Superblock,
)
from pyctl.format.records import STATE_BLOCKS, Generation, Reason, State, state_sector
from pyctl.format.ring import read_records
from pyctl.format.spare import Opened
from pyctl.format.survey import Role, Survey, SurveyedSpare, read_superblocks, take_survey
from pyctl.format.writing import BlockWrite

__all__ = ["RestorePlan", "RestoreWishes", "execute_restore", "plan_restore"]

# How far the number of a restored leaf is above all others: no copy that cannot be read today and
# can be tomorrow may have a higher one.
_SEQ_STEP = 1 << 32
_NOTHING = Entry(EntryKind.FREE)
# Units that a sentence names.
_NAMED = 8


@dataclass(frozen=True)
class RestoreWishes:
    """What the caller allows.

    `assign` says which spare a device without a superblock is, by path; `force_older` accepts a
    file that is older than the table, for its superblocks only; `trust_data` believes that an
    assigned device without any trace of the set still has the set's data.
    """

    assign: Mapping[str, int] = field(default_factory=dict)
    force_older: bool = False
    trust_data: bool = False


@dataclass
class RestorePlan:
    """What is going to be done.

    `from_file` are leaves without a valid copy, `newer` those that have changed since the backup,
    with `changed` entries; `superblocks` are devices that had none. `file_units` and
    `changed_units` are the units of main that the former and the latter are about.
    """

    archive: Archive
    survey: Survey
    from_file: list[int]
    newer: list[int]
    changed: int
    superblocks: list[str]
    file_units: list[int] = field(default_factory=list)
    changed_units: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def needed(self) -> bool:
        """Is anything missing that the file has?"""
        return bool(self.from_file or self.superblocks)

    def leaf_copies(self, spare: SurveyedSpare) -> int:
        """How many leaf copies would be written to a spare."""
        return len(list(leaf_writes(self.survey, spare)))


def plan_restore(archive: Archive, opened: Sequence[Opened], wishes: RestoreWishes) -> RestorePlan:
    """Check everything; nothing is written.

    Raises RefusedError, with the reason, for a file that does not fit and whenever old data could
    be served.
    """
    found = [read_superblocks(one) for one in opened]
    _require_same_set(archive, found)
    base = _base(archive, found)
    assumed = _assume(archive, base, found, wishes.assign)
    seen = take_survey(opened, reference=base, assumed=assumed)
    _require_members(seen, assumed)
    _require_present_members(seen)
    from_file, newer = _choose_leaves(archive, seen)
    changed = _changed(_versions(archive, seen, newer))
    plan = RestorePlan(archive, seen, from_file, newer, len(changed), sorted(assumed))
    plan.changed_units = _main_units(changed)
    plan.file_units = _main_units(
        [
            entry
            for number in from_file
            for entry in Leaf.decode(
                archive.leaves[number], seen.reference, number
            ).entries.values()
        ]
    )
    if plan.needed:
        _require_safe(plan, wishes)
        _put_leaves(plan)
        for problem in table_problems(seen):
            raise RefusedError(f"The table would not be whole: {problem.text}")
        _require_data(plan, wishes)
    return plan


def execute_restore(plan: RestorePlan) -> Superblock:
    """Do what the plan says: the table, then superblocks; returns the new superblock.

    Raises MediaError if a spare takes no copy of some block; until the first superblock is
    written, the devices are what they were.
    """
    seen = plan.survey
    spares = sorted(seen.current, key=lambda one: (one.path in plan.superblocks, -one.own.events))
    for spare in spares:
        write_all(list(leaf_writes(seen, spare)))
    _write_state(plan, spares)
    entries = [entry for _, _, entry in seen.entries()]
    history = [one for one in plan.archive.generations if one.number <= seen.reference.generation]
    change = Change(seen.reference, Reason.RESTORED)
    return commit(seen, change, spares, entries, history=history)


def _require_same_set(archive: Archive, found: Sequence[SurveyedSpare]) -> None:
    for spare in found:
        own = spare.superblock
        if own and own.set_uuid != archive.reference.set_uuid:
            raise RefusedError(
                f"{spare.path} belongs to the set {own.set_uuid}, the backup is of the set"
                f" {archive.reference.set_uuid}."
            )


# The newest members that are known. An unfinished change may have left a newer record beside
# superblocks; without any superblock, records are the best witness.
def _base(archive: Archive, found: Sequence[SurveyedSpare]) -> Superblock:
    superblocks = [spare.superblock for spare in found if spare.superblock]
    newest = max([*superblocks, archive.reference], key=lambda one: one.events)
    if superblocks:
        return newest
    records: list[Generation] = [
        record.generation
        for spare in found
        for record in read_records(spare.opened, archive.reference.set_uuid)
        if record.generation
    ]
    last = max(records, key=lambda one: one.number, default=None)
    if last is None or last.events <= newest.events:
        return newest
    return replace(
        newest,
        events=last.events,
        spares=last.spares,
        identity=last.identity,
        generation=last.number,
    )


def _assume(
    archive: Archive,
    base: Superblock,
    found: Sequence[SurveyedSpare],
    assign: Mapping[str, int],
) -> dict[str, Superblock]:
    taken = {spare.index: spare.path for spare in found if spare.superblock}
    assumed: dict[str, Superblock] = {}
    for spare in found:
        index = assign.get(spare.path)
        if spare.superblock:
            if index not in (None, spare.index):
                raise RefusedError(f"{spare.path} is spare {spare.index} of the set, not {index}.")
            continue
        if index is None:
            raise RefusedError(
                f"{spare.path} has no whole superblock, so it cannot be told which spare it is.",
                hint=f"If you know it: --assign {spare.path}=INDEX, with an index of"
                f" 0 to {len(base.spares) - 1}.",
            )
        if not 0 <= index < len(base.spares):
            raise UsageError(f"The set has spares 0 to {len(base.spares) - 1}, not {index}.")
        if index in taken:
            raise RefusedError(f"{taken[index]} and {spare.path} cannot both be spare {index}.")
        taken[index] = spare.path
        row = base.spares[index]
        if spare.opened.sectors < row.sectors:
            raise RefusedError(
                f"{spare.path} has {spare.opened.sectors} sectors, spare {index} had {row.sectors}:"
                " it is too small, or another device."
            )
        # where metadata lies follows from its size and that of the table
        assumed[spare.path] = replace(base, spare_idx=index, spare_uuid=row.uuid).laid_out()
        known = archive.superblocks.get(index)
        if known and known.spare_uuid == row.uuid:
            assumed[spare.path] = replace(assumed[spare.path], overflow=known.overflow)
    for path in assign:
        if path not in {spare.path for spare in found}:
            raise UsageError(f"--assign names {path}, which is none of the devices given.")
    return assumed


def _require_members(seen: Survey, assumed: Mapping[str, Superblock]) -> None:
    for spare in seen.spares:
        if spare.role == Role.FORMER:
            raise RefusedError(f"{spare.path} is no member of the set any more.")
        if spare.role == Role.DUPLICATE:
            raise RefusedError(f"{spare.path} is a copy of another device that was given.")
        if spare.path in assumed:
            if spare.role == Role.STALE:
                state = seen.reference.spares[spare.index].state.name.lower()
                raise RefusedError(
                    f"Spare {spare.index} is {state} according to the newest members that are"
                    f" known: what is on {spare.path} is stale.",
                    hint="Leave it out.",
                )
        elif lived_apart(spare.own, seen.reference):
            raise RefusedError(
                f"{spare.path} and spare {seen.reference.spare_idx} of the set were each started"
                " without the other: each may have remaps that the other does not know.",
                hint="Leave the one out whose changes can go.",
            )
        if spare.own.nr_leaves != seen.reference.nr_leaves:
            raise RefusedError(f"{spare.path} has a table of another size than the set.")
    if not seen.current:
        raise RefusedError("None of the devices is in sync with its set.")


# A leaf that is newer than all superblocks: the failure of a spare may be forgotten. That does no
# harm if all spares are here and have the same table.
def _require_present_members(seen: Survey) -> None:
    newest = max(spare.leaf_events for spare in seen.spares)
    if newest <= seen.reference.events:
        return
    complete = not seen.absent() and all(
        max(row[number] for row in spare.seqs) == seq
        for spare in seen.current
        for number, seq in seen.best_seq.items()
    )
    if not complete:
        raise RefusedError(
            f"The table was written at event {newest}, the newest members that are known are of"
            f" event {seen.reference.events}: a spare may have failed since, and would serve old"
            " data.",
            hint="Give all spares of the set.",
        )


def _choose_leaves(archive: Archive, seen: Survey) -> tuple[list[int], list[int]]:
    from_file, newer = [], []
    for number in range(seen.reference.nr_leaves):
        here, there = seen.best_seq.get(number, 0), archive.seq(number)
        if not here and not there:
            raise RefusedError(
                f"Leaf {number} of the table has no valid copy, and none in the backup either."
            )
        if number in seen.disputed or (
            here and here == there and seen.best[number] != archive.leaves[number]
        ):
            raise RefusedError(
                f"Leaf {number} of the table exists in two versions with the same sequence number"
                f" {here}: which one is right cannot be told."
            )
        if here < there:
            from_file.append(number)
        elif here > there and not _is_restored(archive, seen, number):
            newer.append(number)
    return from_file, newer


# Is this leaf what a restore of this very file, perhaps one that was cut off, has written?
def _is_restored(archive: Archive, seen: Survey, number: int) -> bool:
    ((before, after),) = _versions(archive, seen, [number])
    return before == after and seen.best_seq[number] - archive.seq(number) >= _SEQ_STEP


# For each of these leaves, the entries by slot in the file, and those on the spares.
def _versions(
    archive: Archive, seen: Survey, numbers: Sequence[int]
) -> list[tuple[dict[int, Entry], dict[int, Entry]]]:
    return [
        (
            Leaf.decode(archive.leaves[number], archive.reference, number).entries
            if number in archive.leaves
            else {},
            seen.leaf(number).entries,
        )
        for number in numbers
    ]


# One entry for each place of the table that has changed, the newer one if there is one.
def _changed(pairs: Sequence[tuple[dict[int, Entry], dict[int, Entry]]]) -> list[Entry]:
    return [
        after.get(slot, before.get(slot, _NOTHING))
        for before, after in pairs
        for slot in sorted(before.keys() | after.keys())
        if before.get(slot) != after.get(slot)
    ]


def _main_units(entries: Sequence[Entry]) -> list[int]:
    return sorted({entry.main_unit for entry in entries if entry.kind != EntryKind.BAD})


def _require_safe(plan: RestorePlan, wishes: RestoreWishes) -> None:
    absent = plan.survey.absent()
    if plan.from_file and absent:
        raise RefusedError(
            f"Leaf {plan.from_file[0]} of the table would come from the file, but spare"
            f" {absent[0]} may have a newer version.",
            hint="Give all spares of the set.",
        )
    older = _why_older(plan)
    if plan.from_file:
        older = older or _why_outlived(plan)
    if older and plan.from_file:
        raise RefusedError(
            f"The file is older than the set ({older}), and leaf {plan.from_file[0]} has no valid"
            " copy: blocks that were remapped since the backup would be read from main, old.",
            hint="Nothing makes that safe; another backup may be newer.",
        )
    if older and not wishes.force_older:
        raise RefusedError(
            f"The file is older than the set: {older}.",
            hint="--force-older takes only superblocks from it; the table stays as it is on the"
            " spares.",
        )
    if plan.from_file:
        plan.warnings.append(
            f"{len(plan.from_file)} leaves come from the file. Whatever was remapped after it was"
            " written would be read from main, old: go on only if that cannot be"
        )


# Leaves tell; where they are gone, the count of changes in the state does.
def _why_older(plan: RestorePlan) -> str:
    if plan.newer:
        units = ", ".join(map(str, plan.changed_units[:_NAMED]))
        more = ", ..." if len(plan.changed_units) > _NAMED else ""
        return (
            f"{plan.changed} entries in {len(plan.newer)} leaves have changed since the backup"
            f" (units {units or 'on spares only'}{more})"
        )
    now, then = plan.survey.state(), plan.archive.state
    changes = (now.counters if now else {}).get("committed", 0) - (
        then.counters if then else {}
    ).get("committed", 0)
    return f"the set counts {changes} changes of the table more" if now and changes > 0 else ""


# Who has been started or changed since may have changed its table, too.
def _why_outlived(plan: RestorePlan) -> str:
    now, then = plan.survey.reference.events, plan.archive.reference.events
    return f"it is at event {now}, the file at event {then}" if now > then else ""


def _put_leaves(plan: RestorePlan) -> None:
    seen = plan.survey
    highest = max([seen.seq_seen(), *(plan.archive.seq(n) for n in plan.archive.leaves)])
    if plan.from_file and highest + _SEQ_STEP > MAX_NUMBER:
        raise RefusedError(f"The sequence number {highest} of this set is not plausible.")
    for number in plan.from_file:
        leaf = Leaf.decode(plan.archive.leaves[number], plan.archive.reference, number)
        leaf.seq, leaf.events = highest + _SEQ_STEP, seen.events_seen()
        seen.best[number] = leaf.encode(seen.reference.set_uuid)
        seen.best_seq[number] = leaf.seq


# A device that shows no trace of the set may be another one.
def _require_data(plan: RestorePlan, wishes: RestoreWishes) -> None:
    for spare in plan.survey.current:
        if spare.path not in plan.superblocks or _has_traces(spare) or wishes.trust_data:
            continue
        if any(spare.opened.read(0, DATA_START * SECTOR_SIZE)):
            raise RefusedError(
                f"{spare.path} shows no trace of the set, but has other data where the metadata"
                " would be.",
                hint="If it is that spare nevertheless, and the data can go, add --trust-data.",
            )
        at_risk = sum(
            entry.kind in (EntryKind.REMAP, EntryKind.MIRROR)
            and not entry.flags & EntryFlag.UNKNOWN
            and entry.spare_idx == spare.index
            for _, _, entry in plan.survey.entries()
        )
        if at_risk:
            raise RefusedError(
                f"{at_risk} remapped blocks are on spare {spare.index}, and {spare.path} shows no"
                " trace of the set: if it is a new or an erased device, it would serve wrong data.",
                hint="If only its metadata was overwritten, add --trust-data. If its data is gone,"
                " leave it out, and start the set with --degraded.",
            )


def _has_traces(spare: SurveyedSpare) -> bool:
    leaves = any(any(row) for row in spare.seqs)
    return leaves or any(record.generation for record in spare.records)


# Where no state is left: the counters of the file. Its samples are of another time.
def _write_state(plan: RestorePlan, spares: Sequence[SurveyedSpare]) -> None:
    seen = plan.survey
    state = seen.state()
    if state is None and plan.archive.state:
        then = plan.archive.state
        state = State(then.seq, then.time, clean=False, counters=then.counters)
    if state is None:
        return
    block, place = state.encode(seen.reference.set_uuid), state.seq % STATE_BLOCKS
    write_all(
        [
            BlockWrite(spare.opened, state_sector(state.seq), block, place, "the state")
            for spare in spares
            if not any(copy.state for copy in spare.states)
        ]
    )
