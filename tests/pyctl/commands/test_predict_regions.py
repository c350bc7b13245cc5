"""`pyctl predict regions`, over a small background that is made up here."""

import json
import sys
from xml.etree import ElementTree

import pytest

from pyctl.errors import ExitCode
from tests.pyctl.predict.regions.made import made_rows, write_rows

FEW = ("--trials", "2", "--failures", "4", "--seed", "3")


@pytest.fixture
def background(tmp_path):
    rows = made_rows(hosts=1, disks=6, days=6, hours=2, slow={(1, 2)})
    return write_rows(tmp_path / "cluster_Z_15s.parquet", rows)


def test_a_card_and_tables(run, background, tmp_path):
    (tmp_path / "slow_labels.csv").write_text("cluster,host,disk\nZ,1,2\n")
    out = tmp_path / "card.json"
    result = run("predict", "regions", "--background", background, *FEW, "--out", out)
    assert result.exit_code == 0, result.output
    card = json.loads(out.read_text())
    assert card["background"]["regions"] == 6 and card["seed"] == 3
    assert card["untouched"]["known_slow"] == [{"host": 1, "disk": 2, "days_alarmed": 5, "days": 5}]
    assert card["untouched"]["false_alarms_region_days"]["hits"] == 0
    assert card["failures"]["recall"]["48 h"]["of"] == 4
    # whatever is measured with generated failures says so
    assert card["failures"]["simulated"] is True
    lines = result.stdout.splitlines()
    told = [line for line in lines if "before the first error" in line or "healthy" in line]
    assert told and all("(simulated)" in line for line in told)
    assert any("errors avoided" in line and "(simulated)" in line for line in lines)


def test_the_same_seed_gives_the_same_figures(run, background):
    def card(*words):
        return run("predict", "regions", "--background", background, *FEW, *words, "--json").data

    assert card() == card()
    assert card("--training")["seeds"] == "training"
    assert card("--training")["failures"] != card()["failures"]


def test_a_background_that_is_too_short_has_no_shares(run, tmp_path):
    path = write_rows(tmp_path / "short.parquet", made_rows(hosts=1, disks=3, days=1, hours=1))
    plots = tmp_path / "plots"
    plots.mkdir()
    result = run("predict", "regions", "--background", path, *FEW, "--plots", plots, "--json")
    assert result.exit_code == 0, result.output
    assert result.data["untouched"]["false_alarms_region_days"]["share"] is None
    assert {row["found"]["of"] for row in result.data["slowdowns"]} == {0}
    assert result.data["failures"]["recall"]["48 h"]["of"] == 0
    drawn = [
        ElementTree.parse(plot).getroot()  # noqa: S314 (our own)
        for plot in plots.iterdir()
    ]
    assert len(drawn) == 3 and all(root.tag.endswith("svg") for root in drawn)


def test_what_is_no_background_is_refused(run, tmp_path):
    path = tmp_path / "text"
    path.write_text("no")
    result = run("predict", "regions", "--background", path)
    assert result.exit_code == ExitCode.FAILED and "no Parquet file" in result.stderr


def test_without_its_packages_it_says_what_is_missing(run, background, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("predict", "regions", "--background", background)
    assert result.exit_code == ExitCode.FAILED and "dm-remap[predict]" in result.stderr
