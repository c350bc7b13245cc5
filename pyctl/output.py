"""Text for people: tables and progress bars.

rich takes long to import and is not needed for JSON, so it is imported where it is used.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Pairs", "Rows", "counted", "progress_bar", "show", "table_of", "when"]


@dataclass(frozen=True)
class Rows:
    """A table with a line of titles; columns of numbers are aligned to the right."""

    titles: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Pairs:
    """Names and their values, one below the other."""

    values: Mapping[str, object]


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 block`, `2 blocks`; `plural` for nouns that don't end in s then."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def when(seconds: int) -> str:
    """Seconds since 1970 as UTC: `2026-11-21 06:00:00Z`, or `-` for 0."""
    if not seconds:
        return "-"
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def show(what: Rows | Pairs | str, *, err: bool = False) -> None:
    """Print to stdout or stderr; what is no terminal gets whole lines and no colours."""
    if isinstance(what, str):
        if what:
            click.echo(what, err=err)
        return
    from rich.console import Console

    table = table_of(what)
    if (sys.stderr if err else sys.stdout).isatty():
        Console(highlight=False, stderr=err).print(table)
        return
    console = Console(width=1000, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), err=err)


@contextmanager
def progress_bar(title: str, unit: str = "") -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr; gives the function to call with what is done and how much there is.

    `unit` is what is counted, to show the rate. Gives None where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    begun = time.monotonic()

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=None, rate="")

        def step(done: int, total: int) -> None:
            per_second = done / max(time.monotonic() - begun, 1e-3)
            rate = f"{per_second:,.0f} {unit}/s" if unit else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield step


def table_of(what: Rows | Pairs) -> "Table":
    """A table of rich."""
    from rich.table import Table
    from rich.text import Text

    # Text, because a device's name may look like rich's markup
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=isinstance(what, Rows))
    if isinstance(what, Pairs):
        for key, value in what.values.items():
            table.add_row(Text(key, style="bold"), Text(str(value)))
        return table
    for index, title in enumerate(what.titles):
        numeric = bool(what.rows) and all(isinstance(row[index], int) for row in what.rows)
        table.add_column(title, justify="right" if numeric else "left", overflow="fold")
    for row in what.rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
