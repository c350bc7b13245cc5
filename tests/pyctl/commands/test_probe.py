import contextlib
import itertools
import json
from dataclasses import replace

import pytest

from pyctl.errors import ExitCode
from pyctl.probes import source
from pyctl.probes.frames import End, Header
from pyctl.probes.recording import Recorder
from tests.pyctl.probes.made import DEVICE, HEADER, frame, reads


class Fake:
    """A source that has always something to tell."""

    def __init__(self, header=HEADER):
        self.header = header

    def frames(self):
        for number in itertools.count(1):
            yield frame(r1=reads(number))

    def finish(self):
        return frame(r2=reads(100))


@pytest.fixture
def asked(monkeypatch):
    """What was asked for; the answer is a Fake."""
    seen = {}

    @contextlib.contextmanager
    def opened(paths, region_sectors, interval, *, bpf=True, share=1.0):
        seen.update(paths=paths, region_sectors=region_sectors, interval=interval, bpf=bpf)
        seen.update(share=share)
        counters = Header((DEVICE,), "counters", "No reason.", "6.12", 0, interval)
        yield Fake(replace(HEADER, share=share) if bpf else counters)

    monkeypatch.setattr(source, "opened", opened)
    return seen


def test_top_is_lines_where_there_is_no_terminal(run, asked):
    result = run("probe", "top", "disk", "--count", 2, "--interval", 0.5, "--region-size", "16M")
    assert asked == {
        "paths": ("disk",),
        "region_sectors": 32768,
        "interval": 0.5,
        "bpf": True,
        "share": 1.0,
    }
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines[::3]] == [["DEVICE", "REGION", "READS"]] * 2
    assert [line.split()[2] for line in lines[1::3]] == ["1", "2"]


def test_top_in_json_is_an_object_a_line(run, asked):
    from click.testing import CliRunner

    from pyctl.cli import cli

    lines = CliRunner().invoke(cli, ["probe", "top", "disk", "--count", "2", "--json"]).stdout
    shown = [json.loads(line)["devices"][0]["ios"]["read"] for line in lines.splitlines()]
    assert shown == [1, 2]


def test_without_bpf_it_says_what_is_missing_and_why(run, asked):
    result = run("probe", "top", "disk", "--count", 1, "--no-bpf")
    assert not asked["bpf"]
    assert "no regions, no distribution" in result.stderr
    assert "No reason." in result.stderr


@pytest.mark.parametrize("verb", ["top", "hist", "record"])
def test_a_share_of_the_time_is_said(run, asked, tmp_path, verb):
    words = [tmp_path / "file"] if verb == "record" else []
    ends = ["--count", 1] if verb == "top" else ["--seconds", 0.1]
    result = run("probe", verb, *words, "disk", *ends, "--share", 5)
    assert asked["share"] == 0.05
    assert "It looks for 5 % of the time" in result.stderr
    if verb == "record":
        assert "It looks for 5 % of the time" in run("probe", "replay", *words).stderr


@pytest.mark.parametrize("share", [0, 101])
def test_what_is_no_share(run, share):
    result = run("probe", "top", "disk", "--share", share)
    assert result.exit_code == ExitCode.USAGE


def test_hist(run, asked):
    result = run("probe", "hist", "disk", "--seconds", 0.1)
    assert "disk: reads, latency" in result.stdout
    (shown,) = run("probe", "hist", "disk", "--seconds", 0.1, "--region", 2, "--json").data
    assert (shown["region"], shown["ios"]["read"]) == (2, 100)


def test_record_and_replay(run, asked, tmp_path):
    file = tmp_path / "file"
    told = run("probe", "record", file, "disk", "--seconds", 0.1, "--json").data
    assert told == {
        "file": str(file),
        "frames": 1,
        "bytes": file.stat().st_size,
        "source": "bpf",
    }
    result = run("probe", "replay", file, "--json")
    assert result.data["devices"][0]["ios"]["read"] == 100
    assert result.stderr == ""
    # a recording is never overwritten
    assert run("probe", "record", file, "disk", "--seconds", 0.1).exit_code != ExitCode.OK
    assert run("probe", "replay", file, "--view", "hist").stdout.startswith("disk: reads, latency")


def test_replay_of_what_was_cut_off_says_so(run, tmp_path):
    file = tmp_path / "file"
    with Recorder(file, HEADER) as recorder:
        recorder.add(frame(r1=reads(7)))
        recorder.add(frame(r1=reads(8)))
        recorder.add(End("stopped"))
    assert run("probe", "replay", file).stderr == ""
    data = file.read_bytes()
    file.write_bytes(data[:-60])
    result = run("probe", "replay", file, "--json")
    assert result.exit_code == ExitCode.OK
    assert result.data["devices"][0]["ios"]["read"] == 7
    assert "cut off" in result.stderr
    each = run("probe", "replay", file, "--each", "--rows", 0).stdout.splitlines()
    assert [line.split()[2] for line in each] == ["READS", "7"]


def test_what_is_no_recording(run, tmp_path):
    (tmp_path / "file").write_text("text")
    result = run("probe", "replay", tmp_path / "file")
    assert result.exit_code == ExitCode.FAILED
    assert "is not a recording of probes" in result.stderr
    assert run("probe", "replay", tmp_path / "none").exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("size", ["64", "M", "1.5G", "x"])
def test_what_is_no_size(run, size):
    result = run("probe", "top", "disk", "--region-size", size)
    assert result.exit_code == ExitCode.USAGE
    assert "is no size" in result.stderr


def test_what_is_no_device(run, tmp_path):
    (tmp_path / "file").write_text("text")
    assert run("probe", "top", tmp_path / "file").exit_code == ExitCode.USAGE
    assert run("probe", "top", tmp_path / "none").exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("module", "dear"),
    [
        ("pyctl.cli", ("bcc", "pyctl.probes")),
        ("pyctl.daemon.serving", ("bcc", "pyctl.probes.program", "numpy", "lightgbm")),
    ],
)
def test_nobody_else_pays_for_probes_and_predictions(module, dear):
    """What takes long to import, or much memory, is in processes of its own."""
    import subprocess
    import sys

    program = (
        f"import sys, {module};"
        f"dear = tuple(one + '.' for one in {dear});"
        "print([name for name in sys.modules if f'{name}.'.startswith(dear)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
