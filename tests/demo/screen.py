"""What the audience sees: lines, a progress bar on a terminal, and the table at the end."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.vm.events import Event

# Without a terminal, a line for each so many parts of the whole stands for the bar.
_PARTS = 5


class Screen:
    """Plain lines when the output isn't a terminal. Leaving it stops the bar."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._started = time.monotonic()
        self._part = 0
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description:>12}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} files"),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress_ends()

    def heading(self, text: str) -> None:
        """Begin a part of the show."""
        self.progress_ends()
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}", align="left")

    def say(self, text: str, style: str = "") -> None:
        """Write a line with the time since the beginning."""
        seconds = f"{time.monotonic() - self._started:5.0f} s"
        shown = f"[{style}]{escape(text)}[/]" if style else escape(text)
        # A terminal may wrap; a log keeps its lines whole.
        self.console.print(f"[dim]{seconds}[/]  {shown}", soft_wrap=not self.console.is_terminal)

    def tell(self, event: Event) -> None:
        """Write what an agent did, what became of the disk, or that a program failed."""
        match event["event"]:
            case "step":
                self.say(event["text"])
            case "wear":
                self.say(event["text"], "yellow")
            case "trouble":
                self.say(event["text"], "red")
                lines = [line for line in event["output"].splitlines() if line.strip()]
                for line in lines[-4:]:
                    self.say(f"    {line}", "red")

    def progress(self, what: str, done: int, total: int, counts: str) -> None:
        """Move the bar."""
        if self.console.is_terminal:
            if self._task is None:
                self._bar.start()
                self._task = self._bar.add_task(what, total=total, counts="")
            self._bar.update(self._task, description=what, completed=done, counts=counts)
        elif done * _PARTS // total != self._part:
            self._part = done * _PARTS // total
            self.say(f"{what}: {done} of {total} files{', ' if counts else ''}{counts}")
        if done == total:
            self.progress_ends()

    def progress_ends(self) -> None:
        """Take the bar away."""
        self._part = 0
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None

    def table(self, title: str, rows: list[tuple[str, str, str]]) -> None:
        """Show the comparison: name, raw, dm-remap."""
        self.progress_ends()
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("")
        table.add_column("raw disk", justify="right", style="red")
        table.add_column("dm-remap", justify="right", style="green")
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print()
        self.console.print(table)
