"""Copy the files, each made durable before the next, and compare them later."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.demo.tree import SourceFile

# A file that can't be read gets a few more chances, as a patient user would give it.
_ROUNDS = 4
_PAUSE_SECONDS = 0.7

OnProgress = Callable[[int, int], None]


@dataclass
class Copied:
    """How the copying went: errors by the reason that the program was given."""

    files: int = 0
    errors: Counter[str] = field(default_factory=Counter)


@dataclass
class Compared:
    """What became of the files."""

    missing: int = 0
    unreadable: int = 0
    different: int = 0

    @property
    def lost(self) -> int:
        """Files that are not what they were."""
        return self.missing + self.unreadable + self.different


def copy_tree(files: Sequence[SourceFile], target: str, on_progress: OnProgress) -> Copied:
    """Copy each file and fsync it; go on with the next after an error, as cp does."""
    result = Copied()
    for number, file in enumerate(files):
        try:
            _copy(file.path, target + file.path)
            result.files += 1
        except OSError as error:
            result.errors[os.strerror(error.errno or 0)] += 1
        on_progress(number + 1, len(files))
    return result


def compare_tree(files: Sequence[SourceFile], target: str, on_progress: OnProgress) -> Compared:
    """Read each copy and compare its hash."""
    result = Compared()
    todo = list(files)
    done = 0
    for attempt in range(_ROUNDS):
        if not todo:
            break
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        unreadable = []
        for file in todo:
            try:
                with open(target + file.path, "rb") as copy:
                    if hashlib.file_digest(copy, "sha256").hexdigest() != file.sha256:
                        result.different += 1
            except FileNotFoundError:
                result.missing += 1
            except OSError:
                unreadable.append(file)
                continue
            done += 1
            on_progress(done, len(files))
        todo = unreadable
    result.unreadable = len(todo)
    return result


def _copy(source: str, copy: str) -> None:
    with open(source, "rb") as file:
        data = file.read()
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with open(copy, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
