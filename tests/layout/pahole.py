"""Structures as they are in a built module, from its debug information."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What x86 processors pass to each other.
CACHE_LINE = 64

# "	u32    nr_holds; /*    28     4 */", bits as "/* 28: 3  4 */"; not the end of a nested struct.
_FIELD = re.compile(
    r"^\s+(?![\s}])(?P<type>[^;]*?)\b(?P<name>\w+)(?P<array>(\[\d*\])*)"
    r"(\s*:\d+)?(\s*__attribute__\(\(.*?\)\))?;"
    r"\s*/\*\s*(?P<offset>\d+)(:\s*\d+)?\s+(?P<size>\d+)\s*\*/$"
)
_POINTER_TO_FUNCTION = re.compile(r"\(\*(\w+)\)\([^;]*\)")
_SIZE = re.compile(r"/\* size: (\d+),")


@dataclass(frozen=True)
class Field:
    """A member, also one of an anonymous struct or union; offset and size in bytes."""

    name: str
    type: str
    offset: int
    size: int

    @property
    def lines(self) -> range:
        """The cache lines that it is in, when the structure begins with one."""
        last = self.offset + max(self.size, 1) - 1
        return range(self.offset // CACHE_LINE, last // CACHE_LINE + 1)


@dataclass(frozen=True)
class Structure:
    """A structure; `text` is what pahole prints of it."""

    text: str
    size: int
    fields: dict[str, Field]

    def beside(self, names: frozenset[str]) -> dict[str, Field]:
        """The other fields that lie in the cache lines of these."""
        lines = {line for name in names for line in self.fields[name].lines}
        return {
            name: field
            for name, field in self.fields.items()
            if name not in names and lines & set(field.lines)
        }


def read(path: Path, name: str) -> Structure:
    """Read a structure from a module or an object that was compiled with -g."""
    command = ["pahole", "-F", "dwarf", "-C", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    size = _SIZE.search(done.stdout)
    if done.returncode or not size:
        raise LookupError(f"pahole finds no struct {name} in {path}: {done.stderr.strip()}")
    fields = {field.name: field for field in map(_field, done.stdout.splitlines()) if field}
    return Structure(done.stdout, int(size[1]), fields)


def _field(line: str) -> Field | None:
    match = _FIELD.match(_POINTER_TO_FUNCTION.sub(r"* \1", line))
    if not match:
        return None
    text = " ".join((match["type"] + match["array"]).split())
    return Field(match["name"], text, int(match["offset"]), int(match["size"]))
