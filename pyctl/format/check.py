"""What is wrong with the metadata of a set, and the writes that would mend it.

A copy may be rewritten when the kernel module would rewrite it when it loads the set. What the
module would refuse is only told: mending it would mean to invent something.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pyctl.errors import FormatError
from pyctl.format.model import REPLICAS, Entry, EntryKind, SpareState, Superblock
from pyctl.format.records import GEN_COPIES, GEN_RECORDS, Generation, gen_sector
from pyctl.format.survey import Role, Survey, SurveyedSpare, shared
from pyctl.format.writing import BlockWrite

__all__ = [
    "SUPERBLOCK",
    "Finding",
    "Severity",
    "best_records",
    "check_set",
    "gen_writes",
    "leaf_writes",
    "lived_apart",
    "membership_problems",
    "own_superblock",
    "table_problems",
]


SUPERBLOCK = "the superblock"


class Severity(enum.StrEnum):
    """`repairable`: a better copy exists; `left`: none does; `note`: worth knowing, no error."""

    REPAIRABLE = "repairable"
    LEFT = "left"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """Something that was found: where, and a sentence.

    `device` is "" for what concerns the whole set; `sector` is counted on that device. `fix` is
    the write that mends it.
    """

    severity: Severity
    device: str
    block: str
    sector: int | None
    text: str
    fix: BlockWrite | None = field(default=None, repr=False, compare=False)


def check_set(survey: Survey) -> list[Finding]:
    """Everything that is wrong or worth knowing."""
    refusals = list(membership_problems(survey))
    found = [*refusals, *_membership_notes(survey)]
    found += _superblock_findings(survey)
    found += _leaf_findings(survey)
    found += table_problems(survey)
    found += _record_findings(survey)
    found += _state_findings(survey)
    if refusals:
        # which spare is right is not known, so none of them may be changed
        found = [_left(finding) for finding in found]
    return found


def membership_problems(survey: Survey) -> Iterator[Finding]:
    """Why the kernel would refuse these devices as a set."""
    reference = survey.reference
    if not survey.current:
        yield _about_set("members", "None of the devices is in sync with its set.")
    for spare in survey.spares:
        own = spare.superblock
        if own is None:
            continue
        where = "members"
        if spare.role == Role.FORMER:
            yield _about(spare, where, f"{spare.path} is no member of the set any more.")
        elif spare.role == Role.DUPLICATE:
            yield _about(
                spare,
                where,
                f"{spare.path} is the same spare as another device that was given, or a copy of"
                " it.",
            )
        elif lived_apart(own, reference):
            yield _about(
                spare,
                where,
                f"{spare.path} and spare {reference.spare_idx} of the set were each started"
                " without the other: each may have remaps that the other does not know. Leave"
                " the one out whose changes can go.",
            )
        if spare.role == Role.CURRENT and own.nr_leaves != reference.nr_leaves:
            yield _about(
                spare,
                where,
                f"{spare.path} has a table of {own.nr_leaves} leaves, the set one of"
                f" {reference.nr_leaves}.",
            )


def lived_apart(own: Superblock, reference: Superblock) -> bool:
    """Does `own` call the spare that the reference is from failed or missing?"""
    return _calls(own, reference.spare_idx) != SpareState.IN_SYNC


def _calls(superblock: Superblock, index: int) -> SpareState:
    rows = superblock.spares
    return rows[index].state if index < len(rows) else SpareState.NONE


def _membership_notes(survey: Survey) -> Iterator[Finding]:
    for spare in survey.spares:
        if spare.superblock is None:
            whys = ", ".join(dict.fromkeys(copy.why for copy in spare.copies))
            yield _about(
                spare,
                "superblocks",
                f"{spare.path} has no whole superblock in any of its five copies ({whys}): it"
                " cannot be told whose spare it is. A backup can: `pyctl metadata restore`.",
            )
        elif spare.role == Role.STALE:
            state = _calls(survey.reference, spare.index).name.lower()
            yield Finding(
                Severity.NOTE,
                spare.path,
                "members",
                None,
                f"{spare.path} is stale: the set calls it {state}. Nothing of it is used, and its"
                " sectors return errors.",
            )
    for index in survey.absent():
        row = survey.reference.spares[index]
        yield Finding(
            Severity.NOTE,
            "",
            "members",
            None,
            f"Spare {index} ({row.uuid}) is in sync with the set and was not given: what is on it"
            " was not checked, and it may be newer.",
        )


def _superblock_findings(survey: Survey) -> Iterator[Finding]:
    same = shared(survey.reference)
    for spare in survey.spares:
        own = spare.superblock
        if own is None or spare.role not in (Role.CURRENT, Role.STALE):
            continue
        wanted = own_superblock(survey.reference, own)
        for copy in spare.copies:
            block = f"superblock copy {copy.copy}"
            if spare.role == Role.STALE:
                if not copy.superblock:
                    text = f"{_cap(block)} of the stale {spare.path} is not valid: {copy.why}."
                    yield Finding(Severity.NOTE, spare.path, block, copy.sector, text)
                continue
            fix = BlockWrite(
                spare.opened, copy.sector, wanted.encode(copy.copy), copy.copy, SUPERBLOCK
            )
            if copy.superblock is None:
                text = f"{_cap(block)} is not valid: {copy.why}."
            elif copy.superblock.events < same.events:
                text = (
                    f"{_cap(block)} is old: it was written at event {copy.superblock.events}, the"
                    f" newest one at event {same.events}."
                )
            elif shared(copy.superblock) != same:
                yield _about(
                    spare,
                    block,
                    f"{_cap(block)} differs from another superblock of the same event"
                    f" {same.events}: which one is right cannot be told.",
                    copy.sector,
                )
                continue
            else:
                continue
            yield Finding(Severity.REPAIRABLE, spare.path, block, copy.sector, text, fix)
        if spare.role == Role.CURRENT and spare.leaf_events > survey.reference.events:
            yield _about(
                spare,
                "leaves",
                f"The table on {spare.path} was written at event {spare.leaf_events}, but the"
                f" newest superblock is of event {survey.reference.events}: newer superblocks are"
                " lost, and with them perhaps the failure of a spare.",
            )


def own_superblock(reference: Superblock, own: Superblock) -> Superblock:
    """The reference as it must stand on the spare that has the superblock `own`."""
    return replace(
        reference,
        spare_uuid=own.spare_uuid,
        spare_idx=own.spare_idx,
        overflow=own.overflow,
    )


def _leaf_findings(survey: Survey) -> Iterator[Finding]:
    for number in survey.lost:
        yield _about_set(
            f"leaf {number}",
            f"Leaf {number} of the table has no valid copy on any spare: its entries are lost, and"
            " the set does not start. An empty leaf instead would serve old data from main; a"
            " backup has it: `pyctl metadata restore`.",
        )
    for number in sorted(survey.disputed):
        yield _about_set(
            f"leaf {number}",
            f"Leaf {number} of the table has two versions with the same sequence number"
            f" {survey.best_seq[number]}: which one is right cannot be told.",
        )
    for spare in survey.current:
        own = spare.own
        if not spare.seqs:
            continue
        for replica in range(REPLICAS):
            for number, seq in enumerate(spare.seqs[replica]):
                best = survey.best_seq.get(number, 0)
                if seq == best and best:
                    continue
                block = f"leaf {number}, replica {replica}"
                sector = own.leaf_sector(number, replica)
                if not seq:
                    text = f"{_cap(block)} is not valid: {spare.refused[replica, number]}."
                else:
                    text = (
                        f"{_cap(block)} is old: its sequence number is {seq}, the newest is {best}."
                    )
                if not best:
                    yield _about(spare, block, text, sector)
                    continue
                fix = BlockWrite(
                    spare.opened, sector, survey.best[number], replica, f"leaf {number}"
                )
                yield Finding(Severity.REPAIRABLE, spare.path, block, sector, text, fix)


def table_problems(survey: Survey, spares: Sequence[SurveyedSpare] | None = None) -> list[Finding]:
    """Why the kernel would refuse the table itself: entries that are not sane, or double.

    `spares` are those that must have room where entries point to; the current ones by default.
    """
    found: list[Finding] = []
    units: dict[tuple[int, bool], str] = {}
    places: dict[tuple[int, int], tuple[str, Entry]] = {}
    members = survey.current if spares is None else spares
    owners = {spare.index: spare.own for spare in members}
    for number in sorted(survey.best):
        try:
            leaf = survey.leaf(number)
        except FormatError as error:
            found.append(_about_set(f"leaf {number}", error.message))
            continue
        for slot, entry in sorted(leaf.entries.items()):
            where = f"entry {slot} of leaf {number}"
            texts = _entry_problems(entry, where, units, places, owners)
            found += [_about_set(f"leaf {number}", text) for text in texts]
    return found


def _entry_problems(
    entry: Entry,
    where: str,
    units: dict[tuple[int, bool], str],
    places: dict[tuple[int, int], tuple[str, Entry]],
    owners: dict[int, Superblock],
) -> Iterator[str]:
    if entry.kind != EntryKind.LOST:
        owner = owners.get(entry.spare_idx)
        if owner and not owner.usable(entry.spare_unit):
            yield (
                f"{_cap(where)} points to unit {entry.spare_unit} of spare {entry.spare_idx}, where"
                " metadata lies or nothing at all."
            )
    if entry.kind == EntryKind.BAD:
        # it may overlap a remap: a crash can come between the two leaves of one batch
        return
    second = entry.kind == EntryKind.MIRROR
    other = units.setdefault((entry.main_unit, second), where)
    if other != where:
        what = "has two second copies" if second else "is in the table twice"
        yield f"Unit {entry.main_unit} of main {what}: {other}, {where}."
    if entry.kind == EntryKind.LOST:
        return
    used = places.setdefault((entry.spare_idx, entry.spare_unit), (where, entry))
    # a crash may have come between a second copy's becoming the first one and its own end
    half_done = used[1].main_unit == entry.main_unit and used[1].kind != entry.kind
    if used[0] != where and not half_done:
        yield (
            f"Unit {entry.spare_unit} of spare {entry.spare_idx} is used twice: {used[0]}, {where}."
        )


def leaf_writes(survey: Survey, spare: SurveyedSpare) -> Iterator[BlockWrite]:
    """The best version of every leaf, for each replica on the spare that has another one."""
    for number, block in sorted(survey.best.items()):
        for replica in range(REPLICAS):
            have = spare.seqs[replica][number] if spare.seqs else 0
            if have != survey.best_seq[number] or spare.role != Role.CURRENT:
                sector = spare.own.leaf_sector(number, replica)
                yield BlockWrite(spare.opened, sector, block, replica, f"leaf {number}")


def best_records(survey: Survey) -> dict[int, Generation]:
    """The newest valid record of each place in the ring that belongs to the history."""
    return {one.number % GEN_RECORDS: one for one in survey.generations()[-GEN_RECORDS:]}


def gen_writes(survey: Survey, spare: SurveyedSpare, record: Generation) -> Iterator[BlockWrite]:
    """Both copies of a record on a spare."""
    data = record.encode(survey.reference.set_uuid)
    for copy in range(GEN_COPIES):
        sector = gen_sector(record.number, copy)
        yield BlockWrite(spare.opened, sector, data, copy, f"generation {record.number}")


def _record_findings(survey: Survey) -> Iterator[Finding]:
    newest, best = survey.reference.generation, best_records(survey)
    oldest = max(1, newest - GEN_RECORDS + 1)
    known = {one.number for one in best.values()}
    for number in range(oldest, newest + 1):
        if number not in known:
            text = (
                f"Generation {number} has no valid record on any spare: the history has a gap"
                " there; nothing else depends on it."
            )
            yield Finding(Severity.NOTE, "", f"generation {number}", None, text)
    for spare in survey.current:
        for copy in spare.records:
            wanted = best.get(copy.place)
            if wanted is None or copy.generation == wanted:
                continue
            if copy.generation and copy.generation.number > newest:
                # of a change that did not come to its end
                continue
            block = f"generation {wanted.number}, copy {copy.copy}"
            why = copy.why or "it is the record of another generation, or differs from the others"
            write = list(gen_writes(survey, spare, wanted))[copy.copy]
            yield Finding(
                Severity.REPAIRABLE,
                spare.path,
                block,
                copy.sector,
                f"{_cap(block)} is not valid: {why}.",
                write,
            )


def _state_findings(survey: Survey) -> Iterator[Finding]:
    best = {
        copy.place: copy.state
        for spare in survey.current
        for copy in sorted(spare.states, key=lambda one: one.state.seq if one.state else 0)
        if copy.state
    }
    for spare in survey.current:
        for copy in spare.states:
            if copy.state or copy.blank:
                continue
            block, wanted = f"state block {copy.place}", best.get(copy.place)
            text = f"{_cap(block)} is not valid: {copy.why}."
            if wanted is None:
                text += " The next write of the state replaces it; counters may have been lost."
                yield Finding(Severity.NOTE, spare.path, block, copy.sector, text)
                continue
            data = wanted.encode(survey.reference.set_uuid)
            fix = BlockWrite(spare.opened, copy.sector, data, copy.place, block)
            yield Finding(Severity.REPAIRABLE, spare.path, block, copy.sector, text, fix)


def _about_set(block: str, text: str) -> Finding:
    return Finding(Severity.LEFT, "", block, None, text)


def _about(spare: SurveyedSpare, block: str, text: str, sector: int | None = None) -> Finding:
    return Finding(Severity.LEFT, spare.path, block, sector, text)


def _left(finding: Finding) -> Finding:
    if finding.severity != Severity.REPAIRABLE:
        return finding
    return replace(finding, severity=Severity.LEFT, fix=None)


# str.capitalize() would make the rest of it lower case
def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]
