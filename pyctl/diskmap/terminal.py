"""The map on a terminal."""

import shutil
import sys

import click

from pyctl.diskmap.cells import DiskMap, Kind
from pyctl.output import counted

__all__ = ["print_map"]

_MOST_LINES = 24
_WIDEST = 128


def print_map(disk: DiskMap) -> None:
    """Print it with its legend; signs alone where stdout is no terminal."""
    from rich.console import Console
    from rich.text import Text

    width = max(16, min(_WIDEST, shutil.get_terminal_size().columns))
    each, cells = disk.grouped(width * _MOST_LINES)
    colours = sys.stdout.isatty()
    console = Console(highlight=False) if colours else None
    for start in range(0, len(cells), width):
        row = cells[start : start + width]
        if console:
            line = Text()
            for cell in row:
                r, g, b = cell.colour
                line.append(cell.kind.sign, style=f"white on rgb({r},{g},{b})")
            console.print(line)
        else:
            click.echo("".join(cell.kind.sign for cell in row))
    click.echo(f"a cell is {counted(each, 'region')} of 1 MiB")
    for kind in Kind:
        if number := disk.count(kind):
            click.echo(f"{kind.sign} {kind.meaning}: {counted(number, 'region')}")
