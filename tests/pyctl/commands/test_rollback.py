import errno
from pathlib import Path

import pytest

from pyctl.dm import TargetLine
from pyctl.errors import DmError, ExitCode
from pyctl.format import SpareState, read_set
from pyctl.setconfig import SetConfig
from tests.pyctl.commands.test_sets import machine
from tests.pyctl.fakes import FakeDevice, FakeKernel
from tests.pyctl.test_discovery import UUID, leave_out, make

__all__ = ["machine", "make"]


@pytest.fixture
def device():
    """No set runs at first."""
    return FakeDevice(exists=False)


@pytest.fixture
def mistaken(machine, registry):
    """A set that was started without its second spare, which is there after all."""
    paths = machine()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    leave_out(paths[1:], 1)
    return paths


def states(paths):
    return [row.state for row in read_set(paths[1:]).superblock.spares]


def test_generations_are_listed_with_what_can_be_had_again(mistaken, run):
    rows = run("rollback", "srv", "--json").data["generations"]
    assert [(row["number"], row["possible"]) for row in rows] == [(1, True), (2, False)]
    assert rows[1]["why_not"] == "The set has the members of generation 2 already."
    text = run("rollback", str(UUID)).output
    assert "possible" in text
    assert "0:in_sync 1:missing" in text


def test_nothing_is_written_without_yes(mistaken, run):
    before = [path.read_bytes() for path in map(Path, mistaken[1:])]
    result = run("rollback", "srv", 1, "--json")
    assert result.data["written"] is False
    assert [path.read_bytes() for path in map(Path, mistaken[1:])] == before


def test_a_stopped_set_stays_stopped(mistaken, run):
    kernel = FakeKernel([FakeDevice("srv", exists=False)])
    result = run("rollback", "srv", 1, "--yes", kernel=kernel)
    assert "`pyctl assemble` starts the set" in result.stderr
    assert states(mistaken) == [SpareState.IN_SYNC] * 2
    assert not kernel.devices[0].created


def running(paths, **rest):
    """The set as the kernel runs it, with options of its own."""
    device = FakeDevice("srv", **rest)
    params = f"{paths[0]} {paths[1]} 6 set {UUID} degraded yes retries 2"
    device.table = lambda: [TargetLine(0, device.length, "remap", params)] * device.exists
    return device


def test_a_running_set_is_stopped_and_started_again(mistaken, run):
    device = running(mistaken)
    result = run("rollback", "srv", 1, "--yes", kernel=FakeKernel([device]))
    assert "srv runs" in result.stderr
    assert states(mistaken) == [SpareState.IN_SYNC] * 2
    assert len(device.removed) == 1
    (((line,), _),) = device.created
    assert set(mistaken) <= set(line.split())
    assert "retries 2" in line
    assert "degraded" not in line


def test_a_set_in_use_is_left_alone(mistaken, run):
    device = running(mistaken, open_count=1)
    result = run("rollback", "srv", 1, "--yes", kernel=FakeKernel([device]))
    assert result.exit_code == ExitCode.REFUSED
    assert "srv is in use" in result.stderr
    assert not device.removed


def test_a_refused_rollback_leaves_the_set_running(mistaken, run):
    device = running(mistaken)
    result = run("rollback", "srv", 2, "--yes", kernel=FakeKernel([device]))
    assert result.exit_code == ExitCode.REFUSED
    assert "has the members of generation 2 already" in result.stderr
    assert len(device.created) == len(device.removed)


def test_a_set_that_does_not_start_again_is_told(mistaken, run):
    refused = DmError("no.", errno=errno.EINVAL, ioctl="RELOAD", device="srv")
    device = running(mistaken, fail={"create": refused})
    result = run("rollback", "srv", 1, "--yes", kernel=FakeKernel([device]))
    assert result.exit_code != 0
    assert "srv was stopped, and does not start again" in result.stderr
    assert states(mistaken) == [SpareState.IN_SYNC] * 2


def test_a_name_that_nobody_has(machine, run):
    machine()
    assert run("rollback", "nobody").exit_code == ExitCode.NOT_FOUND
