"""A load whose every answer is checked: one writer, so that a read has one right answer."""

import random
import threading
from dataclasses import dataclass, field

from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.setup import QuickRemap, pattern


@dataclass
class Scribbling:
    """Writes and reads the first `area` sectors of a device, until told to stop."""

    dm: QuickRemap
    area: int
    lengths: tuple[int, ...]
    newest: dict[int, bytes] = field(default_factory=dict)
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Do it."""
        rng = random.Random(22)
        with DirectFile(self.dm) as file:
            while not self.stop.is_set():
                self.done += 1
                sectors = rng.choice(self.lengths)
                sector = rng.randrange(self.area - sectors)
                data = pattern(sectors, seed=self.done)
                file.pwrite(sector * SECTOR, data)
                for i in range(sectors):
                    self.newest[sector + i] = data[i * SECTOR : (i + 1) * SECTOR]
                self._check(file, rng.choice(list(self.newest)))

    def check_all(self) -> None:
        """Every sector that was written holds what was written to it last."""
        with DirectFile(self.dm) as file:
            for sector in self.newest:
                self._check(file, sector)

    def _check(self, file: DirectFile, sector: int) -> None:
        assert file.pread(sector * SECTOR, SECTOR) == self.newest[sector], sector
