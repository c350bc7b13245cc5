"""docs/prediction-regions.md says what the card in the tree says, and the plots show it."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from pyctl.predict.regions.generator import FAILURES
from pyctl.predict.regions.judging.moving import RULES
from pyctl.predict.regions.judging.plots import draw_plots
from pyctl.predict.regions.settings import DEFAULT

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGE = (DOCS / "prediction-regions.md").read_text(encoding="utf-8")
CARD = json.loads((DOCS / "prediction-regions.json").read_text(encoding="utf-8"))


def share(found):
    interval = f"{found['low']:.2%} to {found['high']:.2%}"
    return f"{found['share']:.2%} | {interval} | {found['hits']} of {found['of']}"


def rows():
    untouched, failures = CARD["untouched"], CARD["failures"]
    yield f"| false alarms, region-days | {share(untouched['false_alarms_region_days'])} |"
    yield f"| normal regions ever alarmed | {share(untouched['normal_regions_ever_alarmed'])} |"
    for one in untouched["known_slow"]:
        yield f"| {one['host']}/{one['disk']} | {one['days_alarmed']} of {one['days']} |"
    for one in CARD["slowdowns"]:
        minutes = "-" if one["median_minutes"] is None else f"{one['median_minutes']:g}"
        yield f"| \u00d7{one['factor']:g} | {share(one['found'])} | {minutes} |"
    for ahead, found in failures["recall"].items():
        yield f"| all, {ahead} ahead (simulated) | {share(found)} |"
    for kind, found in failures["recall_48_h_by_kind"].items():
        yield f"| {kind}, 48 h ahead (simulated) | {share(found)} |"
    healthy = failures["false_alarms_healthy_region_days"]
    yield f"| false alarms, healthy region-days (simulated) | {share(healthy)} |"
    for rule in RULES:
        account = failures["preventive_remap"][rule]
        each = account["avoided_per_block"]
        yield (
            f"| {rule} | {account['avoided']} of {account['errors']} | {account['spent']} |"
            f" {'-' if each is None else f'{each:.3f}'} |"
            f" {account['without_any_first_error']} of {account['failures']} |"
        )
    for one in CARD["company"]:
        yield (
            f"| {one['regions']} | {one['false_alarms_region_days']['share']:.2%} |"
            f" {one['found_x_1_5']['share']:.2%} |"
        )


@pytest.mark.parametrize("row", list(rows()))
def test_every_figure_of_the_page_is_that_of_the_card(row):
    assert row in PAGE


def test_the_page_has_no_other_rows_with_counts():
    told = {line for line in PAGE.splitlines() if re.match(r"\| .*\d+ of \d+ \|", line)}
    assert told == {row for row in rows() if " of " in row}


def test_the_goals_are_met_by_the_card():
    assert CARD["untouched"]["false_alarms_region_days"]["share"] <= 0.01
    assert CARD["failures"]["recall"]["48 h"]["share"] >= 0.85
    found = {one["factor"]: one["found"]["share"] for one in CARD["slowdowns"]}
    assert found[1.5] >= 0.98
    assert CARD["seeds"] == "test"


def test_the_card_was_made_with_the_settings_in_the_tree():
    settings = asdict(DEFAULT)
    assert set(settings) == set(CARD["settings"])
    for name, value in settings.items():
        told = CARD["settings"][name]
        # the last digit of a logarithm is a matter of the C library
        assert told == pytest.approx(list(value) if isinstance(value, tuple) else value), name
    assert CARD["generator"] == json.loads(json.dumps(asdict(FAILURES)))


@pytest.mark.parametrize("name", draw_plots(CARD))
def test_the_plots_are_those_of_the_card(name):
    assert (DOCS / "plots" / name).read_text(encoding="utf-8") == draw_plots(CARD)[name]
    assert f"plots/{name}" in PAGE


def test_what_a_silent_share_costs():
    """The page says how recall falls when more regions fail without a sign."""
    kinds = CARD["failures"]["recall_48_h_by_kind"]
    seen = [kinds[kind] for kind in ("slow", "weak")]
    with_signs = sum(k["hits"] for k in seen) / sum(k["of"] for k in seen)
    for silent in (0.1, 0.2, 0.3):
        assert f"{silent:.0%} silent: {with_signs * (1 - silent):.0%}" in PAGE
