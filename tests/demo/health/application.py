"""Somebody who reads and writes blocks of a disk and knows what each must hold."""

import random
import time

from tests.demo.health.story import BLOCK, REQUESTS, Work
from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.directio import DirectFile


class Application:
    """Its requests are the same for the same seed, whatever the disk."""

    def __init__(self, disk: BlockDevice, seed: int) -> None:
        self._disk = disk
        self._random = random.Random(seed)
        # Which of its versions a block holds; what a failed write left is not known.
        self._versions: dict[int, int | None] = dict.fromkeys(range(disk.size // BLOCK), 0)

    def fill(self) -> None:
        """Write all blocks for the first time."""
        with DirectFile(self._disk) as file:
            for block in self._versions:
                file.pwrite(block * BLOCK, _content(block, 0))

    def work(self) -> Work:
        """Do the requests of a day."""
        errors = wrong = 0
        slowest = 0.0
        with DirectFile(self._disk) as file:
            for number in range(REQUESTS):
                block = self._random.randrange(len(self._versions))
                started = time.monotonic()
                try:
                    if number % 4:
                        wrong += not self._read(file, block)
                    else:
                        self._write(file, block)
                except OSError:
                    errors += 1
                slowest = max(slowest, time.monotonic() - started)
        return Work(REQUESTS, errors, wrong, round(slowest * 1000, 1))

    def look(self) -> tuple[int, int]:
        """Read everything: how many blocks can't be read, how many hold what they must not."""
        unreadable = wrong = 0
        with DirectFile(self._disk) as file:
            for block in self._versions:
                try:
                    wrong += not self._read(file, block)
                except OSError:
                    unreadable += 1
        return unreadable, wrong

    def _read(self, file: DirectFile, block: int) -> bool:
        version = self._versions[block]
        found = file.pread(block * BLOCK, BLOCK)
        return version is None or found == _content(block, version)

    def _write(self, file: DirectFile, block: int) -> None:
        version = (self._versions[block] or 0) + 1
        self._versions[block] = None
        file.pwrite(block * BLOCK, _content(block, version))
        self._versions[block] = version


def _content(block: int, version: int) -> bytes:
    return (b"%d/%d;" % (block, version)).ljust(32, b".") * (BLOCK // 32)
