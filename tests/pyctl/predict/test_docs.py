"""The figures in docs/prediction.md are those of the shipped model's card."""

import json
import re
from pathlib import Path

import pytest

from pyctl.predict.evaluating import GOALS
from pyctl.predict.features import NAMES
from pyctl.predict.model import SHIPPED

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/prediction.md").read_text()
CARD = json.loads((SHIPPED / "card.json").read_text())
DRIVE_LEVEL = ("drives_1pct", "drives_05pct", "drives_01pct")
BY_DAY = ("recall_1pct", "recall_01pct", "ap", "auc")


def shown(one):
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def rows(question, metrics):
    for who, values in CARD["evaluation"]["tables"][question].items():
        yield f"| {who} | " + " | ".join(shown(values[one]) for one in metrics) + " |"


def goals():
    for goal in CARD["evaluation"]["goals"]:
        met = "met" if goal["met"] else "**not met**"
        what = f"{goal['question']} {goal['metric']}"
        yield f"| `{what}` | {goal['wanted']:.2f} | {shown(goal)} | {met} |"


def facts():
    data, tested = CARD["data"], CARD["evaluation"]
    lead = sorted(tested["leads"])[len(tested["leads"]) // 2]
    drives = f"{data['drives']:,} drives, {data['failed']:,} of which failed"
    yield f"{drives}, {data['from']} to {data['to']}"
    yield f"{tested['learned_drives']:,} drives, days to {tested['learned_to']}"
    yield f"{tested['drives']:,} other drives, {tested['from']} to {tested['to']}"
    yield f"{tested['drive_days']:,} drive-days"
    yield f"{tested['failing_days']:,} of them within 7 days of a failure"
    yield f"{tested['failing_drives']} failing drives"
    yield f"{tested['clean_failing']:.0%} of the drive-days before a failure"
    yield f"{len(NAMES)} numbers"
    yield f"a median of {lead:.0f} days"
    yield f"LightGBM {CARD['with']['lightgbm']}"


EXPECTED = [*rows("fail7", BY_DAY), *rows("fail7", DRIVE_LEVEL), *rows("sec7", BY_DAY), *goals()]


@pytest.mark.parametrize("line", EXPECTED)
def test_tables(line):
    assert line in TEXT.splitlines()


@pytest.mark.parametrize("fact", [*facts()])
def test_text(fact):
    assert fact in " ".join(TEXT.split())


def test_no_line_of_a_table_is_from_elsewhere():
    """Every row with an interval is one of those expected."""
    found = [line for line in TEXT.splitlines() if re.search(r"\(\d\.\d{3} to \d\.\d{3}\)", line)]
    assert sorted(found) == sorted(EXPECTED)


def test_every_goal_is_told():
    assert len(CARD["evaluation"]["goals"]) == len(GOALS)


def test_the_figures_are_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT)
    assert len(pictures) == 3
    for one in pictures:
        assert (ROOT / "docs" / one).read_text().startswith("<svg")
