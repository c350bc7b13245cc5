"""Spares with many entries, made on the host by the format code of pyctl."""

import random
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyctl.format import (
    BLOCK_SIZE,
    LEAF_ENTRIES,
    REPLICAS,
    Entry,
    EntryKind,
    Leaf,
    MainGeometry,
    Superblock,
    format_set,
    open_exclusively,
    plan_set,
)
from pyctl.format.model import DATA_START, INLINE_LEAVES
from tests.bench.scale import plan

_SET = uuid.UUID(int=0x5CA1E)


def entries_of(geometry: plan.Geometry) -> list[Entry]:
    """The entries of the largest table of a geometry; a smaller one has the first of them."""
    return list(_entries(geometry, _plan(geometry)))


def make(
    geometry: plan.Geometry, entries: list[Entry], sizes: Sequence[int], folder: Path
) -> dict[int, Path]:
    """Make sparse images of spares with so many of the entries each; their paths by size."""
    superblock = _plan(geometry)
    entries = entries[: max(sizes)]
    # Tables differ in their length only: a full leaf is encoded once for all of them.
    full = [_leaf(number, entries).encode(_SET) for number in range(len(entries) // LEAF_ENTRIES)]
    images = {}
    for size in sizes:
        images[size] = folder / f"{geometry.name}-{size}.img"
        whole, rest = divmod(size, LEAF_ENTRIES)
        leaves = full[:whole] + ([_leaf(whole, entries[:size]).encode(_SET)] if rest else [])
        _write(images[size], geometry, superblock, leaves)
    return images


def metadata_bytes(path: Path) -> int:
    """Bytes of all superblocks and leaves of an image, in all replicas."""
    return REPLICAS * (1 + _superblock(path).nr_leaves) * BLOCK_SIZE


def pieces(path: Path) -> list[tuple[int, int]]:
    """What an image holds besides zeros: (first byte, length) of each extent of metadata."""
    extents = _extents(_superblock(path))
    return [(first * plan.SECTOR, (end - first) * plan.SECTOR) for first, end in extents]


def _plan(geometry: plan.Geometry) -> Superblock:
    return plan_set(
        MainGeometry(geometry.main_bytes // plan.SECTOR, geometry.unit_bytes),
        [geometry.spare_bytes // plan.SECTOR],
        unit_bytes=geometry.unit_bytes,
        max_remaps=plan.MAX_REMAPS,
        set_uuid=_SET,
    )[0]


def _superblock(path: Path) -> Superblock:
    with open_exclusively(path, write=False) as image:
        return Superblock.decode(image.read(0, BLOCK_SIZE), 0, image.sectors)


# The sectors of metadata: the slots, and the overflow extents; each first, and behind the last.
def _extents(superblock: Superblock) -> list[tuple[int, int]]:
    length = (superblock.nr_leaves - INLINE_LEAVES) * BLOCK_SIZE // plan.SECTOR
    return [(0, DATA_START)] + [(first, first + length) for first in superblock.overflow]


# All units of a spare that may hold data; Superblock.usable() would take a minute for so many.
def _spare_units(superblock: Superblock, sectors: int) -> Iterator[int]:
    extents = _extents(superblock)
    starts = [first for first, _ in extents[1:]] + [sectors]
    for (_, end), start in zip(extents, starts, strict=True):
        yield from range(-(-end >> superblock.unit_shift), start >> superblock.unit_shift)


def _entries(geometry: plan.Geometry, superblock: Superblock) -> Iterator[Entry]:
    failing = {unit for failures in plan.FAILURES for unit in failures.units()}
    count = max(geometry.sizes)
    order = random.Random(plan.SEED).sample(range(geometry.main_units), count + len(failing))
    main_units = [unit for unit in order if unit not in failing][:count]
    spare_units = _spare_units(superblock, geometry.spare_bytes // plan.SECTOR)
    for main_unit, spare_unit in zip(main_units, spare_units, strict=False):
        yield Entry(EntryKind.REMAP, main_unit=main_unit, spare_unit=spare_unit)


def _leaf(number: int, entries: list[Entry]) -> Leaf:
    own = entries[number * LEAF_ENTRIES : (number + 1) * LEAF_ENTRIES]
    return Leaf(number, entries=dict(enumerate(own)))


def _write(
    path: Path, geometry: plan.Geometry, superblock: Superblock, leaves: list[bytes]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(geometry.spare_bytes)
    with open_exclusively(path, write=True) as spare:
        format_set([spare], [superblock])
        for replica in range(REPLICAS):
            for first, run in _runs(superblock, leaves):
                spare.write(superblock.leaf_sector(first, replica), run)


def _runs(superblock: Superblock, leaves: list[bytes]) -> Iterator[tuple[int, bytes]]:
    for first, end in ((0, INLINE_LEAVES), (INLINE_LEAVES, superblock.nr_leaves)):
        if leaves[first:end]:
            yield first, b"".join(leaves[first:end])
