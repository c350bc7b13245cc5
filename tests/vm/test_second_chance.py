"""Which failed tests are run once more, and what then stands in the JUnit file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.vm import junit, paths, second_chance
from tests.vm.kernel_log import COMPLAINT

Outcomes = dict[str, str]
PASSED = ""
FAILED = "<failure message='no'>it was 2</failure>"
KERNEL = f"<error message='no'>{COMPLAINT} BUG: bad</error>"


def write(path: Path, cases: Outcomes) -> None:
    """A file as pytest makes it in a guest; a name has the test's file before the colons."""
    text = ""
    for name, inside in cases.items():
        file, _, test = name.partition("::")
        place = f'file="{file}"' if file.endswith(".py") else ""
        text += f'<testcase classname="{file}" {place} name="{test}">{inside}</testcase>'
    path.write_text(f"<testsuites><testsuite>{text}</testsuite></testsuites>")


class Guest:
    """Runs tests as they are told to come out, one dictionary a run."""

    def __init__(self, *runs: Outcomes) -> None:
        self.runs = list(runs)
        self.asked: list[list[str]] = []

    def __call__(self, path: Path, tests: Sequence[str]) -> bool:
        self.asked.append(list(tests))
        outcomes = self.runs.pop(0)
        write(path, outcomes)
        return not any(outcomes.values())


Run = Callable[..., tuple[bool, list[list[str]], Outcomes]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run; whether all was well, what was asked of guests, and what came of each case."""

    def go(*runs: Outcomes) -> tuple[bool, list[list[str]], Outcomes]:
        guest, path = Guest(*runs), tmp_path / "kernel.xml"
        well = second_chance.run(path, guest)
        assert list(tmp_path.iterdir()) == [path]
        found = {str(case.get("name")): junit.outcome(case) for case in junit.cases(path)}
        return well, guest.asked, found

    return go


def test_what_passes_is_run_once(run: Run) -> None:
    assert run({"a.py::one": PASSED}) == (True, [[]], {"one": "passed"})


def test_what_passes_again_is_unstable_and_no_failure(run: Run) -> None:
    well, asked, found = run(
        {"a.py::one": PASSED, "a.py::two[x-1]": FAILED}, {"a.py::two[x-1]": PASSED}
    )
    assert (well, asked) == (True, [[], ["a.py::two[x-1]"]])
    assert found == {"one": "passed", "two[x-1]": "unstable"}


def test_what_fails_again_has_failed(run: Run) -> None:
    well, asked, found = run({"a.py::two": FAILED}, {"a.py::two": FAILED})
    assert (well, len(asked), found) == (False, 2, {"two": "failed"})


@pytest.mark.parametrize(
    "first",
    [
        {f"a.py::{number}": FAILED for number in range(second_chance.FEW + 1)},
        {"a.py::one": FAILED, "a.py::two": KERNEL},
        {"a.py::one": FAILED, "kernel-6.12::guest": FAILED},
        {"test_pool_load.py::one": FAILED},
        {"test_state_machine.py::one": FAILED},
    ],
    ids=["many", "kernel complained", "guest died", "load", "state machine"],
)
def test_no_second_chance(run: Run, first: Outcomes) -> None:
    well, asked, found = run(first)
    assert (well, len(asked)) == (False, 1)
    assert set(found.values()) == {"failed"}


def test_no_file_no_second_chance(tmp_path: Path) -> None:
    assert not second_chance.run(tmp_path / "kernel.xml", lambda path, tests: False)


def test_names_of_modules_that_get_none_exist() -> None:
    stems = [path.stem for path in (paths.PROJECT / "tests/kernel").glob("test_*.py")]
    for ending in second_chance.NEVER:
        assert any(stem.endswith(ending) for stem in stems), ending


def test_the_sum_names_what_is_unstable(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run({"a.py::one": FAILED, "a.py::two": PASSED}, {"a.py::one": PASSED})
    capsys.readouterr()
    assert junit.main(["sum", str(tmp_path / "kernel.xml")]) == 0
    said = capsys.readouterr().out
    assert "UNSTABLE" in said and "a.py.one" in said
    assert said.endswith("1 unstable\n1 passed, 0 failed\n")
