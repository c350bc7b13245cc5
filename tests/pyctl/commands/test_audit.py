import csv
import io

import pytest

from pyctl.daemon.audit import Audit
from pyctl.errors import ExitCode


@pytest.fixture
def log(tmp_path):
    with Audit(tmp_path) as opened:
        for second, (who, device) in enumerate([("root", "a"), ("policy:r", "b"), ("root", "b")]):
            opened.append(
                {
                    "time": f"2026-11-21T10:00:0{second}.5Z",
                    "who": who,
                    "what": "scan done",
                    "why": "health below 50 (40)",
                    "device": device,
                    "before": {"health": 40},
                    "after": None,
                }
            )
    return tmp_path


def change(log):
    file = log / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b"policy:r", b"nobody:r"))


def test_verify(run, log):
    out = run("audit", "verify", "--log", log).stdout
    assert out.startswith("3 records, all as written. Last: 3:")
    last = run("audit", "verify", "--log", log, "--json").data["last"]
    assert run("audit", "verify", "--log", log, "--noted", last).exit_code == ExitCode.OK
    wrong = run("audit", "verify", "--log", log, "--noted", "2:" + last[2:])
    assert wrong.exit_code == ExitCode.FAILED
    assert "line 2: the record is not the one that was noted" in wrong.stdout


def test_verify_a_log_that_was_changed(run, log):
    change(log)
    result = run("audit", "verify", "--log", log)
    assert result.exit_code == ExitCode.FAILED
    assert "line 2: it was changed" in result.stdout
    data = run("audit", "verify", "--log", log, "--json").data
    assert data["problems"][0] == {"line": 2, "what": "it was changed"}


@pytest.mark.parametrize("noted", ["3", "x:" + "0" * 64, "3:abc"])
def test_what_was_noted_must_have_the_form(run, log, noted):
    assert run("audit", "verify", "--log", log, "--noted", noted).exit_code == ExitCode.USAGE


def test_report(run, log):
    lines = run("audit", "report", "--log", log).stdout.splitlines()
    assert lines[0].split() == ["TIME", "WHO", "WHAT", "DEVICE", "WHY", "BEFORE", "AFTER"]
    assert len(lines) == 4
    assert "{'health': 40}" in lines[1]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--device", "b"], [2, 3]),
        (["--who", "root"], [1, 3]),
        (["--since", "2026-11-21T10:00:01Z"], [2, 3]),
        (["--since", "2026-11-21T11:00:01.500000+01:00"], [2, 3]),
        (["--until", "2026-11-21T10:00:02.5Z"], [1, 2]),
    ],
)
def test_report_a_part(run, log, words, numbers):
    data = run("audit", "report", "--log", log, "--json", *words).data
    assert data["verified"]
    assert [one["number"] for one in data["records"]] == numbers


def test_report_csv(run, log):
    rows = list(csv.DictReader(io.StringIO(run("audit", "report", "--log", log, "--csv").stdout)))
    assert [row["who"] for row in rows] == ["root", "policy:r", "root"]
    both = run("audit", "report", "--log", log, "--csv", "--json")
    assert both.exit_code == ExitCode.USAGE


def test_report_of_a_log_that_was_changed(run, log):
    change(log)
    result = run("audit", "report", "--log", log)
    assert result.exit_code == ExitCode.FAILED
    assert "The log has been changed: line 2: it was changed." in result.stderr
    assert len(result.stdout.splitlines()) == 4


def test_no_log_and_no_time(run, log, tmp_path):
    missing = run("audit", "verify", "--log", tmp_path / "none")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert run("audit", "report", "--log", log, "--since", "now").exit_code == ExitCode.USAGE
