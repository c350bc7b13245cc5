"""pyctl in a process that has imported everything: each command is run by a fork of it.

A program takes seconds to start in an emulated guest, and libdevmapper reads its environment once
for each process, so that neither a process for each command nor the test's own process will do.

A request is a line on stdin, the words of a command as JSON; the answer is a line on stdout, its
exit status and what it wrote to both streams.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence

from pyctl.cli import cli
from tests.vm.paths import PROJECT


class WarmPyctl:
    """Such a process, with an environment of its own."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=dict(env),
        )

    def close(self) -> None:
        """End it, and wait for that."""
        self._process.communicate()

    def run(self, words: Sequence[str], *, timeout: float) -> tuple[int, str]:
        """Run a command, the program's name left out: its exit status, and what it wrote."""
        assert self._process.stdin
        assert self._process.stdout
        alarm = threading.Timer(timeout, self._process.kill)
        alarm.start()
        try:
            print(json.dumps(list(words)), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        finally:
            alarm.cancel()
        assert answer, f"pyctl {' '.join(words)} did not end within {timeout} s"
        status, output = json.loads(answer)
        return status, output


def _serve() -> None:
    for line in sys.stdin:
        # A file, because what the command has left behind may keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            child = os.fork()
            if not child:
                _become(json.loads(line), output.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            print(json.dumps([status, output.read()]), flush=True)


def _become(words: list[str], output: int) -> None:
    status = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        cli(words, prog_name="pyctl")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 (told to whoever asked)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
