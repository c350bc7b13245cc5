import subprocess
import sys

import pytest

from pyctl.errors import ExitCode

GOOD = """\
version: 1
name: good
rules:
  - name: low
    when: {health: {below: 50}}
    do: [{scan: {}}, {notify: {text: "{device} is at {health}"}}]
  - name: never
    when: {lost: {above: 0}}
    do: [{scan: {}}]
"""
HISTORY = """\
{"time": "2026-06-01T08:00:00Z", "kind": "reading", "device": "srv", "reading": {"health": 90}}
{"time": "2026-06-01T09:00:00Z", "kind": "reading", "device": "srv", "reading": {"health": 40}}
{"time": "2026-06-01T09:00:30Z", "kind": "remap", "device": "srv", "source": "k", "seq": 1}
{"time": "2026-06-01T09:00:40Z", "kind": "remap", "device": "srv", "source": "k", "seq": 4}
"""


@pytest.fixture
def files(tmp_path):
    policy, history = tmp_path / "p.yaml", tmp_path / "h.jsonl"
    policy.write_text(GOOD)
    history.write_text(HISTORY)
    return policy, history


def test_check_a_good_one(run, files):
    assert "2 rules, nothing is wrong" in run("policy", "check", files[0]).stdout
    assert run("policy", "check", files[0], "--json").data["rules"] == ["low", "never"]


def test_check_tells_every_mistake(run, files):
    files[0].write_text(GOOD.replace("below: 50", "belw: 50").replace("above: 0", "above: x"))
    result = run("policy", "check", files[0])
    assert result.exit_code == ExitCode.USAGE
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{files[0]}:5:21: there is no key 'belw'")
    assert second.startswith(f"{files[0]}:8:26: above is 'x'")
    problems = run("policy", "check", files[0], "--json").data["problems"]
    assert [(one["line"], one["column"]) for one in problems] == [(5, 21), (8, 26)]


def test_test_tells_what_would_have_been_done(run, files):
    result = run("policy", "test", files[0], "--history", files[1])
    title, acted, rests = result.stdout.splitlines()
    assert title.split()[0] == "TIME"
    assert acted.split()[:4] == ["2026-06-01T09:00:00Z", "srv", "low", "act"]
    assert "scan, notify" in acted
    assert acted.endswith("health below 50 (40)")
    assert "cooling-down" in rests
    assert "The condition never held of: never." in result.stderr
    assert "The history lacks the events 2 to 3 of k." in result.stderr


def test_test_for_programs(run, files):
    data = run("policy", "test", files[0], "--history", files[1], "--json").data
    assert data["decisions"][0]["steps"][1] == {
        "action": "notify",
        "parameters": {"severity": "warning", "text": "srv is at 40", "channels": []},
        "outcome": "act",
    }
    assert data["decisions"][0]["seen"]["saw"] == "40"
    assert data["gaps"] == [{"source": "k", "first": 2, "last": 3}]
    assert set(data["rules"]) == {"low", "never"}


def test_test_with_the_reasons(run, files):
    words = ["policy", "test", files[0], "--history", files[1], "--why", "--rule", "low"]
    out = run(*words).stdout
    assert "  act: notify severity=warning text='srv is at 40' channels=[]" in out
    assert "  [true] health below 50 (40)" in out


def test_test_goes_on_after_the_last_event(run, files):
    words = ["policy", "test", files[0], "--history", files[1], "--json", "--every", "20m"]
    assert run(*words).data["rules"]["low"] == {"not-met": 3, "act": 1, "cooling-down": 2}
    until = run(*words, "--until", "2026-06-01T10:00:00Z").data["rules"]["low"]
    # the reading is an hour old, and not older
    assert until == {"not-met": 3, "act": 2, "cooling-down": 4}


@pytest.mark.parametrize(
    ("moment", "verdict", "words"),
    [
        ("2026-06-01T08:30:00Z", "not-met", "[false] health below 50 (90)"),
        ("2026-06-01T09:00:00Z", "act", "[true] health below 50 (40)"),
        ("2026-06-01T09:30:00Z", "cooling-down", "rests for 30m more"),
        ("2026-06-01T11:00:00Z", "not-known", "the last reading is 2h old"),
    ],
)
def test_explain_a_moment(run, files, moment, verdict, words):
    line = ["policy", "explain", files[0], "--history", files[1], "--rule", "low", "--at", moment]
    out = run(*line).stdout
    assert f"low: {verdict}: " in out
    assert words in out
    assert run(*line, "--json").data[0]["verdict"] == verdict


def test_explain_needs_something_to_explain(run, files):
    words = ["policy", "explain", files[0], "--history", files[1]]
    assert run(*words, "--device", "none").exit_code == ExitCode.NOT_FOUND
    assert run(*words, "--rule", "none").exit_code == ExitCode.USAGE
    assert run(*words, "--at", "yesterday").exit_code == ExitCode.USAGE
    assert run(*words, "--every", "5").exit_code == ExitCode.USAGE


def test_the_other_commands_do_not_pay_for_it():
    heavy = "{'pydantic', 'ruamel.yaml', 'sqlite3', 'http.client', 'pyctl.daemon'}"
    program = f"import sys, pyctl.cli; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_the_packages_it_says_which_are_needed(files):
    # in a process of its own: modules that are imported anew here would be others than those of
    # the tests that come after this one
    program = "import sys; sys.modules['pydantic'] = None; from pyctl.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program, "policy", "check", files[0]],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == ExitCode.FAILED
    assert "The Python package pydantic is missing." in result.stderr
    assert "dm-remap[daemon]" in result.stderr
