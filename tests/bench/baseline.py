"""The figures that were, and whether new ones are worse: the gate of `make bench-check`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.results import Row

PATH = Path(__file__).with_name("baseline.json")

# How much a ratio may rise: about 20 instructions of a 4 KiB I/O. The same module in another boot
# differs by up to 0.0023: see docs/performance.md.
TOLERANCE = 0.003

_COMMAND = "build/venv/bin/python -m tests.bench baseline"


class BaselineError(Exception):
    """There is nothing to compare with. The message is a finished sentence that says what to do."""


@dataclass(frozen=True)
class Entry:
    """The ratio of a case to dm-linear for a workload on a kernel series."""

    kernel: str
    case: str
    workload: str
    ratio: float

    @property
    def key(self) -> tuple[str, str, str]:
        """What an entry is found by."""
        return self.kernel, self.case, self.workload


@dataclass(frozen=True)
class Baseline:
    """Entries, and on which release of each series they were measured."""

    releases: Mapping[str, str]
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Change:
    """A ratio that is not what it was; `release` is what the old one was measured on."""

    row: Row
    before: float
    release: str

    @property
    def is_worse(self) -> bool:
        """Whether it has risen."""
        return self.row.ratio > self.before

    def __str__(self) -> str:
        row = self.row
        more = (row.ratio - self.before) * row.insns_linear
        return (
            f"On {row.kernel}, {row.case} takes {row.ratio:.4f} times what dm-linear takes for"
            f" {row.workload}; it was {self.before:.4f} on {self.release} ({more:+.0f}"
            " instructions)."
        )


def entries_of(rows: Sequence[Row]) -> list[Entry]:
    """What a baseline keeps of rows: those that have a goal."""
    return [Entry(r.kernel, r.case, r.workload, r.ratio) for r in rows if r.goal is not None]


def load(path: Path = PATH) -> Baseline:
    """Read a baseline. Raises BaselineError if there is none, or if it can't be read."""
    try:
        content = json.loads(path.read_text())
        return Baseline(content["releases"], [Entry(**entry) for entry in content["entries"]])
    except FileNotFoundError as error:
        raise BaselineError(f"There is no {path}. Make it: {_COMMAND}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BaselineError(f"{path} can't be read ({error}). Make it anew: {_COMMAND}") from error


def save(baseline: Baseline, path: Path = PATH) -> None:
    """Write a baseline, an entry on a line."""
    releases = json.dumps(baseline.releases)
    entries = ",\n".join("    " + json.dumps(asdict(entry)) for entry in baseline.entries)
    path.write_text(f'{{\n  "releases": {releases},\n  "entries": [\n{entries}\n  ]\n}}\n')


def renewed(old: Baseline | None, releases: Mapping[str, str], rows: Sequence[Row]) -> Baseline:
    """A baseline of new rows; of the old one, kernel series that were not measured remain."""
    kept = [entry for entry in old.entries if entry.kernel not in releases] if old else []
    entries = sorted(
        [*kept, *entries_of(rows)], key=lambda entry: (_number(entry.kernel), entry.key)
    )
    all_releases = {**(old.releases if old else {}), **releases}
    return Baseline({s: all_releases[s] for s in sorted(all_releases, key=_number)}, entries)


def compare(baseline: Baseline, rows: Sequence[Row], tolerance: float = TOLERANCE) -> list[Change]:
    """All ratios that are further than `tolerance` from what they were, up or down.

    Raises BaselineError if a row has no entry, or if an entry of a kernel that was measured has no
    row: then the baseline is about something else.
    """
    require(baseline, {row.kernel for row in rows})
    before = {entry.key: entry for entry in baseline.entries}
    now = {(row.kernel, row.case, row.workload): row for row in rows if row.goal is not None}
    for key in now.keys() - before.keys():
        raise BaselineError(f"The baseline has no {_words(key)}. Make it anew: {_COMMAND}")
    measured = {row.kernel for row in rows}
    for key in before.keys() - now.keys():
        if key[0] in measured:
            raise BaselineError(
                f"Only the baseline has {_words(key)}, which is not measured any more. Make it"
                f" anew: {_COMMAND}"
            )
    return list(_changes(baseline, before, now, tolerance))


def require(baseline: Baseline, series: set[str]) -> None:
    """Raise BaselineError if there is a kernel series that the baseline knows nothing of."""
    unknown = series - {entry.kernel for entry in baseline.entries}
    if unknown:
        raise BaselineError(
            f"The baseline has no figures of Linux {', '.join(sorted(unknown, key=_number))}: only"
            f" those of one series can be compared. Measure them with a module that is known to be"
            f" good, and commit them: {_COMMAND} {' '.join(sorted(unknown, key=_number))}"
        )


def _changes(
    baseline: Baseline,
    before: Mapping[tuple[str, str, str], Entry],
    now: Mapping[tuple[str, str, str], Row],
    tolerance: float,
) -> Iterator[Change]:
    for key, row in now.items():
        if abs(row.ratio - before[key].ratio) > tolerance:
            yield Change(row, before[key].ratio, baseline.releases[row.kernel])


def _words(key: tuple[str, str, str]) -> str:
    kernel, case, workload = key
    return f"{workload} of {case} on {kernel}"


def _number(series: str) -> list[int]:
    return [int(part) for part in series.split(".")]
