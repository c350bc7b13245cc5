"""The table line of a dm-remap device."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyctl.dm import TargetLine
from pyctl.errors import PyctlError, UsageError

__all__ = ["ALIAS", "DM_UUID_PREFIX", "TARGET", "RemapTable", "dm_uuid", "is_ours"]

TARGET = "remap"
ALIAS = "remap-v4"
DM_UUID_PREFIX = "DMREMAP-"


def dm_uuid(set_uuid: uuid.UUID) -> str:
    """The device-mapper UUID of the device of a set."""
    return DM_UUID_PREFIX + set_uuid.hex


def is_ours(line: TargetLine) -> bool:
    """Is this a line of dm-remap?"""
    return line.kind in (TARGET, ALIAS)


@dataclass(frozen=True)
class RemapTable:
    """A table: `length` in sectors of 512 bytes, devices as paths or major:minor.

    `options` are the words of the options, e.g. ("set", UUID, "degraded").
    """

    length: int
    main: str
    spares: tuple[str, ...]
    options: tuple[str, ...] = ()

    def line(self) -> TargetLine:
        """The line as it is loaded. Raises UsageError for a path that no table can hold."""
        copy_to = self.option("copy_to")
        for path in (self.main, *self.spares, *([] if copy_to is None else [copy_to])):
            if not path or re.search(r"[\s\\]", path):
                raise UsageError(
                    f"The path {path!r} cannot be part of a device-mapper table: it is empty or"
                    " has white space or a backslash in it.",
                    hint="Use another name of the device, e.g. its /dev/disk/by-id link.",
                )
        words: list[str] = [self.main, *self.spares]
        if self.options:
            words += [str(len(self.options)), *self.options]
        return TargetLine(0, self.length, TARGET, " ".join(words))

    def option(self, key: str) -> str | None:
        """The value of an option, None if it is not there."""
        for word, value in zip(self.options[::2], self.options[1::2], strict=False):
            if word == key:
                return value
        return None

    def with_options(self, **values: str | None) -> "RemapTable":
        """The same table with other values of some options; those that are None go."""
        pairs = zip(self.options[::2], self.options[1::2], strict=True)
        kept = [word for pair in pairs if pair[0] not in values for word in pair]
        for key, value in values.items():
            kept += [] if value is None else [key, value]
        return replace(self, options=tuple(kept))

    @classmethod
    def parse(cls, lines: Sequence[TargetLine]) -> "RemapTable":
        """Read a live table. Raises PyctlError if it is not one of dm-remap."""
        if len(lines) != 1 or not is_ours(lines[0]):
            raise PyctlError(f"This is not the table of a dm-remap device: {list(map(str, lines))}")
        words = lines[0].params.split()
        # the count of option words is the only word without a slash or a colon
        count = next((i for i, w in enumerate(words) if w.isdigit()), len(words))
        devices, rest = words[:count], words[count + 1 :]
        if len(devices) < 2 or (count < len(words) and int(words[count]) != len(rest)):
            raise PyctlError(f"Cannot understand the table {lines[0]}.")
        return cls(lines[0].length, devices[0], tuple(devices[1:]), tuple(rest))
