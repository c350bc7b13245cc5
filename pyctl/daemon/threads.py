"""Calls that may take long, or never end, beside the event loop.

Unlike those of asyncio's own pool, these threads don't keep the process from ending, and one that
hangs takes nobody's place.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


def in_thread(function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
    """Call a function in a thread of its own; the future has its result or exception."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def call() -> None:
        result, caught = None, None
        try:
            result = function(*args)
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            caught = error
        # nobody waits any more when the loop is closed
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, caught)

    threading.Thread(target=call, name=function.__name__, daemon=True).start()
    return future
