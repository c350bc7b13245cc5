"""Devices as a whole: create, remove, status, and the list of them."""

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from pyctl import assembly
from pyctl.app import App, command
from pyctl.blockdev import BlockDevice, users
from pyctl.control import Control
from pyctl.dm import DeviceInfo
from pyctl.errors import NotFoundError, PyctlError, RefusedError, UsageError
from pyctl.format import DEFAULT_MAX_REMAPS, MAX_MAX_REMAPS
from pyctl.output import Pairs, Rows, counted
from pyctl.pool import Pool
from pyctl.replacement import copy_options
from pyctl.setconfig import SetConfig
from pyctl.status import Status

__all__ = [
    "COMMANDS",
    "describe_device",
    "forget_set",
    "identified",
    "node",
    "remap_devices",
    "require_unused",
    "start_named",
    "starting_options",
]


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


# Decorators, the first of them outermost.
def _all_of(*decorators: Decorator) -> Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


# What create and assemble have in common.
starting_options = _all_of(
    click.option("--degraded", is_flag=True, help="Start without missing spares, for good."),
    click.option(
        "--force-main",
        is_flag=True,
        help="Accept a main device with another hardware identity than the spares remember.",
    ),
    click.option("--retries", type=click.IntRange(0, 16), help="Retries of a failing block."),
    click.option("--backoff-ms", type=click.IntRange(0, 10000), help="First pause between them."),
    click.option(
        "--breaker-remaps",
        type=click.IntRange(1, 1_000_000),
        help="So many new remaps within --breaker-seconds mean that main is dead.",
    ),
    click.option("--breaker-seconds", type=click.IntRange(1, 86400), help="Length of that time."),
    click.option("--dry-run", is_flag=True, help="Only print the table; write nothing."),
    click.option(
        "--no-remember",
        is_flag=True,
        help="Don't write down the name of the set: it will not start by itself.",
    ),
)


@command("create")
@click.argument("name")
@click.argument("main", type=click.Path())
@click.argument("spares", metavar="SPARE...", nargs=-1, required=True, type=click.Path())
@starting_options
@click.option("--force", is_flag=True, help="Format spares that carry something else.")
@click.option(
    "--reformat",
    is_flag=True,
    help="Format even spares that belong to this main: forgets all its remaps.",
)
@click.option("--uuid", "set_uuid", type=click.UUID, help="UUID of a new set.")
@click.option(
    "--max-remaps",
    type=click.IntRange(1, MAX_MAX_REMAPS),
    help=f"Remaps that a new set has room for (default {DEFAULT_MAX_REMAPS}).",
)
@click.option(
    "--redundancy",
    type=click.Choice(["1", "2"]),
    help="On how many spares every remap is to be.",
)
def create(
    app: App,
    name: str,
    main: str,
    spares: tuple[str, ...],
    force: bool,
    reformat: bool,
    set_uuid: uuid.UUID | None,
    max_remaps: int | None,
    redundancy: str | None,
    **rest: Any,
) -> None:
    """Make the device NAME over MAIN with spares.

    What is on MAIN stays, and nothing is ever written to it but its own I/O. Empty spares are
    formatted; spares that carry the set of this MAIN are assembled as they are; anything else on a
    spare is refused.
    """
    copies = int(redundancy or 1)
    if copies > len(spares):
        raise UsageError(f"--redundancy {copies} needs {copies} spares.")
    start_named(
        app,
        name,
        main,
        spares,
        force=force,
        reformat=reformat,
        set_uuid=set_uuid,
        max_remaps=max_remaps,
        **rest,
    )
    if redundancy and not rest["dry_run"]:
        Pool(app.control(name)).set_redundancy(copies)


@command("remove")
@click.argument("name")
@click.option("--deferred", is_flag=True, help="Remove it once nobody uses it.")
@click.option(
    "--forget", is_flag=True, help="Also forget its name, and no longer hide its main device."
)
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
def remove(app: App, name: str, deferred: bool, forget: bool, dry_run: bool) -> None:
    """Remove the device NAME; its set stays on the spares.

    It does not start by itself again before the next boot. Without dm-remap, MAIN alone has old
    data in the blocks that were remapped: `pyctl clear` moves them back first. --forget is for a
    set that is moved to another machine, or whose remaps have been cleared.
    """
    control = app.control(name)
    remaining = _remaining(control)
    known = identified(control)
    if not deferred:
        require_unused(control, hint="; --deferred removes it then")
    result: dict[str, object] = {
        "name": name,
        "remapped": remaining,
        "removed": False,
        "forgotten": forget and not dry_run,
        "dry_run": dry_run,
    }
    words = ["dmsetup", "remove", *(["--deferred"] if deferred else []), name]
    if dry_run:
        app.emit({**result, "command": words}, " ".join(words))
    else:
        with app.registry.locked():
            control.device.remove(deferred=deferred, retry=not deferred)
            gone = not deferred or not control.device.info().exists
            if known:
                app.registry.mark_stopped(known.set_uuid, stopped=True)
        if forget:
            forget_set(app, known)
        app.emit(
            {**result, "removed": gone},
            f"{name} {'is removed' if gone else 'will be removed when nobody uses it'}.",
        )
    if remaining:
        app.note(
            f"Note: {counted(remaining, 'block')} of its data on the spares only: its main device"
            " is not whole without them."
        )


@command("status")
@click.argument("name", required=False)
def status(app: App, name: str | None) -> None:
    """Show the state of NAME, or of all dm-remap devices."""
    if name is not None:
        control = app.control(name)
        described = describe_device(control, control.status())
        app.emit(described, Pairs(_flat(described)))
        return
    rows = remap_devices(app)
    app.emit(
        [data for _, data in rows],
        Rows(
            ["NAME", "HEALTH", "REMAPPED", "LOST", "CAPACITY", "ERRORS", "STATE"],
            [
                (
                    control.name,
                    data["health"],
                    data["remapped"],
                    data["lost"],
                    data["capacity"],
                    f"W{data['write_errors']} R{data['read_errors']}",
                    "; ".join(data["warnings"]) or "ok",
                )
                for control, data in rows
            ],
        ),
    )


def describe_device(control: Control, state: Status) -> dict[str, Any]:
    """A device as plain values, for JSON."""
    info = control.device.info()
    table = control.table()
    return {
        "name": control.name,
        "major": info.major,
        "minor": info.minor,
        "uuid": info.uuid,
        "sectors": table.length,
        "suspended": info.suspended,
        "open_count": info.open_count,
        "main": node(table.main),
        "spares": [node(spare) for spare in table.spares],
        "version": state.version,
        "used": state.used,
        "capacity": state.capacity,
        "lost": state.lost,
        "remapped": state.remapped,
        "health": state.health,
        "write_errors": state.write_errors,
        "read_errors": state.read_errors,
        "auto_remaps": state.auto_remaps,
        "manual_remaps": state.manual_remaps,
        "scan_percent": state.scan,
        "fields": state.fields,
        "warnings": state.warnings,
    }


def remap_devices(app: App) -> list[tuple[Control, dict[str, Any]]]:
    """All dm-remap devices that can be asked."""
    found = []
    for row in app.list_devices():
        control = app.control(row.name)
        try:
            state = control.status()
        except NotFoundError:
            # a device of another target, or one that has just gone
            continue
        found.append((control, describe_device(control, state)))
    return found


def start_named(
    app: App, name: str, main: str, spares: tuple[str, ...], *, dry_run: bool, **rest: Any
) -> None:
    """Start a set as the command line says, and remember it unless `no_remember` is given."""
    device = app.open_device(name)
    no_remember = rest.pop("no_remember")
    wishes = _wishes(**rest)
    if dry_run:
        todo = _planned(app, name, main, spares, wishes)
        app.emit({**assembly.describe(todo), "dry_run": True}, str(todo.table))
        return
    # Until it runs, udev must not start what is just being formatted.
    with app.registry.locked():
        todo = _planned(app, name, main, spares, wishes)
        config = None if no_remember else _config(app, todo)
        with app.progress("Formatting the spares") as step:
            assembly.execute(todo, device, app.ensure_target, step)
        app.registry.mark_stopped(todo.set_uuid, stopped=False)
        remembered = _remember(app, config) if config else False
    if remembered:
        todo.main.changed()
    data = {**assembly.describe(todo), "remembered": remembered}
    info = device.info()
    done = "formatted and started" if todo.format else "assembled, nothing was formatted"
    app.emit(
        {**data, "dry_run": False, "major": info.major, "minor": info.minor},
        f"/dev/mapper/{name} is ready ({done}).\nset {todo.set_uuid}\n{todo.table}",
    )


def _planned(
    app: App, name: str, main: str, spares: tuple[str, ...], wishes: assembly.Wishes
) -> assembly.Plan:
    todo = assembly.plan(name, main, spares, wishes)
    for warning in todo.warnings:
        app.note(f"Warning: {warning}.")
    return todo


# Refused before anything is written, if the name cannot be had.
def _config(app: App, todo: assembly.Plan) -> SetConfig:
    config = SetConfig(
        set_uuid=todo.set_uuid,
        name=todo.name,
        auto=True,
        main_sectors=todo.table.length,
        unit_bytes=todo.unit_bytes,
        identity=todo.identity,
    )
    app.registry.check_name(todo.set_uuid, todo.name)
    return config


# The set runs by now: that it is not remembered must not look as if it did not.
def _remember(app: App, config: SetConfig) -> bool:
    try:
        app.registry.remember(config)
    except PyctlError as error:
        app.note(f"Warning: the set is not remembered, and will not start by itself: {error}")
        return False
    return True


@dataclass(frozen=True)
class _Identified:
    set_uuid: uuid.UUID
    main: str


def identified(control: Control) -> _Identified | None:
    """Which set a device runs, and its main device; None if it cannot tell."""
    try:
        table = control.table()
    except PyctlError:
        return None
    words = dict(zip(table.options[::2], table.options[1::2], strict=False))
    return _Identified(uuid.UUID(words["set"]), table.main) if "set" in words else None


def forget_set(app: App, known: _Identified | None) -> None:
    """Start a set by itself no more, and stop hiding its main device."""
    if known is None:
        return
    app.registry.forget(known.set_uuid)
    major, _, minor = known.main.partition(":")
    with contextlib.suppress(NotFoundError, ValueError):
        BlockDevice.by_number(int(major), int(minor)).changed()


def _wishes(**rest: Any) -> assembly.Wishes:
    options: list[str] = []
    for key in ("retries", "backoff_ms", "breaker_remaps", "breaker_seconds"):
        value = rest.pop(key)
        if value is not None:
            options += [key, str(value)]
    copy_to = rest.pop("copy_to", None)
    if copy_to is not None:
        options += copy_options(BlockDevice.find(copy_to))
    return assembly.Wishes(options=tuple(options), **rest)


def require_unused(control: Control, *, hint: str = "") -> None:
    """Raise RefusedError if anything has the device open; `hint` ends what can be done then."""
    info = control.device.info()
    if info.open_count:
        used_by = _used_by(info)
        raise RefusedError(
            f"{control.name} is in use: {'; '.join(used_by) or 'some program holds it open'}.",
            hint=f"Unmount it, or stop what uses it, and try again{hint}.",
        )


def _used_by(info: DeviceInfo) -> list[str]:
    try:
        return users(BlockDevice.by_number(info.major, info.minor))
    except NotFoundError:
        return []


# A device that can no longer tell must still be removable.
def _remaining(control: Control) -> int:
    try:
        return control.status().remapped
    except NotFoundError:
        raise
    except PyctlError:
        return 0


def node(device: str) -> str:
    """A path for what the kernel tells as a number, or what was given."""
    major, colon, minor = device.partition(":")
    if not colon or not (major.isdecimal() and minor.isdecimal()):
        return device
    try:
        return BlockDevice.by_number(int(major), int(minor)).path
    except NotFoundError:
        return device


def _flat(described: dict[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in described.items():
        if key == "fields":
            flat.update(value)
        elif isinstance(value, list):
            flat[key] = ("; " if key == "warnings" else " ").join(value) or "none"
        else:
            flat[key] = value
    return flat


COMMANDS = (create, remove, status)
