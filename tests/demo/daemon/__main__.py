"""A disk fails and nobody looks but dm-remapd: python -m tests.demo.daemon [--kernel 6.12]

In a VM. The timeline goes to the screen, all of it to build/demo-daemon.json.
"""

import argparse
import json
import sys
from typing import Any

from tests.demo.daemon.story import Did, Outcome, Work, missing
from tests.demo.machine import MachineError
from tests.demo.screen import Screen
from tests.vm import kernels, paths
from tests.vm.agent import run_agent
from tests.vm.errors import VMError
from tests.vm.events import Event
from tests.vm.kernel_log import find_problems
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import VM

_REPORT = paths.BUILD / "demo-daemon.json"


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo.daemon")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    options = parser.parse_args()
    _REPORT.unlink(missing_ok=True)
    try:
        kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
        with Screen() as screen:
            return _run(kernel, screen)
    except (VMError, MachineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(kernel: Kernel, screen: Screen) -> int:
    show = _Show(screen)
    with VM(kernel, name="demo-daemon") as vm:
        load_module(vm)
        screen.say(f"kernel {kernel.release} is up in {vm.boot_seconds:.1f} s")
        run_agent(vm, show.on_event, "tests.demo.daemon.agent")
        problems = find_problems(vm.sh("dmesg").output)
    if show.over is None:
        raise MachineError("The agent ended its work without a result.")
    outcome = _outcome(show.over)
    report = {"kernel": kernel.release, **show.over, "timeline": show.records}
    _REPORT.write_text(json.dumps(report, indent=2) + "\n")
    screen.table("The same blocks go bad, twice", _rows(outcome))
    wrong = missing(outcome) + [f"the kernel complains: {one}" for one in problems]
    for one in wrong:
        screen.say(one, "bold red")
    name = _REPORT.relative_to(paths.PROJECT)
    if wrong:
        screen.say(f"This isn't what should have come out: see {name}.", "bold red")
        return 1
    screen.say(
        f"No application saw an error, and nobody gave an order: {len(outcome.did)} actions by the"
        f" shipped policy, {outcome.messages} messages. The audit log of {outcome.records} records"
        f" is whole, and a forged copy is found out. All of it is in {name}.",
        "bold green",
    )
    return 0


class _Show:
    """Shows what the agent tells, and keeps its last word and the audit log."""

    def __init__(self, screen: Screen) -> None:
        self.over: dict[str, Any] | None = None
        self.records: list[Event] = []
        self._screen = screen

    def on_event(self, event: Event) -> None:
        """Take an event."""
        match event["event"]:
            case "failed":
                raise MachineError(event["message"])
            case "day":
                bad = event["errors"] or event["wrong"]
                self._screen.say(
                    f"    {event['disk']}: {event['requests']} requests, {event['errors']} errors,"
                    f" {event['wrong']} with wrong data",
                    "red" if bad else "",
                )
            case "decision":
                steps = ", ".join(f"{one['action']}: {one['outcome']}" for one in event["steps"])
                self._screen.say(
                    f"{event['rule']} has acted ({steps}), because {event['why']}", "cyan"
                )
            case "explain":
                self._screen.say(f"{event['rule']} did nothing: {event['verdict']}, {event['why']}")
            case "record":
                if not self.records:
                    self._screen.heading("The timeline, as the audit log has it")
                self.records.append(event)
                why = f": {event['why']}" if event["why"] else ""
                self._screen.say(f"{event['time'][11:19]}  {event['who']}  {event['what']}{why}")
            case "over":
                self.over = event["outcome"]
            case _:
                self._screen.tell(event)


def _outcome(values: dict[str, Any]) -> Outcome:
    days = {name: [Work(**day) for day in values[name]] for name in ("raw", "remap")}
    return Outcome(**{**values, **days, "did": [Did(**one) for one in values["did"]]})


def _rows(outcome: Outcome) -> list[tuple[str, str, str]]:
    def total(name: str, days: list[Work]) -> str:
        return str(sum(getattr(day, name) for day in days))

    return [
        (text, total(name, outcome.raw), total(name, outcome.remap))
        for name, text in (
            ("requests", "requests of the application"),
            ("errors", "errors that it saw"),
            ("wrong", "requests with wrong data"),
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
