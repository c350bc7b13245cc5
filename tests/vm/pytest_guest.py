"""Run tests/kernel with pytest inside a guest, and judge the guest's kernel log afterwards."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.vm import accel, junit, paths
from tests.vm.errors import GuestLostError, VMError
from tests.vm.kernel_log import find_problems, last_test
from tests.vm.kernels import Kernel
from tests.vm.qemu import GUEST_JOB, VM

TESTS = "tests/kernel"

# A task that sleeps uninterruptibly for so long waits for I/O that will never end. Nothing that
# comes after it in the same guest can be trusted, so the guest panics, and its console names the
# task.
HUNG_TASK_SECONDS = 60

# How many times as long as under KVM to wait before something counts as hung in an emulated guest,
# whose processors are threads that a busy host holds up.
EMULATED_PATIENCE = 3

# The exit statuses of pytest that need no word of ours: its own report tells about failed tests.
_PASSED, _TESTS_FAILED, _NO_TESTS = 0, 1, 5


def load_module(vm: VM, module: Path | None = None) -> None:
    """Insert a module, or the one that was built for the guest's kernel, as a user would."""
    module = module or paths.module(vm.kernel.release)
    if not module.exists():
        raise VMError(f"{module} isn't built. `make module KVER={vm.kernel.release}` builds it.")
    vm.sh(f"modprobe dm-mod && insmod {shlex.quote(str(module))}")


def run(
    kernel: Kernel,
    junit_file: Path,
    *,
    suite: str = "",
    tests: Sequence[str] = (TESTS,),
    expression: str = "",
    pytest_args: Sequence[str] = (),
    smp: int = 2,
    memory: str = "2G",
    timeout: float = 3600,
    allow_none: bool = False,
    module: Path | None = None,
    hung_task_seconds: int = HUNG_TASK_SECONDS,
    slowness: float = 1,
    append: str = "",
    check: Callable[[VM], list[str]] | None = None,
) -> bool:
    """Boot the kernel, run the tests with live output, write the JUnit file; was all well?

    `slowness` multiplies the time that a test may take, and divides what long ones do. `check` is
    asked after the tests what is wrong with the guest. `append` is for the kernel's command line.
    """
    suite = suite or f"kernel-{kernel.series}"
    words = _pytest_words(suite, [*tests, *_narrow(expression), *pytest_args])
    command = _guest_command(words, hung_task_seconds, slowness)
    problems: list[str] = []
    status = _PASSED
    with tempfile.TemporaryDirectory(prefix="dm-remap-job.") as job:
        try:
            with VM(
                kernel, name="test", job=Path(job), smp=smp, memory=memory, append=append
            ) as vm:
                _show(f"kernel {kernel.release} up in {vm.boot_seconds:.1f} s\n")
                load_module(vm, module)
                status = vm.sh(command, timeout=timeout, check=False, on_output=_show).status
                problems += check(vm) if check else []
                problems += find_problems(vm.sh("dmesg").output)
        except GuestLostError as error:
            problems.append(f"{last_test(error.console.read_text(errors='replace'))}: {error}")
        except VMError as error:
            problems.append(str(error))
        junit_file.unlink(missing_ok=True)
        if (written := Path(job, "junit.xml")).exists():
            junit_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(written, junit_file)
    if status == _NO_TESTS and not allow_none:
        problems.append(f"No test ran on kernel {kernel.release}.")
    elif status not in (_PASSED, _TESTS_FAILED, _NO_TESTS):
        problems.append(f"pytest ended with status {status}.")
    if problems:
        text = "\n".join(problems)
        _show(f"kernel {kernel.release}: {text}\n")
        junit.record(junit_file, suite, "guest", text)
    return not problems and status != _TESTS_FAILED


def _narrow(expression: str) -> list[str]:
    return ["-k", expression] if expression else []


def _pytest_words(suite: str, arguments: Sequence[str]) -> list[str]:
    words = [str(paths.PYTHON), "-u", "-m", "pytest", "-q"]
    # The hypothesis plugin takes 5 s to import in an emulated guest; @given works without it.
    words += ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    words += ["--color", "yes" if sys.stdout.isatty() else "no"]
    words += ["--junit-xml", f"{GUEST_JOB}/junit.xml", "-o", f"junit_suite_name={suite}"]
    # The other family has no properties, by which tests record figures.
    words += ["-o", "junit_family=xunit1"]
    return [*words, *arguments]


def _guest_command(words: Sequence[str], hung_task_seconds: int, slowness: float) -> str:
    # Tests by random examples take the same ones every time there.
    ci = "CI=1 " if "CI" in os.environ else ""
    patience = slowness * (EMULATED_PATIENCE if accel.choose() == "tcg" else 1)
    return (
        f"sysctl -q kernel.hung_task_timeout_secs={hung_task_seconds} kernel.hung_task_panic=1"
        f" && cd {shlex.quote(str(paths.PROJECT))}"
        f" && {ci}DMR_SLOWNESS={slowness} DMR_PATIENCE={patience} exec {shlex.join(words)}"
    )


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
