"""Start the programs that the agent needs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

PYCTL = str(Path(sys.executable).with_name("pyctl"))

_ENVIRONMENT = {
    **os.environ,
    "LC_ALL": "C.UTF-8",
    "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
}


class ProgramError(Exception):
    """A program ended with another status than 0."""


def attempt(*command: str, stdin: str = "") -> tuple[int, str]:
    """Run a program; return its exit status and what it wrote to both streams."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=_ENVIRONMENT,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def run(*command: str, stdin: str = "") -> str:
    """Run a program that must succeed; return what it wrote."""
    status, output = attempt(*command, stdin=stdin)
    if status:
        raise ProgramError(f"This ended with status {status}: {shlex.join(command)}\n{output}")
    return output
