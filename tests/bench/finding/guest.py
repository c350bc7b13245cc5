"""Start the machine in which a disk is scanned; its clock is an ordinary one."""

from tests.bench.finding.figures import Pass
from tests.vm.agent import run_agent
from tests.vm.errors import VMError
from tests.vm.events import Event
from tests.vm.kernel_log import find_problems
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import VM


def passes(kernel: Kernel) -> list[Pass]:
    """What each pass has found, in their order."""
    told: list[Event] = []
    with VM(kernel, name="bench-finding") as vm:
        load_module(vm)
        run_agent(vm, told.append, "tests.bench.finding.agent")
        problems = find_problems(vm.sh("dmesg").output)
    if problems:
        raise VMError("\n".join(problems))
    found = [_pass(event) for event in told]
    unfinished = [each for each in found if each.state != "waiting"]
    if unfinished:
        raise VMError(f"This pass did not come to its end: {unfinished[0]}")
    return found


def _pass(event: Event) -> Pass:
    values = {key: value for key, value in event.items() if key != "event"}
    return Pass(**{**values, "found": [(sector, done) for sector, done in values["found"]]})
