"""Writing new members into the superblocks of a set, as one generation.

Superblocks come last, so that an interruption leaves the old set or the new one.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pyctl.errors import FormatError
from pyctl.format.check import SUPERBLOCK, best_records, gen_writes, own_superblock
from pyctl.format.model import (
    MAX_NUMBER,
    REPLICAS,
    Entry,
    EntryKind,
    SpareState,
    Superblock,
    slot_sector,
)
from pyctl.format.records import GEN_COPIES, GEN_RECORDS, Generation, Reason
from pyctl.format.survey import Survey, SurveyedSpare
from pyctl.format.writing import BlockWrite, require_a_copy, write_in_phases

__all__ = ["Change", "commit", "count_kinds", "write_all"]


@dataclass(frozen=True)
class Change:
    """A new membership: `superblock` has what all spares share, apart from the numbers.

    `spare_idx` is the spare that the reason is about.
    """

    superblock: Superblock
    reason: Reason
    spare_idx: int = 0


def count_kinds(entries: Iterable[Entry]) -> dict[str, int]:
    """How many entries are `remaps`, `lost` and `bad`."""
    kinds = Counter(entry.kind for entry in entries)
    return {
        "remaps": kinds[EntryKind.REMAP],
        "lost": kinds[EntryKind.LOST],
        "bad": kinds[EntryKind.BAD],
    }


def commit(
    survey: Survey,
    change: Change,
    spares: Sequence[SurveyedSpare],
    entries: Iterable[Entry],
    *,
    history: Iterable[Generation] = (),
) -> Superblock:
    """Write a generation and superblocks on `spares`, in that order; returns the new superblock.

    Spares that the superblocks on the others don't call in sync yet must come last. The new event
    number is above every one that was seen; the generation is the next one. `history` are
    generations that the spares may have lost. Raises MediaError if a spare takes no copy of one
    of them.
    """
    new = _numbered(survey, change)
    record = Generation.of(new, change.reason, spare_idx=change.spare_idx, **count_kinds(entries))
    known = sorted([*history, *best_records(survey).values()], key=lambda one: one.number)
    ring = {one.number % GEN_RECORDS: one for one in (*known, record)}.values()
    for spare in spares:
        have = Counter(copy.generation for copy in spare.records if copy.generation)
        todo = [one for one in ring if have[one] < GEN_COPIES]
        write_all([write for one in todo for write in gen_writes(survey, spare, one)])
    for spare in spares:
        mine = own_superblock(new, spare.own)
        write_all(
            [
                BlockWrite(spare.opened, slot_sector(copy), mine.encode(copy), copy, SUPERBLOCK)
                for copy in range(REPLICAS)
            ]
        )
    return new


def _numbered(survey: Survey, change: Change) -> Superblock:
    events = survey.events_seen() + 1
    if events > MAX_NUMBER:
        raise FormatError(f"The event number {events} of this set is not plausible.")
    rows = tuple(
        replace(row, events=events) if row.state == SpareState.IN_SYNC else row
        for row in change.superblock.spares
    )
    return replace(
        change.superblock,
        spares=rows,
        events=events,
        generation=survey.reference.generation + 1,
        updated=int(time.time()),
    )


def write_all(writes: Sequence[BlockWrite]) -> None:
    """Write in phases; raise MediaError if a spare takes no copy of some block."""
    require_a_copy(writes, write_in_phases(writes))
