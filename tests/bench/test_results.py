"""From samples to figures, and the judgement on them."""

import json
from pathlib import Path

import pytest

from tests.bench import measuring, plan, report, results
from tests.bench.guest import Samples
from tests.bench.inline import PUNTED, Count
from tests.bench.results import Result, Row
from tests.bench.scale.figures import Figure
from tests.bench.sheet import Cell, Sheet

PSYNC = plan.workload("randread-4k-psync")
EMPTY = plan.CASES["empty"]


def row(case: str, workload: str, ratio: float) -> Row:
    return Row("6.12", case, workload, 7000 * ratio, 7000, ratio, 0.0001)


def test_rounds_that_were_interrupted_dont_count() -> None:
    own = Samples([105.0, 900.0, 110.0, 900.0, 104.0], [0] * 5)
    linear = Samples([100.0, 900.0, 900.0, 100.0, 96.0], [0] * 5)

    (found,) = results.rows_of(
        "6.12", PSYNC, [EMPTY], {EMPTY.own_word: own, EMPTY.linear_word: linear}
    )

    assert (found.insns, found.insns_linear, found.ratio) == (105.0, 100.0, 1.05)
    # 105 / 96 less 104 / 100.
    assert found.spread == 0.05375


@pytest.mark.parametrize(
    ("case", "workload", "goal"),
    [
        ("empty", "randread-4k-psync", 1.010),
        ("empty", "randwrite-4k-uring-qd32", 1.010),
        ("empty", "randread-4k-nowait-qd32", 1.010),
        ("empty", "randread-4k-polled-qd1", 1.010),
        ("empty", "seqread-128k-psync", 1.005),
        ("empty", "seqwrite-1m-psync", 1.005),
        ("remaps-1k", "randread-4k-psync", 1.015),
        ("dense-1k", "randread-4k-psync", 1.015),
        ("remaps-1m", "randwrite-4k-psync", 1.015),
        ("remapped-1m", "randread-4k-uring-qd1", 1.03),
    ],
)
def test_goals(case: str, workload: str, goal: float) -> None:
    assert not row(case, workload, goal).is_missed
    missed = row(case, workload, goal + 1e-5)
    assert missed.is_missed
    assert f"the goal is {goal}" in str(missed)


@pytest.mark.parametrize("case", ["raw", "flakey-up", "chopped-1k"])
def test_others_have_no_goals(case: str) -> None:
    assert not row(case, "randread-4k-psync", 3.0).is_missed


def test_io_may_be_left_to_workers_where_dm_linear_does_it_too() -> None:
    def count(own: int, linear: int) -> Count:
        return Count("6.12", "empty", "randread-4k-uring-qd1", PUNTED, 2000, own, linear)

    assert not count(0, 0).is_missed
    assert not count(2000, 2000).is_missed
    assert count(1, 0).is_missed


def test_misses_name_the_worst_row_of_a_case_and_each_figure() -> None:
    found: list[Result] = [
        row("empty", "randread-4k-psync", 1.02),
        row("empty", "randread-4k-uring-qd1", 1.03),
        row("empty", "seqread-1m-psync", 1.001),
        row("remaps-1k", "randread-4k-psync", 1.01),
        Count("6.12", "empty", "randread-4k-uring-qd1", PUNTED, 2000, 7, 0),
        Figure("6.12", "8tib-4k", 1_000_000, "memory-per-remap", 21.0, "bytes", limit=20),
        Figure("6.12", "8tib-4k", 1_000_000, "load", 1.0, "instructions", limit=20),
    ]

    worst, count, figure = report.misses(found)

    assert "empty takes 1.0300 times" in worst
    assert "randread-4k-uring-qd1" in worst
    assert worst.endswith("It misses its goals for 2 of 3 workloads.")
    assert count.startswith("On 6.12, 7 of 2000 I/Os")
    assert figure.startswith("memory-per-remap of 8tib-4k")


def test_results_of_all_kinds_are_written_as_one_list(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bench.json"
    found: list[Result] = [
        row("empty", "randread-4k-psync", 1.02),
        Count("6.12", "empty", "randread-4k-uring-qd1", PUNTED, 2000, 7, 0),
        Figure("6.12", "8tib-4k", 0, "load", 1.0, "instructions"),
    ]

    results.write(found, path)

    first, second, third = json.loads(path.read_text())
    assert set(first) == {
        "kernel",
        "case",
        "workload",
        "insns",
        "insns_linear",
        "ratio",
        "spread",
    }
    assert second["count"] == 7
    assert third["value"] == 1.0


def test_markdown() -> None:
    sheet = Sheet("Figures", ["what", "how many"])
    sheet.rows = [["good", Cell("1", good=True)], [], ["bad", Cell("2", good=False)]]

    assert sheet.markdown() == (
        "Figures:\n\n| what | how many |\n| --- | --: |\n| good | 1 |\n| bad | **2** |\n"
    )


def test_markdown_of_a_run_has_a_line_for_each_workload(capsys: pytest.CaptureFixture[str]) -> None:
    found = [row("raw", "randread-4k-psync", 0.7), row("empty", "randread-4k-psync", 1.02)]

    report.show(found, markdown=True)

    assert "| randread-4k-psync | 7,000 | -2,100, 0.7000 | **+140, 1.0200** |" in (
        capsys.readouterr().out
    )


def test_names_of_workloads_are_all_different() -> None:
    assert len({workload.name for workload in plan.WORKLOADS}) == len(plan.WORKLOADS)


def test_the_short_form_is_part_of_the_long_one() -> None:
    assert set(measuring.SHORT.workloads) <= set(plan.WORKLOADS)
