import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest

from pyctl.commands.predict.needs import needs_predict
from pyctl.errors import ExitCode, PyctlError
from pyctl.predict import days, features, plots
from pyctl.predict.log import day_number, read_log
from tests.pyctl.predict import documents, fleet

PERIOD = ("--from", "2021-02-01", "--to", "2021-02-20")


def test_train_then_evaluate_as_it_is(run, folder, tmp_path):
    out = tmp_path / "model"
    data = run("predict", "train", folder, "--out", out, "--threads", 1, "--json").data
    assert json.loads((out / "card.json").read_text()) == data["card"]
    other = fleet.make(tmp_path / "other", drives=150, seed=5)
    told = run("predict", "evaluate", other, "--as-is", "--model", out, "--json").data
    assert told["drives"] <= 150
    assert 0 <= told["tables"]["fail7"]["model"]["ap"]["value"] <= 1
    assert "learned_to" not in told


def test_a_model_is_not_tested_on_what_it_learned_from(run, folder, saved):
    done = run("predict", "evaluate", folder, "--as-is", "--model", saved)
    assert done.exit_code == ExitCode.REFUSED
    assert run("predict", "evaluate", folder, "--model", saved).exit_code == ExitCode.USAGE


def test_evaluate_prints_writes_and_draws(run, folder, tmp_path):
    out, drawn = tmp_path / "e.json", tmp_path / "plots"
    words = ("predict", "evaluate", folder, "--file", out, "--plots", drawn, "--threads", 1)
    told = run(*words).output
    for word in ("Failure within 7 days", "rule", "recall at 1 %", "Goals:", "wanted"):
        assert word in told
    result = json.loads(out.read_text())
    assert {goal["met"] for goal in result["goals"]} <= {True, False}
    for goal in result["goals"]:
        assert goal["met"] == (goal["value"] >= goal["wanted"])
    assert {file.stem for file in drawn.iterdir()} == set(plots.FIGURES)
    for file in drawn.iterdir():
        assert ET.fromstring(file.read_text()).tag.endswith("svg")  # noqa: S314 (our own)


def test_score_has_a_row_for_each_drive_and_day(run, folder, saved, trained, tmp_path):
    out = tmp_path / "scores.parquet"
    data = run("predict", "score", folder, *PERIOD, "--out", out, "--model", saved, "--json").data
    table = pq.read_table(out).to_pydict()
    assert list(table) == ["drive_id", "hour", "fail7", "sec7"]
    log = read_log(folder)
    first = day_number(fleet.BEGIN.replace(year=2021, month=2, day=1))
    at = days.daily(log.drives, first, first + 19)
    assert data["rows"] == len(table["hour"]) == len(at)
    assert (np.array(table["drive_id"]) == log.drives.ids[at.drive]).all()
    assert (np.array(table["hour"]) == at.hour).all()
    model = trained[0]
    matrix = features.compute(log, at, model.codes(log.drives.model))
    for question in ("fail7", "sec7"):
        expected = model.scores(question, matrix, 1)
        assert np.allclose(table[question], expected, atol=1e-5)


def test_scores_in_small_groups_of_drives_are_the_same(run, folder, saved, tmp_path, monkeypatch):
    tables = []
    for size in (2000, 7):
        monkeypatch.setattr("pyctl.predict.training._CHUNK", size)
        out = tmp_path / f"{size}.parquet"
        run("predict", "score", folder, *PERIOD, "--out", out, "--model", saved)
        tables.append(pq.read_table(out))
    assert tables[0].equals(tables[1])


def test_scores_with_the_shipped_model(run, folder, tmp_path):
    """It knows none of these drive models, and scores them nevertheless."""
    out = tmp_path / "scores.parquet"
    assert run("predict", "score", folder, *PERIOD, "--out", out).exit_code == 0
    scores = np.array(pq.read_table(out)["fail7"])
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 5


def test_a_period_that_ends_before_it_begins(run, folder, tmp_path):
    words = ("--from", "2021-02-02", "--to", "2021-02-01", "--out", tmp_path / "x")
    assert run("predict", "score", folder, *words).exit_code == ExitCode.USAGE


def test_explain_a_drive_of_the_field_data(run, folder):
    words = ("predict", "explain", folder, "--drive", 3, "--day", "2020-02-10")
    data = run(*words, "--json").data
    assert [one["question"] for one in data["answers"]] == ["fail7", "sec7"]
    for one in data["answers"]:
        assert one["low"] <= one["probability"] <= one["high"]
        assert one["horizon_days"] == 7
        assert len(set(one["reasons"])) == 3
        # none of these models is known
        assert one["confidence"] == "low"
        assert one["recommendation"]
    assert 0 <= data["anomaly"]["peers_below"] <= 1
    told = run(*words).output
    assert told.count("because:") == 6
    assert "To do: " in told


def test_explain_readings_of_a_drive(run, tmp_path):
    files = [
        documents.save(
            tmp_path / f"{days}.json",
            documents.ata(
                {197: 8 * days, 187: days, 5: days},
                power_on_time={"hours": 10_000 + 24 * days},
                model_name="ST4000DM000-1F2168",
            ),
        )
        for days in (0, 10, 20)
    ]
    alone = run("predict", "explain", files[0], "--json").data
    ill = run("predict", "explain", *files, "--json").data
    assert ill["answers"][0]["score"] > alone["answers"][0]["score"]
    assert ill["answers"][0]["confidence"] != "low"
    assert "160 pending sectors" in ill["warnings"]
    # the order in which they are given does not matter
    assert run("predict", "explain", *reversed(files), "--json").data == ill


@pytest.mark.parametrize(
    "document",
    [
        documents.nvme(),
        documents.scsi(),
        documents.ata(power_on_time={}),
        documents.ata(ata_smart_attributes={}),
    ],
)
def test_a_drive_that_the_model_cannot_know(run, tmp_path, document):
    file = documents.save(tmp_path / "a.json", document)
    assert run("predict", "explain", file).exit_code == ExitCode.USAGE


def test_readings_of_two_drives(run, tmp_path):
    one = documents.save(tmp_path / "a.json", documents.ata())
    two = documents.save(tmp_path / "b.json", documents.ata(serial_number="S2"))
    assert run("predict", "explain", one, two).exit_code == ExitCode.USAGE


def test_a_drive_or_a_day_that_is_not_there(run, folder):
    words = ("predict", "explain", folder)
    assert run(*words).exit_code == ExitCode.USAGE
    unknown = (*words, "--drive", 1, "--day", "2020-02-10")
    assert run(*unknown).exit_code == ExitCode.NOT_FOUND
    early = (*words, "--drive", 3, "--day", "2019-02-10")
    assert run(*early).exit_code == ExitCode.NOT_FOUND


def test_other_commands_don_t_import_the_libraries():
    code = "import sys, pyctl.cli; print({'lightgbm', 'pyarrow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_package_that_is_missing():
    with pytest.raises(PyctlError, match="lightgbm is missing") as told, needs_predict():
        raise ModuleNotFoundError(name="lightgbm")
    assert "dm-remap[predict]" in told.value.hint


def test_openmp_is_missing():
    with pytest.raises(PyctlError, match=r"libgomp1"), needs_predict():
        raise OSError("libgomp.so.1: cannot open shared object file")
    with pytest.raises(OSError, match="another"), needs_predict():
        raise OSError("another")


def test_a_processor_that_is_too_old_for_numpy_is_told():
    with pytest.raises(PyctlError, match=r"\(X86_V2\) but your .* --no-binary"), needs_predict():
        raise RuntimeError("NumPy was built with baseline: \n(X86_V2) but your machine\n…")
    with pytest.raises(RuntimeError, match="other"), needs_predict():
        raise RuntimeError("other")
