"""Hooks: programs of the administrator that a policy starts."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyctl.daemon.actions import Intent
from pyctl.errors import PyctlError

__all__ = ["HookError", "Hooks"]

# Of what a hook prints, so much is remembered.
_OUTPUT = 4096
# How long a hook that was told to end may take to do so, in seconds.
_GRACE = 5.0


class HookError(PyctlError):
    """A hook could not be started, failed, or took too long."""


class Hooks:
    """Starts hooks: an absolute path, no shell, an environment of its own, a time limit.

    A hook that was interrupted is repeated only if its rule says `again: true`, and nothing can
    be undone.
    """

    def repeatable(self, intent: Intent) -> bool:
        """As its rule says."""
        return bool(intent.parameters["again"])

    def undoable(self, intent: Intent) -> bool:  # noqa: ARG002 (the same for all)
        """Never."""
        return False

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """Start it and wait. Raises HookError, also when its status is not 0."""
        program = Path(intent.parameters["program"])
        _trusted(program)
        words = [str(program), *intent.parameters["arguments"]]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_environment(intent),
                # so that what it starts can be ended with it
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise HookError(f"Cannot start {program}: {error}.") from error
        said = _wait(process, program, intent.parameters["timeout"])
        if process.returncode:
            raise HookError(f"{program} ended with status {process.returncode}: {said or '-'}")
        return {"after": {"status": 0, "said": said}}

    def undo(self, intent: Intent) -> None:
        """Not possible. Raises HookError."""
        raise HookError(f"What {intent.parameters['program']} has done cannot be undone.")


def _wait(process: "subprocess.Popen[bytes]", program: Path, timeout: float) -> str:
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        raise HookError(f"{program} was ended: it took longer than {timeout:g} s.") from None
    return out[:_OUTPUT].decode(errors="replace").strip()


# The hook and all that it has started: asked first, then forced.
def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=_GRACE)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue
    process.wait()


# What others than root may change is not run by root.
def _trusted(program: Path) -> None:
    try:
        info = program.stat()
    except OSError as error:
        raise HookError(f"Cannot start {program}: {error.strerror}.") from error
    if info.st_mode & 0o022 or info.st_uid not in (0, os.geteuid()):
        raise HookError(
            f"{program} is not started: others than root may change it.",
            hint=f"chown root {program}; chmod go-w {program}",
        )


def _environment(intent: Intent) -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "DM_REMAP_DEVICE": intent.device,
        "DM_REMAP_ACTION": str(intent.id),
        "DM_REMAP_WHO": intent.who,
        "DM_REMAP_WHY": intent.why,
    }
