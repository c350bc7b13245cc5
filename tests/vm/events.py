"""What a program in a guest tells while it works: a JSON object per line."""

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
OnEvent = Callable[[Event], None]

_lock = threading.Lock()


def emit(event: str, **values: Any) -> None:
    """Tell one event."""
    line = json.dumps({"event": event, **values})
    with _lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Reader:
    """Cuts the agent's output into events; what else it wrote is kept for an error message."""

    def __init__(self, on_event: OnEvent) -> None:
        self.stray = ""
        self._on_event = on_event
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take the next piece of output, of any length."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            event = _parse(line)
            if event is None:
                self.stray += line + "\n"
            else:
                self._on_event(event)


def _parse(line: str) -> Event | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None
