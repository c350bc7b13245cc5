"""docs/policies.md: what it shows is right, and nothing is missing."""

import re
import textwrap
from pathlib import Path

import pytest

from pyctl.daemon.events import Action, Kind
from pyctl.daemon.policy import conditions, doing
from pyctl.daemon.policy.loading import parse_policy
from tests.pyctl.daemon.policy.making import policy, rule

ROOT = Path(__file__).resolve().parents[4]
DOCS = (ROOT / "docs/policies.md").read_text()
HISTORY = Path(__file__).parent / "histories/replace-soon.jsonl"


def rows(title):
    """The first cells of the table below a title, which are code."""
    section = DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [
        code for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for code in code_of(row)
    ]


def code_of(row):
    return re.findall(r"`([^`]+)`", row)


def keys(classes):
    return {next(iter(one.model_fields.values())).alias for one in classes}


def whole(code):
    """The code with what the table leaves out."""
    some = "[{lost: {above: 0}}, {lost: {above: 1}}]"
    named = code.replace("names: [...]", "names: ['*']").replace("channels: [...]", "channels: [a]")
    timed = named.replace("timezone: …", "timezone: UTC").replace(
        "arguments: [...]", "arguments: [a]"
    )
    return (
        timed.replace("text: …", "text: x")
        .replace("[...]", some)
        .replace("…", "{lost: {above: 0}}")
    )


def test_every_condition_is_in_the_table():
    told = {code.partition(":")[0] for code in rows("Conditions")}
    assert told == keys(conditions._ALL)


@pytest.mark.parametrize("code", rows("Conditions"))
def test_a_condition_of_the_table_is_one(code):
    assert policy(rule(f"{{{whole(code)}}}")).rules[0].when


def test_every_action_is_in_the_table():
    told = {code.partition(":")[0] for code in rows("Actions") if ": {" in code}
    assert told == keys(doing._ACTIONS) == {one.value for one in Action} - {"scan-stop"}


@pytest.mark.parametrize("code", [code for code in rows("Actions") if ": {" in code])
def test_an_action_of_the_table_is_one(code):
    assert policy(rule("{lost: {above: 0}}", f"- {whole(code)}"), "pools: {shelf: [/x]}").rules


def test_every_kind_of_event_is_named():
    (told,) = re.findall(r"Kinds of events: `([^`]+)`", DOCS)
    assert told.split() == [one.value for one in Kind]


def test_every_placeholder_is_named():
    assert all(f"`{{{name}}}`" in DOCS for name in doing.PLACEHOLDERS)


def test_the_example_is_a_policy():
    text = DOCS.partition("## A rule\n\n")[2].partition("\n\nThe rule is asked")[0]
    made = parse_policy(textwrap.dedent(text).encode(), "docs/policies.md")
    assert made.rules[0].dry_run


def test_the_explanation_is_what_pyctl_prints(run):
    words = ["policy", "explain", ROOT / "packaging/policy/default.yaml", "--history", HISTORY]
    for line in run(*words, "--rule", "replace-soon").stdout.splitlines():
        assert line.partition(" (`pyctl migrate-main`)")[0] in DOCS
