"""Opening a list of bad blocks, and choosing how to read it."""

import io
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from pyctl.badblocks import (
    HEAD,
    Extent,
    Format,
    ListError,
    badblocks,
    ddrescue,
    detect,
    e2fsck,
    lba,
    numbered,
    smartctl,
)
from pyctl.errors import UsageError, from_os_error

__all__ = ["Listing", "Wishes", "opened"]


@dataclass(frozen=True)
class Wishes:
    """What the command line says of a list; None and nothing where it does not.

    `block_size` is in bytes; `also` are names of ddrescue.ALSO.
    """

    format: Format | None = None
    block_size: int | None = None
    also: Collection[str] = ()


@dataclass
class Listing:
    """A list that is being read.

    `extents` can be gone through once. `block_size` is in bytes, None where the format has none;
    `assumed` says that nobody has told it. `end` is known once the extents have been read: how many
    bytes a map of ddrescue covers, otherwise 0. `drive` is what smartctl says.
    """

    format: Format
    block_size: int | None
    assumed: bool
    extents: Iterator[Extent]
    drive: smartctl.Drive | None = None
    end: int = 0


@contextmanager
def opened(file: str, wishes: Wishes) -> Iterator[Listing]:
    """A list from a file, or from stdin for "-".

    Raises UsageError with the name of the file (and the line), also while it is read; what open()
    raises as errors.from_os_error().
    """
    try:
        with _stream(file) as stream:
            yield _listing(stream, wishes)
    except ListError as error:
        raise error.of("stdin" if file == "-" else file) from error


@contextmanager
def _stream(file: str) -> Iterator[TextIO]:
    try:
        raw: BinaryIO = sys.stdin.buffer if file == "-" else Path(file).open("rb")  # noqa: SIM115
        # what comes through a pipe is read whole, since its beginning is looked at first
        if file == "-" or not raw.seekable():
            raw = io.BytesIO(raw.read())
    except OSError as error:
        raise from_os_error(error, f"Cannot read {file}") from error
    with io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as text:
        try:
            yield text
        except OSError as error:
            raise from_os_error(error, f"Cannot read {file}") from error


def _listing(stream: TextIO, wishes: Wishes) -> Listing:
    chosen = wishes.format or _detected(stream)
    if wishes.also and chosen is not Format.DDRESCUE:
        raise UsageError(f"--also is about map files of ddrescue, and this list is of {chosen}.")
    match chosen:
        case Format.DDRESCUE:
            return _ddrescue(stream, wishes)
        case Format.SMARTCTL:
            return _smartctl(stream, wishes)
        case Format.E2FSCK:
            return _e2fsck(stream, wishes)
        case Format.BADBLOCKS:
            size = wishes.block_size or badblocks.DEFAULT_BLOCK
            extents = badblocks.parse(numbered(stream), size)
        case Format.LBA:
            size = wishes.block_size or lba.DEFAULT_BLOCK
            extents = lba.parse(numbered(stream), size)
    return Listing(chosen, size, not wishes.block_size, extents)


def _detected(stream: TextIO) -> Format:
    found = detect(stream.read(HEAD))
    stream.seek(0)
    return found


def _ddrescue(stream: TextIO, wishes: Wishes) -> Listing:
    if wishes.block_size:
        raise UsageError("Positions in a map file of ddrescue are in bytes: no --block-size.")
    statuses = {ddrescue.BAD, *(ddrescue.ALSO[name] for name in wishes.also)}

    def watched() -> Iterator[ddrescue.Block]:
        for block in ddrescue.parse(numbered(stream)):
            listing.end = block.start + block.length
            yield block

    extents = ddrescue.bad(watched(), statuses)
    listing = Listing(Format.DDRESCUE, None, False, extents)
    return listing


def _smartctl(stream: TextIO, wishes: Wishes) -> Listing:
    drive = smartctl.load(stream.read())
    size = drive.block_size or wishes.block_size
    if not size:
        raise ListError(
            "it does not say how large a logical block is.",
            hint="--block-size does, in bytes: `smartctl -i` and `blockdev --getss` know it.",
        )
    if wishes.block_size and size != wishes.block_size:
        raise ListError(f"its logical blocks have {size} bytes, and not {wishes.block_size}.")
    return Listing(Format.SMARTCTL, size, False, smartctl.extents(drive, size), drive)


def _e2fsck(stream: TextIO, wishes: Wishes) -> Listing:
    if not wishes.block_size:
        raise UsageError(
            "A list of e2fsck counts in blocks of the file system, and does not say their size.",
            hint='--block-size does, in bytes: `dumpe2fs -h` prints it as "Block size".',
        )
    extents = e2fsck.parse(numbered(stream), wishes.block_size)
    return Listing(Format.E2FSCK, wishes.block_size, False, extents)
