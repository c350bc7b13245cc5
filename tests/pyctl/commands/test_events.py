"""What `pyctl events` prints: events, gaps and what changed, a module that goes."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pyctl.cli import cli
from pyctl.errors import ExitCode, NoKernelError
from pyctl.netlink import watching
from pyctl.netlink.events import Gap
from pyctl.netlink.numbers import News, Reason
from tests.pyctl.netlink.fakes import INFO, Said, happening, replace

GONE = NoKernelError("The module of dm-remap was unloaded.")


@pytest.fixture
def say(monkeypatch):
    """Runs the command with a module that says something."""

    def run(said, *arguments):
        monkeypatch.setattr(watching, "Listener", said.listener)
        monkeypatch.setattr(watching, "Kernel", lambda: said)
        monkeypatch.setattr(watching, "_AGAIN", 0)
        return CliRunner().invoke(cli, ["events", *arguments])

    return run


def test_lines(say):
    said = Said(
        [
            happening(11, spare=0, sector=800, sectors=8, detail=True, count=8),
            happening(12, News.MEMBERS, spare=1, detail=Reason.SPARE_ADDED),
            happening(13, News.DROPPED, set=None, device=None, count=5),
        ]
    )
    done = say(said, "--count", "3")
    assert (done.exit_code, said.closed) == (ExitCode.OK, 1)
    assert done.output.splitlines() == [
        "Listening.",
        "1970-01-01 00:01:00Z #11 d remap true spare 0 sectors 800+8 (8 times)",
        "1970-01-01 00:01:00Z #12 d members spare-added spare 1",
        "1970-01-01 00:01:00Z #13 * dropped (5 times)",
    ]


def test_a_gap_and_what_a_dump_says(say):
    said = Said([Gap(4, "their numbers are missing"), happening(15)])
    said.infos = [[INFO], [replace(INFO, remaps=3, seq=15, instance=9)]]
    done = say(said, "--count", "1")
    assert done.output.splitlines()[1:3] == [
        "4 events lost: their numbers are missing. What a dump says has changed:",
        "  d: remaps 0 -> 3",
    ]
    said = Said([Gap(0, "too slow"), happening(15)])
    said.infos = [[INFO], []]
    told = [json.loads(line) for line in say(said, "--count", "1", "--json").output.splitlines()]
    assert [one["event"] for one in told] == ["listening", "lost", "changed", "remap"]
    assert told[1] == {"event": "lost", "count": 0, "why": "too slow"}
    assert (told[2]["what"], told[2]["before"], told[2]["now"]) == ("set", "there", "-")
    assert told[3]["seq"] == 15


def test_the_module_goes(say):
    done = say(Said([happening(11), GONE]))
    assert done.exit_code == ExitCode.NO_KERNEL
    assert "was unloaded" in done.output


def test_the_module_comes_back(say):
    said = Said([happening(11), GONE], [happening(1, instance=8)])
    done = say(said, "--follow", "--count", "2")
    assert done.exit_code == ExitCode.OK
    assert "Waiting for it." in done.output
    assert done.output.count("Listening.") == 2


def test_no_other_command_waits_for_pyroute2():
    code = "import sys, pyctl.cli; sys.exit('pyctl.netlink.pyroute' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
