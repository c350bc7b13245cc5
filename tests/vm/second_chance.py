"""A second chance for the few tests that fail in a run of many hundred.

An emulated guest on a busy host stands still for seconds, and a test that didn't expect it fails
where nothing is wrong with the module. So up to FEW failed tests are run once more, in a guest of
their own. Those that pass don't fail the run, but are reported as unstable, with the text of their
failure: a test that has to be mended. There is none for

- anything that the kernel complained about, a guest that died, or tests that could not run at all;
- tests that look for what happens rarely, NEVER: a rare failure is just what they are to find.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.vm import junit
from tests.vm.kernel_log import COMPLAINT

FEW = 2

# Data under load and under random steps.
NEVER = ("_load", "_state_machine")


def run(first: Path, tests: Callable[[Path, Sequence[str]], bool]) -> bool:
    """Run tests, and once more those that get a second chance; was all well?

    `tests` runs all tests or those that it is given, writes a JUnit file, and tells whether all was
    well. `first` is the file that remains.
    """
    if tests(first, []):
        return True
    again = deserving(first)
    if not again:
        return False
    print(f"A second chance, in a guest of their own: {', '.join(again)}", flush=True)
    second = first.with_name(f".{first.name}.again")
    try:
        if not tests(second, again):
            return False
    finally:
        second.unlink(missing_ok=True)
    forgive(first)
    return True


def deserving(path: Path) -> list[str]:
    """The tests of a JUnit file to run once more, by pytest's names; none unless all deserve it."""
    failed = [case for case in junit.cases(path) if junit.outcome(case) == "failed"]
    if len(failed) > FEW or not all(map(_deserves, failed)):
        return []
    return [f"{case.get('file')}::{case.get('name')}" for case in failed]


def _deserves(case: ElementTree.Element) -> bool:
    file = case.get("file")
    if not file or Path(file).stem.endswith(NEVER):
        return False
    return not any(COMPLAINT in (found.text or "") for found in junit.failures(case))


def forgive(path: Path) -> None:
    """Turn the failures of a JUnit file into what junit.outcome() calls unstable."""
    tree = ElementTree.parse(path)  # noqa: S314 - our own guest wrote it
    for case in tree.iter("testcase"):
        for found in junit.failures(case):
            found.tag = junit.UNSTABLE
    tree.write(path, encoding="utf-8", xml_declaration=True)
