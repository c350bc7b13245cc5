"""What lies on a device: signatures, and whether anything lies there at all.

blkid and wipefs read the device itself, never a cache.
"""

import json
from dataclasses import dataclass

from pyctl.errors import RunError
from pyctl.run import run

__all__ = ["Signature", "blkid", "signatures", "wipe"]

# blkid's exit status when it finds nothing, and when what it finds contradicts itself
_BLKID_NOTHING = 2
_BLKID_AMBIVALENT = 8


@dataclass(frozen=True)
class Signature:
    """A signature that wipefs knows; `offset` is in bytes."""

    kind: str
    offset: int
    label: str
    uuid: str

    def __str__(self) -> str:
        more = "".join(
            f", {key} {value}"
            for key, value in (("label", self.label), ("UUID", self.uuid))
            if value
        )
        return f"{self.kind} at byte {self.offset}{more}"


def signatures(path: str) -> list[Signature]:
    """All signatures of file systems, partition tables, RAID and so on.

    Raises RunError if the device cannot be probed.
    """
    text = run(["wipefs", "--json", "--no-act", path])
    rows = json.loads(text).get("signatures", []) if text.strip() else []
    return [
        Signature(
            kind=str(row.get("type") or "unknown"),
            offset=int(str(row.get("offset") or "0"), 0),
            label=str(row.get("label") or ""),
            uuid=str(row.get("uuid") or ""),
        )
        for row in rows
    ]


def wipe(path: str) -> None:
    """Erase all signatures. Raises RunError."""
    run(["wipefs", "--all", "--quiet", path])


def blkid(path: str) -> dict[str, str]:
    """What blkid sees, e.g. `TYPE`, `UUID`, `PTUUID`, `PART_ENTRY_UUID`; {} if that is nothing.

    A failing main device may make it fail: that, too, is nothing.
    """
    try:
        text = run(
            ["blkid", "--probe", "--output", "export", path],
            ok=(0, _BLKID_NOTHING, _BLKID_AMBIVALENT),
        )
    except RunError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, sep, value in pairs if sep}
