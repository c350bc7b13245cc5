"""The sequence model. Where PyTorch is not installed, only what is said of that is tested."""

import importlib.util
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import pyctl.predict
from pyctl.errors import ExitCode, NotFoundError, UsageError
from pyctl.predict.days import daily
from pyctl.predict.log import day_number
from pyctl.predict.training import examples
from tests.pyctl.predict.fleet import BEGIN

FIRST = day_number(BEGIN)
PERIOD = ("--from", "2021-02-01", "--to", "2021-02-20")

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is an option: predict-torch"
)


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("torch")
    from pyctl.predict import network

    return network


@pytest.fixture(scope="module")
def fitted(network, log):
    codes = np.arange(len(log.drives)) % 3
    found = examples(log, codes, np.arange(len(log.drives)), 0, int(log.drives.last_day.max()))
    return network.fit(log, found, codes, threads=1, epochs=40)


def scored(network, log, day=300):
    at = daily(log.drives, FIRST + day, FIRST + day)
    return network.scores(log, at, np.arange(len(log.drives)) % 3, threads=1)


def test_it_tells_failing_drives_from_healthy_ones(fitted, log):
    at = daily(log.drives, FIRST + 100, FIRST + 400)
    found = fitted.scores(log, at, np.arange(len(log.drives)) % 3, threads=1)["fail7"]
    soon = log.drives.failed[at.drive] & (log.drives.last_hour[at.drive] - at.hour <= 180)
    assert np.median(found[soon]) > np.quantile(found[~soon], 0.9)


def test_a_batch_does_not_change_a_score(fitted, log, network, monkeypatch):
    plain = scored(fitted, log)
    monkeypatch.setattr(network, "_SCORED", 7)
    again = scored(fitted, log)
    for question, scores in plain.items():
        assert len(np.unique(scores)) > 5
        assert np.allclose(scores, again[question], atol=1e-4)


def test_what_is_saved_scores_the_same(fitted, network, log, tmp_path):
    fitted.save(tmp_path)
    with np.load(tmp_path / "network.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fi" for name in file.files)
    before, after = scored(fitted, log), scored(network.load(tmp_path), log)
    for question, scores in before.items():
        assert np.array_equal(scores, after[question])


def test_an_unknown_drive_model_has_a_score(fitted, log):
    at = daily(log.drives, FIRST + 9, FIRST + 9)
    found = fitted.scores(log, at, np.full(len(log.drives), -1), threads=1)
    assert np.isfinite(found["fail7"]).all()


def test_no_network_and_a_broken_one(network, tmp_path):
    with pytest.raises(NotFoundError, match="no sequence model"):
        network.load(tmp_path)
    (tmp_path / "network.npz").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        network.load(tmp_path)
    np.savez(tmp_path / "network.npz", models=np.array(3))
    with pytest.raises(UsageError, match="cannot be read"):
        network.load(tmp_path)
    np.savez(tmp_path / "network.npz", models=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="cannot be read"):
        network.load(tmp_path)


@needs_torch
def test_train_and_score_with_it(run, folder, tmp_path):
    out, file = tmp_path / "model", tmp_path / "scores.parquet"
    words = ("predict", "train", folder, "--out", out, "--with", "torch", "--threads", 1)
    card = run(*words, "--json").data["card"]
    for question in ("fail7", "sec7"):
        assert "sequence model" in card["evaluation"]["tables"][question]
    score = ("predict", "score", folder, *PERIOD, "--out", file, "--model", out)
    assert run(*score).exit_code == 0
    trees = pq.read_table(file)
    assert run(*score, "--with", "torch").exit_code == 0
    network = pq.read_table(file)
    assert trees["hour"].equals(network["hour"])
    assert not trees["fail7"].equals(network["fail7"])


def test_it_is_not_in_the_model_that_comes_with_pyctl(run, folder, tmp_path):
    words = ("predict", "score", folder, *PERIOD, "--out", tmp_path / "x", "--with", "torch")
    assert run(*words).exit_code == ExitCode.USAGE


def test_without_pytorch(run, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pyctl.predict.network", raising=False)
    monkeypatch.delattr(pyctl.predict, "network", raising=False)
    done = run("predict", "evaluate", folder, "--with", "torch")
    assert done.exit_code != 0
    assert "dm-remap[predict-torch]" in done.stderr
