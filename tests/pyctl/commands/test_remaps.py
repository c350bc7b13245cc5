import pytest

from pyctl.errors import ExitCode
from tests.pyctl.fakes import FakeDevice, FakeKernel


def test_list_of_devices(run):
    kernel = FakeKernel([FakeDevice("a"), FakeDevice("b", kind="linear"), FakeDevice("c")])
    assert [row["name"] for row in run("list", "--json", kernel=kernel).data] == ["a", "c"]
    lines = run("list", kernel=kernel).output.splitlines()
    assert lines[0].split() == ["NAME", "MAIN", "SPARES", "REMAPPED", "LOST", "HEALTH"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "c"]


def test_list_without_devices(run):
    assert run("list", "--json", kernel=FakeKernel([])).data == []


def test_list_of_remaps(run, device):
    device.remaps = {8: 10240, 99: 10241}
    assert run("list", "d", "--json").data == [
        {
            "sector": sector,
            "sectors": 1,
            "spare": 0,
            "spare_sector": device.remaps[sector],
            "state": "remap",
            "origin": "auto",
            "second": None,
            "second_sector": None,
        }
        for sector in (8, 99)
    ]
    assert "8" in run("list", "d").output
    assert run("list", "nothing").exit_code == ExitCode.NOT_FOUND


def test_remap(run, device):
    result = run("remap", "d", 8, 4, "--json")
    assert result.exit_code == 0
    expected = {"name": "d", "sector": 8, "count": 4, "remapped": 4, "lost": 0, "already": 0}
    assert result.data == expected
    assert run("remap", "d", 8).output == "0 blocks remapped, 1 were already.\n"


def test_remap_of_unreadable_blocks_is_told(run, device):
    device.bad_main = {9}
    result = run("remap", "d", 8, 4, "--json")
    assert result.exit_code == ExitCode.MEDIA
    assert result.data["lost"] == 1
    assert (
        "1 block could not be read from the main device of d: remapped, but giving errors"
        in result.stderr
    )


@pytest.mark.parametrize("command", ["remap", "unremap", "verify"])
def test_a_range_beyond_the_end_is_refused(run, device, command):
    result = run(command, "d", 204799, 2)
    assert result.exit_code == ExitCode.USAGE
    assert "d has 204800 sectors" in result.stderr
    assert device.sent == []


def test_unremap(run, device):
    device.remaps = {8: 10240, 9: 10241}
    assert run("unremap", "d", 8, "--json").data["unremapped"] == 1
    device.bad_main = {9}
    result = run("unremap", "d", 9)
    assert result.exit_code == ExitCode.MEDIA
    assert "d: 1 block not moved: main does not take them" in result.stderr


def test_verify(run, device):
    device.remaps = {8: 10240, 9: 10241, 100: 10242}
    assert run("verify", "d", "--json").data == {"name": "d", "verified": 3, "errors": 0}
    assert run("verify", "d", 8, 2, "--json").data["verified"] == 2
    device.bad_main = {9}
    result = run("verify", "d")
    assert result.exit_code == ExitCode.MEDIA
    assert "1 block of d cannot be read" in result.stderr


def test_clear_asks(run, device):
    device.remaps = {8: 10240}
    result = run("clear", "d", input="n\n")
    assert result.exit_code != 0
    assert device.remaps == {8: 10240}
    assert run("clear", "d", input="y\n").exit_code == 0
    assert device.remaps == {}


def test_clear_with_yes(run, device):
    device.remaps = {8: 10240}
    assert run("clear", "d", "--json").exit_code == ExitCode.USAGE
    data = run("clear", "d", "--yes", "--json").data
    assert data == {"name": "d", "cleared": 1, "kept": 0, "lost": 0}


def test_clear_tells_what_stays(run, device):
    device.remaps, device.bad_main = {8: 10240, 9: 10241}, {8}
    result = run("clear", "d", "--yes")
    assert result.exit_code == ExitCode.MEDIA
    assert "d: 1 block not moved: main does not take them" in result.stderr
