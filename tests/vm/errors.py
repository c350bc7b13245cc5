"""What can go wrong with a virtual machine. Every message is a finished sentence."""

from pathlib import Path


class VMError(Exception):
    """The machine can't be started or used."""


class GuestLostError(VMError):
    """The machine can't be used any more; its console may tell why."""

    def __init__(self, message: str, console: Path) -> None:
        super().__init__(message)
        self.console = console


class GuestDiedError(GuestLostError):
    """The guest went away: a panic, or QEMU ended."""


class GuestTimeoutError(GuestLostError):
    """The guest didn't answer in time."""


class CommandError(VMError):
    """A command in the guest ended with another status than 0."""
