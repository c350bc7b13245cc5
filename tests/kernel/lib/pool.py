"""The pool of spares as its messages tell of it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from pyctl.errors import DmError
from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.setup import QuickRemap


@dataclass(frozen=True)
class Row:
    """A line of `spare list`. A device that is no member has no row."""

    row: int | None
    device: str | None
    state: str
    uuid: str = ""
    sectors: int = 0
    usable: int = 0
    free: int = 0
    used: int = 0
    bad: int = 0
    tier: int = 0
    health: int = 0
    draining: int = 0


def parse_rows(reply: str) -> list[Row]:
    """Read the reply of `spare list`."""
    rows = []
    for line in reply.splitlines():
        row, device, state, *rest = line.split()
        found = Row(None if row == "-" else int(row), None if device == "-" else device, state)
        if rest:
            numbers = {name: int(value) for name, value in (word.split("=") for word in rest[1:])}
            found = replace(found, uuid=rest[0], **numbers)  # type: ignore[arg-type]
        rows.append(found)
    return rows


def rows(dm: RemapDevice) -> list[Row]:
    """All members, and behind them the devices that are only attached."""
    return parse_rows(dm.message("spare", "list"))


def row(dm: RemapDevice, number: int) -> Row:
    """One member."""
    return next(found for found in rows(dm) if found.row == number)


def number_of(device: BlockDevice) -> str:
    """The device as <major>:<minor>."""
    return device.number.replace(",", ":")


def attach(dm: QuickRemap, *spares: BlockDevice, opts: Mapping[str, object] | None = None) -> None:
    """Reload the table with these spares instead."""
    dm.spares = spares
    dm.load(dm.target(opts))
    dm.suspend()
    dm.resume()


def join(dm: QuickRemap, device: BlockDevice, *how: str) -> int:
    """Make a device of the table a member; its row."""
    reply = dm.message("spare", "join", number_of(device), *how)
    return int(reply.removeprefix("row="))


def migrate_all(dm: QuickRemap, source: int, target: object = "any") -> int:
    """Move everything off a spare; how many units were moved."""
    moved = 0
    while True:
        words = dm.message("spare", "migrate", source, target, 100).split()
        reply = {name: int(value) for name, value in (word.split("=") for word in words)}
        moved += reply["moved"]
        if reply["end"]:
            return moved


@contextlib.contextmanager
def refusal(number: int, dm: QuickRemap, words: str) -> Iterator[None]:
    """A message fails with this error, and `error` says why."""
    with pytest.raises(DmError) as caught:
        yield
    assert caught.value.errno == number
    assert words in dm.message("error")
