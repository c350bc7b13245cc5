"""`import`: remap what a list calls bad."""

from collections.abc import Sequence

import click

from pyctl.app import App, command
from pyctl.badblocks import Format, ListError, Placed, SectorSet, Window, ddrescue, place, smartctl
from pyctl.blockdev import plain
from pyctl.commands.badblocks import geometry
from pyctl.commands.badblocks.geometry import Reference
from pyctl.commands.badblocks.opening import Listing, Wishes, opened
from pyctl.control import Control
from pyctl.errors import MediaError, NotFoundError, RefusedError, UsageError
from pyctl.output import counted

__all__ = ["import_"]

_AUTO = "auto"


def _also(_ctx: click.Context, _param: click.Parameter, value: str) -> Sequence[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if name not in ddrescue.ALSO:
            raise click.BadParameter(f"{name!r} is none of {', '.join(ddrescue.ALSO)}.")
    return names


@command("import")
@click.argument("name")
@click.argument("file")
@click.option(
    "--format",
    "kind",
    type=click.Choice([_AUTO, *(kind.value for kind in Format)]),
    default=_AUTO,
    show_default=True,
    help="What FILE is.",
)
@click.option("--block-size", type=click.IntRange(512), help="Bytes of the blocks that FILE has.")
@click.option("--of", "disk", help="FILE is of this whole disk, and the main device a part of it.")
@click.option(
    "--offset", type=click.IntRange(0), help="NAME begins at this sector of what FILE is of."
)
@click.option("--clip", is_flag=True, help="Leave out what is not on the device.")
@click.option(
    "--also",
    default="",
    callback=_also,
    help=f"Of a ddrescue map also these blocks, with commas: {', '.join(ddrescue.ALSO)}.",
)
@click.option("--force", is_flag=True, help="Import what smartctl says of another drive, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be remapped; change nothing.")
def import_(
    app: App,
    name: str,
    file: str,
    kind: str,
    block_size: int | None,
    disk: str | None,
    offset: int | None,
    clip: bool,
    also: Sequence[str],
    force: bool,
    dry_run: bool,
) -> None:
    """Remap the blocks of NAME that FILE (`-` is stdin) calls bad.

    FILE is what `badblocks -o`, GNU ddrescue (its map), `smartctl -j -x` or `dumpe2fs -b` wrote, or
    a list of addresses. It is read to its end before anything is remapped. What cannot be read from
    main is lost: such blocks give errors until they are written. Exit code 5 says that this
    happened.
    """
    if block_size and block_size % 512:
        raise UsageError(f"A block cannot have {block_size} bytes: --block-size is n times 512.")
    control = app.control(name)
    reference = Reference(disk, offset)
    wishes = Wishes(None if kind == _AUTO else Format(kind), block_size, also)
    with opened(file, wishes) as listing:
        if listing.drive and not force:
            _check_drive(control, listing.drive)
        window = geometry.window(control, reference, listing.format)
        try:
            placed = place(listing.extents, window, clip=clip)
        except ListError as error:
            error.hint = error.hint or geometry.hint(control)
            raise
        _check_map(control, listing, reference)
    _tell(app, name, listing, placed)
    _remap(app, control, file, listing, window, placed, dry_run=dry_run)


def _remap(
    app: App,
    control: Control,
    file: str,
    listing: Listing,
    window: Window,
    placed: Placed,
    *,
    dry_run: bool,
) -> None:
    sectors = placed.sectors.sectors()
    blocks = sectors // window.unit
    already = _already(control, placed.sectors) // window.unit
    _check_room(control, blocks - already)
    data: dict[str, object] = {
        "name": control.name,
        "file": file,
        "format": str(listing.format),
        "block_size": listing.block_size,
        "block_size_assumed": listing.assumed,
        "offset": window.offset,
        "ranges": len(placed.sectors),
        "sectors": sectors,
        "blocks": blocks,
        "elsewhere": placed.elsewhere,
        "dry_run": dry_run,
    }
    if dry_run:
        app.emit(
            data | {"already": already},
            f"{counted(blocks, 'block')} in {counted(len(placed.sectors), 'range')}:"
            f" {blocks - already} would be remapped, {already} are already.",
        )
        return
    with app.progress("Remapping", "sectors") as step:
        done = control.remap_ranges(placed.sectors, sectors, step)
    app.emit(
        data | done,
        f"{counted(blocks, 'block')} in {counted(len(placed.sectors), 'range')}:"
        f" {done['remapped']} remapped, {done['already']} were already.",
    )
    if done["lost"]:
        raise MediaError(
            f"{counted(done['lost'], 'block')} could not be read from the main device of"
            f" {control.name}: remapped, but giving errors until written.",
            hint=f"`pyctl list {control.name}` shows them as unknown.",
        )


# What was assumed, and what was passed over.
def _tell(app: App, name: str, listing: Listing, placed: Placed) -> None:
    if listing.assumed:
        app.note(
            f"Taken for a list of {listing.format}, in blocks of {listing.block_size} bytes;"
            " --format and --block-size say otherwise."
        )
    if placed.elsewhere:
        are = "is" if placed.elsewhere == 1 else "are"
        left = counted(placed.elsewhere, "sector")
        app.note(f"{left} of the list {are} not on {name}: left out.")


# Sectors that are on a spare already; those that are lost are not.
def _already(control: Control, sectors: SectorSet) -> int:
    return sum(
        sectors.common(entry.sector, entry.sector + entry.sectors)
        for entry in control.remaps()
        if entry.spare is not None
    )


def _check_room(control: Control, blocks: int) -> None:
    status = control.status()
    room = max(status.capacity - status.used, 0)
    if blocks > room:
        raise RefusedError(
            f"{counted(blocks, 'block')} of the list are not remapped yet, but {control.name} has"
            f" room for {room} at most; nothing was done.",
            hint="Add a spare, or import the worst of them only.",
        )


# A map of a whole disk fits a partition of it as long as all that is bad lies near its beginning.
def _check_map(control: Control, listing: Listing, reference: Reference) -> None:
    if reference.disk is not None or reference.offset is not None:
        return
    if listing.end <= control.length() * 512:
        return
    raise RefusedError(
        f"The map covers {listing.end} bytes, but {control.name} has only"
        f" {control.length() * 512}; nothing was done.",
        hint=geometry.hint(control),
    )


# Are the serial numbers the same, where both are known?
def _check_drive(control: Control, drive: smartctl.Drive) -> None:
    try:
        main = geometry.main_device(control)
    except NotFoundError:
        return
    ours, theirs = main.hardware().get("serial", ""), plain(drive.serial)
    if ours and theirs and ours != theirs:
        raise RefusedError(
            f"smartctl says that the drive's serial number is {theirs}, but that of"
            f" {main.path}, the main device of {control.name}, is {ours}.",
            hint="Behind a USB bridge that may be the same drive: --force imports it nevertheless.",
        )
