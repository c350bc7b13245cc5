"""`pyctl health`, against a device that answers as the kernel module does."""

import sys
from dataclasses import dataclass, field

import pytest
from PIL import Image

from pyctl.diskmap.cells import Cell, Kind
from pyctl.errors import ExitCode
from tests.pyctl.fakes import FakeDevice, FakeKernel

LINE = (
    "{on} {sector} health=70 errors={errors} retries=0 slow={slow} marginal={slow} blanks=0"
    " usual_us=700 pass=3"
)


@dataclass
class Noted(FakeDevice):
    """A device whose scan has noted regions, each a line."""

    regions: list = field(default_factory=list)

    def _scan(self, word, start):
        assert word == "regions"
        page, rest = self.regions[int(start) :][:2], self.regions[int(start) + 2 :]
        last = f"next={int(start) + 2}" if rest else "end"
        return "\n".join([*page, last]) + "\n"


@pytest.fixture
def device():
    rows = [
        ("-", 3 * 2048, 2, 0),
        ("-", 7 * 2048, 0, 4),
        ("1", 10240, 0, 1),
    ]
    return Noted(
        regions=[
            LINE.format(on=on, sector=sector, errors=errors, slow=slow)
            for on, sector, errors, slow in rows
        ],
        remaps={9 * 2048: 10240, 9 * 2048 + 1: 10241},
    )


def test_the_score_and_what_is_said_of_regions(run):
    data = run("health", "d", "--json").data
    assert (data["health"], data["lost"]) == (97, 0)
    assert [(one["spare"], one["sector"]) for one in data["regions"]][:2] == [
        (None, 7 * 2048),
        (None, 3 * 2048),
    ]
    for one in data["regions"]:
        assert {"score", "confidence", "horizon_hours", "reasons", "recommendation"} <= set(one)
        assert 0 < len(one["reasons"]) <= 3


def test_for_people(run):
    shown = run("health", "d").stdout
    assert "97" in shown.splitlines()[0]
    assert "2 blocks could not be read there lately" in shown
    assert "spare 1" in shown and "pyctl scan candidates lists them" in shown


def test_a_long_list_is_cut(run, device):
    device.regions = [LINE.format(on="-", sector=n * 2048, errors=1, slow=0) for n in range(25)]
    result = run("health", "d")
    assert result.stdout.count("could not be read") == 20
    assert "and 5 regions more" in result.stderr
    assert len(run("health", "d", "--json").data["regions"]) == 25


def test_all_devices(run, device):
    kernel = FakeKernel([device, FakeDevice("other")])
    rows = run("health", "--json", kernel=kernel).data
    assert [(row["name"], row["health"]) for row in rows] == [("d", 97), ("other", 97)]
    assert (rows[0]["regions"], rows[0]["alarmed"]) == (4, 3)
    assert (rows[1]["alarmed"], rows[1]["worst"]) == (0, 0.0)
    assert "other" in run("health", kernel=kernel).stdout
    assert run("health", kernel=FakeKernel([])).stdout == "No devices.\n"


def test_the_map(run):
    lines = run("health", "d", "--map").stdout.splitlines()
    drawn = "".join(line for line in lines if set(line) <= set("ERSm0·"))
    assert len(drawn) == 100
    assert {n: sign for n, sign in enumerate(drawn) if sign != "·"} == {3: "E", 7: "S", 9: "m"}
    assert "a cell is 1 region of 1 MiB" in lines
    data = run("health", "d", "--map", "--json").data
    assert [(cell["region"], cell["kind"]) for cell in data["cells"]] == [
        (3, "error"),
        (7, "slow"),
        (9, "remap"),
    ]
    assert data["kinds"]["well"] == 97


def test_a_big_disk_fits_on_the_terminal(run, device):
    device.length = 8 << 31
    lines = run("health", "d", "--map").stdout.splitlines()
    cells = [line for line in lines if set(line) <= set("ERSm0·")]
    assert len(cells) <= 24 and any("E" in line for line in cells)


def test_the_image(run, tmp_path):
    path = tmp_path / "map.png"
    result = run("health", "d", "--map", "--png", path)
    assert str(path) in result.stderr and not result.stdout
    with Image.open(path) as image:
        side = image.width // 10
        assert image.size == (10 * side, 10 * side)
        middle = side // 2
        found = [
            image.getpixel((number % 10 * side + middle, number // 10 * side + middle))
            for number in range(100)
        ]
    well = Cell(Kind.WELL, 0.0).colour
    assert [n for n, colour in enumerate(found) if colour != well] == [3, 7, 9]
    assert found[3][0] > 200 and found[3][1] < 60


def test_without_pillow_it_says_what_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    result = run("health", "d", "--map", "--png", tmp_path / "map.png")
    assert result.exit_code == ExitCode.FAILED
    assert "dm-remap[map]" in result.stderr


def test_a_map_is_of_one_device(run):
    assert run("health", "--map").exit_code == ExitCode.USAGE


def test_a_file_that_cannot_be_written(run, tmp_path):
    result = run("health", "d", "--map", "--png", tmp_path / "none" / "map.png")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "cannot be written" in result.stderr
