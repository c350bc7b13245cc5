import uuid

import pytest

from pyctl import blockdev
from pyctl.errors import ExitCode
from pyctl.registry import ALL
from pyctl.setconfig import SetConfig, default_name
from tests.pyctl.fakes import FakeDevice, FakeKernel
from tests.pyctl.test_discovery import UUID, make

__all__ = ["make"]

NAME = default_name(UUID)


@pytest.fixture
def device():
    """No set runs at first."""
    return FakeDevice(exists=False)


@pytest.fixture
def machine(make, monkeypatch):
    """All devices that there are are those of the test."""
    monkeypatch.setattr(blockdev, "all_devices", lambda: list(make.disks.devices.values()))
    return make


def test_discover_explains(machine, run):
    main, first, second = machine()
    text = run("discover").output
    assert text.splitlines()[0] == f"set {UUID} ({NAME}): ready to assemble"
    assert "found by its hardware identity" in text
    del machine.disks.devices[second]
    text = run("discover").output
    assert f"({NAME}): incomplete" in text
    assert "Spare 1" in text
    assert f"pyctl assemble --degraded NAME {main} {first}" in text


def test_discover_json(machine, run, registry):
    main, first, second = machine()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    (data,) = run("discover", "--json").data["sets"]
    assert (data["set_uuid"], data["name"], data["state"]) == (
        str(UUID),
        "srv",
        "ready to assemble",
    )
    assert (data["main"], data["running_as"], data["remembered"]) == (main, None, True)
    assert [(row["device"], row["state"]) for row in data["spares"]] == [
        (first, "in_sync"),
        (second, "in_sync"),
    ]


def test_discover_without_anything(machine, run):
    assert run("discover").output == "There is no dm-remap set on any device.\n"
    assert run("discover", "--json").data["sets"] == []


def test_all_devices_are_listed(machine, run, monkeypatch):
    main, *_ = machine()
    monkeypatch.setattr("pyctl.probe.blkid", lambda path: {"TYPE": "xfs"} if path == main else {})
    rows = run("discover", "--all-devices", "--json").data["devices"]
    assert {row["device"]: row["contents"] for row in rows}[main] == "xfs"
    assert [row["set_uuid"] for row in rows].count(str(UUID)) == 2
    assert f"{main}" in run("discover", "--all-devices").output


def test_files_that_are_not_understood_are_told(machine, run, registry):
    (registry.etc / "sets.d").mkdir(parents=True)
    (registry.etc / "sets.d" / f"{UUID}.conf").write_text("x\n")
    assert ".conf:1: expected one of name=" in run("discover").stderr
    assert str(UUID) in run("discover", "--json").data["broken_files"]


def test_assemble_all_twice(machine, run):
    machine()
    kernel = FakeKernel([FakeDevice(NAME, exists=False)])
    (row,) = run("assemble", "--all", "--json", kernel=kernel).data
    assert (row["name"], row["result"]) == (NAME, "started")
    kernel.devices[0].table = lambda: running_table(kernel.devices[0])
    (row,) = run("assemble", "--all", "--json", kernel=kernel).data
    assert (row["name"], row["result"]) == (NAME, "running")
    assert len(kernel.devices[0].created) == 1


def running_table(device):
    from pyctl.dm import TargetLine

    return [TargetLine(0, 204800, "remap", f"7:0 7:1 7:2 2 set {UUID}")]


def test_assemble_set_says_why_not(machine, run):
    *_, second = machine()
    del machine.disks.devices[second]
    result = run("assemble", "--set", UUID)
    assert result.exit_code == ExitCode.REFUSED
    assert "Spare 1" in result.output
    result = run("assemble", "--set", uuid.uuid4())
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "No device carries" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("d",),
        ("d", "/dev/m"),
        ("--all", "--pending"),
        ("--all", "--set", str(UUID)),
        ("d", "/dev/m", "/dev/a", "--all"),
        ("--all", "--degraded"),
        ("--set", str(UUID), "--force-main"),
        ("--all", "--retries", "3"),
        ("--all", "--dry-run"),
    ],
)
def test_what_makes_no_sense_together(machine, run, words):
    assert run("assemble", *words).exit_code == ExitCode.USAGE


def test_pending_starts_what_udev_has_seen(machine, run, registry):
    machine()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    kernel = FakeKernel([FakeDevice("srv", exists=False)])
    folder = registry.run / "pending"
    folder.mkdir(parents=True)
    (folder / str(UUID)).touch()
    (folder / "no set").touch()
    (row,) = run("assemble", "--pending", "--json", kernel=kernel).data
    assert row["result"] == "started"
    assert not list(folder.iterdir())
    assert run("assemble", "--pending", "--json", kernel=kernel).data == []


def test_pending_is_no_failure_when_something_is_missing(machine, run, registry):
    *_, second = machine()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    del machine.disks.devices[second]
    (registry.run / "pending").mkdir(parents=True)
    (registry.run / "pending" / str(UUID)).touch()
    result = run("assemble", "--pending")
    assert result.exit_code == 0
    assert "srv" in result.output
    assert "Incomplete" in result.output


def test_a_trigger_starts_what_was_stopped_by_hand(machine, run, registry):
    machine()
    registry.mark_stopped(UUID, stopped=True)
    (registry.run / "pending").mkdir(parents=True)
    (registry.run / "pending" / ALL).touch()
    kernel = FakeKernel([FakeDevice(NAME, exists=False)])
    (row,) = run("assemble", "--pending", "--json", kernel=kernel).data
    assert row["result"] == "started"


def test_create_remembers_and_remove_forgets(machine, run, registry, disks):
    main, spare = disks(65536)
    kernel = FakeKernel([FakeDevice("srv", exists=False)])
    made = run("create", "srv", main, spare, "--uuid", UUID, "--json", kernel=kernel).data
    assert made["remembered"] is True
    assert registry.known().sets[UUID].name == "srv"
    kernel.devices[0].table = lambda: running_table(kernel.devices[0])
    run("remove", "srv", kernel=kernel)
    assert registry.is_stopped(UUID)
    assert UUID in registry.known().sets
    kernel.devices[0].exists = True
    assert run("remove", "srv", "--forget", "--json", kernel=kernel).data["forgotten"] is True
    assert registry.known().sets == {}


def test_create_refuses_a_name_of_another_set_before_it_writes(machine, run, registry, disks):
    main, spare = disks(65536)
    registry.remember(SetConfig(uuid.uuid4(), "srv", True, 204800, 512, ""))
    kernel = FakeKernel([FakeDevice("srv", exists=False)])
    result = run("create", "srv", main, spare, kernel=kernel)
    assert result.exit_code == ExitCode.REFUSED
    assert "belongs to the set" in result.stderr
    with open(spare, "rb") as file:
        assert not any(file.read())


def test_create_without_remembering(machine, run, registry, disks):
    main, spare = disks(65536)
    kernel = FakeKernel([FakeDevice("a b", exists=False)])
    made = run("create", "a b", main, spare, "--no-remember", "--json", kernel=kernel).data
    assert made["remembered"] is False
    assert registry.known().sets == {}
    assert run("create", "a b", main, spare, kernel=kernel).exit_code != 0
