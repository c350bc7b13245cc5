"""From what a list counts to the sectors of a dm-remap device."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyctl.badblocks.extents import Extent, ListError, SectorSet

__all__ = ["Placed", "Window", "place"]

# So many wrong ranges are named in an error.
_NAMED = 3


@dataclass(frozen=True)
class Window:
    """Where the device lies in what a list is of, in sectors.

    Its first sector is number `offset` there, and it has `length`, in blocks of `unit`. `disk` is
    the length of the whole disk when the list is known to be of that: what such a list has
    elsewhere on the disk does not concern the device. None: nothing else should be in the list.
    """

    offset: int
    length: int
    unit: int
    disk: int | None = None

    @property
    def end(self) -> int:
        """The sector behind the last of the device, as the list counts."""
        return self.offset + self.length

    def expects(self, extent: Extent) -> bool:
        """Whether a list may have this, be it on the device or elsewhere on its disk."""
        if self.disk is not None:
            return extent.end_sector <= self.disk
        return self.offset <= extent.first_sector and extent.end_sector <= self.end


@dataclass(frozen=True)
class Placed:
    """`sectors` of the device, in whole blocks; `elsewhere` counts sectors that are not on it."""

    sectors: SectorSet
    elsewhere: int


def place(extents: Iterable[Extent], window: Window, *, clip: bool = False) -> Placed:
    """The sectors of the device that a list means, widened to whole blocks.

    Raises ListError for ranges that the window does not expect, unless `clip` is given: they are
    left out then.
    """
    found = SectorSet()
    elsewhere = wrong = 0
    named: list[Extent] = []
    for extent in extents:
        if not clip and not window.expects(extent):
            wrong += 1
            if len(named) < _NAMED:
                named.append(extent)
            continue
        first, end = extent.first_sector, extent.end_sector
        start, stop = max(first, window.offset), min(end, window.end)
        elsewhere += end - first - max(stop - start, 0)
        if stop > start:
            start, stop = start - window.offset, stop - window.offset
            found.add(start - start % window.unit, stop + -stop % window.unit)
    if wrong:
        raise _outside(named, wrong, window)
    return Placed(found, elsewhere)


def _outside(named: list[Extent], wrong: int, window: Window) -> ListError:
    ranges = ", ".join(f"{e.first_sector} to {e.end_sector - 1}" for e in named)
    more = f" (and {wrong - len(named)} more ranges)" if wrong > len(named) else ""
    if window.disk is not None:
        what = f"the disk, which has {window.disk} sectors"
    elif window.offset:
        what = f"the device, which is sectors {window.offset} to {window.end - 1} there"
    else:
        what = f"the device, which has {window.length} sectors"
    return ListError(f"sectors {ranges}{more} are not on {what}.", named[0].line)
