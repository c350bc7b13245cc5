"""Leaving a main device: for another one, or leaving dm-remap altogether."""

from contextlib import ExitStack
from dataclasses import asdict, replace

import click

from pyctl import identity, replacement
from pyctl.app import App, command
from pyctl.blockdev import BlockDevice, users
from pyctl.commands.device import forget_set, identified, node
from pyctl.control import Control
from pyctl.errors import MediaError, NotFoundError, RefusedError, UsageError
from pyctl.format import BLOCK_SIZE, REPLICAS, open_exclusively, slot_sector
from pyctl.output import Pairs, counted
from pyctl.replacement import Todo

__all__ = ["COMMANDS"]

_RATE = click.IntRange(1, 4096)
_MIB_IN_KIB = 1024


@command("migrate-main")
@click.argument("name")
@click.argument("new", required=False, type=click.Path())
@click.option("--rate", type=_RATE, metavar="MIB", help="Copy at most so many MiB per second.")
@click.option("--force", is_flag=True, help="Overwrite a disk that carries something.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--status", "ask", is_flag=True, help="Only say how far the copy has come.")
@click.option("--abort", is_flag=True, help="Give the copy up; NAME stays on its disk.")
def migrate_main(
    app: App,
    name: str,
    new: str | None,
    rate: int | None,
    force: bool,
    dry_run: bool,
    ask: bool,
    abort: bool,
) -> None:
    """Copy everything of NAME to the disk NEW, which becomes its main device.

    NAME can be used all the time. What is on the spares goes to NEW as well, verified. After an
    interruption the same command goes on. Sectors that no disk could give are not invented: they
    give errors until they are written, and exit code 5 says that there are some.
    """
    control = app.control(name)
    if ask or abort:
        if new is not None or (ask and abort):
            raise UsageError("--status and --abort stand alone, without NEW.")
        _ask(app, control) if ask else _abort(app, control)
        return
    if new is None:
        raise UsageError("migrate-main needs the new disk.")
    todo = replacement.plan(
        control, new, force=force, rate=None if rate is None else rate * _MIB_IN_KIB
    )
    if dry_run:
        _tell(app, todo)
        return
    result = _migrate(app, control, todo)
    app.emit(
        result,
        f"{name} is on {new} now. {result['old_main'] or 'The old disk'} is not used any more: keep"
        " it for a while, then wipe it (`wipefs -a`), so that nobody takes its data for current.",
    )
    _complain(control, result)


@command("unwrap")
@click.argument("name")
@click.option("--to", type=click.Path(), metavar="NEW", help="Copy everything to another disk.")
@click.option("--wipe-spares", is_flag=True, help="Make the spares blank afterwards.")
@click.option("--accept-lost", is_flag=True, help="Give up sectors that have no data any more.")
@click.option("--force", is_flag=True, help="Overwrite a disk that carries something.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def unwrap(
    app: App,
    name: str,
    to: str | None,
    wipe_spares: bool,
    accept_lost: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Move everything from the spares of NAME to its main device, and remove NAME.

    The main device can be used directly then, without dm-remap. If it does not take all of its
    data, NAME stays, and --to copies everything to another disk instead.
    """
    control = app.control(name)
    state = control.status()
    _refuse_users(control)
    todo = replacement.plan(control, to, force=force) if to else None
    main = to or node(control.table().main)
    if dry_run:
        app.emit(
            {"name": name, "main": main, "remapped": state.remapped, "dry_run": True},
            f"{counted(state.remapped, 'block')} would go to {main}, and {name} would be removed.",
        )
        return
    if todo:
        _migrate(app, control, todo)
    else:
        with app.progress("Moving back") as step:
            control.clear(step)
    _require_whole(control, main, accept_lost=accept_lost)
    spares = [node(spare) for spare in control.table().spares]
    _refuse_users(control)
    known = identified(control)
    control.device.remove(retry=True)
    forget_set(app, known)
    wiped = spares if wipe_spares else []
    for spare in wiped:
        _blank(spare)
    rest = "" if wiped else " The spares still carry the set; --wipe-spares would have ended that."
    app.emit(
        {"name": name, "main": main, "removed": True, "wiped": wiped},
        f"{name} is removed. Use {main} directly: it has all of the data, mount it in its place."
        + rest,
    )


def _migrate(app: App, control: Control, todo: Todo) -> dict[str, object]:
    old = None if todo.done else node(todo.table.main)
    if not todo.done:
        replacement.prepare(control, todo)
        with app.progress(f"Copying to {todo.new.path}", "MiB") as step:
            replacement.copy(control, step)
        replacement.replace(control, todo)
    # also when an earlier run was killed just before it
    _remember(app, control, todo)
    with app.progress("Moving from the spares") as step:
        moved = control.clear(step)
    state = control.status()
    return {
        "name": control.name,
        "old_main": old,
        "new_main": todo.new.path,
        "moved": moved["cleared"],
        "kept": state.remapped,
        "lost": state.lost,
        "lost_sectors": [
            {"sector": entry.sector, "sectors": entry.sectors}
            for entry in control.remaps()
            if entry.state != "remap"
        ],
    }


# What starts by itself, and what is hidden, is found by what main is called.
def _remember(app: App, control: Control, todo: Todo) -> None:
    known = identified(control)
    config = app.registry.known().sets.get(known.set_uuid) if known else None
    if config is None:
        return
    text = identity.of_replacement(todo.new, todo.table.length)
    with app.registry.locked():
        app.registry.remember(replace(config, identity=text))
    BlockDevice.find(todo.new.path).changed()


def _complain(control: Control, result: dict[str, object]) -> None:
    if result["lost"]:
        lost = [
            {"sector": str(entry.sector), "sectors": str(entry.sectors)}
            for entry in control.remaps()
            if entry.state != "remap"
        ]
        raise MediaError(
            f"{counted(len(lost), 'block')} of {control.name} could not be read from anywhere: they"
            " give errors until they are written.",
            details=lost,
        )
    if result["kept"]:
        raise MediaError(
            f"{result['kept']} blocks of {control.name} are still on its spares: the new disk does"
            " not take them.",
            hint=f"`pyctl list {control.name}` shows which.",
        )


def _ask(app: App, control: Control) -> None:
    state = control.copy()
    data = asdict(state)
    percent = 100 * state.copied // state.total if state.total else 0
    app.emit({"name": control.name, **data}, Pairs({**data, "percent": percent}))


def _abort(app: App, control: Control) -> None:
    ended = replacement.abort(control)
    app.emit(
        {"name": control.name, "aborted": ended},
        f"The copy of {control.name} is given up; what is on the other disk is not whole."
        if ended
        else f"{control.name} is not being copied.",
    )


def _tell(app: App, todo: Todo) -> None:
    table = todo.replaced().line() if todo.done else todo.copying().line()
    app.emit(
        {
            "name": todo.name,
            "new_main": todo.new.path,
            "copied_already": todo.done,
            "wipe": list(todo.wipe),
            "table": str(table),
            "dry_run": True,
        },
        str(table),
    )


def _refuse_users(control: Control) -> None:
    info = control.device.info()
    if not info.open_count:
        return
    try:
        found = users(BlockDevice.by_number(info.major, info.minor))
    except NotFoundError:
        found = []
    raise RefusedError(
        f"{control.name} is in use: {'; '.join(found) or 'some program holds it open'}.",
        hint="Unmount it, or stop what uses it, and try again.",
    )


# Nothing may be left where only dm-remap finds it, or knows that it is lost.
def _require_whole(control: Control, main: str, *, accept_lost: bool) -> None:
    state = control.status()
    lost = sum(entry.state != "remap" for entry in control.remaps())
    elsewhere = sum(entry.state == "remap" for entry in control.remaps())
    if elsewhere:
        raise MediaError(
            f"{main} does not take {counted(elsewhere, 'block')} of {control.name}, so they stay on"
            f" the spares and {control.name} stays.",
            hint=f"`pyctl unwrap {control.name} --to NEW` copies everything to another disk.",
        )
    if (lost or state.lost) and not accept_lost:
        raise MediaError(
            f"{counted(max(lost, state.lost), 'block')} of {control.name} have no data any more."
            f" Without dm-remap they would read as whatever {main} holds there, so {control.name}"
            " stays.",
            hint="Write them (a file system check tells whose they were), or add --accept-lost.",
        )


# Without superblocks there is no set.
def _blank(spare: str) -> None:
    with ExitStack() as stack:
        opened = stack.enter_context(open_exclusively(spare, write=True))
        for copy in range(REPLICAS):
            opened.write(slot_sector(copy), bytes(BLOCK_SIZE))
        opened.sync()


COMMANDS = (migrate_main, unwrap)
