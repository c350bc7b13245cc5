import csv
import io

import pytest

from pyctl.daemon.audit import Audit
from pyctl.errors import ExitCode
from pyctl.recorded import changed


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
    about, reported, empty, *lines = run("audit", "report", "--log", log).stdout.splitlines()
    last = run("audit", "verify", "--log", log, "--json").data["last"]
    assert about == (
        f"Audit log {log}: 3 records from 2026-11-21T10:00:00.5Z to 2026-11-21T10:00:02.5Z,"
        f" all as written. Last: {last}"
    )
    assert (reported.startswith("Reported: 3 records from "), empty) == (True, "")
    assert lines[0].split() == ["NUMBER", "TIME", "WHO", "WHAT", "DEVICE", "WHY", "WHAT", "EXACTLY"]
    assert len(lines) == 4
    assert lines[1].endswith("health below 50 (40)  health was 40")


def test_report_of_nothing(run, log):
    out = run("audit", "report", "--log", log, "--device", "none").stdout
    assert "Reported: 0 records." in out


def test_report_summary(run, log):
    *_, titles, policy, root_a, root_b = run(
        "audit", "report", "--log", log, "--summary"
    ).stdout.splitlines()
    assert titles.split() == ["WHO", "WHAT", "DEVICE", "RECORDS", "EVENTS", "FIRST", "LAST"]
    assert policy.split()[:5] == ["policy:r", "scan", "done", "b", "1"]
    assert root_a.split()[:4] == ["root", "scan", "done", "a"]
    assert root_b.split()[-1] == "2026-11-21T10:00:02.5Z"
    wrong = run("audit", "report", "--log", log, "--summary", "--csv")
    assert wrong.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({}, ""),
        (
            {"before": {"used": 3, "lost": 0}, "after": {"used": 7, "lost": 0, "moved": 4}},
            "used 3 -> 7; lost 0 -> 0; moved 4",
        ),
        ({"parameters": {"pattern": "focused", "of": [[8, 2]]}}, "pattern=focused; of=8, 2"),
        ({"error": "It failed."}, "error: It failed."),
        (
            {"count": 3, "sectors": [[800, 2]], "after": {"remapped": 3}},
            "3 times; remapped 3; sectors 800+2",
        ),
        (
            {"count": 9, "sectors": [[n, 1] for n in range(0, 20, 2)]},
            "9 times; sectors 0+1, 2+1, 4+1, 6+1, 8+1, 10+1, 12+1, 14+1 and 2 more ranges",
        ),
        ({"count": 1, "spares": [2]}, "once; spare 2"),
        ({"sectors": "no", "count": "no", "before": "no", "parameters": 1, "spares": 3}, ""),
    ],
)
def test_what_exactly(record, told):
    assert changed(record) == told


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
    assert len(result.stdout.splitlines()) == 7
    assert "CHANGED" in result.stdout


def test_no_log_and_no_time(run, log, tmp_path):
    missing = run("audit", "verify", "--log", tmp_path / "none")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert run("audit", "report", "--log", log, "--since", "now").exit_code == ExitCode.USAGE


def test_a_record_whose_time_was_changed_is_reported(run, log):
    """It was an error of usage: 'None' is no time."""
    file = log / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b"2026-11-21T10:00:01.5Z", b"once upon a time"))
    result = run("audit", "report", "--log", log, "--since", "2026-11-21T10:00:02Z", "--json")
    assert result.exit_code == ExitCode.FAILED
    assert [one["time"] for one in result.data["records"]] == [
        "once upon a time",
        "2026-11-21T10:00:02.5Z",
    ]
