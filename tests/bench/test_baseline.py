"""The gate of make bench-check, without a machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import baseline, measuring, plan
from tests.bench.baseline import TOLERANCE, Baseline, BaselineError, Entry
from tests.bench.results import Row
from tests.vm import kernels

PSYNC, URING = "randread-4k-psync", "randread-4k-uring-qd32"
OLD = Baseline(
    {"6.1": "6.1.0-56-amd64", "6.12": "6.12.117-amd64"},
    [
        Entry("6.1", "empty", PSYNC, 1.0160),
        Entry("6.12", "empty", PSYNC, 1.0150),
        Entry("6.12", "empty", URING, 1.0190),
    ],
)


def row(kernel: str, workload: str, ratio: float, case: str = "empty") -> Row:
    return Row(kernel, case, workload, 8000 * ratio, 8000, ratio, 0.0005)


def rows(psync: float = 1.0150, uring: float = 1.0190) -> list[Row]:
    """A run on 6.12."""
    return [row("6.12", PSYNC, psync), row("6.12", URING, uring)]


def test_the_same_again_is_no_change() -> None:
    assert baseline.compare(OLD, rows()) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_up_to_the_tolerance_is_no_change(sign: int) -> None:
    assert baseline.compare(OLD, rows(psync=1.0150 + sign * (TOLERANCE - 1e-6))) == []


def test_more_than_the_tolerance_is_worse_and_says_where_and_by_how_much() -> None:
    changes = baseline.compare(OLD, rows(uring=1.0190 + 0.005))

    assert [change.is_worse for change in changes] == [True]
    assert str(changes[0]) == (
        "On 6.12, empty takes 1.0240 times what dm-linear takes for randread-4k-uring-qd32; it was"
        " 1.0190 on 6.12.117-amd64 (+40 instructions)."
    )


def test_less_than_the_tolerance_is_a_change_and_not_worse() -> None:
    changes = baseline.compare(OLD, rows(psync=1.0100))

    assert [(change.row.workload, change.is_worse) for change in changes] == [(PSYNC, False)]


def test_every_worse_row_is_told() -> None:
    assert len(baseline.compare(OLD, rows(1.05, 1.05))) == 2


def test_kernels_are_compared_with_their_own_series() -> None:
    assert baseline.compare(OLD, [row("6.1", PSYNC, 1.0160)]) == []
    # What would be right on 6.12 is 0.001 better on 6.1.
    assert baseline.compare(OLD, [row("6.1", PSYNC, 1.0150)], tolerance=0.0005)


def test_an_unknown_series_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(BaselineError) as caught:
        baseline.compare(OLD, [row("6.18", PSYNC, 1.0150)])

    assert "no figures of Linux 6.18" in str(caught.value)
    assert "python -m tests.bench baseline 6.18" in str(caught.value)


def test_unknown_series_are_found_before_anything_is_measured() -> None:
    baseline.require(OLD, {"6.1", "6.12"})
    with pytest.raises(BaselineError, match=r"6\.9, 6\.18:"):
        baseline.require(OLD, {"6.1", "6.18", "6.9"})


def test_a_case_that_the_baseline_lacks_is_an_error() -> None:
    new = row("6.12", PSYNC, 1.0150, case="remaps-1k")

    with pytest.raises(BaselineError, match=f"no {PSYNC} of remaps-1k on 6.12"):
        baseline.compare(OLD, [*rows(), new])


def test_a_row_that_is_not_measured_any_more_is_an_error() -> None:
    with pytest.raises(BaselineError, match=f"{URING} of empty on 6.12, which is not measured"):
        baseline.compare(OLD, rows()[:1])


def test_devices_without_a_goal_are_not_compared() -> None:
    """The bare null_blk is not ours to judge."""
    assert baseline.compare(OLD, [*rows(), row("6.12", PSYNC, 0.7, case="raw")]) == []
    assert baseline.entries_of([row("6.12", PSYNC, 0.7, case="raw")]) == []


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"

    baseline.save(OLD, path)

    assert baseline.load(path) == OLD
    # An entry on a line: differences are read by people.
    assert sum('"workload"' in line for line in path.read_text().splitlines()) == len(OLD.entries)


def test_no_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="Make it: .*tests.bench baseline"):
        baseline.load(tmp_path / "baseline.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"releases": {}}', '{"releases": {}, "entries": [{"kernel": "6.1"}]}']
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(BaselineError, match="can't be read .* Make it anew"):
        baseline.load(path)


def test_a_new_baseline_keeps_the_series_that_were_not_measured() -> None:
    new = baseline.renewed(OLD, {"6.12": "6.12.200-amd64"}, rows(psync=1.0100))

    assert new.releases == {"6.1": "6.1.0-56-amd64", "6.12": "6.12.200-amd64"}
    assert new.entries == [
        OLD.entries[0],
        replace(OLD.entries[1], ratio=1.0100),
        OLD.entries[2],
    ]


def test_a_first_baseline_is_what_was_measured() -> None:
    new = baseline.renewed(None, {"6.12": "6.12.117-amd64"}, rows())

    assert new.entries == OLD.entries[1:]


def test_the_baseline_in_the_tree_is_of_what_is_measured_on_all_supported_kernels() -> None:
    expected = {
        (series, case.name, workload.name)
        for series in kernels.SERIES
        for case in plan.CASES.values()
        for workload in measuring.SHORT.workloads
        if workload in case.workloads and case.goal_for(workload)
    }
    in_tree = baseline.load()

    assert {entry.key for entry in in_tree.entries} == expected
    assert len(in_tree.entries) == len(expected)
    assert set(in_tree.releases) == set(kernels.SERIES)
    # No entry that lets everything pass: a number, and near enough to 1.
    assert all(1.0 < entry.ratio < 1.1 for entry in in_tree.entries)
    assert json.loads(baseline.PATH.read_text())["releases"] == in_tree.releases
