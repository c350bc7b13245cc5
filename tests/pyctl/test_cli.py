import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyctl import __version__
from pyctl.app import App
from pyctl.cli import cli
from pyctl.errors import ExitCode, NoKernelError, PermissionDeniedError, RefusedError

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/pyctl.md").read_text()


def commands(group=cli, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


ALL = dict(commands())


SPARE_VERBS = (
    "list",
    "add",
    "remove",
    "replace",
    "evacuate",
    "rebalance",
    "policy",
    "redundancy",
    "tier",
    "health",
    "forecast",
)

SCAN_VERBS = (
    *("start", "stop", "pause", "resume", "status"),
    *("candidates", "regions", "settings"),
)


def test_the_commands():
    assert set(ALL) == {
        *[
            "create",
            "assemble",
            "discover",
            "remove",
            "list",
            "status",
            "remap",
            "unremap",
            "verify",
            "clear",
            "import",
            "export",
            "save",
            "restore",
            "repair",
            *(f"spare {verb}" for verb in SPARE_VERBS),
        ],
        *["migrate-main", "unwrap", "rollback"],
        *(f"scan {verb}" for verb in SCAN_VERBS),
        *["ping", "stats", "health", "version", "completion", "events"],
        *(
            f"metadata {verb}"
            for verb in (
                *("dump", "check", "repair", "backup", "restore"),
                *("history", "rollback", "identity"),
            )
        ),
        *(f"policy {verb}" for verb in ("check", "test", "explain")),
        *(f"probe {verb}" for verb in ("top", "hist", "record", "replay")),
        *(f"alert {verb}" for verb in ("list", "ack", "resolve", "mute", "unmute", "mutes")),
        *(f"predict {verb}" for verb in ("regions",)),
        *(f"audit {verb}" for verb in ("verify", "report")),
        *(f"predict {verb}" for verb in ("read", "explain", "score", "evaluate", "train")),
        *(f"module {verb}" for verb in ("build", "load", "unload", "status")),
    }


@pytest.mark.parametrize("name", ALL)
def test_every_command_is_documented(name):
    assert ALL[name].help.strip().split("\n")[0].endswith((".", "`."))
    assert f"pyctl {name}" in DOCS


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_documented(name):
    for parameter in ALL[name].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in DOCS, option


@pytest.mark.parametrize("name", ALL)
def test_every_command_takes_json(name):
    assert any("--json" in parameter.opts for parameter in ALL[name].params)


def test_the_documented_exit_codes_are_those_of_the_program():
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", DOCS, flags=re.MULTILINE)
    assert {(int(code), name) for code, name in rows} == {
        (code.value, code.name.lower()) for code in ExitCode
    }


def test_json_before_and_behind_the_command(run):
    for words in (("--json", "ping", "d"), ("ping", "d", "--json")):
        assert run(*words).data["reply"].startswith("pong dm-remap")


def test_an_error_is_a_sentence_and_an_exit_code(run):
    result = run("ping", "nothing")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stdout == ""
    assert result.stderr.startswith("pyctl: There is no device-mapper device nothing.\n  `pyctl")


def test_an_error_in_json(run):
    result = run("--json", "ping", "nothing")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert json.loads(result.stderr)["error"] == {
        "code": 3,
        "name": "not_found",
        "message": "There is no device-mapper device nothing.",
        "hint": "`pyctl list` shows the devices of dm-remap.",
    }


def test_the_table_of_an_error(run, monkeypatch):
    def refuse(*_):
        rows = [{"field": "sectors", "remembered": "8", "found": "9", "verdict": "differs"}]
        raise RefusedError("no.", hint="so what", details=rows)

    monkeypatch.setattr("pyctl.assembly.plan", refuse)
    lines = run("assemble", "d", "/dev/m", "/dev/a").stderr.splitlines()
    assert lines[0] == "pyctl: no."
    assert [line.split() for line in lines[1:3]] == [
        ["FIELD", "REMEMBERED", "FOUND", "VERDICT"],
        ["sectors", "8", "9", "differs"],
    ]
    error = json.loads(run("assemble", "d", "/dev/m", "/dev/a", "--json").stderr)["error"]
    assert error["details"][0]["found"] == "9"


def test_propagate_shows_the_traceback():
    def fail(name):
        raise NoKernelError("none")

    result = CliRunner().invoke(cli, ["--propagate", "ping", "d"], obj=App(open_device=fail))
    assert isinstance(result.exception, NoKernelError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoKernelError("x"), 6),
        (PermissionDeniedError("x"), 7),
        (OSError(5, "x"), 1),
        (PermissionError(13, "x"), 7),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error, code):
    def fail():
        raise error

    result = CliRunner().invoke(cli, ["list"], obj=App(list_devices=fail))
    assert result.exit_code == code
    assert result.stderr.startswith("pyctl: ")


def test_usage_errors_are_exit_code_two(run):
    assert run("remap", "d", "x").exit_code == ExitCode.USAGE
    assert run("remap", "d", "-1").exit_code == ExitCode.USAGE
    assert run("no-such-command").exit_code == ExitCode.USAGE
    assert run("create", "d", "/dev/null").exit_code == ExitCode.USAGE


def test_version(run):
    assert run("--version").output == f"pyctl {__version__}\n"
    data = run("version", "--json").data
    assert data["pyctl"] == __version__
    assert data["libdevmapper"].startswith("1.02")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run, shell):
    assert "_PYCTL_COMPLETE" in run("completion", shell).output


def test_the_version_is_the_projects():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in text
