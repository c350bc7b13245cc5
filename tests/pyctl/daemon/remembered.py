"""What a daemon has written down, read beside it: it may be running."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any


def remembered(state: Path) -> dict[str, dict[str, Any]]:
    """How each device was seen last, by its name, from the daemon's folder `state`."""
    path = state / "daemon.db"
    if not path.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        try:
            found = store.execute("SELECT device, body FROM seen").fetchall()
        except sqlite3.OperationalError:
            # it is just being made
            return {}
    return {device: json.loads(body) for device, body in found}
