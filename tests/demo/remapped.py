"""dm-remap over the failing disk, made and assembled as a user would: with pyctl."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.demo.run import PYCTL, attempt, run

NAME = "dmr-demo-remap"
PATH = f"/dev/mapper/{NAME}"


@dataclass(frozen=True)
class Remaps:
    """How many blocks are on the spares now, and how many of them a failing read brought there."""

    remapped: int
    rescued: int
    lost: int
    breaker: str


def create(disk: str, spares: Sequence[str]) -> str:
    """Format the spares and start the device; return the command."""
    return _pyctl("create", NAME, disk, *spares, "--no-remember")


def assemble(disk: str, spares: Sequence[str]) -> str:
    """Start the device from what is on the spares; return the command."""
    return _pyctl("assemble", NAME, disk, *spares, "--no-remember")


def remaps() -> Remaps:
    """Ask the kernel; dmsetup does it in a fraction of the time that a Python program takes."""
    line = run("dmsetup", "status", NAME)
    numbers = dict(re.findall(r"([a-z_]+)=(\S+)", line))
    lost = re.search(r" v\S+ \S+ (\d+)/", line)
    return Remaps(
        remapped=int(numbers["auto_remaps"]) + int(numbers["manual_remaps"]),
        rescued=int(numbers["rescued"]),
        lost=int(lost[1]) if lost else 0,
        breaker=numbers["breaker"],
    )


def remove() -> None:
    """Remove the device if there is one."""
    attempt("dmsetup", "remove", "--retry", NAME)


def _pyctl(command: str, *words: str) -> str:
    run(PYCTL, command, *words)
    return " ".join(("pyctl", command, *words))
