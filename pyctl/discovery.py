"""Which sets there are, on all block devices, and what keeps each of them from being started.

Only reading. Devices are asked by children with a time limit (see patience.py): first for one
superblock each, then for what the first answers make worth knowing.
"""

import base64
import json
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from pyctl import blockdev, identity, probe
from pyctl.blockdev import BlockDevice
from pyctl.errors import FormatError, MediaError, NotFoundError
from pyctl.format import (
    BLOCK_SIZE,
    REPLICAS,
    EntryKind,
    FormatCode,
    SpareState,
    Superblock,
    open_for_reading,
    slot_sector,
    take_survey,
)
from pyctl.foundset import (
    Candidate,
    FoundSet,
    Member,
    Running,
    SetState,
    Standing,
    ambiguous,
    judge,
    no_main,
)
from pyctl.identity import Evidence, Main
from pyctl.patience import Answer, ask_all
from pyctl.setconfig import SetConfig

__all__ = [
    "Discovery",
    "Seen",
    "discover",
    "holds_data",
]

SECONDS = 10.0
"""How long a device may take to answer."""

# Nobody has a set on these, and opening some of them is slow or makes noise.
_NO_DISKS = ("ram", "zram", "fd", "sr", "mtdblock")
_MAGIC = b"DMREMAP4"
_SECTORS_OF_A_BLOCK = BLOCK_SIZE // 512


@dataclass(frozen=True)
class Seen:
    """A device: its newest superblock, or why it could not be read.

    `damaged`: there are traces of dm-remap, but no whole superblock. `contents` is what else blkid
    finds there; it is looked for only where that matters.
    """

    device: BlockDevice
    superblock: Superblock | None = None
    damaged: bool = False
    why: str = ""
    contents: str = ""


@dataclass
class Discovery:
    """All sets, and all devices that were looked at.

    `unseen` are sets that run although none of their spares can be read.
    """

    sets: list[FoundSet]
    devices: list[Seen]
    unseen: dict[uuid.UUID, Running]


def discover(
    running: dict[uuid.UUID, Running],
    configs: dict[uuid.UUID, SetConfig],
    *,
    everything: bool = False,
    devices: Sequence[BlockDevice] | None = None,
) -> Discovery:
    """Look at all block devices.

    `running` are the sets that the kernel runs, `configs` those that this machine remembers. With
    `everything`, also what carries no set is told about. `devices` replaces what /sys lists.
    """
    everyone = blockdev.all_devices() if devices is None else devices
    seen = _look_at(_worth_asking(everyone))
    if everything:
        seen = _with_contents(seen)
    sets = [
        _found_set(members, running.get(set_uuid), configs.get(set_uuid))
        for set_uuid, members in sorted(_by_set(seen).items())
    ]
    _find_mains(sets, [one.device for one in seen if not one.superblock and not one.why])
    for one in sets:
        one.state = judge(one)
    there = {one.uuid for one in sets}
    return Discovery(sets, list(seen), {key: running[key] for key in running.keys() - there})


def holds_data(one: FoundSet) -> bool:
    """Is anything of the set on its spares only? True, too, when that cannot be found out.

    Reads the whole table.
    """
    paths = [m.device.path for m in one.members if m.standing == Standing.IN_SYNC]
    (answer,) = ask_all([partial(_table_is_empty, paths)], SECONDS)
    return answer.data != b"empty"


# In a child.
def _table_is_empty(paths: Sequence[str]) -> bytes:
    with ExitStack() as stack:
        seen = take_survey([stack.enter_context(open_for_reading(path)) for path in paths])
        main_units = (e for _, _, e in seen.entries() if e.kind != EntryKind.BAD)
        return b"empty" if not seen.lost and next(main_units, None) is None else b"used"


def _worth_asking(devices: Iterable[BlockDevice]) -> list[BlockDevice]:
    return [device for device in devices if not device.name.startswith(_NO_DISKS)]


def _look_at(devices: Sequence[BlockDevice]) -> list[Seen]:
    asked = [device for device in devices if not device.suspended]
    answers = ask_all([partial(_superblocks, device.path) for device in asked], SECONDS)
    found = dict(zip((device.number for device in asked), answers, strict=True))
    silent = Answer(why="it is suspended: all its I/O waits")
    return [_seen(device, found.get(device.number, silent)) for device in devices]


# In a child: the five copies, or nothing if there is no trace of any. The first is enough to tell
# that a device is a spare; but the newest must be found, and the first may be damaged.
def _superblocks(path: str) -> bytes:
    copies: list[bytes] = []
    with open_for_reading(path) as opened:
        for copy in range(REPLICAS):
            sector = slot_sector(copy)
            block = b""
            if sector + _SECTORS_OF_A_BLOCK <= opened.sectors:
                try:
                    block = opened.read(sector, BLOCK_SIZE)
                except MediaError:
                    # the others tell; a device without any that can be read is told about
                    if copy == REPLICAS - 1 and not any(copies):
                        raise
            copies.append(block)
    if not any(block.startswith(_MAGIC) for block in copies):
        return b""
    return json.dumps([base64.b64encode(block).decode() for block in copies]).encode()


def _seen(device: BlockDevice, answer: Answer) -> Seen:
    if answer.why or not answer.data:
        return Seen(device, why=answer.why)
    best: Superblock | None = None
    for copy, text in enumerate(json.loads(answer.data)):
        block = base64.b64decode(text)
        if not block:
            continue
        code, superblock = Superblock.try_decode(block, copy, device.sectors)
        if code == FormatCode.OK and superblock and (not best or superblock.events > best.events):
            best = superblock
    return Seen(device, superblock=best, damaged=best is None)


def _with_contents(seen: Sequence[Seen]) -> list[Seen]:
    readable = [one for one in seen if not one.why]
    answers = ask_all([partial(_contents, one.device.path) for one in readable], SECONDS)
    said = {
        one.device.number: answer.data.decode()
        for one, answer in zip(readable, answers, strict=True)
    }
    return [replace(one, contents=said.get(one.device.number, "")) for one in seen]


# In a child.
def _contents(path: str) -> bytes:
    found = probe.blkid(path)
    words = [found.get(key, "") for key in ("TYPE", "PTTYPE", "LABEL", "UUID")]
    return " ".join(word for word in words if word).encode()


def _by_set(seen: Iterable[Seen]) -> dict[uuid.UUID, list[tuple[BlockDevice, Superblock]]]:
    found: dict[uuid.UUID, list[tuple[BlockDevice, Superblock]]] = {}
    for one in seen:
        if one.superblock:
            found.setdefault(one.superblock.set_uuid, []).append((one.device, one.superblock))
    return found


def _found_set(
    carriers: Sequence[tuple[BlockDevice, Superblock]],
    running: Running | None,
    config: SetConfig | None,
) -> FoundSet:
    carriers = _topmost(carriers)
    reference = max((superblock for _, superblock in carriers), key=lambda one: one.rank)
    used = running.spares if running else ()
    members = [
        Member(
            device,
            superblock,
            _standing(superblock, reference, carriers),
            in_use=device.number in used,
        )
        for device, superblock in carriers
    ]
    members.sort(key=lambda one: (one.superblock.spare_idx, one.device.name))
    return FoundSet(reference, members, running=running, config=config)


# A path of a multipath device, or a member of a RAID 1, shows the superblock of what is on top.
def _topmost(
    carriers: Sequence[tuple[BlockDevice, Superblock]],
) -> list[tuple[BlockDevice, Superblock]]:
    names = {device.name: superblock.spare_uuid for device, superblock in carriers}
    return [
        (device, superblock)
        for device, superblock in carriers
        if not any(names.get(above) == superblock.spare_uuid for above in blockdev.holders(device))
    ]


def _standing(
    own: Superblock, reference: Superblock, carriers: Sequence[tuple[BlockDevice, Superblock]]
) -> Standing:
    rows = reference.spares
    if own.spare_idx >= len(rows) or rows[own.spare_idx].uuid != own.spare_uuid:
        return Standing.FORMER
    if rows[own.spare_idx].state == SpareState.LEFT:
        return Standing.FORMER
    if sum(other.spare_uuid == own.spare_uuid for _, other in carriers) > 1:
        return Standing.TWICE
    if rows[own.spare_idx].state == SpareState.IN_SYNC:
        return Standing.IN_SYNC
    return Standing.STALE


def _find_mains(sets: Sequence[FoundSet], devices: Sequence[BlockDevice]) -> None:
    wanted = {
        device.number: device
        for device in devices
        for one in sets
        if not one.running and _fits(one.reference, device)
    }
    jobs = [partial(_identity, device) for device in wanted.values()]
    answers = dict(zip(wanted, ask_all(jobs, SECONDS), strict=True))
    for one in sets:
        if one.running:
            one.main = _running_main(one.running)
            continue
        here = [device for device in wanted.values() if _fits(one.reference, device)]
        _choose_main(one, [_candidate(one, device, answers[device.number]) for device in here])


def _fits(superblock: Superblock, device: BlockDevice) -> bool:
    right_length = identity.has_length(superblock, device.sectors)
    return right_length and device.lbs == superblock.main_lbs


# In a child.
def _identity(device: BlockDevice) -> bytes:
    return json.dumps(identity.of_device(device)).encode()


def _running_main(running: Running) -> Candidate | None:
    major, _, minor = running.main.partition(":")
    try:
        device = BlockDevice.by_number(int(major), int(minor))
    except (ValueError, NotFoundError):
        return None
    return Candidate(device, Evidence.HARDWARE, {})


def _candidate(one: FoundSet, device: BlockDevice, answer: Answer) -> Candidate:
    if answer.why:
        return Candidate(device, Evidence.AGAINST, {}, answer.why)
    found: dict[str, str] = json.loads(answer.data)
    main = Main(device.path, device.sectors, device.lbs, found)
    strength = identity.evidence(one.reference, main)
    differs = [
        seen.clause
        for seen in identity.examine(one.reference, main, now=one.reference.updated)
        if seen.verdict == identity.Verdict.REFUSED
    ]
    return Candidate(device, strength, found, "; ".join(differs))


def _choose_main(one: FoundSet, candidates: Sequence[Candidate]) -> None:
    best = max((candidate.evidence for candidate in candidates), default=Evidence.AGAINST)
    chosen = [candidate for candidate in candidates if candidate.evidence == best]
    if best <= Evidence.NONE:
        unknown = [c for c in candidates if c.evidence == Evidence.NONE]
        chosen = _by_content(one, unknown)
    chosen = _topmost_candidates(chosen)
    if len(chosen) == 1:
        one.main, one.main_identity = chosen[0], chosen[0].identity
    elif chosen:
        one.problems.append(ambiguous(one, chosen))
        one.state = SetState.AMBIGUOUS
    else:
        one.problems.append(no_main(one, candidates))


# Of two that are alike, one may be built on the other, as multipath is on its paths.
def _topmost_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    names = {candidate.device.name for candidate in candidates}
    return [c for c in candidates if not names.intersection(blockdev.holders(c.device))]


def _by_content(one: FoundSet, candidates: Sequence[Candidate]) -> list[Candidate]:
    spares = [m.device.path for m in one.members if m.standing == Standing.IN_SYNC]
    if not spares or not candidates:
        return []
    jobs = [partial(_content, spares, candidate.device.path) for candidate in candidates]
    answers = ask_all(jobs, SECONDS)
    return [
        Candidate(candidate.device, Evidence.CONTENT, candidate.identity)
        for candidate, answer in zip(candidates, answers, strict=True)
        if answer.data == b"same"
    ]


# In a child.
def _content(spares: Sequence[str], main: str) -> bytes:
    with ExitStack() as stack:
        opened = [stack.enter_context(open_for_reading(path)) for path in spares]
        try:
            same = identity.content_is_the_same(take_survey(opened), main)
        except FormatError:
            same = False
    return b"same" if same else b"other"
