"""What the load writes: every sector says where it belongs, which version it is, and of which run.

load.c has the same in C. So a sector that is misdirected, stale, torn or of another run shows.
"""

import struct
import zlib
from dataclasses import dataclass

from pyctl.format import SECTOR_SIZE

MAGIC = b"DMRCRASH"

_HEADER = struct.Struct("<8sQQQII")
_CRC_AT = _HEADER.size - 4
_FILLER_STEP = 0x9E3779B97F4A7C15
_WORDS = (SECTOR_SIZE - _HEADER.size) // 8


@dataclass(frozen=True, slots=True)
class Sector:
    """A sector that is whole: sector `index` of a unit, in version `version`, of run `run`."""

    unit: int
    version: int
    run: int
    index: int

    def encode(self) -> bytes:
        """Its 512 bytes."""
        start = self.run ^ self.version << 20 ^ self.unit << 4 ^ self.index
        words = (
            (start + _FILLER_STEP * number) & 0xFFFFFFFFFFFFFFFF for number in range(1, _WORDS + 1)
        )
        filler = struct.pack(f"<{_WORDS}Q", *words)
        head = _HEADER.pack(MAGIC, self.unit, self.version, self.run, self.index, 0)
        crc = zlib.crc32(head + filler)
        return head[:_CRC_AT] + struct.pack("<I", crc) + filler


def decode(data: bytes) -> Sector | None:
    """What a sector says of itself; None when it is not whole, or nothing of ours."""
    magic, unit, version, run, index, crc = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    if zlib.crc32(data[:_CRC_AT] + b"\0\0\0\0" + data[_CRC_AT + 4 :]) != crc:
        return None
    return Sector(unit, version, run, index)


def encode_unit(unit: int, version: int, run: int, sectors: int) -> bytes:
    """All sectors of a unit."""
    return b"".join(Sector(unit, version, run, index).encode() for index in range(sectors))
