"""Everything that lies on the spares of a set, copy by copy; only reading."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyctl.errors import FormatError, MediaError
from pyctl.format.model import (
    BLOCK_SIZE,
    REPLICAS,
    SECTOR_SIZE,
    Entry,
    FormatCode,
    Leaf,
    SpareState,
    Superblock,
    explain,
    slot_sector,
)
from pyctl.format.records import Generation, State
from pyctl.format.ring import RecordCopy, StateCopy, read_records, read_states
from pyctl.format.spare import Opened, leaf_blocks

__all__ = [
    "Role",
    "SuperblockCopy",
    "Survey",
    "SurveyedSpare",
    "read_superblocks",
    "shared",
    "take_survey",
]


class Role(enum.StrEnum):
    """What a device is to the set."""

    CURRENT = "current"
    STALE = "stale"
    UNKNOWN = "unknown"
    FORMER = "former member"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class SuperblockCopy:
    """One of the five copies; `why` says why there is no `superblock` in it."""

    copy: int
    sector: int
    why: str
    superblock: Superblock | None


@dataclass
class SurveyedSpare:
    """One device. `superblock` is the newest of `copies`.

    `seqs[replica][leaf]` is the sequence number of each leaf, 0 where it is not valid; `refused`
    says why it is not.
    """

    opened: Opened
    copies: list[SuperblockCopy]
    superblock: Superblock | None
    role: Role = Role.UNKNOWN
    seqs: list[list[int]] = field(default_factory=list)
    refused: dict[tuple[int, int], str] = field(default_factory=dict)
    records: list[RecordCopy] = field(default_factory=list)
    states: list[StateCopy] = field(default_factory=list)
    leaf_events: int = 0

    @property
    def path(self) -> str:
        """As the user called it."""
        return self.opened.path

    @property
    def own(self) -> Superblock:
        """Its superblock. Raises FormatError if it has none."""
        if self.superblock is None:
            raise FormatError(f"{self.path} carries no whole superblock.")
        return self.superblock

    @property
    def index(self) -> int:
        """Its row in the set's table of spares; raises as own() does."""
        return self.own.spare_idx


@dataclass
class Survey:
    """A set: `reference` is its newest superblock, `best` the newest valid block of each leaf.

    Stale devices are surveyed as well, but nothing of them is in `best`. `disputed` are leaves of
    which two versions have the same, highest sequence number.
    """

    reference: Superblock
    spares: list[SurveyedSpare]
    best: dict[int, bytes] = field(default_factory=dict)
    best_seq: dict[int, int] = field(default_factory=dict)
    disputed: set[int] = field(default_factory=set)

    @property
    def current(self) -> list[SurveyedSpare]:
        """The spares that the reference calls in sync."""
        return [spare for spare in self.spares if spare.role == Role.CURRENT]

    @property
    def lost(self) -> list[int]:
        """Numbers of the leaves that have no valid copy."""
        return [n for n in range(self.reference.nr_leaves) if n not in self.best]

    def absent(self) -> list[int]:
        """Rows of spares that the set calls in sync and that were not given."""
        given = {spare.index for spare in self.spares if spare.superblock}
        return [
            index
            for index, row in enumerate(self.reference.spares)
            if row.state == SpareState.IN_SYNC and index not in given
        ]

    def leaf(self, number: int) -> Leaf:
        """A leaf that is not lost. Raises FormatError if an entry in it is not sane."""
        return Leaf.decode(self.best[number], self.reference, number)

    def entries(self) -> Iterator[tuple[int, int, Entry]]:
        """Leaf, slot and entry of the whole table. Raises FormatError as leaf() does."""
        for number in sorted(self.best):
            for slot, entry in sorted(self.leaf(number).entries.items()):
                yield number, slot, entry

    def generations(self) -> list[Generation]:
        """The records that the current spares have, by rising number, without later ones."""
        found = {
            record.generation.number: record.generation
            for spare in self.current
            for record in spare.records
            if record.generation and record.generation.number <= self.reference.generation
        }
        return [found[number] for number in sorted(found)]

    def state(self) -> State | None:
        """The newest state of the current spares."""
        states = [copy.state for spare in self.current for copy in spare.states if copy.state]
        return max(states, key=lambda state: state.seq, default=None)

    def events_seen(self) -> int:
        """The highest event number in any superblock or leaf, stale devices included."""
        superblocks = [
            copy.superblock.events
            for spare in self.spares
            for copy in spare.copies
            if copy.superblock and copy.superblock.set_uuid == self.reference.set_uuid
        ]
        leaves = [spare.leaf_events for spare in self.spares]
        return max([self.reference.events, *superblocks, *leaves])

    def seq_seen(self) -> int:
        """The highest sequence number of any leaf, stale devices included."""
        return max(
            (seq for spare in self.spares for row in spare.seqs for seq in row),
            default=0,
        )

    def generation_seen(self) -> int:
        """The highest generation number in any superblock or record, stale devices included."""
        superblocks = [s.superblock.generation for s in self.spares if s.superblock]
        records = [r.generation.number for s in self.spares for r in s.records if r.generation]
        return max([self.reference.generation, *superblocks, *records])


def take_survey(
    opened: Sequence[Opened],
    *,
    reference: Superblock | None = None,
    assumed: Mapping[str, Superblock] | None = None,
) -> Survey:
    """Read everything of the spares of one set.

    `reference` replaces the newest superblock; `assumed` are superblocks, by path, for devices
    that have none. Raises FormatError if there is no superblock at all or if the devices belong
    to different sets.
    """
    spares = [read_superblocks(one) for one in opened]
    for spare in spares:
        if spare.superblock is None:
            spare.superblock = (assumed or {}).get(spare.path)
    newest = _reference(spares, reference)
    found = Survey(newest, spares)
    _assign_roles(found)
    for spare in spares:
        if spare.role in (Role.CURRENT, Role.STALE):
            _read_leaves(found, spare)
            spare.records = read_records(spare.opened, newest.set_uuid)
            spare.states = read_states(spare.opened, newest.set_uuid)
    return found


def shared(superblock: Superblock) -> Superblock:
    """What the superblocks of all spares of a set have in common; the rest is made equal."""
    return replace(
        superblock, spare_uuid=superblock.set_uuid, spare_idx=0, copy_idx=0, overflow=(0,) * 5
    )


def read_superblocks(spare: Opened) -> SurveyedSpare:
    """The superblock copies of one device; nothing else of it is read."""
    copies = [_superblock(spare, copy) for copy in range(REPLICAS)]
    best: Superblock | None = None
    for found in copies:
        if found.superblock and (best is None or found.superblock.events > best.events):
            best = found.superblock
    return SurveyedSpare(spare, copies, best)


def _superblock(spare: Opened, copy: int) -> SuperblockCopy:
    sector = slot_sector(copy)
    if spare.sectors < sector + BLOCK_SIZE // SECTOR_SIZE:
        return SuperblockCopy(copy, sector, "it would lie beyond the end of the device", None)
    try:
        block = spare.read(sector, BLOCK_SIZE)
    except MediaError:
        return SuperblockCopy(copy, sector, "it cannot be read", None)
    code, superblock = Superblock.try_decode(block, copy, spare.sectors)
    return SuperblockCopy(copy, sector, "" if superblock else explain(code), superblock)


def _reference(spares: Sequence[SurveyedSpare], given: Superblock | None) -> Superblock:
    found = [(spare.path, spare.superblock) for spare in spares if spare.superblock]
    uuids = {superblock.set_uuid for _, superblock in found}
    if given:
        uuids.add(given.set_uuid)
    if len(uuids) > 1:
        raise FormatError(
            "These devices belong to different sets: "
            + ", ".join(f"{path} to {superblock.set_uuid}" for path, superblock in found)
            + ".",
            hint="Give the spares of one set.",
        )
    if given:
        return given
    if not found:
        raise FormatError(
            "There is no whole dm-remap superblock on "
            + "; ".join(f"{s.path} ({', '.join({c.why for c in s.copies})})" for s in spares)
            + ".",
            hint="If there is a backup file of the set: `pyctl metadata restore`.",
        )
    return max((superblock for _, superblock in found), key=lambda one: one.rank)


def _assign_roles(found: Survey) -> None:
    seen: set[int] = set()
    rows = found.reference.spares
    for spare in found.spares:
        own = spare.superblock
        if own is None:
            continue
        if own.spare_idx >= len(rows) or rows[own.spare_idx].uuid != own.spare_uuid:
            spare.role = Role.FORMER
        elif own.spare_idx in seen:
            spare.role = Role.DUPLICATE
        elif rows[own.spare_idx].state == SpareState.IN_SYNC:
            spare.role = Role.CURRENT
        else:
            spare.role = Role.STALE
        seen.add(own.spare_idx)


def _read_leaves(found: Survey, spare: SurveyedSpare) -> None:
    own, uuid = spare.superblock, found.reference.set_uuid
    if own is None or own.nr_leaves != found.reference.nr_leaves:
        return
    spare.seqs = [[0] * own.nr_leaves for _ in range(REPLICAS)]
    for number, replica, block in leaf_blocks(spare.opened, own):
        if isinstance(block, MediaError):
            spare.refused[replica, number] = "it cannot be read"
            continue
        code, seq = Leaf.probe(block, uuid, number)
        if code != FormatCode.OK or not seq:
            why = explain(code) if code != FormatCode.OK else "its sequence number is 0"
            spare.refused[replica, number] = why
            continue
        spare.seqs[replica][number] = seq
        spare.leaf_events = max(spare.leaf_events, Leaf.events_of(block))
        if spare.role == Role.CURRENT:
            _keep_best(found, number, seq, block)


def _keep_best(found: Survey, number: int, seq: int, block: bytes) -> None:
    before = found.best_seq.get(number, 0)
    if seq == before and block != found.best[number]:
        found.disputed.add(number)
    if seq > before:
        found.best[number], found.best_seq[number] = block, seq
        found.disputed.discard(number)
