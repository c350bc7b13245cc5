"""What systemd and the shell are given."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyctl.daemon.settings import Api

ROOT = Path(__file__).resolve().parents[3]
UNIT = ROOT / "packaging/systemd/dm-remapd.service"
SOCKET = ROOT / "packaging/systemd/dm-remapd.socket"
# Of 100; without its limits it is 96.
MOST = 35
PROGRAM = Path(sys.executable).with_name("dm-remapd")


def analyze(path):
    done = subprocess.run(
        ["/usr/bin/systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.fixture
def unit(tmp_path):
    """The unit with the program where it is here, and more lines in [Service]."""

    def make(more=""):
        text = UNIT.read_text().replace("ExecStart=dm-remapd", f"ExecStart={PROGRAM}\n{more}")
        path = tmp_path / "dm-remapd.service"
        path.write_text(text)
        return path

    return make


def test_systemd_understands_the_unit(unit):
    assert analyze(unit()) == (0, "")
    # it would say so if it did not
    assert "Unknown key 'WatchdogSek'" in analyze(unit("WatchdogSek=1"))[1]


def test_systemd_understands_the_socket(unit, tmp_path):
    unit()
    path = tmp_path / "dm-remapd.socket"
    path.write_text(SOCKET.read_text())
    assert analyze(path) == (0, "")
    assert f"ListenStream={Api().socket}" in SOCKET.read_text().splitlines()
    path.write_text(SOCKET.read_text().replace("ListenStream=", "ListenStreams="))
    assert analyze(path)[0]


def exposure(path, most):
    """Does systemd find it no more exposed than that, of 100? And what it says."""
    done = subprocess.run(
        [
            *("/usr/bin/systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={most}", str(path)),
        ],
        capture_output=True,
        text=True,
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_little_is_within_reach_of_the_unit(unit):
    """Root with CAP_SYS_ADMIN, disks and a network is far from nothing."""
    good, said = exposure(unit(), MOST)
    assert good, said
    # it would say so if a limit went
    path = unit()
    path.write_text(re.sub("(?m)^SystemCallFilter=.*", "", path.read_text()))
    assert not exposure(path, MOST)[0]


def test_what_the_unit_must_leave_open():
    """Sockets of all kinds that the daemon has, disks, and /sys, which has their settings."""
    keys = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line)
    families = keys["RestrictAddressFamilies"].split()
    assert sorted(families) == ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"]
    # CAP_SYS_RAWIO: ATA commands of smartctl
    assert {"CAP_SYS_ADMIN", "CAP_SYS_RAWIO"} <= set(keys["CapabilityBoundingSet"].split())
    allowed = [line for line in UNIT.read_text().splitlines() if line.startswith("DeviceAllow=")]
    assert allowed == ["DeviceAllow=char-misc rw", "DeviceAllow=block-* rw"]
    assert not {"PrivateDevices", "ProtectKernelTunables", "PrivateIPC"} & set(keys)


def test_the_unit_belongs_to_the_program():
    """The keys that the daemon relies on: readiness, the watchdog, a reload, its folder."""
    lines = UNIT.read_text().splitlines()
    for line in ("Type=notify", "ExecReload=kill -HUP $MAINPID", "StateDirectory=dm-remap"):
        assert line in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


def test_the_program_is_there():
    done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: dm-remapd")


def test_the_unit_lets_the_daemon_hear_the_kernel():
    (line,) = [
        line for line in UNIT.read_text().splitlines() if line.startswith("RestrictAddressFamilies")
    ]
    assert set(line.partition("=")[2].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
