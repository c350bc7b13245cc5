"""Read and write past the page cache, so that every call is a bio and every error is seen."""

import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lib.blockdev import SECTOR, BlockDevice

HUGE_PAGE = 2 << 20
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
# <asm-generic/hugetlb_encode.h>; Python 3.11 doesn't know it.
MAP_HUGETLB = 0x40000


class DirectFile:
    """A device opened with O_DIRECT. Offsets and lengths are bytes, multiples of its block size."""

    def __init__(self, device: BlockDevice | Path | str, flags: int = os.O_RDWR) -> None:
        self.fd = os.open(str(device), flags | os.O_DIRECT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def pread(self, offset: int, length: int, flags: int = 0) -> bytes:
        """Read exactly so much; `flags` are preadv2's (os.RWF_HIPRI, os.RWF_NOWAIT)."""
        with _aligned(length) as buffer:
            done = os.preadv(self.fd, [buffer], offset, flags)
            _expect(done, length, "read", offset)
            return buffer[:length]

    def pwrite(self, offset: int, data: bytes, flags: int = 0) -> None:
        """Write all of it; `flags` are pwritev2's (os.RWF_DSYNC, os.RWF_HIPRI)."""
        with _aligned(len(data)) as buffer:
            buffer[: len(data)] = data
            with memoryview(buffer)[: len(data)] as view:
                done = os.pwritev(self.fd, [view], offset, flags)
            _expect(done, len(data), "write", offset)

    def pwrite_huge(self, offset: int, data: bytes) -> None:
        """Write 2 MiB from a huge page: all of it is one bio."""
        assert len(data) == HUGE_PAGE
        HUGE_PAGES.write_text("1")
        with mmap.mmap(-1, HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANON | MAP_HUGETLB) as page:
            page[:] = data
            done = os.pwritev(self.fd, [page], offset)
        _expect(done, len(data), "write", offset)

    def fsync(self) -> None:
        """Flush the device."""
        os.fsync(self.fd)


def pread(device: BlockDevice | Path | str, sector: int, sectors: int = 1) -> bytes:
    """Read sectors of 512 bytes from a device."""
    with DirectFile(device, os.O_RDONLY) as file:
        return file.pread(sector * SECTOR, sectors * SECTOR)


def pwrite(device: BlockDevice | Path | str, sector: int, data: bytes) -> None:
    """Write to a device, starting at a sector of 512 bytes."""
    with DirectFile(device) as file:
        file.pwrite(sector * SECTOR, data)


def _aligned(length: int) -> mmap.mmap:
    return mmap.mmap(-1, length)


def _expect(done: int, wanted: int, what: str, offset: int) -> None:
    # A range that ends in a bad sector comes back short; only from the bad sector itself is it EIO.
    if done != wanted:
        raise OSError(f"short {what} at {offset}: {done} of {wanted} bytes")
