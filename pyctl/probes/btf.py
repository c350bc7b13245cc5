"""Where the running kernel has the fields of its structures, from its own type information.

Only what is asked for is looked at: walking through all types of a kernel takes seconds.
"""

import struct
from collections.abc import Collection
from pathlib import Path

from pyctl.errors import PyctlError

__all__ = ["VMLINUX", "Btf"]

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_KIND_STRUCT = 4
_BITFIELDS = 1 << 31


class Btf:
    """Type information as the kernel gives it in sysfs.

    Raises PyctlError if it is something else.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise PyctlError("The kernel's type information is cut short.")
        magic, _, _, header, types, types_size, names, names_size = _HEADER.unpack_from(data)
        if magic != _MAGIC or header + names + names_size > len(data):
            raise PyctlError("The kernel's type information cannot be understood.")
        self._types = data[header + types : header + types + types_size]
        self._names = data[header + names : header + names + names_size]

    @classmethod
    def read(cls, path: Path = VMLINUX) -> "Btf":
        """That of the running kernel. Raises OSError where it has none."""
        return cls(path.read_bytes())

    def offsets(self, name: str, fields: Collection[str]) -> dict[str, int]:
        """Byte offsets of fields of `struct name`. Raises PyctlError if it has no such fields."""
        wanted = {self._name(field): field for field in fields}
        key = struct.pack("<I", self._name(name))
        at = -1
        while (at := self._types.find(key, at + 1)) >= 0:
            if at % 4 == 0 and (found := self._members(at, wanted)) is not None:
                return found
        raise PyctlError(f"This kernel has no struct {name} with {', '.join(sorted(fields))}.")

    # None where something else than such a structure begins.
    def _members(self, at: int, wanted: dict[int, str]) -> dict[str, int] | None:
        if at + _TYPE.size > len(self._types):
            return None
        _, info, size = _TYPE.unpack_from(self._types, at)
        count = info & 0xFFFF
        if info >> 24 & 0x1F != _KIND_STRUCT or at + _TYPE.size * (1 + count) > len(self._types):
            return None
        found = {}
        for number in range(1, count + 1):
            name, _, offset = _TYPE.unpack_from(self._types, at + _TYPE.size * number)
            bits = offset & 0xFFFFFF if info & _BITFIELDS else offset
            if name in wanted and bits % 8 == 0 and bits // 8 < size:
                found[wanted[name]] = bits // 8
        return found if len(found) == len(wanted) else None

    def _name(self, name: str) -> int:
        at = self._names.find(b"\0" + name.encode() + b"\0")
        if at < 0:
            raise PyctlError(f"This kernel knows nothing that is called {name}.")
        return at + 1
