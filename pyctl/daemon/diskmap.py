"""Where on a device something has happened: what its scan and its table say, by pieces of it.

Sectors are 512 bytes, counted on the device. Only pieces with something to tell are told of, so a
map is small however large the disk is.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from pyctl.control import Control, RemapEntry
from pyctl.daemon.threads import in_thread
from pyctl.errors import NotFoundError, PyctlError, RefusedError
from pyctl.scan import REGION_SECTORS, Region, Scan, ScanStatus

__all__ = ["Cell", "Found", "Maps", "cell_size", "cells", "look"]

# Seconds for which an answer is good, and that a device gets to answer.
_FRESH = 2.0
_PATIENCE = 10.0


@dataclass(frozen=True)
class Found:
    """What a device said: its length in sectors, regions of main, and what is in its table.

    `scan` is None where the kernel module has no scanner.
    """

    sectors: int
    regions: tuple[Region, ...]
    entries: tuple[RemapEntry, ...]
    scan: ScanStatus | None = None


@dataclass(frozen=True)
class Cell:
    """A piece of a device with something to tell.

    `health` is that of its worst region, 100 where the scan found nothing. `errors` and `retries`
    count blocks, `slow` and `marginal` pieces of 32 KiB, `blanks` regions, `remapped` and `lost`
    sectors. `usual_us` is the longest time that a read of one of its regions usually takes, in
    microseconds, 0 where that is not known.
    """

    sector: int
    sectors: int
    health: int = 100
    errors: int = 0
    retries: int = 0
    slow: int = 0
    marginal: int = 0
    blanks: int = 0
    usual_us: int = 0
    remapped: int = 0
    lost: int = 0


_SUMMED = ("errors", "retries", "slow", "marginal", "blanks")


def look(control: Control) -> Found:
    """Ask a device. May take as long as its disks do; raises as Control does."""
    sectors = control.length()
    scan = Scan(control) if "scan" in control.commands() else None
    return Found(
        sectors=sectors,
        regions=tuple(one for one in scan.regions() if one.spare is None) if scan else (),
        entries=tuple(control.remaps()),
        scan=scan.status() if scan else None,
    )


def cell_size(sectors: int, most: int) -> int:
    """How many sectors a cell has, so that there are at most so many: whole regions."""
    return max(1, -(-sectors // (most * REGION_SECTORS))) * REGION_SECTORS


def cells(found: Found, most: int) -> list[Cell]:
    """The pieces with something to tell, by rising sector, of a device cut into at most so many."""
    size = cell_size(found.sectors, most)
    told: dict[int, dict[str, int]] = {}

    def cell(number: int) -> dict[str, int]:
        fresh = {one.name: 0 for one in fields(Cell)} | {"health": 100}
        return told.setdefault(number, fresh)

    for region in found.regions:
        one = cell(region.sector // size)
        one["health"] = min(one["health"], region.health)
        one["usual_us"] = max(one["usual_us"], region.usual_us)
        for name in _SUMMED:
            one[name] += getattr(region, name)
    for entry in found.entries:
        kind = "remapped" if entry.state == "remap" else "lost"
        for number, sectors in entry.pieces(size):
            cell(number)[kind] += sectors
    return [
        Cell(
            **{
                **values,
                "sector": number * size,
                "sectors": min(size, found.sectors - number * size),
            }
        )
        for number, values in sorted(told.items())
    ]


@dataclass
class _Asked:
    answer: "asyncio.Future[Found]"
    begun: float


class Maps:
    """What devices say, asked beside the event loop.

    A device is asked once at a time, however many want to know: one that does not answer costs one
    thread.
    """

    def __init__(self, open_device: Callable[[str], Control], patience: float = _PATIENCE) -> None:
        self._open = open_device
        self._patience = patience
        self._asked: dict[str, _Asked] = {}

    async def found(self, name: str) -> Found:
        """What a device says, or said a moment ago. Raises NotFoundError, RefusedError."""
        now = asyncio.get_running_loop().time()
        asked = self._asked.get(name)
        if asked is None or (asked.answer.done() and not _fresh(asked, now)):
            asked = self._asked[name] = _Asked(in_thread(self._look, name), now)
        await asyncio.wait({asked.answer}, timeout=self._patience)
        if not asked.answer.done():
            raise RefusedError(f"{name} has not answered for {self._patience:.0f} s.")
        try:
            return asked.answer.result()
        except NotFoundError:
            raise
        except PyctlError as error:
            raise RefusedError(
                f"{name} cannot be asked: {error.message}", hint=error.hint
            ) from error

    def forget(self, names: Iterable[str]) -> None:
        """Keep nothing of other devices than these."""
        there = set(names)
        for name in [one for one, asked in self._asked.items() if asked.answer.done()]:
            if name not in there:
                del self._asked[name]

    def _look(self, name: str) -> Found:
        return look(self._open(name))


def _fresh(asked: _Asked, now: float) -> bool:
    return asked.answer.exception() is None and now - asked.begun < _FRESH
