"""The generation records and state blocks of one spare, as they lie there."""

import uuid
from dataclasses import dataclass

from pyctl.errors import MediaError
from pyctl.format.model import FormatCode, explain
from pyctl.format.records import (
    GEN_COPIES,
    GEN_RECORDS,
    STATE_BLOCKS,
    Generation,
    State,
    gen_sector,
    state_sector,
)
from pyctl.format.spare import Opened, read_blocks

__all__ = ["RecordCopy", "StateCopy", "read_records", "read_states"]


@dataclass(frozen=True)
class RecordCopy:
    """A block of the ring of generations; `why` says why there is no `generation` in it.

    `blank`: nothing was ever written there.
    """

    place: int
    copy: int
    sector: int
    why: str
    blank: bool
    generation: Generation | None


@dataclass(frozen=True)
class StateCopy:
    """One of the two state blocks; `why` says why there is no `state` in it."""

    place: int
    sector: int
    why: str
    blank: bool
    state: State | None


def read_records(spare: Opened, set_uuid: uuid.UUID) -> list[RecordCopy]:
    """Both copies of the whole ring."""
    found = []
    for copy in range(GEN_COPIES):
        for place, block in enumerate(read_blocks(spare, gen_sector(0, copy), GEN_RECORDS)):
            sector = gen_sector(place, copy)
            if isinstance(block, MediaError):
                found.append(RecordCopy(place, copy, sector, "it cannot be read", False, None))
                continue
            code, generation = Generation.try_decode(block, set_uuid, place)
            blank = code == FormatCode.BLANK
            why = "" if generation else explain(code)
            found.append(RecordCopy(place, copy, sector, why, blank, generation))
    return found


def read_states(spare: Opened, set_uuid: uuid.UUID) -> list[StateCopy]:
    """All state blocks."""
    found = []
    for place, block in enumerate(read_blocks(spare, state_sector(0), STATE_BLOCKS)):
        sector = state_sector(place)
        if isinstance(block, MediaError):
            found.append(StateCopy(place, sector, "it cannot be read", False, None))
            continue
        code, state = State.try_decode(block, set_uuid, place)
        blank = code == FormatCode.BLANK
        found.append(StateCopy(place, sector, "" if state else explain(code), blank, state))
    return found
