"""Show that the tests of the traps fail with the mistakes that they are about.

python -m tests.mistakes [--kernel 6.12] [--machine] [NN...]

For every NN_<name>.patch the module is built with the mistake and the tests test_trap_NN_* run with
it in a guest. They must fail: by an assertion, a hang or a crash. A patch that doesn't apply, a
module that doesn't build, or a guest that fails otherwise is an error.

With --machine it is test_state_machine that runs, and must fail with the mistakes in MACHINE_FINDS:
those that random steps meet without being led there.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.vm import kernels, paths, pytest_guest
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel

PATCHES = Path(__file__).parent
WORK = paths.BUILD / "mistakes"

GUEST_SECONDS = 150
# What ends by itself must not look like a guest that hangs: all steps take minutes on a busy host.
MACHINE_SECONDS = 1200
HUNG_TASK_SECONDS = 15

MACHINE = "test_state_machine"
MACHINE_FINDS = frozenset(
    {
        "06_whole_bio_is_remapped",
        "16_stale_main_data",
        "17_events_stand_still",
        "17_stale_spare_is_used",
    }
)


class MistakeError(Exception):
    """A mistake can't be tried. The message is a finished sentence."""


@dataclass(frozen=True)
class Mistake:
    """A patch that makes a mistake, and the number of its trap."""

    patch: Path

    @property
    def name(self) -> str:
        """The name of the patch, without its number."""
        return self.patch.stem.partition("_")[2]

    @property
    def trap(self) -> str:
        """Two digits."""
        return self.patch.stem.partition("_")[0]


def find(traps: list[str], *, machine: bool = False) -> list[Mistake]:
    """All mistakes, or those about some traps, by number or by the beginning of their name.

    With `machine`, of those that the state machine must find.
    """
    paths_ = sorted(PATCHES.glob("[0-9][0-9]_*.patch"))
    mistakes = [Mistake(path) for path in paths_ if not machine or path.stem in MACHINE_FINDS]
    wanted = [trap.zfill(2) for trap in traps]
    if not wanted:
        return mistakes
    for start in wanted:
        if not any(mistake.patch.stem.startswith(start) for mistake in mistakes):
            of_them = " that the state machine must find" if machine else ""
            raise MistakeError(f"There is no patch {start}_*.patch{of_them} in {PATCHES}.")
    return [m for m in mistakes if any(m.patch.stem.startswith(start) for start in wanted)]


def build(mistake: Mistake, kernel: Kernel) -> Path:
    """Build the module with the mistake; its sources stay in build/mistakes/NN_<name>/."""
    sources = WORK / mistake.patch.stem
    shutil.rmtree(sources, ignore_errors=True)
    (sources / "kernel").mkdir(parents=True)
    for path in _sources():
        shutil.copyfile(path, sources / path.relative_to(paths.PROJECT))
    _run(
        ["patch", "-p1", "-s", "--no-backup-if-mismatch", "-i", str(mistake.patch)],
        sources,
        f"{mistake.patch.name} doesn't apply to the sources.",
    )
    # One tree for all: only what a patch changes is compiled again.
    tree = WORK / f"module-{kernel.release}"
    _sync(sources, tree)
    jobs = f"-j{os.cpu_count() or 1}"
    _run(
        ["make", jobs, "-C", str(kernel.headers), f"M={tree}", "modules"],
        tree,
        f"The module doesn't build with {mistake.patch.name}.",
    )
    module = sources / "dm-remap.ko"
    shutil.copyfile(tree / "kernel" / "dm-remap.ko", module)
    return module


def _sources() -> list[Path]:
    kernel = paths.PROJECT / "kernel"
    return [paths.PROJECT / "Kbuild", kernel / "Kbuild", *kernel.glob("*.[ch]")]


def _sync(source: Path, target: Path) -> None:
    """Make files the same, and leave those alone that are: make looks at their times."""
    (target / "kernel").mkdir(parents=True, exist_ok=True)
    names = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for old in target.glob("kernel/*.[ch]"):
        if old.relative_to(target) not in names and not old.name.endswith(".mod.c"):
            old.unlink()
    for name in names:
        content = (source / name).read_bytes()
        if not (target / name).exists() or (target / name).read_bytes() != content:
            (target / name).write_bytes(content)


def _run(command: list[str], directory: Path, complaint: str) -> None:
    done = subprocess.run(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise MistakeError(f"{complaint}\n{done.stdout.rstrip()}")


def attempt(mistake: Mistake, kernel: Kernel, *, machine: bool = False) -> list[str]:
    """Run the tests of the trap with the mistake; a line for each that failed, saying how."""
    module = build(mistake, kernel)
    report = WORK / mistake.patch.stem / "junit.xml"
    tests = MACHINE if machine else f"test_trap_{mistake.trap}_"
    if machine:
        # The same steps as everywhere else, or it could be luck.
        os.environ["CI"] = "1"
    passed = pytest_guest.run(
        kernel,
        report,
        expression=tests.removeprefix("test_").rstrip("_"),
        pytest_args=["-x", "--tb=short", *["--no-shrink"] * machine],
        timeout=MACHINE_SECONDS if machine else GUEST_SECONDS,
        module=module,
        hung_task_seconds=HUNG_TASK_SECONDS,
    )
    if passed:
        return []
    failures = _failures(report)
    found = [line for line in failures if tests in line]
    if not found:
        raise MistakeError(f"The guest failed otherwise: {'; '.join(failures)}")
    return found


def _failures(report: Path) -> list[str]:
    """What failed according to a JUnit file, a line each, the tests first."""
    root = ElementTree.parse(report).getroot()  # noqa: S314 - we wrote the file
    lines = []
    for case in root.iter("testcase"):
        for failure in (*case.findall("failure"), *case.findall("error")):
            what = (failure.get("message") or "").partition("\n")[0]
            what = re.sub(r"The guest didn't finish in time: .*", "the guest hung", what)
            name = case.get("name", "")
            text = failure.text or ""
            lines.append(what + _cause(text) if name == "guest" else f"{name}: {what}")
    return sorted(lines, key=lambda line: "::" in line)


def _cause(text: str) -> str:
    """What a guest's console says about its death."""
    found = re.search(r"INFO: task .* blocked|BUG: [^\n]*|kernel BUG at [^\n]*|Oops[^\n]*", text)
    return f" ({found[0]})" if found else ""


def main() -> int:
    """Run the command line; 0 when every mistake was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mistakes")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    parser.add_argument("--kernel-root", type=Path, default=kernels.HOST, help="instead of /")
    parser.add_argument("--machine", action="store_true", help="run the state machine instead")
    parser.add_argument(
        "traps", nargs="*", metavar="NN", help="numbers of traps; all when left out"
    )
    options = parser.parse_args()
    status = 0
    table = []
    try:
        root = options.kernel_root
        kernel = kernels.find(options.kernel, root) if options.kernel else kernels.newest(root)
        for mistake in find(options.traps, machine=options.machine):
            print(f"== {mistake.trap} {mistake.name}", flush=True)
            try:
                failures = attempt(mistake, kernel, machine=options.machine)
            except MistakeError as error:
                status = 2
                print(f"error: {error}", file=sys.stderr)
                table.append((mistake, f"ERROR: {error}"))
                continue
            if not failures:
                status = status or 1
            table.append((mistake, failures[0] if failures else "NOT FOUND: the tests passed"))
    except (MistakeError, VMError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{'trap':4}  {'mistake':32}  how it failed")
    for mistake, how in table:
        print(f"{mistake.trap:4}  {mistake.name:32}  {how.partition(chr(10))[0]}")
    return status


if __name__ == "__main__":
    sys.exit(main())
