"""Socket activation: the daemon takes the socket that systemd has opened."""

import socket
import subprocess
import sys
import threading

import pytest

from pyctl.daemon.client import Client
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import ROOT, Box, Running, until

ACTIVATE = "/usr/bin/systemd-socket-activate"
RULE = "  - name: r\n    when: {event: [lost]}\n    do: [notify: {text: lost}]\n"
# The child has the socket of its first argument as descriptor 3.
CHILD = """
import os, sys
os.environ.update(LISTEN_PID=sys.argv[2] or str(os.getpid()), LISTEN_FDS=sys.argv[3])
os.dup2(int(sys.argv[1]), 3)
from pyctl.daemon.activation import inherited
from pyctl.errors import UsageError
try:
    found = inherited()
except UsageError as error:
    sys.exit(str(error))
print(found and found.getsockname(), "LISTEN_FDS" in os.environ, inherited())
"""


@pytest.fixture
def daemon():
    box = Box()
    with folder() as name:
        one = Running(name, box)
        one.write_policy(RULE)
        one.machine.put("srv", a_device())
        yield one
        one.close()
    box.close()


def test_the_first_call_starts_it_and_is_answered(daemon):
    """systemd's own program listens; the caller waits while the daemon starts."""
    daemon.process = subprocess.Popen(
        [
            *(ACTIVATE, "-E", f"NOTIFY_SOCKET={daemon.folder / 'notify'}"),
            *("-E", f"PYTHONPATH={ROOT}", "-l", str(daemon.socket)),
            *(sys.executable, "-m", "tests.pyctl.daemon.machine", str(daemon.folder)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    daemon._readers.append(threading.Thread(target=daemon._read, args=[daemon.process.stdout]))
    daemon._readers[-1].start()
    until(lambda: "Listening on" in daemon.log, "the socket")
    assert "READY=1" not in daemon.notified
    assert Client(daemon.socket).get("/v1/status")["devices"] <= 1
    until(lambda: "READY=1" in daemon.notified, "it is ready")
    until(lambda: Client(daemon.socket).get("/v1/devices"), "the device")
    assert Client(daemon.socket).get("/v1/me")["name"] == "user:root"
    assert daemon.stop() == 0
    # it is systemd's, and stays
    assert daemon.socket.exists()


def child(made, pid="", count="1"):
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(made.fileno()), pid, count],
        cwd=ROOT,
        pass_fds=[made.fileno()],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_socket_is_taken_once(tmp_path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        made.listen()
        assert child(made).stdout == f"{tmp_path / 's'} False None\n"


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("", "0"), ("", "")])
def test_what_is_for_others_is_left_alone(tmp_path, pid, count):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        made.listen()
        assert child(made, pid, count).stdout == "None False None\n"


def test_other_sockets_are_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as made:
        assert "none in the file system" in child(made).stderr
        assert "systemd gives 2 sockets" in child(made, count="2").stderr
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        assert "that listens" in child(made).stderr
