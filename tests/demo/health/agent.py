"""The part of the show that runs in the VM: python -m tests.demo.health.agent

Two disks with the same faults and the same work, one of them bare, one under dm-remap. It tells
what happens in lines of JSON (tests.vm.events).
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.demo import remapped
from tests.demo.health.application import Application
from tests.demo.health.story import (
    BLOCK,
    MAIN_MB,
    REGION_SECTORS,
    REGION_START,
    SPARE_MB,
    STORY,
    Day,
    Night,
    Outcome,
)
from tests.demo.run import PYCTL, ProgramError, run
from tests.kernel.lib.blockdev import BlockDevice, NullBlk
from tests.kernel.lib.faults import WeakDevice
from tests.vm.events import emit

_SEED = 1


class _Set(BlockDevice):
    """The device that pyctl makes."""

    def __init__(self, disk: BlockDevice, spare: BlockDevice) -> None:
        emit("step", text=remapped.create(str(disk), [str(spare)]))
        self.path = Path(remapped.PATH)
        _scan("settings", "--relocate", "always")


def main() -> int:
    """Play the story and return the exit status."""
    try:
        with _disk() as raw, _disk() as main, NullBlk(SPARE_MB, BLOCK) as spare:
            try:
                _play(raw, main, _Set(main, spare))
            finally:
                remapped.remove()
    except ProgramError as error:
        emit("failed", message=str(error))
        return 1
    return 0


def _play(raw: WeakDevice, main: WeakDevice, dm: _Set) -> None:
    users = {"raw disk": Application(raw, _SEED), "dm-remap": Application(dm, _SEED)}
    outcomes = {name: Outcome() for name in users}
    for application in users.values():
        application.fill()
    for number, day in enumerate(STORY, 1):
        emit("wear" if day.read_ms != 0 else "step", text=f"day {number}: {day.text}")
        for disk in (raw, main):
            _wear(disk, day)
        for name, application in users.items():
            work = application.work()
            outcomes[name].days.append(work)
            emit("day", disk=name, number=number, **asdict(work))
        night = _night()
        outcomes["dm-remap"].nights.append(night)
        emit("night", number=number, **asdict(night))
    for name, application in users.items():
        outcomes[name].unreadable, outcomes[name].wrong = application.look()
    emit("over", outcome={name: asdict(outcome) for name, outcome in outcomes.items()})


@contextlib.contextmanager
def _disk() -> Iterator[WeakDevice]:
    with NullBlk(MAIN_MB, BLOCK) as disk, WeakDevice(disk) as weak:
        yield weak


def _wear(disk: WeakDevice, day: Day) -> None:
    region = range(REGION_START, REGION_START + REGION_SECTORS)
    if day.read_ms is None:
        disk.spoil(bad=region, read_ms=0)
    elif day.read_ms:
        disk.spoil(slow=region[:: disk.PIECE], read_ms=day.read_ms)


def _night() -> Night:
    """While nobody works, all is scanned."""
    found = _scan("start", "--wait")
    region = range(REGION_START, REGION_START + REGION_SECTORS)
    moved = [entry["sector"] + i for entry in _listed() for i in range(entry["sectors"])]
    inside = sum(sector in region for sector in moved)
    return Night(
        health=found["health"],
        unreadable=found["errors"],
        slow=found["slow"],
        relocated=found["relocated"],
        inside=inside,
        outside=len(moved) - inside,
    )


def _scan(order: str, *words: str) -> Any:
    return json.loads(run(PYCTL, "--json", "scan", order, remapped.NAME, *words))


def _listed() -> Any:
    return json.loads(run(PYCTL, "--json", "list", remapped.NAME))


if __name__ == "__main__":
    sys.exit(main())
