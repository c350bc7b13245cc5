"""The only place that starts other programs, but for the hooks of the daemon."""

import os
import shlex
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from pyctl.errors import RunError

__all__ = ["Started", "run", "start"]

# The administrator's tools are here even where a user's PATH lacks them.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Started(NamedTuple):
    """A program that is running, and the pipes to and from it."""

    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]


def run(
    argv: Sequence[str | Path],
    *,
    ok: Collection[int] = (0,),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    capture: bool = True,
) -> str:
    """Run a program without a shell and return what it wrote to stdout.

    `ok` are the exit statuses that are not errors; `env` is added to the environment. With
    `capture=False` the program writes to our own stdout and stderr and "" is returned.
    Raises RunError, with a command that can be pasted into a shell, if the program cannot be
    started or ends with another status.
    """
    words = [os.fspath(word) for word in argv]
    full_env = {**os.environ, "LC_ALL": "C", **(env or {})}
    full_env["PATH"] = os.pathsep.join([full_env.get("PATH", "/usr/bin:/bin"), *_SBIN])
    pasteable = _pasteable(words, cwd, env)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=full_env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.PIPE if capture else None,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise RunError(
            f"Cannot start the program {words[0]}: {error.strerror}.",
            returncode=-1,
            hint=f"The command was: {pasteable}",
        ) from error
    if done.returncode not in ok:
        said = (done.stderr or done.stdout or "").strip()
        raise RunError(
            f"{words[0]} ended with status {done.returncode}" + (f": {said}" if said else "."),
            returncode=done.returncode,
            hint=f"The command was: {pasteable}",
        )
    return done.stdout or ""


def start(argv: Sequence[str | Path], *, stderr: IO[bytes]) -> Started:
    """Start a program without a shell, with pipes to its stdin and from its stdout.

    Whoever calls ends it. Raises RunError if it cannot be started.
    """
    words = [os.fspath(word) for word in argv]
    try:
        # Ctrl-C is for us: the program ends when its stdin does.
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise RunError(
            f"Cannot start the program {words[0]}: {error.strerror}.",
            returncode=-1,
            hint=f"The command was: {shlex.join(words)}",
        ) from error
    if process.stdin is None or process.stdout is None:
        raise AssertionError("Popen makes the pipes that it was asked for")
    return Started(process, process.stdin, process.stdout)


# Also what differs from the caller's environment belongs to a command that can be pasted.
def _pasteable(words: list[str], cwd: Path | None, env: Mapping[str, str] | None) -> str:
    command = shlex.join(words)
    if env:
        command = " ".join(f"{key}={shlex.quote(val)}" for key, val in env.items()) + " " + command
    if cwd is not None:
        command = f"cd {shlex.quote(str(cwd))} && {command}"
    return command
