"""One pass: the work on the failing disk, raw or under dm-remap, the cut, the look after it."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.demo.machine import Job, Machine, MachineError
from tests.demo.screen import Screen
from tests.vm.events import Event


@dataclass
class Outcome:
    """What a pass came to. `io_errors` are failed requests of the file system, in both boots;

    `failed_hints` (tracing.py) are not among them.
    """

    files_total: int
    files_lost: int = 0
    io_errors: int = 0
    failed_hints: int = 0
    disk_errors: int = 0
    remaps: int = 0
    rescued: int = 0
    blocks_lost: int = 0
    missing: int = 0
    unreadable: int = 0
    different: int = 0
    copy_errors: Counter[str] = field(default_factory=Counter)
    log_lines: int = 0
    mkfs: bool = False
    mounted: bool = False
    fsck: bool = False
    kernel_problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def flawless(self) -> bool:
        """Nobody above the disk has noticed anything."""
        calm = self.mkfs and self.mounted and self.fsck and not self.kernel_problems
        noticed = self.io_errors + self.files_lost + self.copy_errors.total() + self.log_lines
        return calm and not noticed


class Act:
    """Plays one pass on the screen."""

    def __init__(self, machine: Machine, job: Job, files_total: int, screen: Screen) -> None:
        self.outcome = Outcome(files_total)
        self._machine = machine
        self._job = job
        self._screen = screen
        self._io_errors = 0
        self._disk_errors = 0
        self._rescued = 0
        self._ended = ""

    def play(self) -> Outcome:
        """Run the whole pass."""
        started = time.monotonic()
        self._phase("write", "written")
        self._screen.say("starting again with the same disks and the same errors")
        self._phase("check", "checked")
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _phase(self, phase: str, last_event: str) -> None:
        self._io_errors = self._disk_errors = self._rescued = 0
        with self._machine.start(self._job) as running:
            self._screen.say(running.greeting)
            running.run(phase, self._on_event)
            if self._ended != last_event:
                raise MachineError(f"The agent ended its work ({phase}) without a result.")
            problems = running.problems()
            self.outcome.kernel_problems += problems
            for problem in problems:
                self._screen.say(f"the kernel complains: {problem}", "bold red")
            if phase == "write":
                self._screen.say(running.cut(), "bold")

    def _on_event(self, event: Event) -> None:
        match event["event"]:
            case "failed":
                raise MachineError(event["message"])
            case "progress":
                self._screen.progress(event["what"], event["done"], event["total"], self._counts())
            case "counts":
                self._on_counts(event)
            case "written":
                self._on_counts(event)
                self._on_written(event)
            case "checked":
                self._on_counts(event)
                self._on_checked(event)
            case _:
                self._screen.tell(event)

    def _on_counts(self, event: Event) -> None:
        """Counters of this boot, of which only what is new is told."""
        if remaps := event["remaps"]:
            more = remaps["remapped"] - self.outcome.remaps
            self.outcome.remaps = remaps["remapped"]
            self.outcome.rescued += remaps["rescued"] - self._rescued
            self._rescued = remaps["rescued"]
            self.outcome.blocks_lost = remaps["lost"]
            if more > 0:
                self._screen.say(f"remapped {more} blocks, {self._counts()}", "green")
        more = event["io_errors"] - self._io_errors
        self._io_errors = event["io_errors"]
        self.outcome.io_errors += more
        self.outcome.disk_errors += event["disk_errors"] - self._disk_errors
        self._disk_errors = event["disk_errors"]
        if more:
            self._screen.say(
                f"{more} I/O errors for the file system, {self.outcome.io_errors} by now", "red"
            )

    def _counts(self) -> str:
        if self._job.spares:
            return f"{self.outcome.remaps} on spares, {self.outcome.rescued} of them rescued"
        return f"{self.outcome.io_errors} I/O errors"

    def _on_written(self, event: Event) -> None:
        self.outcome.mkfs = event["mkfs"]
        self.outcome.failed_hints += event["failed_hints"]
        self.outcome.copy_errors.update(event["copy_errors"])
        self.outcome.log_lines += event["log_lines"]
        self._ended = event["event"]
        self._screen.progress_ends()
        text = f"{event['copied']} of {self.outcome.files_total} files copied"
        errors = self.outcome.copy_errors
        if errors:
            self._screen.say(
                f"{text}; programs got: "
                + ", ".join(f"{n} times {e!r}" for e, n in errors.items()),
                "red",
            )
        else:
            self._screen.say(f"{text}, no program got an error")

    def _on_checked(self, event: Event) -> None:
        for name in ("mounted", "fsck", "files_lost", "missing", "unreadable", "different"):
            setattr(self.outcome, name, event[name])
        self.outcome.log_lines += event["log_lines"]
        self.outcome.failed_hints += event["failed_hints"]
        self._ended = event["event"]
        self._screen.progress_ends()
        self._screen.say(
            f"{self.outcome.files_lost} of {self.outcome.files_total} files are lost"
            f" ({self.outcome.missing} missing, {self.outcome.unreadable} unreadable,"
            f" {self.outcome.different} different)",
            "red" if self.outcome.files_lost else "green",
        )
