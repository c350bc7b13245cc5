"""The figures for a person."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console

from tests.bench.finding import report as finding_report
from tests.bench.finding.figures import Finding
from tests.bench.inline import Count
from tests.bench.probes import report as probes_report
from tests.bench.probes.figures import Probing
from tests.bench.results import Result, Row
from tests.bench.scale import report as scale_report
from tests.bench.scale.figures import Figure
from tests.bench.scan import report as scan_report
from tests.bench.scan.figures import Foreground, Idle
from tests.bench.sheet import Cell, Sheet
from tests.bench.smp import report as smp_report
from tests.bench.smp.figures import Scaling
from tests.bench.spares import report as spares_report
from tests.bench.spares.figures import Allocation, Throughput
from tests.bench.trace import Profile

console = Console()

Step = Callable[[str], None]


@contextlib.contextmanager
def progress(kernel: str) -> Iterator[Step]:
    """Tell on one line what is going on; a file gets a line for each kernel."""
    if not console.is_terminal:
        console.print(f"measuring on {kernel}")
        yield lambda _: None
        return
    with console.status(kernel) as status:
        yield lambda what: status.update(f"{kernel}: {what}")


def show(results: Sequence[Result], *, markdown: bool = False) -> None:
    """Print tables for each kernel; as Markdown they are as wide as they need."""
    for sheet in _sheets(results, _wide if markdown else _long):
        if markdown:
            print(sheet.markdown())
        else:
            console.print(sheet.rich())


def misses(results: Sequence[Result]) -> Iterator[str]:
    """A sentence for each case, and for each figure or count, that misses its goal."""
    rows = [result for result in results if isinstance(result, Row)]
    for kernel, case in dict.fromkeys((row.kernel, row.case) for row in rows):
        own = [row for row in rows if (row.kernel, row.case) == (kernel, case)]
        missed = [row for row in own if row.is_missed]
        if missed:
            worst = max(missed, key=lambda row: row.ratio - (row.goal or 0))
            yield f"{worst} It misses its goals for {len(missed)} of {len(own)} workloads."
    yield from (str(r) for r in results if not isinstance(r, Row) and r.is_missed)


def show_functions(kernel: str, profiles: Sequence[Profile]) -> None:
    """Print the functions in which dm-remap and dm-linear differ; `profiles` begins with that."""
    names = [profile.device for profile in profiles]
    title = f"Linux {kernel}: instructions of one I/O where they differ"
    sheet = Sheet(title, ["function", *names])
    sheet.rows = [["all", *(f"{profile.total:.0f}" for profile in profiles)], []]
    functions = {name for profile in profiles for name in profile.functions}
    counts = {name: [profile.functions.get(name, 0) for profile in profiles] for name in functions}
    for name, row in sorted(counts.items(), key=lambda item: -abs(item[1][-1] - item[1][0])):
        if max(row) - min(row) >= 0.5:
            sheet.rows.append([name, *(f"{count:.1f}" for count in row)])
    console.print(sheet.rich())


def show_lines(device: str, lines: Mapping[str, float]) -> None:
    """Print how many instructions each source line of the module takes."""
    sheet = Sheet(f"{device}: by source line", ["line", "insns"])
    sheet.rows = [[line, f"{count:.0f}"] for line, count in sorted(lines.items(), key=_place)]
    sheet.rows += [[], ["all", f"{sum(lines.values()):.0f}"]]
    console.print(sheet.rich())


def _place(item: tuple[str, float]) -> tuple[str, int]:
    file, _, line = item[0].partition(":")
    return file, int(line) if line.isdigit() else 0


def _sheets(
    results: Sequence[Result], of_rows: Callable[[str, Sequence[Row]], Sheet]
) -> Iterator[Sheet]:
    for kernel in dict.fromkeys(result.kernel for result in results):
        own = [result for result in results if result.kernel == kernel]
        rows = [result for result in own if isinstance(result, Row)]
        counts = [result for result in own if isinstance(result, Count)]
        if rows:
            yield of_rows(kernel, rows)
        if counts:
            yield _of_counts(kernel, counts)
        yield from scale_report.sheets([f for f in own if isinstance(f, Figure)])
        yield from smp_report.sheets([f for f in own if isinstance(f, Scaling)])
        yield from spares_report.of_allocations([f for f in own if isinstance(f, Allocation)])
        yield from spares_report.of_throughputs([f for f in own if isinstance(f, Throughput)])
        yield from scan_report.of_foreground([f for f in own if isinstance(f, Foreground)])
        yield from scan_report.of_idle([f for f in own if isinstance(f, Idle)])
        yield from probes_report.sheets([f for f in own if isinstance(f, Probing)])
        yield from finding_report.sheets([f for f in own if isinstance(f, Finding)])


def _long(kernel: str, rows: Sequence[Row]) -> Sheet:
    """A line for each case: fits a terminal."""
    headings = ["workload", "case", "insns", "more", "ratio", "spread", "goal"]
    sheet = Sheet(f"Linux {kernel}: instructions per I/O", headings, left=2)
    for name in dict.fromkeys(row.workload for row in rows):
        own = [row for row in rows if row.workload == name]
        sheet.rows.append([name, "dm-linear", f"{own[0].insns_linear:.0f}", "", "", "", ""])
        sheet.rows += [["", *_cells(row)] for row in own]
        sheet.rows.append([])
    return sheet


def _cells(row: Row) -> list[str | Cell]:
    return [
        row.case,
        f"{row.insns:.0f}",
        f"{row.insns - row.insns_linear:+.0f}",
        Cell(f"{row.ratio:.4f}", None if row.goal is None else not row.is_missed),
        f"{100 * row.spread:.2f} %",
        _goal(row),
    ]


def _goal(row: Row) -> str:
    """The ratio that shall be, and how many instructions are to be saved for it."""
    if row.goal is None:
        return ""
    surplus = row.insns - row.goal * row.insns_linear
    return f"{row.goal:.3f} {f'{-surplus:.0f}' if row.is_missed else 'met'}"


def _wide(kernel: str, rows: Sequence[Row]) -> Sheet:
    """A column for each case: what a document wants."""
    cases = list(dict.fromkeys(row.case for row in rows))
    sheet = Sheet(f"Linux {kernel}, instructions per I/O", ["workload", "dm-linear", *cases])
    for name in dict.fromkeys(row.workload for row in rows):
        own = {row.case: row for row in rows if row.workload == name}
        linear = next(iter(own.values())).insns_linear
        cells = [_compared(own[case]) if case in own else "" for case in cases]
        sheet.rows.append([name, f"{linear:,.0f}", *cells])
    return sheet


def _compared(row: Row) -> Cell:
    text = f"{row.insns - row.insns_linear:+,.0f}, {row.ratio:.4f}"
    return Cell(text, None if row.goal is None else not row.is_missed)


def _of_counts(kernel: str, counts: Sequence[Count]) -> Sheet:
    """The counts of all workloads of a case together, unless one of them is not as it should be."""
    headings = ["not done inline", "case", "of", "dm-linear", "dm-remap"]
    sheet = Sheet(f"Linux {kernel}: I/Os that were not done where they were submitted", headings, 2)
    for measure, case in dict.fromkeys((count.measure, count.case) for count in counts):
        own = [count for count in counts if (count.measure, count.case) == (measure, case)]
        good = not any(count.is_missed for count in own)
        linear = sum(count.count_linear for count in own)
        ios = sum(count.ios for count in own)
        remap = Cell(str(sum(count.count for count in own)), good)
        sheet.rows.append([measure, case, str(ios), str(linear), remap])
    return sheet
