"""Remaps that are on two spares: how many should be, where, and if they are the same."""

import itertools
import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR, BlockDevice
from tests.kernel.lib.directio import DirectFile, pread
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import QuickRemap, pattern
from tests.kernel.lib.units import remap_units

# Sectors that are remapped before anything happens: runs, and single ones.
SECTORS = (*range(1000, 1016), 2000, 2002, 2004, 3000, 9000)


def below(dm: RemapDevice) -> int:
    """How many blocks are below their redundancy."""
    return int(dm.status_fields().fields["below"])


def settled(dm: RemapDevice, count: int = 0) -> None:
    """Wait until so many blocks are below their redundancy."""
    wait_until(lambda: below(dm) == count, f"{count} blocks are below", timeout=30)


def raise_redundancy(dm: RemapDevice) -> None:
    """Have two copies of everything."""
    dm.message("set", "redundancy", 2)
    settled(dm)


def lower_redundancy(dm: RemapDevice) -> None:
    """Have one copy of everything again."""
    dm.message("set", "redundancy", 1)
    wait_until(lambda: not dm.stats()["mirrors"], "there are no second copies", timeout=30)


def mirror_units(dm: RemapDevice) -> None:
    """Have SECTORS on two spares, with data of their own (see check_units)."""
    dm.message("set", "redundancy", 2)
    remap_units(dm, SECTORS)
    settled(dm)


@contextmanager
def mirrored(
    main: BlockDevice, *spares: BlockDevice, opts: Mapping[str, object] | None = None
) -> Iterator[QuickRemap]:
    """A device with SECTORS on two spares each."""
    with QuickRemap(main, *spares, opts=opts) as dm:
        mirror_units(dm)
        yield dm


def free_units(dm: RemapDevice) -> dict[str, int]:
    """How many units of each spare are free."""
    return {name: count for name, count in dm.stats().items() if name.endswith("_free")}


def copies(dm: RemapDevice, sector: int) -> list[tuple[int, int]]:
    """Spare and sector there of each copy, the first one first."""
    (entry,) = (entry for entry in dm.remaps() if entry.sector == sector)
    places = [(entry.spare, entry.spare_sector), (entry.second, entry.second_sector)]
    return [(spare, at) for spare, at in places if spare is not None and at is not None]


def same_everywhere(dm: RemapDevice, spares: Sequence[BlockDevice]) -> None:
    """All blocks have two copies, on two spares, with the same data."""
    for entry in dm.remaps():
        assert entry.spare is not None and entry.spare_sector is not None, f"{entry} has no data"
        assert entry.second is not None and entry.second_sector is not None, f"{entry} is alone"
        assert entry.second != entry.spare
        one = pread(spares[entry.spare], entry.spare_sector, entry.sectors)
        assert one == pread(spares[entry.second], entry.second_sector, entry.sectors), entry


@contextmanager
def load(dm: RemapDevice, often: Sequence[int], span: int = 4096) -> Iterator[None]:
    """Write and read at random, some sectors more often; an error or wrong data fails."""
    stop = threading.Event()
    places = [*often] * 20 + [*range(0, span, 16)]

    def work(number: int) -> None:
        rng = random.Random(number)
        written: dict[int, int] = {}
        with DirectFile(dm) as file:
            for turn in itertools.count():
                if stop.is_set():
                    break
                # Each writer has sectors of its own.
                sector = rng.choice(places)
                if sector % 2 != number:
                    continue
                if sector in written and rng.random() < 0.5:
                    got = file.pread(sector * SECTOR, SECTOR)
                    assert got == pattern(1, seed=written[sector]), f"sector {sector}"
                else:
                    written[sector] = 1000 * turn + sector
                    file.pwrite(sector * SECTOR, pattern(1, seed=written[sector]))
                if turn % 64 == 0:
                    os.fsync(file.fd)
            for sector, seed in written.items():
                assert file.pread(sector * SECTOR, SECTOR) == pattern(1, seed=seed)

    with Background(lambda: work(0)), Background(lambda: work(1)):
        try:
            yield
        finally:
            stop.set()
