"""I/O that goes on while a test does something else."""

import threading
from collections.abc import Callable
from typing import Self

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.retry import PATIENCE


class Background:
    """Something that goes on in a thread; what it raises is raised at the end of the block."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 (raised again in join)
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def join(self, timeout: float = 60) -> None:
        """Wait for its end."""
        timeout *= PATIENCE
        self._thread.join(timeout)
        assert not self.running(), f"no end after {timeout} s"
        error, self._error = self._error, None
        if error:
            raise error


def in_flight(device: BlockDevice) -> int:
    """Reads and writes that a device has not completed."""
    return sum(map(int, (device.sysfs / "inflight").read_text().split()))
