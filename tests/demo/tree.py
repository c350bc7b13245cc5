"""The files that are copied: a real tree, chosen from the machine itself."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MIN_FILES = 2000
MIN_BYTES = 100_000_000

_ROOTS = ("lib/python3*", "lib/*-linux-gnu", "share", "lib", "src")
_SMALL = 64 << 10
_LARGE = 4 << 20


class TreeError(Exception):
    """This machine has not enough files."""


@dataclass(frozen=True)
class SourceFile:
    """A file to copy, and the hash that its copy must have."""

    path: str
    size: int
    sha256: str


def choose() -> list[SourceFile]:
    """Choose small files by number and larger ones by size, and read them all; in path order."""
    files: dict[str, int] = {}
    count = total = 0
    for path, size in _candidates():
        small = 0 < size <= _SMALL
        if small and count < MIN_FILES:
            count += 1
        elif not (_SMALL < size <= _LARGE and total < MIN_BYTES):
            continue
        if path in files:
            continue
        files[path] = size
        total += size
        if count >= MIN_FILES and total >= MIN_BYTES:
            break
    else:
        raise TreeError(
            f"This machine has too few files under /usr: {len(files)} with {total} bytes were"
            f" found, {MIN_FILES} with {MIN_BYTES} are needed."
        )
    return [SourceFile(path, files[path], _sha256(path)) for path in sorted(files)]


def save(files: Sequence[SourceFile], path: Path) -> None:
    """Write the list for the machine that copies them."""
    path.write_text(json.dumps([[file.path, file.size, file.sha256] for file in files]))


def load(path: Path) -> list[SourceFile]:
    """Read the list again."""
    return [SourceFile(*row) for row in json.loads(path.read_text())]


# Plain readable files, in an order that is the same each time.
def _candidates() -> Iterator[tuple[str, int]]:
    for pattern in _ROOTS:
        for root in sorted(Path("/usr").glob(pattern)):
            for directory, names, files in os.walk(root):
                names.sort()
                for name in sorted(files):
                    path = os.path.join(directory, name)
                    if (
                        not os.path.islink(path)
                        and os.path.isfile(path)
                        and os.access(path, os.R_OK)
                    ):
                        yield path, os.path.getsize(path)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
