"""Look at the counters once a second while the work goes on, and tell what is new."""

import threading
from dataclasses import asdict
from types import TracebackType
from typing import Self

from tests.demo import remapped
from tests.demo.run import ProgramError
from tests.demo.tracing import FailedRequests
from tests.vm.events import emit

_SECONDS = 1.0


class Watch:
    """Counts what the file system's device and the failing disk below it answer with an error.

    On the raw disk the two are one device. Leaving it looks once more; the totals stay.
    """

    def __init__(self, disk: str, top: str) -> None:
        self.io_errors = 0
        self.failed_hints = 0
        self.disk_errors = 0
        self.remaps: remapped.Remaps | None = None
        self._disk = disk
        self._top = top
        self._failed = FailedRequests()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._failed.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._look()
        finally:
            self._failed.__exit__(kind, error, trace)

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        before = (self.io_errors, self.disk_errors, self.remaps)
        try:
            self.disk_errors = self._failed.of(self._disk)
            self.io_errors = self._failed.of(self._top)
            self.failed_hints = self._failed.hints_of(self._top)
            if self._top == remapped.PATH:
                self.remaps = remapped.remaps()
        except (OSError, ProgramError):
            # The device is being made or removed.
            return
        if before != (self.io_errors, self.disk_errors, self.remaps):
            emit("counts", **self.totals())

    def totals(self) -> dict[str, object]:
        """The counters as plain values."""
        return {
            "io_errors": self.io_errors,
            "failed_hints": self.failed_hints,
            "disk_errors": self.disk_errors,
            "remaps": asdict(self.remaps) if self.remaps else None,
        }
