"""The live picture of `pyctl probe top`, on a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios

import pytest

# Frames of 1, 2, … reads; the last of them only when a line comes from the pipe, or never.
PROGRAM = """
import contextlib, os, signal, sys
from pyctl.cli import cli
from pyctl.probes import source
from tests.pyctl.probes.made import HEADER, frame, reads

# What a shell starts in the background has it ignored, and so have its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
waits = int(sys.argv.pop(1))

class Fake:
    header = HEADER

    def frames(self):
        yield frame(r1=reads(1001))
        os.read(waits, 1)
        yield frame(r2=reads(2002))

@contextlib.contextmanager
def opened(*_, **__):
    yield Fake()

source.opened = opened
cli(sys.argv[1:])
"""
# Seconds until something that does not come counts as hung.
PATIENCE = 120
ALTERNATE, MAIN = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A terminal of 120 columns, the process that has it, and what it has been told so far."""

    def __init__(self):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        waits, self.go = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(waits), "probe", "top", "disk", "--count", "2"],
            stdin=slave, stdout=slave, stderr=slave, pass_fds=[waits],
            env=os.environ | {"TERM": "xterm", "NO_COLOR": "1"},
        )  # fmt: skip
        os.close(slave)
        os.close(waits)
        self.said = ""

    def wait_for(self, text):
        """Read until this was said."""
        while text not in self.said:
            self.said += self._read().decode(errors="replace")

    def rest(self):
        """Read to the end; the exit status."""
        # Linux has EIO for what no process holds any more.
        with contextlib.suppress(OSError):
            while data := self._read():
                self.said += data.decode(errors="replace")
        return self.process.wait(PATIENCE)

    def _read(self):
        assert select.select([self._master], [], [], PATIENCE)[0], f"no more than {self.said!r}"
        return os.read(self._master, 4096)

    def close(self):
        """Kill what still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self.go)


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.close()


def test_the_picture_changes_in_its_place(terminal):
    terminal.wait_for("1: 8 MiB")
    first = terminal.said
    assert ALTERNATE in first
    assert HIDDEN in first
    words = re.sub(r"\x1b\[\d*m", "", first).split()
    assert words[words.index("REGION") + 1] == "READS"
    assert words[words.index("all") + 1] == "1001"
    os.write(terminal.go, b"x")
    assert terminal.rest() == 0
    # It is drawn over the one before, and the screen is given back.
    second = terminal.said[len(first) :]
    assert "\x1b[H" in second
    assert "2: 16 MiB" in second
    assert second.index("2002") < second.index(MAIN)
    assert SHOWN in second


def test_an_interruption_gives_the_screen_back(terminal):
    terminal.wait_for("1: 8 MiB")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.rest() != 0
    assert MAIN in terminal.said
    assert SHOWN in terminal.said
    assert "Traceback" not in terminal.said
