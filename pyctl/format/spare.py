"""Formatting and reading whole spares, on block devices or in regular files.

Nothing here needs the kernel module.
"""

import mmap
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyctl.errors import FormatError, MediaError, UsageError, from_os_error
from pyctl.format.model import (
    BLOCK_SIZE,
    DATA_START,
    DEFAULT_MAX_REMAPS,
    INLINE_LEAVES,
    MAX_SPARES,
    REPLICAS,
    SECTOR_SIZE,
    Entry,
    FormatCode,
    Leaf,
    SpareDesc,
    SpareState,
    Superblock,
    explain,
    slot_sector,
)
from pyctl.format.records import GEN_COPIES, Generation, Reason, gen_sector

__all__ = [
    "MainGeometry",
    "Opened",
    "ReadSet",
    "ReadSpare",
    "format_set",
    "leaf_blocks",
    "newest_superblock",
    "open_exclusively",
    "open_for_reading",
    "plan_set",
    "read_blocks",
    "read_set",
    "read_spare",
    "stale_spares",
]

_BLOCK_SECTORS = BLOCK_SIZE // SECTOR_SIZE
_CHUNK_LEAVES = 256

Progress = Callable[[int, int], None]
"""Told after each step: bytes done, bytes in all."""


@dataclass(frozen=True)
class MainGeometry:
    """What a set remembers of its main device: sectors of 512 bytes, block size in bytes."""

    sectors: int
    lbs: int = 512
    identity: str = ""


@dataclass(frozen=True)
class Opened:
    """An open spare and its size in sectors of 512 bytes.

    Block devices are read past the page cache: the kernel module writes to them past it.
    """

    path: str
    fd: int
    sectors: int
    direct_fd: int | None = None

    def read(self, sector: int, length: int) -> bytes:
        """Read `length` bytes. Raises MediaError or whatever else the system call says."""
        fd = self.fd if self.direct_fd is None else self.direct_fd
        try:
            # a page of its own, because direct reads want aligned memory
            with mmap.mmap(-1, length) as page:
                data = page[: os.preadv(fd, [page], sector * SECTOR_SIZE)]
        except OSError as error:
            raise from_os_error(error, f"Cannot read sector {sector} of {self.path}") from error
        if len(data) != length:
            raise FormatError(f"{self.path} ends before sector {sector} and {length} bytes.")
        return data

    def write(self, sector: int, data: bytes) -> None:
        """Write all of `data`. Raises as read does."""
        view, offset = memoryview(data), sector * SECTOR_SIZE
        while view:
            try:
                done = os.pwrite(self.fd, view, offset)
            except OSError as error:
                raise from_os_error(
                    error, f"Cannot write sector {offset // SECTOR_SIZE} of {self.path}"
                ) from error
            view, offset = view[done:], offset + done

    def sync(self) -> None:
        """Wait until everything that was written is on the medium."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise from_os_error(error, f"Cannot flush {self.path}") from error


@contextmanager
def open_exclusively(path: str | Path, *, write: bool) -> Iterator[Opened]:
    """Open a block device so that nobody else can claim it, or a regular file.

    Raises RefusedError if a block device is in use (mounted, part of RAID or LVM, swap, ...),
    NotFoundError, PermissionDeniedError, UsageError for anything else than a device or a file.
    """
    name = os.fspath(path)
    flags = os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
    try:
        is_block = stat.S_ISBLK(os.stat(name).st_mode)  # noqa: PTH116 (a str is kept a str)
        fd = os.open(name, flags | (os.O_EXCL if is_block else 0))
    except OSError as error:
        raise from_os_error(error, f"Cannot open {name}") from error
    try:
        with _opened(name, fd) as opened:
            yield opened
    finally:
        os.close(fd)


@contextmanager
def open_for_reading(path: str | Path) -> Iterator[Opened]:
    """Open a block device or a regular file that others may be using.

    Raises NotFoundError, PermissionDeniedError, UsageError as open_exclusively does.
    """
    name = os.fspath(path)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, f"Cannot open {name}") from error
    try:
        with _opened(name, fd) as opened:
            yield opened
    finally:
        os.close(fd)


@contextmanager
def _opened(name: str, fd: int) -> Iterator[Opened]:
    mode = os.fstat(fd).st_mode
    if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{name} is neither a block device nor a regular file.")
    sectors = os.lseek(fd, 0, os.SEEK_END) // SECTOR_SIZE
    if stat.S_ISREG(mode):
        yield Opened(name, fd, sectors)
        return
    # by the descriptor, so that it is the same device whatever the path means by now
    direct_fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield Opened(name, fd, sectors, direct_fd)
    finally:
        os.close(direct_fd)


def plan_set(
    main: MainGeometry,
    spare_sectors: Sequence[int],
    *,
    unit_bytes: int = 512,
    max_remaps: int = DEFAULT_MAX_REMAPS,
    set_uuid: uuid.UUID | None = None,
    now: int | None = None,
) -> list[Superblock]:
    """The superblocks of a new set, one for each spare; nothing is written.

    Sizes of main and spares are rounded down to whole units. Raises FormatError, with the reason,
    if a set cannot be made of these devices.
    """
    if unit_bytes not in (512, 4096):
        raise FormatError(f"The unit must be 512 or 4096 bytes, not {unit_bytes}.")
    if not 1 <= len(spare_sectors) <= MAX_SPARES:
        raise FormatError(f"A set has 1 to {MAX_SPARES} spares, not {len(spare_sectors)}.")
    if not 0 < max_remaps < 1 << 32:
        raise FormatError(f"A set cannot be made for {max_remaps} remaps.")
    shift = 0 if unit_bytes == SECTOR_SIZE else 3
    when = int(time.time()) if now is None else now
    rows = tuple(SpareDesc(uuid.uuid4(), n >> shift << shift, events=1) for n in spare_sectors)
    first = Superblock(
        set_uuid=set_uuid or uuid.uuid4(),
        spare_uuid=rows[0].uuid,
        main_sectors=main.sectors >> shift << shift,
        main_lbs=main.lbs,
        max_remaps=max_remaps,
        nr_leaves=0,
        spare_idx=0,
        unit_shift=shift,
        overflow=(0,) * REPLICAS,
        spares=rows,
        identity=main.identity,
        events=1,
        generation=1,
        created=when,
        updated=when,
    )
    planned = [
        replace(first, spare_idx=i, spare_uuid=row.uuid).laid_out() for i, row in enumerate(rows)
    ]
    for superblock, row in zip(planned, rows, strict=True):
        # what we would write must be what the kernel accepts
        Superblock.decode(superblock.encode(0), 0, row.sectors)
    return planned


def format_set(
    spares: Sequence[Opened], superblocks: Sequence[Superblock], progress: Progress | None = None
) -> None:
    """Write empty metadata on all spares, as plan_set() laid it out.

    Superblocks come last, so that an interrupted format leaves no set that looks whole. Returns
    when everything is on the media. Raises MediaError if a write fails.
    """
    jobs = list(zip(spares, superblocks, strict=True))
    total = sum(_format_bytes(superblock) for superblock in superblocks)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    for spare, _ in jobs:
        # Old superblocks first: no half-formatted spare may look like one of an older set.
        for copy in range(REPLICAS):
            spare.write(slot_sector(copy), bytes(BLOCK_SIZE))
        spare.sync()
    for spare, superblock in jobs:
        spare.write(0, _inline_area(superblock))
        advance(DATA_START * SECTOR_SIZE)
        for first in range(INLINE_LEAVES, superblock.nr_leaves, _CHUNK_LEAVES):
            numbers = range(first, min(first + _CHUNK_LEAVES, superblock.nr_leaves))
            data = b"".join(Leaf(number).encode(superblock.set_uuid) for number in numbers)
            for replica in range(REPLICAS):
                spare.write(superblock.leaf_sector(first, replica), data)
                advance(len(data))
        spare.sync()
    for spare, superblock in jobs:
        for copy in range(REPLICAS):
            spare.write(slot_sector(copy), superblock.encode(copy))
        spare.sync()


def _format_bytes(superblock: Superblock) -> int:
    overflow = max(superblock.nr_leaves - INLINE_LEAVES, 0) * BLOCK_SIZE * REPLICAS
    return DATA_START * SECTOR_SIZE + overflow


# Everything before the data area, still without superblocks; what has no meaning is zero.
def _inline_area(superblock: Superblock) -> bytes:
    area = bytearray(DATA_START * SECTOR_SIZE)
    leaves = b"".join(Leaf(n).encode(superblock.set_uuid) for n in range(INLINE_LEAVES))
    for replica in range(REPLICAS):
        start = superblock.leaf_sector(0, replica) * SECTOR_SIZE
        area[start : start + len(leaves)] = leaves
    record = Generation.of(superblock, Reason.CREATED).encode(superblock.set_uuid)
    for copy in range(GEN_COPIES):
        start = gen_sector(superblock.generation, copy) * SECTOR_SIZE
        area[start : start + BLOCK_SIZE] = record
    return bytes(area)


@dataclass(frozen=True)
class ReadSpare:
    """What was found on one device.

    `superblock` is the newest whole copy, or None; `copies` says what each copy is; `blank` means
    that the whole metadata area is zero.
    """

    path: str
    sectors: int
    superblock: Superblock | None
    copies: tuple[FormatCode | str, ...]
    blank: bool

    @property
    def damaged(self) -> bool:
        """Are there traces of dm-remap, but no whole superblock?"""
        traces = {FormatCode.OK, FormatCode.MAGIC, FormatCode.BLANK}
        return self.superblock is None and any(
            isinstance(code, FormatCode) and code not in traces for code in self.copies
        )

    def copies_text(self) -> list[str]:
        """For each copy: "ok", or why it was refused."""
        return [
            code if isinstance(code, str) else "ok" if code == FormatCode.OK else explain(code)
            for code in self.copies
        ]


def read_spare(path: str | Path) -> ReadSpare:
    """Read all superblock copies of a device or file.

    Copies that cannot be read count as refused. Raises NotFoundError, PermissionDeniedError or
    UsageError if it cannot be opened.
    """
    with open_for_reading(path) as spare:
        return _read_spare(spare)


def _read_spare(spare: Opened) -> ReadSpare:
    best: Superblock | None = None
    copies: list[FormatCode | str] = []
    for copy in range(REPLICAS):
        if spare.sectors < slot_sector(copy) + _BLOCK_SECTORS:
            copies.append("beyond the end of the device")
            continue
        try:
            block = spare.read(slot_sector(copy), BLOCK_SIZE)
        except MediaError as error:
            copies.append(str(error))
            continue
        code, superblock = Superblock.try_decode(block, copy, spare.sectors)
        copies.append(code)
        if superblock and (best is None or superblock.events > best.events):
            best = superblock
    blank = all(code == FormatCode.BLANK for code in copies) and _is_zero(spare)
    return ReadSpare(spare.path, spare.sectors, best, tuple(copies), blank)


def _is_zero(spare: Opened) -> bool:
    length = min(spare.sectors, DATA_START) * SECTOR_SIZE
    try:
        return not any(spare.read(0, length))
    except MediaError:
        return False


@dataclass
class ReadSet:
    """A set as its spares tell it: the newest superblock, and the newest copy of each leaf."""

    superblock: Superblock
    spares: list[ReadSpare]
    leaves: list[Leaf] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """All entries, in the order of their places in the table."""
        for leaf in self.leaves:
            for slot in sorted(leaf.entries):
                yield leaf.entries[slot]


def newest_superblock(spares: Sequence[ReadSpare]) -> Superblock:
    """The reference of a set, as the kernel chooses it: the one of the highest rank.

    Raises FormatError if no spare has one.
    """
    found = [spare.superblock for spare in spares if spare.superblock]
    if not found:
        raise FormatError("There is no dm-remap metadata on any of the spares.")
    return max(found, key=lambda superblock: superblock.rank)


def stale_spares(spares: Sequence[ReadSpare]) -> dict[str, str]:
    """Which spares of one set the reference does not call in sync, and why, by path.

    The kernel uses nothing of them. Raises FormatError if no spare has a superblock.
    """
    reference = newest_superblock(spares)
    stale = {}
    for spare in spares:
        index = spare.superblock.spare_idx if spare.superblock else len(reference.spares)
        if spare.superblock is None or index >= len(reference.spares):
            continue
        state = reference.spares[index].state
        if state != SpareState.IN_SYNC:
            stale[spare.path] = (
                f"the set calls it {state.name.lower()} since event {reference.events}; its own"
                f" last event is {spare.superblock.events}"
            )
    return stale


def read_set(paths: Sequence[str | Path], *, leaves: bool = True) -> ReadSet:
    """Read a set from some or all of its spares, all copies, and pick the newest of everything.

    Stale spares and copies that were refused are listed in `problems` and not used. Raises
    FormatError if no spare carries a set, or if they carry different ones.
    """
    spares = [read_spare(path) for path in paths]
    found = [spare for spare in spares if spare.superblock]
    if not found:
        raise FormatError(
            "There is no dm-remap metadata on "
            + "; ".join(f"{spare.path} (copies: {_summary(spare)})" for spare in spares)
            + "."
        )
    superblocks = [spare.superblock for spare in found if spare.superblock]
    uuids = {superblock.set_uuid for superblock in superblocks}
    if len(uuids) > 1:
        raise FormatError(
            "These spares belong to different sets: "
            + ", ".join(f"{s.path} to {s.superblock.set_uuid}" for s in found if s.superblock)
            + "."
        )
    newest = newest_superblock(found)
    result = ReadSet(newest, spares)
    stale = stale_spares(spares)
    result.problems += [f"{path} is stale: {why}." for path, why in stale.items()]
    for spare in spares:
        result.problems += [
            f"{spare.path}: superblock copy {copy} was refused: {text}."
            for copy, text in enumerate(spare.copies_text())
            if text != "ok"
        ]
    if leaves:
        _read_leaves(result, [s for s in found if s.path not in stale])
    return result


def _summary(spare: ReadSpare) -> str:
    return ", ".join(dict.fromkeys(spare.copies_text()))


def _read_leaves(result: ReadSet, spares: Sequence[ReadSpare]) -> None:
    newest = result.superblock
    best: dict[int, tuple[int, bytes]] = {}
    for spare in spares:
        if spare.superblock is None:
            continue
        with open_for_reading(spare.path) as opened:
            for number, replica, block in _leaf_blocks(opened, spare.superblock, result.problems):
                code, seq = Leaf.probe(block, newest.set_uuid, number)
                if code != FormatCode.OK:
                    result.problems.append(
                        f"{spare.path}: leaf {number}, replica {replica} was refused:"
                        f" {explain(code)}."
                    )
                elif number not in best or seq > best[number][0]:
                    best[number] = (seq, block)
    for number in range(newest.nr_leaves):
        if number not in best:
            result.problems.append(f"No copy of leaf {number} is whole: its entries are lost.")
            continue
        try:
            result.leaves.append(Leaf.decode(best[number][1], newest, number))
        except FormatError as error:
            result.problems.append(str(error))


# Blocks that cannot be read become problems.
def _leaf_blocks(
    spare: Opened, superblock: Superblock, problems: list[str]
) -> Iterator[tuple[int, int, bytes]]:
    for number, replica, block in leaf_blocks(spare, superblock):
        if isinstance(block, MediaError):
            problems.append(str(block))
        else:
            yield number, replica, block


def leaf_blocks(
    spare: Opened, superblock: Superblock
) -> Iterator[tuple[int, int, bytes | MediaError]]:
    """All leaf blocks of a spare: leaf, replica, and the block or why it cannot be read."""
    for replica in range(REPLICAS):
        first = 0
        while first < superblock.nr_leaves:
            end = INLINE_LEAVES if first < INLINE_LEAVES else superblock.nr_leaves
            count = min(end - first, _CHUNK_LEAVES)
            sector = superblock.leaf_sector(first, replica)
            for index, block in enumerate(read_blocks(spare, sector, count)):
                yield first + index, replica, block
            first += count


def read_blocks(spare: Opened, sector: int, count: int) -> Iterator[bytes | MediaError]:
    """Metadata blocks that lie one behind the other; for each, what it holds or why not."""
    try:
        data = spare.read(sector, count * BLOCK_SIZE)
    except MediaError:
        # one at a time: only the bad ones shall be missing
        for index in range(count):
            try:
                yield spare.read(sector + index * _BLOCK_SECTORS, BLOCK_SIZE)
            except MediaError as error:
                yield error
        return
    for index in range(count):
        yield data[index * BLOCK_SIZE : (index + 1) * BLOCK_SIZE]
