"""Somebody who writes a whole disk anew, and reads all of it back."""

from tests.demo.daemon.story import BLOCK, Work
from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.directio import DirectFile

# Blocks written at once.
_RUN = 16


def work(disk: BlockDevice, version: int) -> Work:
    """Write a version of everything, and read it."""
    blocks = disk.size // BLOCK
    errors = wrong = requests = 0
    with DirectFile(disk) as file:
        for first in range(0, blocks, _RUN):
            run = range(first, min(first + _RUN, blocks))
            requests += 2
            data = b"".join(_content(block, version) for block in run)
            try:
                file.pwrite(first * BLOCK, data)
                wrong += file.pread(first * BLOCK, len(data)) != data
            except OSError:
                errors += 1
    return Work(requests, errors, wrong)


def _content(block: int, version: int) -> bytes:
    return (b"%d/%d;" % (block, version)).ljust(32, b".") * (BLOCK // 32)
