"""A set as it was found, and what keeps it from being started."""

import enum
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyctl.blockdev import BlockDevice
from pyctl.format import SpareState, Superblock
from pyctl.format.check import lived_apart
from pyctl.identity import Evidence
from pyctl.output import when
from pyctl.setconfig import SetConfig, default_name

__all__ = [
    "Candidate",
    "FoundSet",
    "Member",
    "Problem",
    "Running",
    "SetState",
    "Standing",
    "ambiguous",
    "judge",
    "no_main",
]


class SetState(enum.StrEnum):
    """What can be done with a set as it is."""

    RUNNING = "running"
    READY = "ready to assemble"
    INCOMPLETE = "incomplete"
    NO_MAIN = "main not found"
    AMBIGUOUS = "ambiguous"
    BROKEN = "not usable"


class Standing(enum.StrEnum):
    """What a device is to the set whose superblock it carries."""

    IN_SYNC = "in sync"
    STALE = "stale"
    FORMER = "former member"
    TWICE = "there twice"


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do about it; two sentences."""

    text: str
    hint: str


@dataclass(frozen=True)
class Member:
    """A device that carries a superblock of the set. `in_use`: the running set uses it."""

    device: BlockDevice
    superblock: Superblock
    standing: Standing
    in_use: bool = False


@dataclass(frozen=True)
class Candidate:
    """A device of main's size: what speaks for it, and what speaks against it."""

    device: BlockDevice
    evidence: Evidence
    identity: dict[str, str]
    why_not: str = ""


@dataclass(frozen=True)
class Running:
    """The device-mapper device of a set, with the numbers (major:minor) of those below."""

    name: str
    main: str
    spares: tuple[str, ...]


@dataclass
class FoundSet:
    """A set, as the newest superblock among its members tells it."""

    reference: Superblock
    members: list[Member]
    state: SetState = SetState.BROKEN
    running: Running | None = None
    config: SetConfig | None = None
    main: Candidate | None = None
    main_identity: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def uuid(self) -> uuid.UUID:
        """The set's UUID."""
        return self.reference.set_uuid

    @property
    def name(self) -> str:
        """What it runs as, or would be started as."""
        if self.running:
            return self.running.name
        return self.config.name if self.config else default_name(self.uuid)

    @property
    def spares(self) -> list[BlockDevice]:
        """The devices that the set is started with."""
        usable = (Standing.IN_SYNC, Standing.STALE)
        return [one.device for one in self.members if one.standing in usable]

    @property
    def returned(self) -> list[Member]:
        """Spares that are there, and that the running set does not use."""
        usable = (Standing.IN_SYNC, Standing.STALE)
        return [m for m in self.members if self.running and m.standing in usable and not m.in_use]

    def member(self, index: int) -> Member | None:
        """The member in a row of the set's table of spares."""
        for one in self.members:
            usable = one.standing in (Standing.IN_SYNC, Standing.STALE)
            if usable and one.superblock.spare_idx == index:
                return one
        return None


def ambiguous(one: FoundSet, chosen: Sequence[Candidate]) -> Problem:
    """Several devices are as likely to be main."""
    paths = [candidate.device.best_path for candidate in chosen]
    return Problem(
        f"{len(paths)} devices look like its main device: {', '.join(paths)}; one is probably a"
        " copy of the other.",
        "Take the copy away, or, if you know which is right: pyctl assemble"
        f" {_name(one)} MAIN {_spare_words(one)}",
    )


def no_main(one: FoundSet, candidates: Sequence[Candidate]) -> Problem:
    """None of the devices that have main's size is known to be main."""
    sb = one.reference
    known = sb.identity or "nothing else is known of it"
    looked_at = "; ".join(
        f"{c.device.best_path} has this size, but "
        + (c.why_not or "nothing tells that it is the one")
        for c in candidates
    )
    return Problem(
        f"No device is known to be its main device, which has {sb.main_sectors} sectors in blocks"
        f" of {sb.main_lbs} bytes ({known})." + (f" {looked_at}." if looked_at else ""),
        "Attach it. If it is there and you are sure which one it is: pyctl assemble"
        f" {_name(one)} MAIN {_spare_words(one)}",
    )


def _name(one: FoundSet) -> str:
    return one.config.name if one.config else "NAME"


def _spare_words(one: FoundSet) -> str:
    return " ".join(device.best_path for device in one.spares) or "SPARE..."


def judge(one: FoundSet) -> SetState:
    """Complete the problems of a set, and say what can be done with it.

    What the search for its main device has found is in `problems` and `state` already.
    """
    broken = [problem for check in _CHECKS for problem in check(one)]
    missing = _missing(one)
    notes = _stale_notes(one)
    if one.running:
        one.problems = [*missing, *notes]
        return SetState.RUNNING
    lookup = one.problems
    one.problems = [*broken, *missing, *lookup, *notes]
    if broken:
        return SetState.BROKEN
    if missing:
        return SetState.INCOMPLETE
    if lookup:
        return one.state if one.state == SetState.AMBIGUOUS else SetState.NO_MAIN
    return SetState.READY


def _twice(one: FoundSet) -> list[Problem]:
    twins = [m for m in one.members if m.standing == Standing.TWICE]
    found = []
    for index in sorted({m.superblock.spare_idx for m in twins}):
        paths = [m.device.best_path for m in twins if m.superblock.spare_idx == index]
        found.append(
            Problem(
                f"{' and '.join(paths)} are the same spare (number {index}): one is a copy.",
                "Take the copy away; which of them is newer cannot always be told.",
            )
        )
    return found


def _apart(one: FoundSet) -> list[Problem]:
    reference = one.reference
    return [
        Problem(
            f"{m.device.best_path} and spare {reference.spare_idx} were each started without the"
            " other: each may have remaps that the other does not know.",
            "Take the one away whose changes can go, and start with --degraded.",
        )
        for m in one.members
        if m.standing in (Standing.IN_SYNC, Standing.STALE) and lived_apart(m.superblock, reference)
    ]


def _none_in_sync(one: FoundSet) -> list[Problem]:
    if any(m.standing in (Standing.IN_SYNC, Standing.TWICE) for m in one.members):
        return []
    return [
        Problem(
            "None of the devices that are here is in sync with its set.",
            "Attach the others; `pyctl metadata history DEVICE...` tells what has happened.",
        )
    ]


_CHECKS: tuple[Callable[[FoundSet], list[Problem]], ...] = (_twice, _apart, _none_in_sync)


# Rows that the set calls in sync, and nobody there. A running set counts what it does not use, too.
def _missing(one: FoundSet) -> list[Problem]:
    found = []
    twins = {m.superblock.spare_idx for m in one.members if m.standing == Standing.TWICE}
    for index, row in enumerate(one.reference.spares):
        if row.state != SpareState.IN_SYNC or index in twins or one.member(index):
            continue
        found.append(
            Problem(
                f"Spare {index} ({row.uuid}, {row.sectors} sectors) is missing. It was in sync when"
                f" the set was last written, at event {one.reference.events}"
                f" ({when(one.reference.updated)}).",
                "Attach it. Only if it is gone for good: pyctl assemble --degraded"
                f" {_name(one)} {_main_word(one)} {_spare_words(one)}",
            )
        )
    return found


def _main_word(one: FoundSet) -> str:
    return one.main.device.best_path if one.main else "MAIN"


def _stale_notes(one: FoundSet) -> list[Problem]:
    reference = one.reference
    found = []
    for m in one.members:
        path = m.device.best_path
        if m.standing == Standing.FORMER:
            found.append(
                Problem(
                    f"{path} was a spare of this set once and is no member any more.",
                    "It can be used for something else once its beginning is erased.",
                )
            )
        elif m.standing == Standing.STALE:
            row = reference.spares[m.superblock.spare_idx]
            what = "failed" if row.state == SpareState.FAILED else "was missing"
            found.append(
                Problem(
                    f"{path} (spare {m.superblock.spare_idx}) is stale: it {what}, and was in sync"
                    f" until event {row.events}; the set is at event {reference.events}.",
                    "What is on it is not used: its blocks return errors. If it should not have"
                    f" been left out: `pyctl rollback {one.name}`.",
                )
            )
        elif one.running and not m.in_use:
            found.append(
                Problem(
                    f"{path} (spare {m.superblock.spare_idx}) is here, but the running set does not"
                    " use it.",
                    f"`pyctl spare add {one.running.name} {path}` brings it back.",
                )
            )
    return found
