"""Steps of make test, side by side: tests.steps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import steps
from tests.vm import junit

Run = Callable[..., int]


@pytest.fixture
def made(tmp_path: Path) -> Run:
    """Run steps of a Makefile with these rules."""

    def run(rules: str, *arguments: str) -> int:
        makefile = tmp_path / "Makefile"
        makefile.write_text(rules)
        make = f"make -f {makefile} -C {tmp_path}"
        return steps.main(["--make", make, "--out", str(tmp_path), *arguments])

    return run


def test_all_are_run_and_the_failed_one_is_told(
    made: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = "good other:\n\t@echo $@ was here\nbad:\n\t@echo oh; exit 3\n"
    assert made(rules, "bad", "good", "--first", "other") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "other | other was here"
    assert {"bad   | oh", "good  | good was here"} <= set(said)
    assert any(line.startswith("== bad: ended with status 2") for line in said)
    assert any(line.startswith("== good: ok") for line in said)
    came = {
        name: came for step in ("good", "bad", "other") for came, name in outcomes(tmp_path, step)
    }
    assert came == {"good": "passed", "bad": "failed", "other": "passed"}


def outcomes(folder: Path, step: str) -> list[tuple[str, str]]:
    """What a step's JUnit file says."""
    cases = junit.cases(folder / f"step-{step}.xml")
    return [(junit.outcome(case), case.get("name", "")) for case in cases]


def test_two_at_a_time_can_wait_for_each_other(made: Run, tmp_path: Path) -> None:
    """Each opens one end of a pipe, which takes until somebody opens the other."""
    rules = "pipe:\n\t@mkfifo p\nreader:\n\t@cat p\nwriter:\n\t@echo hello > p\n"
    assert made(rules, "--first", "pipe", "--jobs", "2", "reader", "writer") == 0


def test_no_place_for_any(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        made("x:\n", "--jobs", "0", "x")
    assert "--jobs is 0" in capsys.readouterr().err
