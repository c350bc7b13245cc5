import pytest

from pyctl import assembly
from pyctl.blockdev import BlockDevice
from pyctl.errors import ExitCode
from pyctl.format import crc32c
from tests.pyctl.fakes import UUID, FakeDevice, FakeKernel


def test_status_of_one(run, device):
    device.remaps = {8: 10240}
    data = run("status", "d", "--json").data
    assert (data["name"], data["used"], data["health"]) == ("d", 1, 97)
    assert data["fields"]["novelty"] == "7"
    assert data["fields"]["set"] == UUID
    assert data["sectors"] == 204800
    assert data["warnings"] == []
    lines = dict(line.split(None, 1) for line in run("status", "d").output.splitlines())
    assert lines["novelty"] == "7"
    assert lines["warnings"] == "none"


def test_status_of_all(run):
    kernel = FakeKernel([FakeDevice("a"), FakeDevice("b", kind="linear"), FakeDevice("c")])
    assert [row["name"] for row in run("status", "--json", kernel=kernel).data] == ["a", "c"]
    assert run("status", kernel=kernel).output.splitlines()[1].split()[0] == "a"


def test_remove(run, device):
    result = run("remove", "d", "--json")
    assert result.data == {
        "name": "d",
        "remapped": 0,
        "removed": True,
        "forgotten": False,
        "dry_run": False,
    }
    assert device.removed == [(False, True)]


def test_remove_warns_that_main_alone_is_not_whole(run, device):
    device.remaps = {8: 10240}
    assert "1 block of its data on the spares only" in run("remove", "d").stderr


def test_remove_dry_run(run, device):
    assert run("remove", "d", "--dry-run").output == "dmsetup remove d\n"
    assert device.removed == []


def test_remove_of_a_device_in_use(run, device, monkeypatch):
    device.open_count = 1
    monkeypatch.setattr("pyctl.commands.device._used_by", lambda info: ["it is mounted on /srv"])
    result = run("remove", "d")
    assert result.exit_code == ExitCode.REFUSED
    assert "d is in use: it is mounted on /srv." in result.stderr
    assert device.removed == []
    assert run("remove", "d", "--deferred").exit_code == 0
    assert device.removed == [(True, False)]


def test_a_deferred_removal_is_told_from_one_that_is_done(run, device, monkeypatch):
    assert run("remove", "d", "--deferred", "--json").data["removed"] is True
    device.exists, device.open_count = True, 1
    monkeypatch.setattr(device, "remove", lambda **_: None)
    assert run("remove", "d", "--deferred", "--json").data["removed"] is False


def test_remove_of_anothers_device(run, device):
    device.kind = "linear"
    assert run("remove", "d").exit_code == ExitCode.NOT_FOUND
    assert device.removed == []


@pytest.fixture
def wishes(monkeypatch):
    seen = []

    def plan(name, main, spares, wish):
        seen.append((name, main, spares, wish))
        raise assembly.RefusedError("seen")

    monkeypatch.setattr(assembly, "plan", plan)
    return seen


def test_create_asks_for_what_the_options_say(run, wishes):
    words = ("--force", "--degraded", "--retries", 3, "--breaker-seconds", 9, "--max-remaps", 500)
    result = run("create", "new", "/dev/m", "/dev/a", "/dev/b", *words, "--uuid", UUID)
    assert result.exit_code == ExitCode.REFUSED
    name, main, spares, wish = wishes[0]
    assert (name, main, spares) == ("new", "/dev/m", ("/dev/a", "/dev/b"))
    assert (wish.force, wish.degraded, wish.reformat, wish.force_main) == (True, True, False, False)
    assert wish.options == ("retries", "3", "breaker_seconds", "9")
    assert (wish.max_remaps, str(wish.set_uuid), wish.may_format) == (500, UUID, True)


def test_assemble_can_go_on_with_a_copy(run, wishes, monkeypatch):
    found = BlockDevice("/dev/n", "n", "n", 8, 32, 4096, 512, read_only=False)
    monkeypatch.setattr(BlockDevice, "find", staticmethod(lambda path: found))
    monkeypatch.setattr(BlockDevice, "hardware", lambda self: {})
    run("assemble", "new", "/dev/m", "/dev/a", "--retries", "3", "--copy-to", "/dev/n")
    number = str(crc32c(b"sectors=4096"))
    expected = ("retries", "3", "copy_to", "/dev/n", "copy_id", number)
    assert wishes[0][3].options == expected


def test_assemble_may_not_format(run, wishes):
    run("assemble", "new", "/dev/m", "/dev/a", "--force-main")
    wish = wishes[0][3]
    assert (wish.may_format, wish.force_main, wish.force) == (False, True, False)


@pytest.mark.parametrize("name", ["a/b", "x" * 128])
def test_create_refuses_an_impossible_name(wishes, name):
    from click.testing import CliRunner

    from pyctl.cli import cli

    result = CliRunner().invoke(cli, ["create", name, "/dev/m", "/dev/a", "--dry-run"])
    assert result.exit_code == ExitCode.USAGE
    assert wishes == []
