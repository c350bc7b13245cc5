"""Devices as a whole: create, assemble, remove, status, and the list of them."""

import uuid
from collections.abc import Callable
from typing import Any

import click

from pyctl import assembly
from pyctl.app import App, command
from pyctl.blockdev import BlockDevice, users
from pyctl.control import Control
from pyctl.dm import DeviceInfo
from pyctl.errors import NotFoundError, PyctlError, RefusedError
from pyctl.format import DEFAULT_MAX_REMAPS, MAX_MAX_REMAPS
from pyctl.output import Pairs, Rows, counted
from pyctl.status import Status

__all__ = ["COMMANDS", "describe_device", "remap_devices"]


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


# Decorators, the first of them outermost.
def _all_of(*decorators: Decorator) -> Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


# What create and assemble have in common.
_starting = _all_of(
    click.argument("name"),
    click.argument("main", type=click.Path()),
    click.argument("spares", metavar="SPARE...", nargs=-1, required=True, type=click.Path()),
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
)


@command("create")
@_starting
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
def create(
    app: App,
    name: str,
    main: str,
    spares: tuple[str, ...],
    force: bool,
    reformat: bool,
    set_uuid: uuid.UUID | None,
    max_remaps: int | None,
    **rest: Any,
) -> None:
    """Make the device NAME over MAIN with spares.

    What is on MAIN stays, and nothing is ever written to it but its own I/O. Empty spares are
    formatted; spares that carry the set of this MAIN are assembled as they are; anything else on a
    spare is refused.
    """
    wishes = _wishes(
        force=force, reformat=reformat, set_uuid=set_uuid, max_remaps=max_remaps, **rest
    )
    _start(app, name, main, spares, wishes, dry_run=rest["dry_run"])


@command("assemble")
@_starting
def assemble(app: App, name: str, main: str, spares: tuple[str, ...], **rest: Any) -> None:
    """Start the device NAME from spares that carry its set; never formats."""
    wishes = _wishes(may_format=False, **rest)
    _start(app, name, main, spares, wishes, dry_run=rest["dry_run"])


@command("remove")
@click.argument("name")
@click.option("--deferred", is_flag=True, help="Remove it once nobody uses it.")
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
def remove(app: App, name: str, deferred: bool, dry_run: bool) -> None:
    """Remove the device NAME; its set stays on the spares.

    Without dm-remap, MAIN alone has old data in the blocks that were remapped: `pyctl clear` moves
    them back first.
    """
    control = app.control(name)
    remaining = _remaining(control)
    info = control.device.info()
    if info.open_count and not deferred:
        used_by = _used_by(info)
        raise RefusedError(
            f"{name} is in use: {'; '.join(used_by) or 'some program holds it open'}.",
            hint="Unmount it, or stop what uses it, and try again; --deferred removes it then.",
        )
    result: dict[str, object] = {
        "name": name,
        "remapped": remaining,
        "removed": False,
        "dry_run": dry_run,
    }
    words = ["dmsetup", "remove", *(["--deferred"] if deferred else []), name]
    if dry_run:
        app.emit({**result, "command": words}, " ".join(words))
    else:
        control.device.remove(deferred=deferred, retry=not deferred)
        gone = not deferred or not control.device.info().exists
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
        "main": _node(table.main),
        "spares": [_node(spare) for spare in table.spares],
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


def _start(
    app: App,
    name: str,
    main: str,
    spares: tuple[str, ...],
    wishes: assembly.Wishes,
    *,
    dry_run: bool,
) -> None:
    device = app.open_device(name)
    todo = assembly.plan(name, main, spares, wishes)
    for warning in todo.warnings:
        app.note(f"Warning: {warning}.")
    data = assembly.describe(todo)
    if dry_run:
        app.emit({**data, "dry_run": True}, str(todo.table))
        return
    with app.progress("Formatting the spares") as step:
        assembly.execute(todo, device, app.ensure_target, step)
    info = device.info()
    done = "formatted and started" if todo.format else "assembled, nothing was formatted"
    app.emit(
        {**data, "dry_run": False, "major": info.major, "minor": info.minor},
        f"/dev/mapper/{name} is ready ({done}).\nset {todo.set_uuid}\n{todo.table}",
    )


def _wishes(**rest: Any) -> assembly.Wishes:
    options: list[str] = []
    for key in ("retries", "backoff_ms", "breaker_remaps", "breaker_seconds"):
        value = rest.pop(key)
        if value is not None:
            options += [key, str(value)]
    rest.pop("dry_run")
    return assembly.Wishes(options=tuple(options), **rest)


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


# The kernel tells numbers; people want names.
def _node(device: str) -> str:
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


COMMANDS = (create, assemble, remove, status)
