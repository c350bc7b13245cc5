"""What the show asks of a machine: a VM whose plug can be pulled, or this host."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.vm.events import OnEvent


class MachineError(Exception):
    """The machine can't do what the demo needs."""


@dataclass(frozen=True)
class Job:
    """One pass: where its list of files is, its storage, which outlives the machine, its seed."""

    name: str
    directory: Path
    main: Path
    spares: tuple[Path, ...]
    seed: int

    @property
    def images(self) -> Sequence[Path]:
        """All storage."""
        return (self.main, *self.spares)


class Running(Protocol):
    """A machine that is up."""

    greeting: str

    def run(self, phase: str, on_event: OnEvent) -> None:
        """Run a phase of the agent; a failing agent raises MachineError."""

    def cut(self) -> str:
        """End it as abruptly as it can be; say what has been done."""

    def problems(self) -> list[str]:
        """Lines of the kernel log that report bugs."""


class Machine(Protocol):
    """Something that can be started again with the same storage."""

    kernel: str
    accel: str

    def start(self, job: Job) -> AbstractContextManager[Running]:
        """Start it; it ends with the context."""
