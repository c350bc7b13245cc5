"""Generation records and state blocks: what a spare holds beside superblocks and the table.

Times are seconds since 1970, units are logical blocks of the set. Encoding and checks are the
kernel module's own C.
"""

import enum
import uuid
from dataclasses import dataclass, field
from typing import Any

from pyctl.errors import FormatError
from pyctl.format._native import ffi, lib
from pyctl.format.model import (
    BLOCK_SIZE,
    FormatCode,
    SpareDesc,
    Superblock,
    check_block,
    identity_from_c,
    identity_to_c,
    rows_from_c,
    rows_to_c,
)

__all__ = [
    "COUNTERS",
    "GEN_COPIES",
    "GEN_RECORDS",
    "NR_SAMPLES",
    "STATE_BLOCKS",
    "Generation",
    "Noted",
    "Reason",
    "Sample",
    "Scanned",
    "State",
    "Usage",
    "gen_sector",
    "sample_unit",
    "state_sector",
]

GEN_RECORDS: int = lib.DMR_GEN_RECORDS
GEN_COPIES: int = lib.DMR_GEN_COPIES
STATE_BLOCKS: int = lib.DMR_STATE_BLOCKS
NR_SAMPLES: int = lib.DMR_NR_SAMPLES

COUNTERS: tuple[str, ...] = tuple(
    ffi.string(lib.dmr_counter_name(number)).decode("ascii")
    for number in range(lib.DMR_NR_COUNTERS)
)
"""Names of the counters that survive a restart, in the order of the format."""


class Reason(enum.IntEnum):
    """Why there is a new generation."""

    CREATED = lib.DMR_REASON_CREATED
    SPARE_FAILED = lib.DMR_REASON_SPARE_FAILED
    SPARE_MISSING = lib.DMR_REASON_SPARE_MISSING
    RESTORED = lib.DMR_REASON_RESTORED
    ROLLED_BACK = lib.DMR_REASON_ROLLED_BACK
    IDENTITY = lib.DMR_REASON_IDENTITY
    SPARE_ADDED = lib.DMR_REASON_SPARE_ADDED
    SPARE_REMOVED = lib.DMR_REASON_SPARE_REMOVED
    SPARE_RESYNCED = lib.DMR_REASON_SPARE_RESYNCED
    MAIN_REPLACED = lib.DMR_REASON_MAIN_REPLACED

    @property
    def word(self) -> str:
        """As the kernel module calls it: `spare-failed`."""
        return str(ffi.string(lib.dmr_reason_name(self)).decode("ascii"))


def gen_sector(number: int, copy: int) -> int:
    """First sector of generation `number` on every spare, copy 0 to GEN_COPIES - 1."""
    if number < 0 or not 0 <= copy < GEN_COPIES:
        raise FormatError(f"There is no copy {copy} of a generation {number}.")
    return int(lib.dmr_gen_sector(number, copy))


def state_sector(seq: int) -> int:
    """First sector of the state block that write number `seq` goes to."""
    return int(lib.dmr_state_sector(seq))


def sample_unit(superblock: Superblock, number: int) -> int:
    """The unit of main that sample `number` is taken from."""
    if not 0 <= number < NR_SAMPLES:
        raise FormatError(f"There is no sample {number}.")
    return int(lib.dmr_sample_unit(superblock.to_c(), number))


@dataclass(frozen=True)
class Generation:
    """The members of a set as one structural change left them."""

    number: int
    events: int
    time: int
    reason: Reason
    main_sectors: int
    spares: tuple[SpareDesc, ...]
    spare_idx: int = 0
    remaps: int = 0
    lost: int = 0
    bad: int = 0
    identity: str = ""

    @classmethod
    def of(cls, superblock: Superblock, reason: Reason, **counts: int) -> "Generation":
        """What a superblock says now; `counts` are remaps, lost, bad and spare_idx."""
        return cls(
            number=superblock.generation,
            events=superblock.events,
            time=superblock.updated,
            reason=reason,
            main_sectors=superblock.main_sectors,
            spares=superblock.spares,
            identity=superblock.identity,
            **counts,
        )

    def encode(self, set_uuid: uuid.UUID) -> bytes:
        """The block, with its checksum."""
        raw = ffi.new("struct dmr_gen *")
        for name in _GEN_SAME:
            setattr(raw, name, getattr(self, name))
        raw.nr_spares = len(self.spares)
        raw.identity = identity_to_c(self.identity)
        rows_to_c(self.spares, raw.spare)
        block = bytearray(BLOCK_SIZE)
        lib.dmr_gen_encode(raw, set_uuid.bytes, ffi.from_buffer(block, require_writable=True))
        return bytes(block)

    @classmethod
    def try_decode(
        cls, block: bytes, set_uuid: uuid.UUID, place: int
    ) -> "tuple[FormatCode, Generation | None]":
        """Validate and read the record at `place` of the ring; a refusal is a result."""
        check_block(block)
        if not 0 <= place < GEN_RECORDS:
            raise FormatError(f"The ring of generations has no place {place}.")
        raw = ffi.new("struct dmr_gen *")
        code = FormatCode(lib.dmr_gen_decode(ffi.from_buffer(block), set_uuid.bytes, place, raw))
        return (code, cls._from_c(raw) if code == FormatCode.OK else None)

    @classmethod
    def _from_c(cls, raw: Any) -> "Generation":
        values = {name: getattr(raw, name) for name in _GEN_SAME}
        values["reason"] = Reason(raw.reason)
        return cls(
            spares=rows_from_c(raw.spare, raw.nr_spares),
            identity=identity_from_c(raw.identity),
            **values,
        )


_GEN_SAME = (
    "number",
    "events",
    "time",
    "reason",
    "main_sectors",
    "spare_idx",
    "remaps",
    "lost",
    "bad",
)


@dataclass(frozen=True)
class Sample:
    """CRC-32C (without the final inversion) of a unit of main; None if it could not be taken."""

    unit: int
    crc: int | None


@dataclass(frozen=True)
class Usage:
    """How many entries of the table were in use at a time (seconds since 1970)."""

    time: int
    used: int


@dataclass(frozen=True)
class Noted:
    """A region of 1 MiB of which the health scan has something to tell.

    `device` is 0 for main and n + 1 for spare n, `slow` a mask of its pieces of 32 KiB.
    """

    device: int
    region: int
    slow: int = 0
    errors: int = 0
    retries: int = 0


@dataclass(frozen=True)
class Scanned:
    """Where the health scan is, and what it has found. Times are seconds since 1970, 0: never."""

    running: bool = False
    paused: bool = False
    pattern: int = 0
    device: int = 0
    number: int = 0
    place: int = 0
    seed: int = 0
    began: int = 0
    since: int = 0
    ended: int = 0
    errors: int = 0
    rescued: int = 0
    slow: int = 0
    blanks: int = 0
    relocated: int = 0
    found: int = 0
    found_before: int = 0
    noted: tuple[Noted, ...] = ()

    def to_c(self, raw: Any) -> None:
        """Into the part of a state that it is."""
        for name in _SCAN_SAME:
            setattr(raw, name, getattr(self, name))
        setattr(raw, "pass", self.number)
        raw.flags = self.running * lib.DMR_SCAN_RUNNING | self.paused * lib.DMR_SCAN_PAUSED
        raw.nr_noted = len(self.noted)
        for slot, noted in zip(raw.noted, self.noted, strict=False):
            slot.key = noted.device << _KEY_SHIFT | noted.region
            slot.slow, slot.errors, slot.retries = noted.slow, noted.errors, noted.retries

    @classmethod
    def from_c(cls, raw: Any) -> "Scanned":
        """The part of a state that was read."""
        return cls(
            running=bool(raw.flags & lib.DMR_SCAN_RUNNING),
            paused=bool(raw.flags & lib.DMR_SCAN_PAUSED),
            number=getattr(raw, "pass"),
            noted=tuple(
                Noted(n.key >> _KEY_SHIFT, n.key % (1 << _KEY_SHIFT), n.slow, n.errors, n.retries)
                for n in list(raw.noted)[: raw.nr_noted]
            ),
            **{name: getattr(raw, name) for name in _SCAN_SAME},
        )


# What DMR_KEY_SHIFT is in dm-remap-marks.h, which is no part of this binding.
_KEY_SHIFT = 56
_SCAN_SAME = (
    "pattern",
    "device",
    "place",
    "seed",
    "began",
    "since",
    "ended",
    "errors",
    "rescued",
    "slow",
    "blanks",
    "relocated",
    "found",
    "found_before",
)


@dataclass(frozen=True)
class State:
    """What may be lost without harm: counters, samples of main, the history of usage.

    `clean` says that the set was stopped in order, so that main is as the samples say.
    """

    seq: int
    time: int = 0
    clean: bool = False
    counters: dict[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    usage: tuple[Usage, ...] = ()
    scan: Scanned = field(default_factory=Scanned)

    def encode(self, set_uuid: uuid.UUID) -> bytes:
        """The block, with its checksum. Counters that are not given are 0."""
        raw = ffi.new("struct dmr_state *")
        raw.seq, raw.time = self.seq, self.time
        raw.flags = lib.DMR_STATE_CLEAN if self.clean else 0
        raw.counter = [self.counters.get(name, 0) for name in COUNTERS]
        for slot, sample in zip(raw.sample, self.samples, strict=False):
            slot.unit, slot.crc = sample.unit, sample.crc or 0
            slot.valid = sample.crc is not None
        raw.nr_usage = len(self.usage)
        for note, usage in zip(raw.usage, self.usage, strict=False):
            note.time, note.used = usage.time, usage.used
        self.scan.to_c(raw.scan)
        block = bytearray(BLOCK_SIZE)
        lib.dmr_state_encode(raw, set_uuid.bytes, ffi.from_buffer(block, require_writable=True))
        return bytes(block)

    @classmethod
    def try_decode(
        cls, block: bytes, set_uuid: uuid.UUID, place: int
    ) -> "tuple[FormatCode, State | None]":
        """Validate and read state block number `place`; a refusal is a result."""
        check_block(block)
        if not 0 <= place < STATE_BLOCKS:
            raise FormatError(f"There is no state block {place}.")
        raw = ffi.new("struct dmr_state *")
        code = FormatCode(lib.dmr_state_decode(ffi.from_buffer(block), set_uuid.bytes, place, raw))
        if code != FormatCode.OK:
            return code, None
        return code, cls(
            seq=raw.seq,
            time=raw.time,
            clean=bool(raw.flags & lib.DMR_STATE_CLEAN),
            counters=dict(zip(COUNTERS, raw.counter, strict=True)),
            samples=tuple(Sample(s.unit, s.crc if s.valid else None) for s in raw.sample),
            usage=tuple(Usage(u.time, u.used) for u in list(raw.usage)[: raw.nr_usage]),
            scan=Scanned.from_c(raw.scan),
        )
