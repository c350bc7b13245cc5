"""`export`: write what is remapped as a list of bad blocks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pyctl.app import App, command
from pyctl.badblocks import Format, Window, badblocks, ddrescue, e2fsck, lba
from pyctl.commands.badblocks import geometry
from pyctl.commands.badblocks.geometry import Reference
from pyctl.control import Control
from pyctl.errors import UsageError
from pyctl.format import save_archive
from pyctl.output import counted

__all__ = ["export"]


@command("export")
@click.argument("name")
@click.option(
    "--format",
    "kind",
    type=click.Choice([kind.value for kind in Format]),
    default=Format.DDRESCUE.value,
    show_default=True,
    help="What to write.",
)
@click.option("--block-size", type=click.IntRange(512), help="Bytes of the blocks of the list.")
@click.option("--of", "disk", help="Count from the beginning of this disk, which has main on it.")
@click.option("--offset", type=click.IntRange(0), help="Give the first sector of NAME this number.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write into this file instead of to stdout."
)
@click.option("--force", is_flag=True, help="Replace the file.")
def export(
    app: App,
    name: str,
    kind: str,
    block_size: int | None,
    disk: str | None,
    offset: int | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write the remapped and lost sectors of NAME as a list of bad blocks.

    `pyctl import` reads all of these formats again, as do the programs that they are named after.
    """
    chosen = Format(kind)
    if app.json and output is None:
        raise UsageError("`export` writes its list to stdout.", hint="Add --output FILE for JSON.")
    control = app.control(name)
    window = geometry.window(control, Reference(disk, offset), chosen)
    size = _block_size(chosen, block_size, window)
    ranges = list(_ranges(control))
    lines = _lines(chosen, ranges, window, size, name)
    if output is None:
        sys.stdout.writelines(lines)
    else:
        save_archive(output, "".join(lines).encode("ascii"), force=force)
        sectors = sum(end - start for start, end in ranges)
        app.emit(
            {
                "name": name,
                "format": str(chosen),
                "block_size": size,
                "offset": window.offset,
                "output": str(output),
                "ranges": len(ranges),
                "sectors": sectors,
            },
            f"{output}: {counted(sectors, 'sector')} in {counted(len(ranges), 'range')}.",
        )
    if size:
        app.note(
            f"The list is in blocks of {size} bytes: `pyctl import --format {chosen}"
            f" --block-size {size}` reads it."
        )


# Bytes of a block of the list, None for a format that has none.
def _block_size(kind: Format, wanted: int | None, window: Window) -> int | None:
    if wanted and wanted % 512:
        raise UsageError(f"A block cannot have {wanted} bytes: --block-size is n times 512.")
    match kind:
        case Format.SMARTCTL:
            raise UsageError(
                "Only a drive itself can say what smartctl prints: it cannot be written.",
                hint="`--format lba` is a list of addresses.",
            )
        case Format.DDRESCUE:
            if wanted:
                raise UsageError("Positions in a map file of ddrescue are in bytes.")
            return None
        case Format.E2FSCK if not wanted:
            raise UsageError(
                "A list for e2fsck counts in blocks of the file system.",
                hint='Give --block-size: `dumpe2fs -h` prints it as "Block size".',
            )
        case Format.LBA:
            return wanted or lba.DEFAULT_BLOCK
    return wanted or window.unit * 512


# Ranges (start, end) of sectors that are remapped or lost, joined where they touch.
def _ranges(control: Control) -> Iterator[tuple[int, int]]:
    start = end = 0
    for entry in control.remaps():
        if entry.sector != end:
            if end > start:
                yield start, end
            start = entry.sector
        end = entry.sector + entry.sectors
    if end > start:
        yield start, end


def _lines(
    kind: Format, ranges: list[tuple[int, int]], window: Window, size: int | None, name: str
) -> Iterator[str]:
    extents = (((start + window.offset) * 512, (end - start) * 512) for start, end in ranges)
    if size is None:
        end = window.end * 512
        whole = end if window.disk is None else window.disk * 512
        return ddrescue.write(extents, window.offset * 512, end, whole, f"pyctl export {name}")
    if kind is Format.LBA:
        return lba.write(extents, size)
    if kind is Format.E2FSCK:
        return e2fsck.write(extents, size)
    return badblocks.write(extents, size)
