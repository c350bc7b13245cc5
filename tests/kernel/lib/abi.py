"""The files in sysfs and debugfs, and what docs/abi.md says of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm import paths

SYSFS = Path("/sys/kernel/dm-remap-v4")
DEBUGFS = Path("/sys/kernel/debug/dm-remap")
PARAMETERS = Path("/sys/module/dm_remap/parameters")

_PAGE = paths.PROJECT / "docs/abi.md"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENTRY = re.compile(
    r"^    What:\t\t(?P<path>\S+)\n    Date:\t\t\w+ \d{4}\n    KernelVersion:\t\d+\.\d+\n"
    r"    Description:\t\((?P<mode>RO|RW|WO)\) (?P<text>.*?)^    Users:\t\t\S",
    re.MULTILINE | re.DOTALL,
)
_NAME = re.compile(r"^    \t\t(\w+)\t", re.MULTILINE)
_MODES = {"RO": 0o400, "RW": 0o600, "WO": 0o200}


@dataclass(frozen=True)
class Described:
    """A file as the page describes it: its owner's rights, and the names of its lines."""

    rights: int
    names: frozenset[str]


def described() -> dict[str, Described]:
    """All files of the page, by path; <uuid> stands for a set's UUID."""
    text = _PAGE.read_text()
    found = {
        match["path"]: Described(_MODES[match["mode"]], frozenset(_NAME.findall(match["text"])))
        for match in _ENTRY.finditer(text)
    }
    if len(found) != text.count("What:\t"):
        raise ValueError(f"{_PAGE} has entries that are not in its form, or one twice.")
    return found


def files() -> Iterator[Path]:
    """All files that are there. Those of sets, and their folders, may go while they are listed."""
    for root in (SYSFS, DEBUGFS, PARAMETERS):
        yield from (path for path in root.rglob("*") if path.is_file())


def generic(path: Path) -> str:
    """A path as the page has it."""
    return _UUID.sub("<uuid>", str(path))


def fields(text: str) -> dict[str, str]:
    """Lines name=value; every line must be one, and every name be there once."""
    found: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        match = re.fullmatch(r"([a-z]\w*)=(\S*)\n", line)
        if not match or match[1] in found:
            raise ValueError(f"{line!r} is no line name=value, or the second one of its name")
        found[match[1]] = match[2]
    return found


def numbers(path: Path) -> dict[str, int]:
    """The lines name=value of a file whose values are numbers."""
    return {name: int(value) for name, value in fields(path.read_text()).items()}


def set_line(line: str) -> dict[str, str]:
    """A line about one set: words name=value, of which `name`, the last, may have spaces."""
    head, found, name = line.partition(" name=")
    if not found:
        raise ValueError(f"{line!r} has no name")
    return dict(word.split("=", 1) for word in head.split(" ")) | {"name": name}
