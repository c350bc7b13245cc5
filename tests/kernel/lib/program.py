"""pyctl, as an administrator uses it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from pyctl.cli import cli


def pyctl(*words: object, status: int = 0) -> Any:
    """What `pyctl --json` prints; it must end with this status.

    It is called in this process: a program of its own takes seconds to start in an emulated guest.
    """
    done = CliRunner().invoke(cli, ["--json", *map(str, words)], prog_name="pyctl")
    assert done.exit_code == status, done.output + repr(done.exception)
    return json.loads(done.stdout) if done.stdout else done.stderr


def pyctl_program(*words: object) -> Any:
    """What the installed program `pyctl --json` prints; it must succeed."""
    done = subprocess.run(
        [Path(sys.prefix) / "bin/pyctl", "--json", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.returncode, done.stdout + done.stderr
    return json.loads(done.stdout)
