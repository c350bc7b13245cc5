"""Wait for what the kernel does in its own time."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str, timeout: float = 10) -> None:
    """Return as soon as the condition holds; fail with `what` when it doesn't in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout} s still not: {what}")
        time.sleep(0.01)


def retry(action: Callable[[], object], error: type[Exception], timeout: float = 5) -> None:
    """Do it again until it works: a device stays busy for a moment after its last user."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            action()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
