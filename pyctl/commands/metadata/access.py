"""Opening the devices of a set, for reading or for writing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pyctl.errors import RefusedError, UsageError
from pyctl.format import Opened, open_exclusively, open_for_reading

__all__ = ["for_reading", "for_writing"]


@contextmanager
def for_writing(paths: Sequence[str]) -> Iterator[list[Opened]]:
    """Open devices so that nobody else can use them.

    Raises RefusedError if one is in use, and what open_exclusively raises.
    """
    _require_different(paths)
    with ExitStack() as stack:
        opened = []
        for path in paths:
            try:
                opened.append(stack.enter_context(open_exclusively(path, write=True)))
            except RefusedError as error:
                raise RefusedError(
                    f"{path} is in use, so its metadata cannot be changed.",
                    hint="Unmount and `pyctl remove` the device that uses it, and try again.",
                ) from error
        yield opened


@contextmanager
def for_reading(paths: Sequence[str]) -> Iterator[tuple[list[Opened], list[str]]]:
    """Open devices for reading; gives them and the paths of those that are in use."""
    _require_different(paths)
    with ExitStack() as stack:
        opened, busy = [], []
        for path in paths:
            try:
                opened.append(stack.enter_context(open_exclusively(path, write=False)))
            except RefusedError:
                opened.append(stack.enter_context(open_for_reading(path)))
                busy.append(path)
        yield opened, busy


def _require_different(paths: Sequence[str]) -> None:
    for path in paths:
        if list(paths).count(path) > 1:
            raise UsageError(f"{path} was given twice.")
