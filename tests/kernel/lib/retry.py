"""Wait for what the kernel does in its own time."""

import os
import threading
import time
from collections.abc import Callable

# How many times as long as usual a kernel takes: one with checks is slow.
SLOWNESS = float(os.environ.get("DMR_SLOWNESS", "1"))

# How many times as long as usual to wait before something counts as hung: an emulated guest stands
# still for seconds at times.
PATIENCE = float(os.environ.get("DMR_PATIENCE", "1"))


def wait_until(condition: Callable[[], object], what: str, timeout: float = 10) -> None:
    """Return as soon as the condition holds; fail with `what` when it doesn't in time."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout} s still not: {what}")
        time.sleep(0.01)


def retry(action: Callable[[], object], error: type[Exception], timeout: float = 5) -> None:
    """Do it again until it works: a device stays busy for a moment after its last user."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        try:
            action()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def must_end(action: Callable[[], object], what: str, timeout: float = 20) -> None:
    """Do it, and fail with `what` when it hasn't ended in time, even if nothing can end it.

    A program that is stuck in the kernel can't be killed, and whoever waits for it is stuck, too.
    """
    timeout *= PATIENCE
    errors: list[BaseException] = []

    def work() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is looked for
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"after {timeout} s not at its end: {what}")
    if errors:
        raise errors[0]
