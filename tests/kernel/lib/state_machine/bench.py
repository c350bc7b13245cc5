"""The disks under a set: how they are made, and made as new for each run."""

import contextlib
from collections.abc import Iterator

from pyctl.format import LEAF_ENTRIES, Entry, EntryKind, Leaf
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.metadata import ALL_COPIES, DATA_START, Metadata
from tests.kernel.lib.setup import Disks, QuickFaulty, QuickRemap, disks
from tests.kernel.lib.state_machine.model import Data

# Units that are read and written. With 512 bytes they lie across the border of two regions of the
# index.
UNITS = 32
FIRST = {512: 32768 - UNITS // 2, 4096: 1000}
MAIN_MB = 20
SPARES = 3
# The smallest that a spare may be, and what of its data area is left to it: all other places are in
# the table as bad. So spares are full after a few steps.
SPARE_SECTORS = 12288
PLACES = (*range(6), *range(9, 13), 40, 41, 100, 101)
OPTIONS = {
    "retries": 1,
    "backoff_ms": 0,
    "breaker_remaps": 1_000_000,
    # By itself the device writes nothing, and gives no spare up because of its bad places.
    "autosave_seconds": 0,
    "spare_errors": 0,
}


class Bench:
    """The disks, which all runs of the machine share, and how to make them as new."""

    def __init__(self, made: Disks, below: list[QuickFaulty], unit_bytes: int) -> None:
        self.main, self.other_main, *self.spares = below
        self.unit = unit_bytes // SECTOR  # in sectors
        self.first = FIRST[unit_bytes] * self.unit
        self.data = Data(unit_bytes)
        self.first_place = DATA_START // self.unit
        self.all_places = (SPARE_SECTORS - DATA_START) // self.unit
        self._first_main = self.main
        self._disks = made
        self._all_units = self.data.make(range(UNITS), 0)
        self._images: list[bytes] = []

    def options(self, *, degraded: bool = False, copying: bool = False) -> dict[str, object]:
        """Those of a table."""
        more: dict[str, object] = {"degraded": "yes"} if degraded else {}
        if copying:
            more["copy_to"] = self.other_main
        return OPTIONS | more

    def device(self, listed: list[int], **options: bool) -> QuickRemap:
        """The device under test with some spares, in this order."""
        spares = (self.spares[i] for i in listed)
        return QuickRemap(self.main, *spares, opts=self.options(**options))

    def exchange_main(self) -> None:
        """The disk that main was copied to is main."""
        self.main, self.other_main = self.other_main, self.main

    def renew(self) -> None:
        """No faults, the first data of the units, and a set without remaps."""
        if self.main is not self._first_main:
            self.exchange_main()
        for disk in (self.main, self.other_main, *self.spares):
            if disk.bad or disk.dead:
                disk.heal()
        pwrite(self._disks[0], self.first, self._all_units)
        if not self._images:
            self._format()
        for spare, image in zip(self._disks[2:], self._images, strict=True):
            pwrite(spare, 0, image)

    def _format(self) -> None:
        """Make a set, and take almost all places of its spares."""
        with self.device(list(range(SPARES))):
            pass
        taken = [
            Entry(EntryKind.BAD, spare_unit=self.first_place + place, spare_idx=spare)
            for spare in range(SPARES)
            for place in range(self.all_places)
            if place not in PLACES
        ]
        everywhere = [Metadata(spare) for spare in self.spares]
        uuid = everywhere[0].superblock().set_uuid
        for number, start in enumerate(range(0, len(taken), LEAF_ENTRIES)):
            entries = dict(enumerate(taken[start : start + LEAF_ENTRIES]))
            block = Leaf(number, seq=2, entries=entries).encode(uuid)
            for metadata in everywhere:
                for copy in ALL_COPIES:
                    metadata.put_block(block, copy, number)
        self._images = [pread(spare, 0, DATA_START) for spare in self.spares]


@contextlib.contextmanager
def bench(unit_bytes: int) -> Iterator[Bench]:
    """Disks that can fail, for units of a size."""
    with contextlib.ExitStack() as stack:
        main, *spares = stack.enter_context(disks(SPARES, unit_bytes, size=MAIN_MB))
        other_main = stack.enter_context(NullBlk(MAIN_MB, unit_bytes))
        made = (main, other_main, *spares)
        below = [QuickFaulty(main), QuickFaulty(other_main)]
        below += [QuickFaulty(spare, sectors=SPARE_SECTORS) for spare in spares]
        for disk in below:
            stack.enter_context(disk)
        yield Bench(made, below, unit_bytes)
