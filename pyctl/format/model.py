"""What is on a spare, as Python values; encoding and checks are the kernel module's own C.

Sizes ending in `sectors` are in sectors of 512 bytes, units are logical blocks of the set (512 or
4096 bytes), times are seconds since 1970.
"""

import enum
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyctl.errors import FormatError
from pyctl.format._native import ffi, lib

__all__ = [
    "BLOCK_SIZE",
    "DATA_START",
    "DEFAULT_MAX_REMAPS",
    "FEATURE_MIRRORS",
    "IDENTITY_LEN",
    "LEAF_ENTRIES",
    "MAX_MAX_REMAPS",
    "MAX_NUMBER",
    "MAX_SPARES",
    "MAX_TIER",
    "MIN_SPARE_SECTORS",
    "REPLICAS",
    "SECTOR_SIZE",
    "Entry",
    "EntryFlag",
    "EntryKind",
    "FormatCode",
    "Leaf",
    "Move",
    "Policy",
    "RowFlag",
    "SpareDesc",
    "SpareState",
    "Superblock",
    "check_block",
    "crc32c",
    "explain",
    "identity_from_c",
    "identity_to_c",
    "rows_from_c",
    "rows_to_c",
    "slot_sector",
]

SECTOR_SIZE: int = lib.DMR_SECTOR_SIZE
BLOCK_SIZE: int = lib.DMR_BLOCK_SIZE
REPLICAS: int = lib.DMR_REPLICAS
MAX_SPARES: int = lib.DMR_MAX_SPARES
LEAF_ENTRIES: int = lib.DMR_LEAF_ENTRIES
INLINE_LEAVES: int = lib.DMR_INLINE_LEAVES
DATA_START: int = lib.DMR_DATA_START
IDENTITY_LEN: int = lib.DMR_IDENTITY_LEN
MIN_SPARE_SECTORS: int = lib.DMR_MIN_SPARE_SECTORS
DEFAULT_MAX_REMAPS: int = lib.DMR_DEFAULT_MAX_REMAPS
MAX_MAX_REMAPS: int = lib.DMR_MAX_MAX_REMAPS
MAX_TIER: int = lib.DMR_MAX_TIER
FEATURE_MIRRORS: int = lib.DMR_FEATURE_MIRRORS
"""Incompat bit: there are, or may be, entries of kind MIRROR."""
MAX_NUMBER: int = lib.DMR_MAX_NUMBER
"""What a sequence, event or generation number may be at most."""


class FormatCode(enum.IntEnum):
    """Why a block was refused; `explain` has the words."""

    OK = lib.DMR_FMT_OK
    BLANK = lib.DMR_FMT_BLANK
    MAGIC = lib.DMR_FMT_MAGIC
    CRC = lib.DMR_FMT_CRC
    VERSION = lib.DMR_FMT_VERSION
    FEATURE = lib.DMR_FMT_FEATURE
    COPY = lib.DMR_FMT_COPY
    SPARES = lib.DMR_FMT_SPARES
    UNIT = lib.DMR_FMT_UNIT
    MAIN = lib.DMR_FMT_MAIN
    LEAVES = lib.DMR_FMT_LEAVES
    EXTENT = lib.DMR_FMT_EXTENT
    SPARE_SIZE = lib.DMR_FMT_SPARE_SIZE
    LEAF_NO = lib.DMR_FMT_LEAF_NO
    NR_USED = lib.DMR_FMT_NR_USED
    KIND = lib.DMR_FMT_KIND
    MAIN_RANGE = lib.DMR_FMT_MAIN_RANGE
    SPARE_IDX = lib.DMR_FMT_SPARE_IDX
    SPARE_RANGE = lib.DMR_FMT_SPARE_RANGE
    RUN = lib.DMR_FMT_RUN
    UNREADABLE = lib.DMR_FMT_UNREADABLE
    GENERATION = lib.DMR_FMT_GENERATION
    STATE = lib.DMR_FMT_STATE
    NUMBER = lib.DMR_FMT_NUMBER
    POLICY = lib.DMR_FMT_POLICY
    MOVE = lib.DMR_FMT_MOVE
    REDUNDANCY = lib.DMR_FMT_REDUNDANCY


class SpareState(enum.IntEnum):
    """What a set knows of one of its spares."""

    NONE = lib.DMR_SPARE_NONE
    IN_SYNC = lib.DMR_SPARE_IN_SYNC
    FAILED = lib.DMR_SPARE_FAILED
    MISSING = lib.DMR_SPARE_MISSING
    LEFT = lib.DMR_SPARE_LEFT


class RowFlag(enum.IntFlag):
    """More about a spare."""

    DRAINING = lib.DMR_ROW_DRAINING


class Policy(enum.IntEnum):
    """Which spare the next remap goes to."""

    LEAST_USED = lib.DMR_POLICY_LEAST_USED
    FIRST_FIT = lib.DMR_POLICY_FIRST_FIT
    ROUND_ROBIN = lib.DMR_POLICY_ROUND_ROBIN
    HEALTHIEST = lib.DMR_POLICY_HEALTHIEST
    TIERED = lib.DMR_POLICY_TIERED

    @property
    def word(self) -> str:
        """As the kernel and the command line spell it."""
        return self.name.lower().replace("_", "-")


class Move(enum.IntEnum):
    """Is main being copied to its replacement?"""

    NONE = lib.DMR_MOVE_NONE
    RUNNING = lib.DMR_MOVE_RUNNING
    STOPPED = lib.DMR_MOVE_STOPPED


class EntryKind(enum.IntEnum):
    """What a table entry says."""

    FREE = lib.DMR_KIND_FREE
    REMAP = lib.DMR_KIND_REMAP
    LOST = lib.DMR_KIND_LOST
    BAD = lib.DMR_KIND_BAD
    MIRROR = lib.DMR_KIND_MIRROR


class EntryFlag(enum.IntFlag):
    """More about a remapped unit."""

    UNKNOWN = lib.DMR_ENTRY_UNKNOWN
    MANUAL = lib.DMR_ENTRY_MANUAL


_NO_FLAGS = EntryFlag(0)
_NO_ROW_FLAGS = RowFlag(0)


@dataclass(frozen=True)
class SpareDesc:
    """One row of a superblock's spare table."""

    uuid: uuid.UUID
    sectors: int
    events: int = 0
    state: SpareState = SpareState.IN_SYNC
    tier: int = 0
    flags: RowFlag = _NO_ROW_FLAGS


@dataclass(frozen=True)
class Superblock:
    """A superblock: the set, the main device, and the spare that it was read from."""

    set_uuid: uuid.UUID
    spare_uuid: uuid.UUID
    main_sectors: int
    main_lbs: int
    max_remaps: int
    nr_leaves: int
    spare_idx: int
    unit_shift: int
    overflow: tuple[int, ...]
    spares: tuple[SpareDesc, ...]
    identity: str = ""
    events: int = 0
    created: int = 0
    updated: int = 0
    generation: int = 0
    copy_idx: int = 0
    policy: Policy = Policy.LEAST_USED
    move_state: Move = Move.NONE
    move_id: int = 0
    move_units: int = 0
    move_sectors: int = 0
    redundancy: int = 0
    feature_compat: int = 0
    feature_ro_compat: int = 0
    feature_incompat: int = 0

    @property
    def unit_bytes(self) -> int:
        """Size of a unit in bytes."""
        return SECTOR_SIZE << self.unit_shift

    @property
    def rank(self) -> tuple[bool, int]:
        """The superblock of the highest rank is the reference of its set.

        The newest is, but none of a spare that says itself that it is not in sync: it was joining,
        and took superblocks. Of several the first is.
        """
        return self.spares[self.spare_idx].state == SpareState.IN_SYNC, self.events

    @classmethod
    def decode(cls, block: bytes, copy: int, spare_sectors: int) -> "Superblock":
        """Validate and read copy number `copy` from a device of `spare_sectors` sectors.

        Raises FormatError, with the reason, for anything that is not a whole, sane superblock.
        """
        code, superblock = cls.try_decode(block, copy, spare_sectors)
        if superblock is None:
            raise FormatError(f"Superblock copy {copy} was refused: {explain(code)}.")
        return superblock

    @classmethod
    def try_decode(
        cls, block: bytes, copy: int, spare_sectors: int
    ) -> tuple[FormatCode, "Superblock | None"]:
        """As decode, but a refusal is a result."""
        check_block(block)
        if not 0 <= copy < REPLICAS:
            raise FormatError(f"There is no superblock copy {copy}.")
        raw = ffi.new("struct dmr_sb *")
        code = FormatCode(lib.dmr_sb_decode(ffi.from_buffer(block), copy, spare_sectors, raw))
        return (code, _from_c(raw) if code == FormatCode.OK else None)

    def encode(self, copy: int) -> bytes:
        """The block of copy number `copy`, with its checksum."""
        if not 0 <= copy < REPLICAS:
            raise FormatError(f"There is no superblock copy {copy}.")
        raw = self.to_c()
        raw.copy_idx = copy
        block = bytearray(BLOCK_SIZE)
        lib.dmr_sb_encode(raw, ffi.from_buffer(block, require_writable=True))
        return bytes(block)

    def leaf_sector(self, leaf_no: int, replica: int) -> int:
        """First sector of a leaf's block on this spare."""
        if not 0 <= leaf_no < self.nr_leaves or not 0 <= replica < REPLICAS:
            raise FormatError(f"There is no leaf {leaf_no}, replica {replica}.")
        return int(lib.dmr_leaf_sector(self.to_c(), leaf_no, replica))

    def usable(self, unit: int) -> bool:
        """May this unit of the spare hold data?"""
        return 0 <= unit < 1 << 64 and bool(lib.dmr_spare_unit_usable(self.to_c(), unit))

    def to_c(self) -> Any:
        """A C struct dmr_sb with the same contents."""
        raw = ffi.new("struct dmr_sb *")
        for name in _SAME_NAME:
            setattr(raw, name, getattr(self, name))
        raw.set_uuid = self.set_uuid.bytes
        raw.spare_uuid = self.spare_uuid.bytes
        raw.nr_spares = len(self.spares)
        raw.overflow = list(self.overflow)
        raw.identity = identity_to_c(self.identity)
        raw.policy = self.policy
        raw.move_state = self.move_state
        rows_to_c(self.spares, raw.spare)
        return raw

    def laid_out(self) -> "Superblock":
        """The same with `nr_leaves` and `overflow` computed from `max_remaps` and the spare's size.

        Raises FormatError when the spare is too small.
        """
        raw = self.to_c()
        code = FormatCode(lib.dmr_sb_layout(raw))
        if code != FormatCode.OK:
            size = self.spares[self.spare_idx].sectors
            raise FormatError(
                f"Metadata for {self.max_remaps} remaps does not fit on a spare of {size} sectors:"
                f" {explain(code)}.",
                hint=f"A spare needs at least {MIN_SPARE_SECTORS} sectors; fewer --max-remaps"
                " need less.",
            )
        return _from_c(raw)

    def check(self, entry: "Entry") -> FormatCode:
        """Bound every field of an entry of this set."""
        return FormatCode(lib.dmr_entry_check(self.to_c(), entry.to_c()))


_SAME_NAME = (
    "feature_compat",
    "feature_ro_compat",
    "feature_incompat",
    "events",
    "created",
    "updated",
    "generation",
    "main_sectors",
    "main_lbs",
    "max_remaps",
    "nr_leaves",
    "copy_idx",
    "spare_idx",
    "unit_shift",
    "move_id",
    "move_units",
    "move_sectors",
    "redundancy",
)


def _from_c(raw: Any) -> Superblock:
    return Superblock(
        set_uuid=_uuid(raw.set_uuid),
        spare_uuid=_uuid(raw.spare_uuid),
        overflow=tuple(raw.overflow),
        spares=rows_from_c(raw.spare, raw.nr_spares),
        identity=identity_from_c(raw.identity),
        policy=Policy(raw.policy),
        move_state=Move(raw.move_state),
        **{name: getattr(raw, name) for name in _SAME_NAME},
    )


@dataclass(frozen=True)
class Entry:
    """A table entry; `spare_unit` counts from the spare's sector 0."""

    kind: EntryKind
    main_unit: int = 0
    spare_unit: int = 0
    spare_idx: int = 0
    flags: EntryFlag = _NO_FLAGS

    def to_c(self) -> Any:
        """A C struct dmr_entry with the same contents."""
        raw = ffi.new("struct dmr_entry *")
        raw.main_unit, raw.spare_unit, raw.spare_idx = (
            self.main_unit,
            self.spare_unit,
            self.spare_idx,
        )
        raw.kind, raw.flags = self.kind, self.flags
        return raw


@dataclass
class Leaf:
    """A leaf of the table: which entry is in which slot. Its place in the table is `number`."""

    number: int
    seq: int = 1
    events: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)

    def encode(self, set_uuid: uuid.UUID) -> bytes:
        """The sealed block."""
        block = bytearray(BLOCK_SIZE)
        raw = ffi.from_buffer(block, require_writable=True)
        lib.dmr_leaf_init(raw, self.number)
        for slot, entry in self.entries.items():
            if not 0 <= slot < LEAF_ENTRIES:
                raise FormatError(f"A leaf has no slot {slot}.")
            lib.dmr_leaf_set(raw, slot, entry.to_c())
        lib.dmr_leaf_seal(raw, set_uuid.bytes, self.seq, self.events)
        return bytes(block)

    @staticmethod
    def probe(block: bytes, set_uuid: uuid.UUID, number: int) -> tuple[FormatCode, int]:
        """Whether a block is leaf `number` of the set, and if so its sequence number."""
        check_block(block)
        raw = ffi.from_buffer(block)
        code = FormatCode(lib.dmr_leaf_check(raw, set_uuid.bytes, number))
        return code, int(lib.dmr_leaf_seq(raw)) if code == FormatCode.OK else 0

    @classmethod
    def decode(cls, block: bytes, superblock: Superblock, number: int) -> "Leaf":
        """Validate and read a leaf and all its entries.

        Raises FormatError, with the reason, if anything in it is not sane.
        """
        code, seq = cls.probe(block, superblock.set_uuid, number)
        if code != FormatCode.OK:
            raise FormatError(f"Leaf {number} was refused: {explain(code)}.")
        raw, sb, one = ffi.from_buffer(block), superblock.to_c(), ffi.new("struct dmr_entry *")
        entries = {}
        # a leaf without entries has nothing to check but that
        empty = not lib.dmr_leaf_used(raw) and not any(block[_LEAF_HEADER:])
        for slot in range(0 if empty else LEAF_ENTRIES):
            code = FormatCode(lib.dmr_leaf_get(raw, slot, one))
            code = code or FormatCode(lib.dmr_entry_check(sb, one))
            if code != FormatCode.OK:
                raise FormatError(f"Entry {slot} of leaf {number} was refused: {explain(code)}.")
            if one.kind != EntryKind.FREE:
                entries[slot] = Entry(
                    EntryKind(one.kind),
                    one.main_unit,
                    one.spare_unit,
                    one.spare_idx,
                    EntryFlag(one.flags),
                )
        if len(entries) != lib.dmr_leaf_used(raw):
            raise FormatError(f"Leaf {number} was refused: {explain(FormatCode.NR_USED)}.")
        return cls(number, seq, cls.events_of(block), entries)

    @staticmethod
    def events_of(block: bytes) -> int:
        """The set's events when a leaf that has passed probe() was written."""
        return int.from_bytes(block[16:24], "little")


_LEAF_HEADER = BLOCK_SIZE - LEAF_ENTRIES * 16


def crc32c(data: bytes) -> int:
    """The standard CRC-32C of `data`, with the final inversion."""
    return int(lib.dmr_crc32c(0xFFFFFFFF, data, len(data))) ^ 0xFFFFFFFF


def explain(code: FormatCode) -> str:
    """The kernel module's own words for a refusal."""
    return str(ffi.string(lib.dmr_fmt_strerror(code)).decode("ascii"))


def slot_sector(copy: int) -> int:
    """First sector of the slot of a copy, 0 to REPLICAS - 1."""
    if not 0 <= copy < REPLICAS:
        raise FormatError(f"There is no metadata copy {copy}.")
    return int(lib.dmr_slot_sector(copy))


def rows_to_c(spares: Sequence[SpareDesc], rows: Any) -> None:
    """Fill a C array of struct dmr_spare_desc."""
    if len(spares) > MAX_SPARES:
        raise FormatError(f"A set has at most {MAX_SPARES} spares, not {len(spares)}.")
    for row, spare in zip(rows, spares, strict=False):
        row.uuid = spare.uuid.bytes
        row.sectors = spare.sectors
        row.events = spare.events
        row.state = spare.state
        row.tier = spare.tier
        row.flags = spare.flags


def rows_from_c(rows: Any, count: int) -> tuple[SpareDesc, ...]:
    """The first `count` rows of a C array of struct dmr_spare_desc."""
    return tuple(
        SpareDesc(
            _uuid(row.uuid),
            row.sectors,
            row.events,
            SpareState(row.state),
            row.tier,
            RowFlag(row.flags),
        )
        for row in list(rows)[:count]
    )


def identity_to_c(identity: str) -> bytes:
    """The text as the format keeps it: ASCII, cut to its room."""
    return identity.encode("ascii", "replace")[: IDENTITY_LEN - 1]


def identity_from_c(raw: Any) -> str:
    """The text in a C array."""
    return str(ffi.string(raw).decode("ascii", "replace"))


def _uuid(raw: Any) -> uuid.UUID:
    return uuid.UUID(bytes=bytes(raw))


def check_block(block: bytes) -> None:
    """Raise FormatError if this cannot be a metadata block."""
    if len(block) != BLOCK_SIZE:
        raise FormatError(f"A metadata block has {BLOCK_SIZE} bytes, not {len(block)}.")
