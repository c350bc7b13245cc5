"""Run tests/kernel on the debug kernel, with a guest of its own for each file of tests.

After its first report lockdep is off and KASAN is silent, so one guest for all would hide what
comes after it. Any report of the kernel fails the run.
"""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import junit, paths, pytest_guest
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

SUITE = "debug"

# KASAN keeps what was freed in quarantine, and everything takes several times as long.
MEMORY = "4G"
SLOWNESS = 4
GUEST_SECONDS = 3600
HUNG_TASK_SECONDS = 180

_NO_BPF = "this kernel has no type information, and no headers for bcc"

# What can't run here, with the reason. A test of another name doesn't fall under it.
EXCLUDED = {
    "tests/kernel/test_retained_bio.py::test_trap_10_retry_of_a_polled_bio_ends[write]": (
        "null_blk itself allocates with GFP_NOIO under its spinlock when it is polled and "
        "memory-backed, and DEBUG_ATOMIC_SLEEP says so"
    ),
    "tests/kernel/test_foretelling.py::test_a_region_that_gets_slow_is_moved_before_it_dies": (
        _NO_BPF
    ),
}

# Files of which nothing can run here.
EXCLUDED_FILES = {"tests/kernel/test_probes.py": _NO_BPF}

# Tests that make and remove all there is; the module must not leak anything over them.
LEAK_FILES = ("tests/kernel/test_smoke.py", "tests/kernel/test_table.py")
# kmemleak reports what nobody has pointed at for five seconds.
_LEAK_SCAN = "sleep 6 && cd /sys/kernel/debug && echo scan >kmemleak && cat kmemleak"


@dataclass(frozen=True)
class Group:
    """Tests that share a guest, and what is asked of the guest after them."""

    name: str
    files: tuple[str, ...]
    check: Callable[[VM], list[str]]
    append: str = ""


def groups(names: Sequence[str] = ()) -> list[Group]:
    """All groups, or those of these names."""
    files = sorted((paths.PROJECT / pytest_guest.TESTS).glob("test_*.py"))
    found = [
        Group(
            path.stem.removeprefix("test_"),
            (str(path.relative_to(paths.PROJECT)),),
            lockdep_problems,
        )
        for path in files
        if str(path.relative_to(paths.PROJECT)) not in EXCLUDED_FILES
    ]
    found.append(Group("leaks", LEAK_FILES, leaks, "kmemleak=on"))
    if unknown := set(names) - {group.name for group in found}:
        have = ", ".join(group.name for group in found)
        raise VMError(f"There is no group {', '.join(sorted(unknown))}. These are: {have}.")
    return [group for group in found if not names or group.name in names]


def lockdep_problems(vm: VM) -> list[str]:
    """Lockdep must still be at work when the tests are over, or it has not watched them."""
    stats = vm.sh("cat /proc/lockdep_stats").output
    if re.search(r"debug_locks: +1\b", stats):
        return []
    return ["Lockdep has turned itself off."]


def leaks(vm: VM) -> list[str]:
    """What the module has allocated and forgotten, according to kmemleak."""
    report = vm.sh(_LEAK_SCAN, timeout=600).output
    blocks = re.split(r"(?m)^(?=unreferenced object)", report)
    return [f"kmemleak: {block.strip()}" for block in blocks if "[dm_remap]" in block]


def build_module(kernel: Kernel) -> None:
    """Build the module for the debug kernel, as `make module` does for the others."""
    module = paths.module(kernel.release).relative_to(paths.PROJECT)
    command = ["make", "--no-print-directory", str(module)]
    command += [f"KVER={kernel.release}", f"KDIR={kernel.headers}"]
    if subprocess.run(command, cwd=paths.PROJECT, check=False).returncode:
        raise VMError(f"The module doesn't build for {kernel.release}.")


def run(kernel: Kernel, names: Sequence[str], expression: str) -> bool:
    """Run the groups, all of them even when one fails; was all well?"""
    for test, reason in EXCLUDED.items():
        print(f"excluded: {test}: {reason}")
    failed = [group.name for group in groups(names) if not _run_group(kernel, group, expression)]
    if failed:
        print(f"debug: failed groups: {', '.join(failed)}")
    return not failed


def _run_group(kernel: Kernel, group: Group, expression: str) -> bool:
    print(f"== {group.name}", flush=True)
    return pytest_guest.run(
        kernel,
        junit_file(group.name),
        suite=f"{SUITE}-{group.name}",
        tests=group.files,
        expression=expression,
        pytest_args=[f"--deselect={test}" for test in EXCLUDED],
        memory=MEMORY,
        timeout=GUEST_SECONDS,
        allow_none=bool(expression),
        hung_task_seconds=HUNG_TASK_SECONDS,
        slowness=SLOWNESS,
        append=group.append,
        check=group.check,
    )


def junit_file(name: str) -> Path:
    """Where the results of a group go."""
    return paths.BUILD / "junit" / f"{SUITE}-{name}.xml"


def summary(names: Sequence[str]) -> int:
    """Print the sum over the groups; the exit status."""
    files = [str(junit_file(group.name)) for group in groups(names)]
    return junit.main(["sum", "--", *files])
