"""JUnit files: sum them up, and record in them the steps that aren't tests.

python -m tests.vm.junit sum FILE...
python -m tests.vm.junit run --suite lint --name ruff --out FILE -- COMMAND...
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

# The element in the place of a failure that tests.vm.second_chance has forgiven.
UNSTABLE = "unstable"


def record(path: Path, suite: str, name: str, failure: str | None, seconds: float = 0) -> None:
    """Add a test case to a file, which may not exist yet; no failure text means passed."""
    suites = _parse(path) if path.exists() else ElementTree.Element("testsuites")
    element = ElementTree.SubElement(suites, "testsuite", name=suite)
    case = ElementTree.SubElement(
        element, "testcase", classname=suite, name=name, time=f"{seconds:.3f}"
    )
    if failure is not None:
        # XML has no place for control characters, and terminals' colours are full of them.
        clean = "".join(char for char in failure if char.isprintable() or char in "\n\t")
        first_line = clean.strip().partition("\n")[0]
        ElementTree.SubElement(case, "failure", message=first_line).text = clean
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _parse(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()  # noqa: S314 - we wrote the file


def cases(path: Path) -> list[ElementTree.Element]:
    """The cases of a file, which has none when it isn't there; ParseError when it is damaged."""
    return list(_parse(path).iter("testcase")) if path.exists() else []


def failures(case: ElementTree.Element) -> list[ElementTree.Element]:
    """What says that a case failed."""
    return [found for found in case if found.tag in ("failure", "error")]


def outcome(case: ElementTree.Element) -> str:
    """What came of a case: "passed", "failed", "skipped" or "unstable"."""
    if failures(case):
        return "failed"
    if case.find(UNSTABLE) is not None:
        return "unstable"
    return "skipped" if case.find("skipped") is not None else "passed"


def outcomes(path: Path) -> Iterator[tuple[str, str]]:
    """Each case of a file: what came of it, and its full name."""
    try:
        found = list(_parse(path).iter("testcase"))
    except (ElementTree.ParseError, OSError) as error:
        yield "failed", f"{path} is not readable: {error}"
        return
    for case in found:
        yield outcome(case), f"{path.stem}: {case.get('classname')}.{case.get('name')}"


def _sum(paths: Sequence[Path]) -> int:
    total: Counter[str] = Counter()
    for path in paths:
        for came, name in outcomes(path):
            total[came] += 1
            if came == "failed":
                print(f"FAILED {name}")
            elif came == "unstable":
                print(f"UNSTABLE (failed once, passed when run again; to be mended) {name}")
    for came in ("skipped", "unstable"):
        if total[came]:
            print(f"{total[came]} {came}")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 0 if total["passed"] and not total["failed"] else 1


def _run(suite: str, name: str, out: Path, command: Sequence[str]) -> int:
    started = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    seconds = time.monotonic() - started
    failure = None
    if done.returncode:
        failure = f"{shlex.join(command)} ended with status {done.returncode}\n{done.stdout}"
    print(f"{suite} {name}: {'failed' if failure else 'ok'} ({seconds:.1f} s)", flush=True)
    if failure:
        print(failure.rstrip(), flush=True)
    record(out, suite, name, failure, seconds)
    return done.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.junit")
    commands = parser.add_subparsers(dest="command", required=True)
    total = commands.add_parser("sum", help="count passed and failed over files")
    total.add_argument("files", nargs="*", type=Path)
    run = commands.add_parser("run", help="run a command and record it as a test case")
    run.add_argument("--suite", required=True)
    run.add_argument("--name", required=True)
    run.add_argument("--out", required=True, type=Path)
    run.add_argument("argv", nargs="+")
    options = parser.parse_args(arguments)
    if options.command == "sum":
        return _sum(options.files)
    return _run(options.suite, options.name, options.out, options.argv)


if __name__ == "__main__":
    sys.exit(main())
