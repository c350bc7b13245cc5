"""A region that goes slow, then slower, then dead: python -m tests.demo.health [--kernel 6.12]

In a VM. The timeline goes to the screen, all figures to build/demo-health.json.
"""

import json
import sys
from typing import Any

from tests.demo.health.story import STORY, Night, Outcome, Work, as_it_should_be, moved_on
from tests.demo.playing import Told, command, play
from tests.demo.screen import Screen
from tests.vm import paths
from tests.vm.events import Event
from tests.vm.kernels import Kernel

_REPORT = paths.BUILD / "demo-health.json"


def main() -> int:
    """Run the command line and return the exit status."""
    return command("tests.demo.health", _REPORT, _run)


def _run(kernel: Kernel, screen: Screen) -> int:
    over, problems = play(kernel, "demo-health", "tests.demo.health.agent", _Timeline(screen))
    for problem in problems:
        screen.say(f"the kernel complains: {problem}", "bold red")
    raw, remap = (_outcome(over[name]) for name in ("raw disk", "dm-remap"))
    _REPORT.write_text(json.dumps({"kernel": kernel.release, **over}, indent=2) + "\n")
    screen.table("The same region dies, twice", _rows(raw, remap))
    name = _REPORT.relative_to(paths.PROJECT)
    if as_it_should_be(raw, remap) and not problems:
        screen.say(
            f"The data was moved on day {moved_on(remap.nights)}, the region died on day"
            f" {len(STORY)}. The numbers are in {name}.",
            "bold green",
        )
        return 0
    screen.say(f"This isn't what should have come out: see {name}.", "bold red")
    return 1


class _Timeline(Told):
    def show(self, event: Event) -> None:
        """Days and nights."""
        match event["event"]:
            case "day":
                bad = event["errors"] or event["wrong"]
                self.screen.say(
                    f"    {event['disk']}: {event['requests']} requests, the slowest took"
                    f" {event['slowest_ms']:.0f} ms, {event['errors']} errors",
                    "red" if bad else "",
                )
            case "night":
                self.screen.say(f"night {event['number']}: {_night(event)}", "cyan")
            case _:
                super().show(event)


def _night(event: Event) -> str:
    if not event["slow"] and not event["unreadable"]:
        found = "the scan has found nothing new"
    else:
        found = f"the scan has found {event['slow']} slow pieces of 32 KiB"
    if event["unreadable"]:
        found += f" and {event['unreadable']} blocks that can't be read"
    if event["relocated"]:
        found += f", for the second time: {event['relocated']} blocks are moved to the spare"
    return f"{found}; health {event['health']}"


def _outcome(values: dict[str, Any]) -> Outcome:
    days = [Work(**day) for day in values["days"]]
    nights = [Night(**night) for night in values["nights"]]
    return Outcome(**{**values, "days": days, "nights": nights})


def _rows(raw: Outcome, remap: Outcome) -> list[tuple[str, str, str]]:
    moved = moved_on(remap.nights)
    return [
        ("errors of the application", str(raw.errors), str(remap.errors)),
        ("blocks that can't be read at the end", str(raw.unreadable), str(remap.unreadable)),
        ("blocks with wrong data", str(raw.wrong), str(remap.wrong)),
        ("region dead on day", str(len(STORY)), str(len(STORY))),
        ("all of its data moved on day", "-", str(moved or "-")),
        ("sectors moved that were well", "-", str(remap.nights[-1].outside)),
    ]


if __name__ == "__main__":
    sys.exit(main())
