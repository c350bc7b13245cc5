"""What is said of regions of a live device, from the marks of its scan and from its table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.control import RemapEntry
from pyctl.predict.regions.live import assess, table_counts
from pyctl.scan import Region


def mark(number=0, spare=None, **found):
    counts = dict.fromkeys(("errors", "retries", "slow", "marginal", "blanks", "usual_us"), 0)
    return Region(spare=spare, sector=2048 * number, health=90, **(counts | found))


def entry(sector, sectors, state="remap", origin="auto"):
    return RemapEntry(sector, sectors, 0, 10240, state, origin)


def test_nothing_is_said_of_nothing():
    assert assess([], {}) == []
    assert assess([mark(blanks=1)], {}) == []


def test_slow_once_is_watched_slow_twice_is_an_alarm():
    [once] = assess([mark(slow=3)], {})
    assert not once.alarmed and once.answer.recommendation.startswith("watch it")
    [twice] = assess([mark(slow=3, marginal=2)], {})
    assert twice.alarmed and "scan candidates" in twice.answer.recommendation
    assert [reason.name for reason in twice.answer.reasons] == ["marginal", "slow"]
    assert twice.answer.confidence > once.answer.confidence
    assert twice.answer.reasons[0].words.startswith("2 pieces of 32 KiB were slow in two scans")


def test_errors_and_retries():
    [failed] = assess([mark(errors=4, retries=1)], {})
    assert failed.alarmed and failed.answer.horizon_hours == 48
    assert [reason.name for reason in failed.answer.reasons] == ["errors", "retries"]
    assert failed.answer.reasons[0].words == "4 blocks could not be read there lately"


def test_lost_blocks_of_the_table_are_those_of_the_scan():
    counts = table_counts([entry(2048, 4, state="lost")], 1)
    assert counts == {1: (0, 4)}
    with_mark = assess([mark(1, errors=4)], counts)
    without = assess([], counts)
    assert [each.answer.score for each in with_mark] == [each.answer.score for each in without]


def test_what_failed_before_is_a_hint_and_what_somebody_moved_is_none():
    assert table_counts([entry(0, 8, origin="manual")], 8) == {}
    [old] = assess([], table_counts([entry(0, 64)], 8))
    assert (old.moved, old.alarmed) == (8, False)
    assert old.answer.reasons[0].name == "near"


def test_neighbours_of_errors_are_looked_at():
    found = {each.sector: each for each in assess([mark(1, errors=3), mark(2, slow=1)], {})}
    alone = assess([mark(2, slow=1)], {})[0]
    assert found[4096].answer.score > alone.answer.score
    assert "near" in [reason.name for reason in found[4096].answer.reasons]


def test_spares_are_apart_from_main():
    found = assess([mark(1, spare=0, errors=3), mark(1, slow=1)], {1: (0, 5)})
    assert [(each.spare, each.lost) for each in found] == [(None, 5), (0, 0)]


def test_a_run_over_two_regions_counts_in_both():
    assert table_counts([entry(2040, 16)], 8) == {0: (1, 0), 1: (1, 0)}


def test_the_card_has_all_that_is_asked_for():
    [card] = [each.card() for each in assess([mark(3, retries=2)], {})]
    assert card["sector"] == 3 * 2048 and card["spare"] is None
    assert 0 <= card["score"] <= 1 and 0 <= card["confidence"] <= 1
    assert card["horizon_hours"] == 168 and card["alarmed"] is True
    assert card["recommendation"] and card["reasons"][0]["words"]


@given(
    errors=st.integers(0, 60),
    retries=st.integers(0, 60),
    slow=st.integers(0, 32),
    share=st.floats(0, 1),
)
def test_more_findings_never_lower_the_score(errors, retries, slow, share):
    def score(**found):
        return sum(each.answer.score for each in assess([mark(**found)], {}))

    marginal = round(slow * share)
    here = score(errors=errors, retries=retries, slow=slow, marginal=marginal)
    assert 0 <= here <= 1
    assert score(errors=errors + 1, retries=retries, slow=slow, marginal=marginal) >= here
    assert score(errors=errors, retries=retries + 1, slow=slow, marginal=marginal) >= here
    assert score(errors=errors, retries=retries, slow=slow + 1, marginal=marginal + 1) >= here


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_comes_first(order):
    marks = [mark(1, slow=1), mark(5, errors=9), mark(9, retries=2)][::order]
    assert [each.sector // 2048 for each in assess(marks, {})] == [5, 9, 1]
