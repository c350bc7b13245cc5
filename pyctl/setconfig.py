"""What a machine remembers of a set: its name, and how to know its main device.

A file of `key=value` lines, which udev's helper and the initramfs read as well. See docs/boot.md.
"""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from pyctl.errors import FormatError, UsageError, from_os_error

__all__ = ["SetConfig", "default_name", "parse", "read"]

# The characters that udev and libdevmapper leave as they are in the name of a node.
_NAME = re.compile(r"[0-9A-Za-z#+.:=@_-]{1,127}")
_HEADER = "# What this machine knows of a dm-remap set. name= and auto= may be changed by hand.\n"
_NUMBERS = ("main_sectors", "unit_bytes")
_KEYS = ("name", "auto", *_NUMBERS, "identity")
_UNITS = (512, 4096)


@dataclass(frozen=True)
class SetConfig:
    """A set as this machine knows it.

    `auto`: it is started by itself when it is complete. `main_sectors` are of 512 bytes. `identity`
    is that of the main device, as superblocks have it.
    """

    set_uuid: uuid.UUID
    name: str
    auto: bool
    main_sectors: int
    unit_bytes: int
    identity: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in (".", ".."):
            raise UsageError(
                f"{self.name!r} cannot be remembered as the name of a set: it must have 1 to 127"
                " letters, digits or characters of #+-.:=@_.",
                hint="Choose another name, or add --no-remember.",
            )

    def text(self) -> str:
        """The file."""
        values = {
            "name": self.name,
            "auto": "yes" if self.auto else "no",
            "main_sectors": self.main_sectors,
            "unit_bytes": self.unit_bytes,
            "identity": self.identity,
        }
        return _HEADER + "".join(f"{key}={values[key]}\n" for key in _KEYS)


def default_name(set_uuid: uuid.UUID) -> str:
    """The name of a set that nobody has named: the same on every machine, at every start."""
    return f"remap-{set_uuid.hex[:8]}"


def read(path: Path) -> SetConfig:
    """Read the file of a set. Raises FormatError with file and line, NotFoundError, PyctlError."""
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: this is no ASCII text.") from error
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> SetConfig:
    """Read the text of a file whose name is the set's UUID and `.conf`.

    Raises FormatError, which names the line, for whatever is not understood.
    """
    try:
        set_uuid = uuid.UUID(path.stem)
    except ValueError:
        set_uuid = None
    if set_uuid is None or path.name != f"{set_uuid}.conf":
        raise FormatError(f"{path}: the name of this file is not the UUID of a set and `.conf`.")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, sep, value = line.partition("=")
        found[key] = _checked(found, key, value if sep else None, f"{path}:{number}")
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise FormatError(f"{path}: there is no line `{missing[0]}=`.")
    return SetConfig(
        set_uuid=set_uuid,
        name=found["name"],
        auto=found["auto"] == "yes",
        main_sectors=int(found["main_sectors"]),
        unit_bytes=int(found["unit_bytes"]),
        identity=found["identity"],
    )


def _checked(found: dict[str, str], key: str, value: str | None, where: str) -> str:
    if value is None or key not in _KEYS:
        raise FormatError(f"{where}: expected one of {', '.join(f'{k}=' for k in _KEYS)}.")
    if key in found:
        raise FormatError(f"{where}: {key}= is there twice.")
    if key == "auto" and value not in ("yes", "no"):
        raise FormatError(f"{where}: auto= is yes or no, not {value!r}.")
    if key == "name" and not _NAME.fullmatch(value):
        raise FormatError(f"{where}: {value!r} cannot be the name of a device.")
    if key in _NUMBERS and not re.fullmatch(r"[1-9][0-9]{0,18}", value):
        raise FormatError(f"{where}: {key}= is a number, not {value!r}.")
    if key == "unit_bytes" and int(value) not in _UNITS:
        raise FormatError(f"{where}: unit_bytes= is 512 or 4096, not {value}.")
    return value
