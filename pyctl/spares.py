"""Changing the spares of a live set: each function does everything that it takes.

Every step leaves a set that works, and every function can be run again after an interruption: it
finds what is done already. Progress counts blocks of the set.
"""

from dataclasses import dataclass

from pyctl import probe
from pyctl.blockdev import BlockDevice, users
from pyctl.control import Progress
from pyctl.errors import DmError, MediaError, NotFoundError, PyctlError, RefusedError
from pyctl.format import (
    BLOCK_SIZE,
    MIN_SPARE_SECTORS,
    REPLICAS,
    Superblock,
    open_exclusively,
    read_spare,
    slot_sector,
)
from pyctl.pool import Migrated, Pool, SpareRow

__all__ = ["Removed", "add", "evacuate", "keep", "rebalance", "remove", "replace_spare"]

# Blocks that one message moves, so that there is progress to see and an end to wait for.
STEP = 256
# Blocks by which two spares may differ, of a thousand, before it is worth moving anything.
UNEVEN = 10


@dataclass(frozen=True)
class Removed:
    """A spare that left: blocks that were moved off it, and that were given up with it."""

    moved: int
    lost: int


def add(pool: Pool, path: str, *, force: bool = False, trust: bool = False) -> SpareRow:
    """Make a device a spare of the set, or bring a stale one up to date.

    `force` lets go what is on it, `trust` says that a spare that failed has kept its power since.
    """
    device = BlockDevice.find(path)
    attached = device.number in {row.device for row in pool.rows()}
    if not attached:
        found = read_spare(device.path).superblock
        back = _member(pool, found)
        if back is None:
            force = _check_new(pool, device, found, force=force)
        else:
            _check_back(device, back)
        gone = back.device if back else None
        pool.reload([*(one for one in _devices(pool) if one != gone), path])
    try:
        row = pool.join(device, force=force, trust=trust)
    except DmError:
        if not attached:
            pool.reload([one for one in _devices(pool) if one != device.number])
        raise
    return next(found for found in pool.members() if found.row == row)


def evacuate(
    pool: Pool, row: SpareRow, progress: Progress | None = None, *, target: int | None = None
) -> int:
    """Let nothing new go to a spare, and move everything off it; how many blocks were moved.

    Raises MediaError when some can't be read; they stay, and so do those without a place.
    """
    number = _number(row)
    if not row.in_use:
        raise RefusedError(
            f"{row.path} is {row.state}: what is on it can't be read now.",
            hint=f"`pyctl spare add {pool.name} DEVICE` brings it back when its device is there.",
        )
    pool.drain(number, True)
    total, moved = pool.find(str(number)).used, 0
    while True:
        before, failed, step = moved, 0, Migrated(0, 0, 0, False)
        while not step.end:
            step = pool.migrate(number, target, STEP)
            moved, failed = moved + step.moved, failed + step.failed
            if progress:
                progress(moved, max(total, moved))
        # when all others are full, a write error puts a block even there
        if not step.left or failed or moved == before:
            break
    if failed:
        raise MediaError(
            f"{failed} blocks on {row.path} cannot be read: they stay there.",
            hint=f"`pyctl list {pool.name}` shows them. Writing them moves them; `pyctl spare"
            f" remove --lose {pool.name} {number}` gives them up.",
        )
    return moved


def keep(pool: Pool, row: SpareRow) -> None:
    """Let new blocks go to a spare again that was to be emptied."""
    pool.drain(_number(row), False)


def remove(
    pool: Pool,
    row: SpareRow,
    progress: Progress | None = None,
    *,
    lose: bool = False,
    target: int | None = None,
) -> Removed:
    """Empty a spare, take it out of the set and of the table, and erase its superblocks."""
    if row.row is None:
        # it left the set already, and an interruption kept it in the table
        _detach(pool, row)
        return Removed(0, 0)
    if not lose:
        _check_can_go(pool, row)
    moved = 0
    if row.in_use and row.used and not lose:
        moved = evacuate(pool, row, progress, target=target)
    lost = pool.drop(_number(row), lose=lose)
    _detach(pool, row)
    return Removed(moved, lost)


def replace_spare(
    pool: Pool,
    old: SpareRow,
    path: str,
    progress: Progress | None = None,
    *,
    force: bool = False,
    lose: bool = False,
) -> tuple[SpareRow, Removed]:
    """Put another device in the place of a spare, what is on it included."""
    new = add(pool, path, force=force)
    if new.row == old.row:
        raise RefusedError(f"{path} is spare {old.row} itself.")
    pool.set_tier(_number(new), old.tier)
    # it can have changed by the reload
    old = pool.find(str(old.row))
    try:
        return new, remove(pool, old, progress, lose=lose, target=new.row)
    except DmError as error:
        if "has room" not in error.message:
            raise
        # the new one is smaller: the others take the rest
        return new, remove(pool, pool.find(str(old.row)), progress, lose=lose)


def rebalance(pool: Pool, progress: Progress | None = None) -> int:
    """Move blocks until all spares in use are filled alike; how many were moved."""
    moved, total = 0, sum(surplus for _, surplus in _surpluses(pool) if surplus > 0)
    while True:
        rows = _surpluses(pool)
        (low, lack), (high, over) = rows[0], rows[-1]
        count = min(-lack, over)
        if count <= 0 or over * 1000 <= high.usable * UNEVEN:
            return moved
        step = pool.migrate(_number(high), low.row, min(count, STEP))
        moved += step.moved
        if progress:
            progress(min(moved, total), total)
        if step.end and not step.moved:
            return moved


# Blocks that each spare has above its share, the least first.
def _surpluses(pool: Pool) -> list[tuple[SpareRow, int]]:
    rows = [row for row in pool.members() if row.in_use and not row.draining]
    usable = sum(row.usable for row in rows)
    used = sum(row.used for row in rows)
    if len(rows) < 2:
        raise RefusedError(
            f"{pool.name} has fewer than two spares that take blocks: nothing can be moved."
        )
    found = [(row, row.used - used * row.usable // usable) for row in rows]
    return sorted(found, key=lambda pair: pair[1])


def _of_this_set(pool: Pool, superblock: Superblock) -> bool:
    return str(superblock.set_uuid) == pool.control.status().fields.get("set")


# The member that a device says it is, in use or not.
def _member(pool: Pool, found: Superblock | None) -> SpareRow | None:
    if found is None or not _of_this_set(pool, found):
        return None
    return next((row for row in pool.members() if row.uuid == found.spare_uuid), None)


# A spare that has gone and come back is another device; its old one must not answer any more.
def _check_back(device: BlockDevice, row: SpareRow) -> None:
    if row.in_use and row.device is not None:
        try:
            old = read_spare(row.path).superblock
        except PyctlError:
            old = None
        if old is not None:
            raise RefusedError(
                f"{device.path} is a copy of spare {row.row}, which is in use as {row.path}.",
                hint="Two copies of one spare can't be told from each other: erase one of them.",
            )
    if used := users(device):
        raise RefusedError(f"{device.path} is in use: {'; '.join(used)}.")


def _check_new(
    pool: Pool, device: BlockDevice, superblock: Superblock | None, *, force: bool
) -> bool:
    """May this device become a spare? Returns whether what is on it has to be overwritten."""
    if device.read_only:
        raise RefusedError(f"{device.path} is read-only.")
    if device.sectors < MIN_SPARE_SECTORS:
        raise RefusedError(
            f"{device.path} has {device.sectors} sectors; a spare needs {MIN_SPARE_SECTORS}."
        )
    if used := users(device):
        raise RefusedError(f"{device.path} is in use: {'; '.join(used)}.")
    if superblock is not None:
        return _check_superblock(pool, device, superblock, force=force)
    found = probe.signatures(device.path)
    if found and not force:
        raise RefusedError(
            f"{device.path} carries {'; '.join(map(str, found))}.",
            hint="--force erases it.",
        )
    if found:
        probe.wipe(device.path)
    return force


def _check_superblock(
    pool: Pool, device: BlockDevice, superblock: Superblock, *, force: bool
) -> bool:
    mine = _of_this_set(pool, superblock)
    if not force:
        whose = "left this set" if mine else f"belongs to set {superblock.set_uuid}"
        raise RefusedError(
            f"{device.path} is a spare that {whose}.",
            hint="--force makes it a new one; remaps that it has are forgotten.",
        )
    return True


def _check_can_go(pool: Pool, row: SpareRow) -> None:
    others = [one for one in pool.members() if one.in_use and one.row != row.row]
    if not others:
        raise RefusedError(
            f"{row.path} is the last spare of {pool.name} in use.",
            hint=f"`pyctl spare add {pool.name} DEVICE` adds another first.",
        )
    if not row.in_use and row.used:
        raise RefusedError(
            f"{row.used} blocks are on {row.path}, which is {row.state}: they can't be moved.",
            hint="Bring it back with `pyctl spare add`, or give them up with --lose: they are"
            " errors until they are written.",
        )
    room = sum(one.free for one in others if not one.draining)
    if row.used > room:
        raise RefusedError(
            f"{row.used} blocks are on {row.path}, and the other spares have room for {room}.",
            hint=f"`pyctl spare add {pool.name} DEVICE` adds another first.",
        )


def _detach(pool: Pool, row: SpareRow) -> None:
    if row.device is None or row.device not in _devices(pool):
        return
    path = row.path
    pool.reload([one for one in _devices(pool) if one != row.device])
    try:
        _erase(path)
    except (DmError, MediaError, NotFoundError, RefusedError):
        # a device that fails keeps its old superblocks; the set knows that it left
        return


def _erase(path: str) -> None:
    with open_exclusively(path, write=True) as spare:
        for copy in range(REPLICAS):
            spare.write(slot_sector(copy), bytes(BLOCK_SIZE))
        spare.sync()


def _devices(pool: Pool) -> list[str]:
    return list(pool.control.table().spares)


def _number(row: SpareRow) -> int:
    if row.row is None:
        raise RefusedError(f"{row.path} is no member of the set.")
    return row.row
