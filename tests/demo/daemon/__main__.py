"""A disk fails and nobody looks but dm-remapd: python -m tests.demo.daemon [--kernel 6.12]

In a VM. The timeline goes to the screen, all of it to build/demo-daemon.json.
"""

import json
import sys
from typing import Any

from tests.demo.daemon.story import Did, Outcome, Work, missing
from tests.demo.playing import Told, command, play
from tests.demo.screen import Screen
from tests.vm import paths
from tests.vm.events import Event
from tests.vm.kernels import Kernel

_REPORT = paths.BUILD / "demo-daemon.json"


def main() -> int:
    """Run the command line and return the exit status."""
    return command("tests.demo.daemon", _REPORT, _run)


def _run(kernel: Kernel, screen: Screen) -> int:
    show = _Show(screen)
    over, problems = play(kernel, "demo-daemon", "tests.demo.daemon.agent", show)
    outcome = _outcome(over)
    report = {"kernel": kernel.release, **over, "timeline": show.records}
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


class _Show(Told):
    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self.records: list[Event] = []

    def show(self, event: Event) -> None:
        """Days, decisions, and the audit log, which is kept."""
        match event["event"]:
            case "day":
                bad = event["errors"] or event["wrong"]
                self.screen.say(
                    f"    {event['disk']}: {event['requests']} requests, {event['errors']} errors,"
                    f" {event['wrong']} with wrong data",
                    "red" if bad else "",
                )
            case "decision":
                steps = ", ".join(f"{one['action']}: {one['outcome']}" for one in event["steps"])
                self.screen.say(
                    f"{event['rule']} has acted ({steps}), because {event['why']}", "cyan"
                )
            case "explain":
                self.screen.say(f"{event['rule']} did nothing: {event['verdict']}, {event['why']}")
            case "record":
                if not self.records:
                    self.screen.heading("The timeline, as the audit log has it")
                self.records.append(event)
                why = f": {event['why']}" if event["why"] else ""
                self.screen.say(f"{event['time'][11:19]}  {event['who']}  {event['what']}{why}")
            case _:
                super().show(event)


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
