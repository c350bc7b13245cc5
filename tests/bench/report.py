"""The figures for a person."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench import plan
from tests.bench.results import Row
from tests.bench.trace import Profile

console = Console()


@contextlib.contextmanager
def progress(kernel: str) -> Iterator[Callable[[str], None]]:
    """Tell on one line what is going on; a file gets a line for each kernel."""
    if not console.is_terminal:
        console.print(f"measuring on {kernel}")
        yield lambda _: None
        return
    with console.status(kernel) as status:
        yield lambda what: status.update(f"{kernel}: {what}")


def show(rows: Sequence[Row]) -> None:
    """Print a table for each kernel."""
    for kernel in dict.fromkeys(row.kernel for row in rows):
        console.print(_table(kernel, [row for row in rows if row.kernel == kernel]))


def show_functions(kernel: str, profiles: Sequence[Profile]) -> None:
    """Print the functions in which dm-remap and dm-linear differ; `profiles` begins with that."""
    table = empty_table(f"Linux {kernel}: instructions of one I/O where they differ")
    table.add_column("function", no_wrap=True)
    for profile in profiles:
        table.add_column(profile.device, justify="right", no_wrap=True)
    table.add_row("all", *(f"{profile.total:.0f}" for profile in profiles))
    table.add_section()
    names = {name for profile in profiles for name in profile.functions}
    counts = {name: [profile.functions.get(name, 0) for profile in profiles] for name in names}
    for name, row in sorted(counts.items(), key=lambda item: -abs(item[1][1] - item[1][0])):
        if max(row) - min(row) >= 0.5:
            table.add_row(name, *(f"{count:.1f}" for count in row))
    console.print(table)


def show_lines(device: str, lines: Mapping[str, float]) -> None:
    """Print how many instructions each source line of the module takes."""
    table = empty_table(f"{device}: by source line")
    table.add_column("line", no_wrap=True)
    table.add_column("insns", justify="right")
    for line, count in sorted(lines.items(), key=_place):
        table.add_row(line, f"{count:.0f}")
    table.add_section()
    table.add_row("all", f"{sum(lines.values()):.0f}")
    console.print(table)


def empty_table(title: str) -> Table:
    """A table as narrow as it can be: the figures shall fit a terminal of 80 columns."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def _place(item: tuple[str, float]) -> tuple[str, int]:
    file, _, line = item[0].partition(":")
    return file, int(line) if line.isdigit() else 0


def _table(kernel: str, rows: Sequence[Row]) -> Table:
    table = empty_table(f"Linux {kernel}: instructions per I/O")
    table.add_column("workload", no_wrap=True)
    table.add_column("case", no_wrap=True)
    for heading in ("insns", "more", "ratio", "spread", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    workloads = {workload.name: workload for workload in plan.WORKLOADS}
    for name in dict.fromkeys(row.workload for row in rows):
        own = [row for row in rows if row.workload == name]
        table.add_row(name, "dm-linear", f"{own[0].insns_linear:.0f}")
        for row in own:
            table.add_row("", *_cells(row, workloads[name].is_4k))
        table.add_section()
    return table


def _cells(row: Row, is_4k: bool) -> tuple[str, ...]:
    return (
        row.case,
        f"{row.insns:.0f}",
        f"{row.insns - row.insns_linear:+.0f}",
        _ratio(row, is_4k),
        f"{100 * row.spread:.2f} %",
        _goal(row, is_4k),
    )


def _ratio(row: Row, is_4k: bool) -> str:
    limit = plan.LIMITS.get(row.case) if is_4k else None
    if limit is None:
        return f"{row.ratio:.4f}"
    color = "red" if row.ratio > limit else "green"
    return f"[{color}]{row.ratio:.4f}[/]"


def _goal(row: Row, is_4k: bool) -> str:
    """The ratio that shall be, and how many instructions are to be saved for it."""
    goal = plan.goal_of(row.case, is_4k)
    if goal is None:
        return ""
    surplus = row.insns - goal * row.insns_linear
    return f"{goal:.3f}: {f'{-surplus:.0f}' if surplus > 0 else 'met'}"
