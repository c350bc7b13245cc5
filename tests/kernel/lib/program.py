"""The program pyctl, as an administrator runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def pyctl(*words: object, status: int = 0) -> Any:
    """What `pyctl --json` prints; it must end with this status."""
    done = subprocess.run(
        [Path(sys.prefix) / "bin/pyctl", "--json", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr
