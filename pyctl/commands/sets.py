"""Sets wherever they are: discover them, and start what is complete."""

import uuid
from typing import Any

import click

from pyctl import discovery
from pyctl.app import App, command
from pyctl.commands.device import start_named, starting_options
from pyctl.discovery import Discovery, Seen
from pyctl.errors import NotFoundError, RefusedError, UsageError
from pyctl.format import SpareState
from pyctl.foundset import FoundSet, Member
from pyctl.identity import Evidence
from pyctl.output import Rows, show, when
from pyctl.registry import ALL, Known
from pyctl.starting import Done, Outcome, Starter, running_sets

__all__ = ["COMMANDS", "look"]

# A machine with such a set must say so, but is not broken.
_NOT_STARTED = (Done.FAILED,)


@command("discover")
@click.option("--all-devices", is_flag=True, help="Also list the devices that carry no set.")
def discover(app: App, all_devices: bool) -> None:
    """Find the dm-remap sets on all block devices, and say what can be done with each.

    Nothing is written or started. A device that does not answer within ten seconds is told about.
    """
    known = app.registry.known()
    found = look(app, known, everything=all_devices)
    data = _described(found, known)
    if all_devices:
        data["devices"] = [_device(seen) for seen in found.devices]
    if app.json:
        app.emit(data, "")
        return
    for one in found.sets:
        _show(one)
    for set_uuid, running in found.unseen.items():
        click.echo(f"set {set_uuid}: running as {running.name}")
        click.echo("  None of its spares can be read.\n")
    for set_uuid, why in known.broken.items():
        click.echo(f"What is remembered of the set {set_uuid} cannot be read: {why}", err=True)
    for seen in found.devices:
        _show_trouble(seen)
    if all_devices:
        rows = [list(row.values()) for row in data["devices"]]
        show(Rows(["DEVICE", "SECTORS", "SET", "CONTENTS"], [_plain(row) for row in rows]))
    elif not found.sets and not found.unseen:
        click.echo("There is no dm-remap set on any device.")


@command("assemble")
@click.argument("name", required=False)
@click.argument("main", required=False, type=click.Path())
@click.argument("spares", metavar="[SPARE...]", nargs=-1, type=click.Path())
@click.option("--all", "all_sets", is_flag=True, help="Start all sets that are complete.")
@click.option("--set", "set_uuid", type=click.UUID, help="Start this set, if it is complete.")
@click.option("--pending", is_flag=True, help="Start what udev has found; for udev and systemd.")
@click.option(
    "--copy-to",
    type=click.Path(),
    metavar="NEW",
    help="Go on with a `migrate-main` to NEW where it was.",
)
@starting_options
def assemble(
    app: App,
    name: str | None,
    main: str | None,
    spares: tuple[str, ...],
    all_sets: bool,
    set_uuid: uuid.UUID | None,
    pending: bool,
    **rest: Any,
) -> None:
    """Start the device NAME from spares that carry its set; never formats.

    With --all or --set, devices are found by themselves, and only what is complete is started.
    Running sets are left alone. Exit code 4 says that a set could not be started.
    """
    if all_sets + (set_uuid is not None) + pending + (name is not None) != 1:
        raise UsageError("Give NAME MAIN SPARE..., or one of --all, --set and --pending.")
    if name is not None:
        if main is None or not spares:
            raise UsageError(
                "With NAME, MAIN and at least one SPARE are needed.",
                hint="`pyctl discover` shows the sets; --all and --set UUID find the devices.",
            )
        start_named(app, name, main, spares, may_format=False, **rest)
        return
    given = [key for key, value in rest.items() if value and key != "no_remember"]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} needs NAME MAIN SPARE...")
    remember = not rest["no_remember"]
    if pending:
        _start_pending(app)
    else:
        _start_found(app, [set_uuid] if set_uuid else None, remember=remember)


def _start_found(app: App, wanted: list[uuid.UUID] | None, *, remember: bool) -> None:
    with app.registry.locked():
        outcomes = _started(app, wanted, remember=remember)
    _tell(app, outcomes)
    failed = [one for one in outcomes if one.done in _NOT_STARTED]
    if wanted and failed and failed[0].why.startswith("No device carries"):
        raise NotFoundError(failed[0].why)
    if failed:
        names = ", ".join(one.name for one in failed)
        raise RefusedError(
            f"Not everything was started: {names}.", hint="`pyctl discover` explains it."
        )


# An incomplete set is nothing unusual here: the next device may complete it.
def _start_pending(app: App) -> None:
    outcomes = []
    with app.registry.locked():
        pending = app.registry.take_pending()
        if ALL in pending:
            outcomes = _started(app, None, remember=True)
        elif pending:
            wanted = [uuid.UUID(name) for name in sorted(pending) if _is_uuid(name)]
            outcomes = _started(app, wanted, by_itself=True)
    _tell(app, outcomes)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _started(
    app: App, wanted: list[uuid.UUID] | None, *, remember: bool = False, by_itself: bool = False
) -> list[Outcome]:
    known = app.registry.known()
    found = look(app, known)
    starter = Starter(
        app.open_device,
        app.ensure_target,
        app.registry,
        known,
        by_itself=by_itself,
        remember=remember,
    )
    return starter.start(found, wanted)


def look(app: App, known: Known, *, everything: bool = False) -> Discovery:
    """What there is on all devices, with what runs and what is remembered."""
    running = running_sets(app.list_devices, app.open_device)
    return discovery.discover(running, known.sets, everything=everything)


def _tell(app: App, outcomes: list[Outcome]) -> None:
    rows = [
        {
            "set_uuid": str(one.set_uuid),
            "name": one.name,
            "result": str(one.done),
            "why": one.why,
            "warnings": list(one.warnings),
        }
        for one in outcomes
    ]
    if app.json:
        app.emit(rows, "")
        return
    if not outcomes:
        click.echo("There is no dm-remap set on any device.")
    for one in outcomes:
        more = " ".join((one.why, *one.warnings)).strip()
        click.echo(f"{one.name} (set {one.set_uuid}): {one.done}" + (f". {more}" if more else ""))


def _described(found: Discovery, known: Known) -> dict[str, Any]:
    return {
        "sets": [
            {
                "set_uuid": str(one.uuid),
                "name": one.name,
                "remembered": one.config is not None,
                "state": str(one.state),
                "running_as": one.running.name if one.running else None,
                "event": one.reference.events,
                "updated": one.reference.updated,
                "main": one.main.device.best_path if one.main else None,
                "main_sectors": one.reference.main_sectors,
                "spares": [_spare(one, index) for index in range(len(one.reference.spares))],
                "others": [
                    {"device": m.device.best_path, "standing": str(m.standing)}
                    for m in one.members
                    if one.member(m.superblock.spare_idx) is not m
                ],
                "problems": [{"text": p.text, "hint": p.hint} for p in one.problems],
            }
            for one in found.sets
        ],
        "unseen": [
            {"set_uuid": str(key), "running_as": running.name}
            for key, running in found.unseen.items()
        ],
        "unreadable": [
            {"device": seen.device.best_path, "why": _trouble(seen)}
            for seen in found.devices
            if _trouble(seen)
        ],
        "broken_files": {str(key): why for key, why in known.broken.items()},
    }


def _spare(one: FoundSet, index: int) -> dict[str, Any]:
    row, member = one.reference.spares[index], one.member(index)
    return {
        "index": index,
        "uuid": str(row.uuid),
        "state": row.state.name.lower(),
        "event": row.events,
        "sectors": row.sectors,
        "device": member.device.best_path if member else None,
        "in_use": bool(member and member.in_use),
    }


def _device(seen: Seen) -> dict[str, Any]:
    return {
        "device": seen.device.best_path,
        "sectors": seen.device.sectors,
        "set_uuid": str(seen.superblock.set_uuid) if seen.superblock else None,
        "contents": seen.contents or _trouble(seen) or None,
    }


def _plain(row: list[Any]) -> list[object]:
    return ["-" if cell is None else cell for cell in row]


def _show(one: FoundSet) -> None:
    state = f"running as {one.running.name}" if one.running else str(one.state)
    click.echo(f"set {one.uuid} ({one.name}): {state}")
    main = one.main.device.best_path if one.main else "-"
    rows: list[list[object]] = [["main", main, one.reference.main_sectors, _main_state(one)]]
    for index, row in enumerate(one.reference.spares):
        member = one.member(index)
        where = member.device.best_path if member else "-"
        rows.append([f"spare {index}", where, row.sectors, _spare_state(one, index, member)])
    rows += [
        ["-", m.device.best_path, m.device.sectors, str(m.standing)]
        for m in one.members
        if one.member(m.superblock.spare_idx) is not m
    ]
    show(Rows(["ROLE", "DEVICE", "SECTORS", "STATE"], rows))
    for problem in one.problems:
        click.echo(f"  {problem.text}\n    {problem.hint}")
    click.echo()


def _main_state(one: FoundSet) -> str:
    if one.main is None:
        return "not found"
    return "in use" if one.running else f"found by its {_EVIDENCE[one.main.evidence]}"


_EVIDENCE = {
    Evidence.HARDWARE: "hardware identity",
    Evidence.FILE_SYSTEM: "file system",
    Evidence.CONTENT: "content",
}


def _spare_state(one: FoundSet, index: int, member: Member | None) -> str:
    row = one.reference.spares[index]
    said = row.state.name.lower().replace("_", " ")
    if row.state == SpareState.LEFT:
        return "left the set"
    if member is None:
        return f"missing; {said} at event {row.events} ({when(one.reference.updated)})"
    return f"{said}, in use" if member.in_use else said


def _trouble(seen: Seen) -> str:
    if seen.damaged:
        return "it has traces of a dm-remap spare, but no whole superblock"
    return seen.why


def _show_trouble(seen: Seen) -> None:
    why = _trouble(seen)
    if why:
        hint = "; `pyctl metadata check` and `restore` can help" if seen.damaged else ""
        click.echo(f"{seen.device.best_path} was left out: {why}{hint}.", err=True)


COMMANDS = (discover, assemble)
