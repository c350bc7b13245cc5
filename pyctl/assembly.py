"""Making a dm-remap device: look at everything, decide, then act.

`plan()` writes nothing and needs no device-mapper; `execute()` does what a plan says.
"""

import errno
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pyctl import identity, probe
from pyctl.blockdev import BlockDevice, users
from pyctl.control import DmDevice
from pyctl.dm import TargetLine
from pyctl.errors import DmError, RefusedError, UsageError
from pyctl.format import (
    DEFAULT_MAX_REMAPS,
    MIN_SPARE_SECTORS,
    Change,
    MainGeometry,
    ReadSpare,
    Reason,
    Severity,
    SpareState,
    Superblock,
    check_set,
    commit,
    format_set,
    newest_superblock,
    open_exclusively,
    open_for_reading,
    plan_set,
    read_spare,
    stale_spares,
    take_survey,
)
from pyctl.identity import Field, Verdict
from pyctl.kmsg import KernelLog
from pyctl.table import RemapTable, dm_uuid

__all__ = ["Plan", "Wishes", "check_pairing", "describe", "execute", "plan"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wishes:
    """What the caller allows and asks for.

    `force` formats spares that carry something else, `reformat` even those of this very set;
    `force_main` accepts a main device with another hardware identity; `degraded` starts a set
    without all of its spares. `may_format` is False for a mere assembly. `options` are further
    words for the table.
    """

    force: bool = False
    reformat: bool = False
    force_main: bool = False
    degraded: bool = False
    may_format: bool = True
    max_remaps: int | None = None
    set_uuid: uuid.UUID | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is going to be done. `format` is empty when an existing set is assembled.

    `identity` is what is known of main; `remember` is the same if the superblocks don't have it
    yet, else None.
    """

    name: str
    set_uuid: uuid.UUID
    main: BlockDevice
    spares: tuple[BlockDevice, ...]
    table: TargetLine
    dm_uuid: str
    unit_bytes: int
    format: tuple[Superblock, ...] = ()
    wipe: tuple[str, ...] = ()
    identity: str = ""
    remember: str | None = None
    warnings: list[str] = field(default_factory=list)


def plan(name: str, main_path: str, spare_paths: Sequence[str], wishes: Wishes) -> Plan:
    """Check main and spares and say what would be done.

    Raises RefusedError for whatever could destroy or misread data, and whatever the lookup of a
    device raises.
    """
    main = BlockDevice.find(main_path)
    spares = tuple(BlockDevice.find(path) for path in spare_paths)
    _check_devices(main, spares)
    with ExitStack() as stack:
        for device in (main, *spares):
            _claim(stack, device)
        found = [read_spare(device.path) for device in spares]
        main_identity = identity.of_device(main)
        owned = [spare for spare in found if spare.superblock]
        fresh = wishes.may_format and (not owned or wishes.reformat)
        if wishes.force and wishes.may_format and owned:
            fresh = fresh or bool(_pairing_problems(main, spares, main_identity, found, wishes)[0])
        if fresh:
            return _plan_format(name, main, spares, found, main_identity, wishes)
    return _plan_assembly(name, main, spares, found, main_identity, wishes)


def execute(
    todo: Plan,
    device: DmDevice,
    ensure_target: Callable[[], None],
    progress: Progress | None = None,
) -> None:
    """Format what the plan says, and start the device.

    `ensure_target` is called before anything is written and raises NoKernelError if the kernel has
    no target `remap`. A device that cannot be started is removed again. Raises DmError with the
    kernel log's explanation, RefusedError if the name or the set is taken.
    """
    if device.info().exists:
        raise RefusedError(
            f"There is a device-mapper device {todo.name} already.",
            hint="Choose another name, or `pyctl remove` that one first.",
        )
    ensure_target()
    if todo.format:
        _format(todo, progress)
    elif todo.remember is not None:
        _remember(todo, todo.remember)
    log = KernelLog()
    try:
        device.create([todo.table], todo.dm_uuid)
    except DmError as error:
        said = log.lines()
        if error.errno == errno.EBUSY and error.ioctl == "CREATE":
            raise RefusedError(
                f"The device {todo.name} cannot be made: its name or its UUID {todo.dm_uuid} is"
                " taken, so this set is probably running already.",
                hint="See `pyctl list`.",
            ) from error
        why = " The kernel says: " + "; ".join(said) + "." if said else ""
        raise DmError(
            f"{error.message}{why}",
            errno=error.errno,
            ioctl=error.ioctl,
            device=error.device,
            hint="" if said else "The kernel log (`dmesg`) says why.",
        ) from error


def _format(todo: Plan, progress: Progress | None) -> None:
    for path in todo.wipe:
        probe.wipe(path)
    with ExitStack() as stack:
        # Main is claimed as well, so that nobody mounts it meanwhile; nothing is written to it.
        stack.enter_context(open_exclusively(todo.main.path, write=False))
        opened = [
            stack.enter_context(open_exclusively(spare.path, write=True)) for spare in todo.spares
        ]
        format_set(opened, todo.format, progress)


# What the kernel is going to refuse is left as it is.
def _remember(todo: Plan, text: str) -> None:
    with ExitStack() as stack:
        opened = [
            stack.enter_context(open_exclusively(spare.path, write=True)) for spare in todo.spares
        ]
        seen = take_survey(opened)
        if any(finding.severity == Severity.LEFT for finding in check_set(seen)):
            return
        change = Change(replace(seen.reference, identity=text), Reason.IDENTITY)
        spares = sorted(seen.current, key=lambda spare: -spare.own.events)
        commit(seen, change, spares, [entry for _, _, entry in seen.entries()])


def _check_devices(main: BlockDevice, spares: Sequence[BlockDevice]) -> None:
    if not spares:
        raise UsageError("At least one spare is needed.")
    seen: dict[str, BlockDevice] = {}
    for device in (main, *spares):
        if device.number in seen:
            other = seen[device.number].path
            what = f"{other} and {device.path} are" if other != device.path else f"{other} is"
            raise RefusedError(
                f"{what} the same device, given twice.",
                hint="Main and every spare must be devices of their own.",
            )
        seen[device.number] = device
        if device.lbs not in (512, 1024, 2048, 4096):
            raise RefusedError(
                f"{device.path} has logical blocks of {device.lbs} bytes; dm-remap can use 512,"
                " 1024, 2048 and 4096."
            )
    for spare in spares:
        if spare.sectors < MIN_SPARE_SECTORS:
            raise RefusedError(
                f"{spare.path} is too small for a spare: it has {spare.sectors} sectors of 512"
                f" bytes, {MIN_SPARE_SECTORS} (6 MiB) are the least."
            )
        if spare.read_only:
            raise RefusedError(f"{spare.path} is read-only, so it cannot be a spare.")
    if not main.sectors:
        raise RefusedError(f"{main.path} has no sectors: there is nothing to protect.")


# Held until the decision is made, so that the answer is still true then.
def _claim(stack: ExitStack, device: BlockDevice) -> None:
    try:
        stack.enter_context(open_exclusively(device.path, write=False))
    except RefusedError as error:
        found = users(device)
        raise RefusedError(
            f"{device.path} is in use: "
            + ("; ".join(found) if found else "the kernel says it is claimed by somebody")
            + ".",
            hint="Unmount it, or stop what uses it, and try again.",
        ) from error


def _unit_bytes(main: BlockDevice, spares: Sequence[BlockDevice]) -> int:
    return 512 if all(device.lbs == 512 for device in (main, *spares)) else 4096


def _plan_format(
    name: str,
    main: BlockDevice,
    spares: tuple[BlockDevice, ...],
    found: Sequence[ReadSpare],
    main_identity: dict[str, str],
    wishes: Wishes,
) -> Plan:
    unit = _unit_bytes(main, spares)
    to_wipe, obstacles = [], []
    for spare in found:
        contents = _contents(spare)
        obstacles += [f"{spare.path} carries {what}" for what in contents]
        if contents:
            to_wipe.append(spare.path)
    if obstacles and not (wishes.force or wishes.reformat):
        raise RefusedError(
            "The spares would be formatted, but they are not empty: " + "; ".join(obstacles) + ".",
            hint="Nothing was written. If all of that may be destroyed, add --force.",
        )
    superblocks = plan_set(
        MainGeometry(main.sectors, main.lbs, identity.encode(main_identity)),
        [spare.sectors for spare in spares],
        unit_bytes=unit,
        max_remaps=DEFAULT_MAX_REMAPS if wishes.max_remaps is None else wishes.max_remaps,
        set_uuid=wishes.set_uuid,
    )
    first = superblocks[0]
    return Plan(
        name=name,
        set_uuid=first.set_uuid,
        main=main,
        spares=spares,
        table=_table(main, spares, first, wishes),
        dm_uuid=dm_uuid(first.set_uuid),
        unit_bytes=unit,
        format=tuple(superblocks),
        identity=first.identity,
        wipe=tuple(to_wipe),
        warnings=[f"{what}; it will be destroyed" for what in obstacles],
    )


# In words, what would be lost if this spare were formatted.
def _contents(spare: ReadSpare) -> list[str]:
    what = [str(signature) for signature in probe.signatures(spare.path)]
    if spare.superblock:
        what.append(f"the dm-remap set {spare.superblock.set_uuid}")
    elif spare.damaged:
        what.append("damaged metadata of a dm-remap set")
    if not what and not spare.blank:
        what.append("data of an unknown kind in its first 5 MiB")
    return what


def _plan_assembly(
    name: str,
    main: BlockDevice,
    spares: tuple[BlockDevice, ...],
    found: Sequence[ReadSpare],
    main_identity: dict[str, str],
    wishes: Wishes,
) -> Plan:
    problems, warnings, fields = _pairing_problems(main, spares, main_identity, found, wishes)
    if problems:
        raise RefusedError(
            f"{main.path} cannot be assembled with "
            + ", ".join(spare.path for spare in spares)
            + ": "
            + "; ".join(problems)
            + ".",
            hint="Nothing was written.",
            details=identity.describe(fields) if _is_about_main(fields) else (),
        )
    superblock = newest_superblock(found)
    remember = identity.encode(identity.merged(identity.decode(superblock.identity), main_identity))
    return Plan(
        name=name,
        set_uuid=superblock.set_uuid,
        main=main,
        spares=spares,
        table=_table(
            main,
            spares,
            superblock,
            wishes,
            degraded=bool(_missing(found)),
            accept_main=wishes.force_main,
        ),
        dm_uuid=dm_uuid(superblock.set_uuid),
        unit_bytes=superblock.unit_bytes,
        identity=remember,
        remember=remember if remember != superblock.identity else None,
        warnings=warnings,
    )


def _is_about_main(fields: Sequence[Field]) -> bool:
    return any(field.verdict == Verdict.REFUSED for field in fields)


# UUIDs of the spares that were in sync when the set was last written and were not given.
def _missing(found: Sequence[ReadSpare]) -> list[str]:
    given = {spare.superblock.spare_idx for spare in found if spare.superblock}
    return [
        str(row.uuid)
        for index, row in enumerate(newest_superblock(found).spares)
        if index not in given and row.state == SpareState.IN_SYNC
    ]


def _is_member(own: Superblock, reference: Superblock) -> bool:
    rows = reference.spares
    return own.spare_idx < len(rows) and rows[own.spare_idx].uuid == own.spare_uuid


def _pairing_problems(
    main: BlockDevice,
    spares: Sequence[BlockDevice],
    main_identity: dict[str, str],
    found: Sequence[ReadSpare],
    wishes: Wishes,
) -> tuple[list[str], list[str], list[Field]]:
    strangers = [spare for spare in found if spare.superblock is None]
    if strangers:
        return (
            [
                f"{spare.path} carries no whole dm-remap metadata ("
                + ", ".join(dict.fromkeys(spare.copies_text()))
                + ")"
                for spare in strangers
            ],
            [],
            [],
        )
    sets = {spare.superblock.set_uuid for spare in found if spare.superblock}
    if len(sets) > 1:
        return (
            [
                "the spares belong to different sets: "
                + ", ".join(f"{s.path} to {s.superblock.set_uuid}" for s in found if s.superblock)
            ],
            [],
            [],
        )
    superblock = newest_superblock(found)
    fields = check_pairing(spares, main, main_identity)
    problems, warnings = identity.judge(fields, force_main=wishes.force_main)
    if wishes.set_uuid not in (None, superblock.set_uuid):
        problems.append(
            f"the spares belong to the set {superblock.set_uuid}, not to {wishes.set_uuid}"
        )
    numbers = [spare.superblock.spare_idx for spare in found if spare.superblock]
    if len(set(numbers)) < len(numbers):
        problems.append("two of the spares are copies of each other")
    problems += [
        f"{spare.path} is no member of the set any more"
        for spare in found
        if spare.superblock and not _is_member(spare.superblock, superblock)
    ]
    stale = stale_spares(found)
    warnings += [
        f"{path} is stale and is not used, its blocks return errors: {why}"
        for path, why in stale.items()
    ]
    if len(stale) == len(found):
        problems.append("none of these spares is in sync with its set")
    problems += [
        f"{device.path} has logical blocks of {device.lbs} bytes, but the set was made for"
        f" {superblock.unit_bytes}"
        for device in spares
        if device.lbs > superblock.unit_bytes
    ]
    missing = _missing(found)
    if missing:
        sentence = (
            f"{len(missing)} of the set's {len(superblock.spares)} spares are missing"
            f" ({', '.join(missing)}) and may hold newer remaps; without them, their blocks return"
            " errors from now on"
        )
        if wishes.degraded:
            warnings.append(sentence)
        else:
            problems.append(f"{sentence}; --degraded starts it nevertheless")
    return problems, warnings, fields


def check_pairing(
    spares: Sequence[BlockDevice], main: BlockDevice, main_identity: dict[str, str]
) -> list[Field]:
    """Is this the main device of the set? Field by field, content included."""
    candidate = identity.Main(main.path, main.sectors, main.lbs, main_identity)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_for_reading(spare.path)) for spare in spares]
        return identity.examine_survey(take_survey(opened), candidate, int(time.time()))


def _table(
    main: BlockDevice,
    spares: Sequence[BlockDevice],
    superblock: Superblock,
    wishes: Wishes,
    *,
    degraded: bool = False,
    accept_main: bool = False,
) -> TargetLine:
    options = ["set", str(superblock.set_uuid), *wishes.options]
    if accept_main:
        options += ["accept_main", "yes"]
    if degraded:
        options += ["degraded", "yes"]
    return RemapTable(
        superblock.main_sectors,
        main.path,
        tuple(spare.path for spare in spares),
        tuple(options),
    ).line()


def describe(todo: Plan) -> dict[str, object]:
    """A plan as plain values, for JSON."""
    return {
        "name": todo.name,
        "action": "format" if todo.format else "assemble",
        "set_uuid": str(todo.set_uuid),
        "dm_uuid": todo.dm_uuid,
        "main": todo.main.path,
        "spares": [spare.path for spare in todo.spares],
        "unit_bytes": todo.unit_bytes,
        "max_remaps": todo.format[0].max_remaps if todo.format else None,
        "table": str(todo.table),
        "warnings": todo.warnings,
    }
