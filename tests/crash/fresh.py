"""New sets: a main disk full of version 0, formatted spares, and what is bad from the start."""

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pyctl.format import (
    DATA_START,
    SECTOR_SIZE,
    MainGeometry,
    Superblock,
    format_set,
    open_exclusively,
    plan_set,
)
from tests.crash import pattern
from tests.crash.disks import Disk, Sectors
from tests.crash.journal import MAIN
from tests.crash.media import split
from tests.crash.plan import MAIN_UNITS_PER_USED, MAX_SPARES, SPARE_SECTORS, Variant

# Bad units of a spare are among those that are used first.
_FIRST_SPARE_UNITS = 40


def disks(variant: Variant, run: int, rng: random.Random) -> list[Disk]:
    """Main and MAX_SPARES spares, as many of them formatted as the variant has."""
    size = variant.unit_sectors
    main = Disk(MAIN, variant.units * MAIN_UNITS_PER_USED * size)
    spares = [Disk(number, SPARE_SECTORS) for number in range(1, 1 + MAX_SPARES)]
    for unit in range(variant.units):
        main.content.update(split(unit * size, pattern.encode_unit(unit, 0, run, size)))
    geometry = MainGeometry(main.sectors, variant.unit_bytes)
    planned = plan_set(
        geometry, [SPARE_SECTORS] * variant.spares, unit_bytes=variant.unit_bytes, now=0
    )
    for spare, image in zip(spares, _formatted(planned), strict=False):
        spare.content.update(image)
    for unit in rng.sample(range(variant.units), int(variant.units * variant.bad)):
        spoil(main, variant, unit, rng)
    for unit in rng.sample(range(variant.units), int(variant.units * variant.weak)):
        main.weak[unit * size] = 0
    first = DATA_START // size
    for spare in spares[: variant.spares]:
        for unit in rng.sample(range(first, first + _FIRST_SPARE_UNITS), variant.bad_spare_units):
            spare.mark_bad(unit * size, size, readable=True)
    return [main, *spares]


def spoil(disk: Disk, variant: Variant, unit: int, rng: random.Random) -> tuple[int, int, bool]:
    """Make part of a unit bad: first sector, count, and whether it can still be read."""
    size = variant.unit_sectors
    count = rng.randint(1, size)
    first = unit * size + rng.randint(0, size - count)
    readable = rng.random() < 1 / 3
    disk.mark_bad(first, count, readable=readable)
    return first, count, readable


def _formatted(planned: Sequence[Superblock]) -> list[Sectors]:
    """The sectors of spares on which nothing but empty metadata was written."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        opened = []
        for superblock in planned:
            path = Path(directory, str(superblock.spare_idx))
            with path.open("wb") as file:
                file.truncate(SPARE_SECTORS * SECTOR_SIZE)
            opened.append(stack.enter_context(open_exclusively(path, write=True)))
        format_set(opened, planned)
        metadata = [spare.read(0, DATA_START * SECTOR_SIZE) for spare in opened]
    return [{at: part for at, part in split(0, data) if any(part)} for data in metadata]
