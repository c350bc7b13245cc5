"""Where the failing disk fails, and since when.

The same seed and size give the same map, so that two disks can be made to fail in the same way.
Places are 4 KiB, as on disks of today: one bad spot costs eight sectors of 512 bytes.
"""

import random
from dataclasses import dataclass
from typing import Literal

PLACE_SECTORS = 8

MIB = 2048

Kind = Literal["write-bad", "weak"]


@dataclass(frozen=True)
class Zone:
    """A part of the disk, in sectors."""

    start: int
    end: int


@dataclass(frozen=True)
class Place:
    """One bad spot. "write-bad" takes no writes for good; "weak" can be read only now and then."""

    sector: int
    kind: Kind


class ErrorMap:
    """All bad places, in steps: step 0 is the disk as it is bought, each further step is wear.

    The first steps spare the file system's own structures, so that the raw disk gets far enough to
    be worth looking at: a disk on which not even mkfs succeeds would prove the same in a second.
    """

    STEPS = 4

    def __init__(self, seed: int, sectors: int) -> None:
        self.sectors = sectors
        self._random = random.Random(seed)
        self._taken: set[int] = set()
        quarter = sectors // 4
        # What mkfs.ext4 and a first copy do on 512 MiB: the inode tables are in front, then come
        # the directories, the journal is in the middle, and the files fill the second quarter.
        inodes = Zone(MIB // 2, 2 * MIB)
        names = Zone(8 * MIB, 10 * MIB)
        files = Zone(quarter + MIB, 2 * quarter)
        journal = Zone(2 * quarter, 2 * quarter + 16 * MIB)
        rest = (
            Zone(16 * MIB, quarter),
            Zone(2 * quarter + 17 * MIB, 3 * quarter),
            Zone(3 * quarter + MIB, sectors - MIB),
        )
        spread = self._spread
        self._steps = [
            [
                *spread("write-bad", 30, files),
                *spread("write-bad", 15, *rest),
                *spread("weak", 30, files),
                *spread("weak", 15, *rest),
            ],
            [
                *spread("write-bad", 15, files),
                *spread("write-bad", 5, *rest),
                *spread("weak", 15, files),
                *spread("weak", 5, *rest),
            ],
            [
                *spread("write-bad", 15, files),
                *spread("write-bad", 5, *rest),
                *spread("weak", 15, files),
                *spread("weak", 10, inodes),
                *spread("weak", 5, names),
            ],
            [
                *spread("write-bad", 15, files),
                *spread("weak", 15, files),
                *spread("write-bad", 20, inodes),
                *spread("write-bad", 15, journal),
            ],
        ]

    def added(self, step: int) -> list[Place]:
        """The places that appear with a step."""
        return self._steps[step]

    def until(self, step: int) -> list[Place]:
        """All places up to a step, in the order of the disk."""
        places = [place for added in self._steps[: step + 1] for place in added]
        return sorted(places, key=lambda place: place.sector)

    def table(self, step: int, disk: str, devices: dict[Kind, str]) -> str:
        """The device-mapper table of the disk at a step: each place is on the device of its kind.

        There are only linear segments, which cost nothing and never answer a flush themselves.
        """
        lines = []
        at = 0
        for place in self.until(step):
            if place.sector > at:
                lines.append(f"{at} {place.sector - at} linear {disk} {at}")
            device = devices[place.kind]
            lines.append(f"{place.sector} {PLACE_SECTORS} linear {device} {place.sector}")
            at = place.sector + PLACE_SECTORS
        lines.append(f"{at} {self.sectors - at} linear {disk} {at}")
        return "\n".join(lines)

    def _spread(self, kind: Kind, count: int, *zones: Zone) -> list[Place]:
        """Choose free places in zones, each by its size."""
        slots = [
            sector
            for zone in zones
            for sector in range(zone.start, zone.end, PLACE_SECTORS)
            if sector not in self._taken
        ]
        chosen = self._random.sample(slots, count)
        self._taken.update(chosen)
        return [Place(sector, kind) for sector in chosen]
