"""Writing metadata blocks so that an interruption never leaves less than there was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyctl.errors import MediaError
from pyctl.format.model import BLOCK_SIZE
from pyctl.format.spare import Opened

__all__ = ["BlockWrite", "require_a_copy", "write_in_phases"]


@dataclass(frozen=True)
class BlockWrite:
    """One copy of a metadata block, and where it goes. `what` names the block without its copy."""

    spare: Opened
    sector: int
    data: bytes
    copy: int
    what: str


def write_in_phases(writes: Sequence[BlockWrite]) -> list[BlockWrite]:
    """Write copies 0, 2 and 4, wait, then 1 and 3, wait; as the kernel module does.

    At any moment the copies of one phase are whole, old or new. Everything is read back. Returns
    the copies that the media did not take.
    """
    failed: list[BlockWrite] = []
    for first in (0, 1):
        batch = [write for write in writes if write.copy % 2 == first]
        taken = [_try(write) for write in batch]
        unsynced = {spare.path for spare in _spares(batch) if not _sync(spare)}
        failed += [
            write
            for write, ok in zip(batch, taken, strict=True)
            if not (ok and write.spare.path not in unsynced and _is_there(write))
        ]
    return failed


def require_a_copy(writes: Sequence[BlockWrite], failed: Sequence[BlockWrite]) -> None:
    """Raise MediaError if a spare took no copy at all of some block, as the kernel would."""
    missing = {id(write) for write in failed}
    taken = {(write.spare.path, write.what) for write in writes if id(write) not in missing}
    for write in failed:
        if (write.spare.path, write.what) not in taken:
            raise MediaError(
                f"{write.spare.path} took no copy of {write.what} (the last one tried is at sector"
                f" {write.sector}).",
                hint="Nothing that was readable before has been lost. The device is probably"
                " dying: replace it.",
            )


def _try(write: BlockWrite) -> bool:
    try:
        write.spare.write(write.sector, write.data)
    except MediaError:
        return False
    return True


# Which block a flush has lost is found by reading past the cache; a file has no way past it.
def _sync(spare: Opened) -> bool:
    try:
        spare.sync()
    except MediaError:
        return spare.direct_fd is not None
    return True


def _is_there(write: BlockWrite) -> bool:
    try:
        return write.spare.read(write.sector, BLOCK_SIZE) == write.data
    except MediaError:
        return False


def _spares(writes: Sequence[BlockWrite]) -> Iterator[Opened]:
    yield from {write.spare.path: write.spare for write in writes}.values()
