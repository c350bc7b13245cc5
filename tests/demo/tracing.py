"""Count the I/O errors that leave a block device upwards, by the kernel's own trace points.

Messages in the kernel log are rate limited and say less than happened; the trace point at the end
of each request misses nothing.

Two kinds of requests are counted apart, as they are hints whose failure is no error to a file
system: read-ahead, which every layer may give up at once (the same block is then read in earnest,
and that counts), and discard.
"""

import contextlib
import errno
import os
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.demo.run import attempt

_TRACEFS = Path("/sys/kernel/tracing")
_INSTANCES = _TRACEFS / "instances"
_PREFIX = "dm-remap-demo-"
# Numbers of the device, kind ("WS": a synchronous write), place, negative error number.
_LINE = re.compile(rb"block_bio_complete: (\d+),(\d+) (\w+) .*\[(-?\d+)\]")
_HINT = re.compile(rb"D|\w+A")

# "Can't do that", which the block layer asks for and has another way of its own.
_HARMLESS = {-errno.EOPNOTSUPP, -errno.EAGAIN}


class FailedRequests:
    """Counts failed requests per device while it is open."""

    # Keys are major and minor number, and whether it was a hint.
    _counts: Counter[tuple[int, int, bool]]

    def __init__(self) -> None:
        if not _INSTANCES.exists():
            attempt("mount", "-t", "tracefs", "tracefs", str(_TRACEFS))
        self._instance = _INSTANCES / f"{_PREFIX}{os.getpid()}"
        self._counts = Counter()
        self._rest = b""
        self._instance.mkdir()
        try:
            event = self._instance / "events" / "block" / "block_bio_complete"
            (event / "filter").write_text("error != 0")
            (event / "enable").write_text("1")
            self._pipe = os.open(self._instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except BaseException:
            self._instance.rmdir()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._pipe)
        self._instance.rmdir()

    def of(self, device: str) -> int:
        """How many requests to this device have failed, hints apart."""
        return self._count(device, hints=False)

    def hints_of(self, device: str) -> int:
        """How many hints to this device have failed."""
        return self._count(device, hints=True)

    def _count(self, device: str, *, hints: bool) -> int:
        self._read()
        number = os.stat(device).st_rdev
        return self._counts[os.major(number), os.minor(number), hints]

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                match = _LINE.search(line)
                if match and int(match[4]) not in _HARMLESS:
                    hint = _HINT.match(match[3]) is not None
                    self._counts[int(match[1]), int(match[2]), hint] += 1


def remove() -> None:
    """Remove what an agent that was killed has left behind."""
    for instance in _INSTANCES.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            instance.rmdir()
