"""The status line of a dm-remap device."""

import re
from dataclasses import dataclass

from pyctl.errors import PyctlError

__all__ = ["Status", "key_values"]

_FIXED = re.compile(
    r"v(?P<version>\d+\.\d+) (?P<used>\d+)/(?P<capacity>\d+) (?P<lost>\d+)/(?P<of_lost>\d+)"
    r" (?P<remapped>\d+)/(?P<of_remapped>\d+) health=(?P<health>\d+)"
    r" errors=W(?P<write_errors>\d+):R(?P<read_errors>\d+) auto_remaps=(?P<auto_remaps>\d+)"
    r" manual_remaps=(?P<manual_remaps>\d+) scan=(?P<scan>\d+)%(?: (?P<rest>.*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Status:
    """A parsed status line.

    `used`, `lost`, `remapped` and `capacity` count units (blocks of the set), `health` is 0 to 100,
    `scan` is in percent; `fields` are the named fields behind, also those that this version of
    pyctl does not know.
    """

    version: str
    used: int
    capacity: int
    lost: int
    remapped: int
    health: int
    write_errors: int
    read_errors: int
    auto_remaps: int
    manual_remaps: int
    scan: int
    fields: dict[str, str]

    @classmethod
    def parse(cls, params: str) -> "Status":
        """Read what follows the target's name. Raises PyctlError if the fixed part differs."""
        match = _FIXED.fullmatch(params.strip())
        if not match:
            raise PyctlError(
                f"Cannot understand the status line {params!r}.",
                hint="pyctl and the kernel module are probably of different versions:"
                " compare `pyctl version` and `pyctl ping NAME`.",
            )
        number = {
            key: int(value)
            for key, value in match.groupdict().items()
            if value is not None and key not in ("version", "rest")
        }
        return cls(
            version=match["version"],
            used=number["used"],
            capacity=number["capacity"],
            lost=number["lost"],
            remapped=number["remapped"],
            health=number["health"],
            write_errors=number["write_errors"],
            read_errors=number["read_errors"],
            auto_remaps=number["auto_remaps"],
            manual_remaps=number["manual_remaps"],
            scan=number["scan"],
            fields=key_values(match["rest"] or ""),
        )

    @property
    def unit_bytes(self) -> int:
        """Bytes per unit, 512 if the line does not say."""
        unit = self.fields.get("unit", "")
        return int(unit) if unit.isdecimal() else 512

    @property
    def warnings(self) -> list[str]:
        """What an administrator must know, in words."""
        found = []
        if self.fields.get("mode", "rw") != "rw":
            found.append("the device has failed: mappings can no longer be made durable")
        if self.fields.get("breaker", "closed") != "closed":
            found.append("the circuit breaker is open: the main device was taken for dead")
        present, slash, total = self.fields.get("spares", "").partition("/")
        if slash and present != total:
            found.append(f"only {present} of {total} spares are in sync")
        below = self.fields.get("below", "0")
        if below != "0":
            found.append(f"{below} remapped blocks are on one spare only")
        if self.lost:
            found.append(f"{self.lost} blocks could not be read and are lost until written")
        space = self.fields.get("space", "")
        if space == "full":
            found.append("the spares are full: the next bad block stays an error; add a spare")
        elif space == "low":
            found.append(f"the spares fill up: room for {self.fields.get('free', '?')} more blocks")
        return found


def key_values(text: str) -> dict[str, str]:
    """`key=value` words, in their order; a word without `=` is left out."""
    pairs = (word.partition("=") for word in text.split())
    return {key: value for key, sep, value in pairs if sep and key}
