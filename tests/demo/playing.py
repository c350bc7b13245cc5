"""What demos in one guest share: the command, the guest, and showing what its agent tells."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.demo.machine import MachineError
from tests.demo.screen import Screen
from tests.vm import kernels
from tests.vm.agent import run_agent
from tests.vm.errors import VMError
from tests.vm.events import Event
from tests.vm.kernel_log import find_problems
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import VM


class Told:
    """Shows what the agent tells, and keeps its last word."""

    def __init__(self, screen: Screen) -> None:
        self.over: dict[str, Any] | None = None
        self.screen = screen

    def on_event(self, event: Event) -> None:
        """Take an event."""
        match event["event"]:
            case "failed":
                raise MachineError(event["message"])
            case "over":
                self.over = event["outcome"]
            case _:
                self.show(event)

    def show(self, event: Event) -> None:
        """Show an event; a demo shows those of its own in its own way."""
        self.screen.tell(event)


def command(program: str, report: Path, run: Callable[[Kernel, Screen], int]) -> int:
    """Run a demo's command line and return the exit status; an old report goes first."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    options = parser.parse_args()
    report.unlink(missing_ok=True)
    try:
        kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
        with Screen() as screen:
            return run(kernel, screen)
    except (VMError, MachineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def play(
    kernel: Kernel, name: str, agent: str, told: Told, *words: str
) -> tuple[dict[str, Any], list[str]]:
    """Boot a guest and run the agent in it: its outcome, and what the kernel complains about."""
    with VM(kernel, name=name) as vm:
        load_module(vm)
        told.screen.say(f"kernel {kernel.release} is up in {vm.boot_seconds:.1f} s")
        run_agent(vm, told.on_event, agent, *words)
        problems = find_problems(vm.sh("dmesg").output)
    if told.over is None:
        raise MachineError("The agent ended its work without a result.")
    return told.over, problems
