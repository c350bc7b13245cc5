"""Runs without a machine: the disks of a set, and journals made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.crash import guest, keep, pattern
from tests.crash.journal import MAIN, Acknowledged, Flush, Flushed, Synced, Write, Written
from tests.crash.plan import (
    DEFAULT_CUTS,
    GENERATIONS,
    MAX_CUTS,
    MIN_CUTS,
    VARIANTS,
    Variant,
    cuts_per_generation,
)
from tests.crash.run import Cut, Generation, Run

VARIANT = Variant("test", 4096, 2, units=16, bad=0, growing=0)
V = 1 << 32


@pytest.fixture
def run() -> Run:
    """A run whose machine can't be started."""
    machine = SimpleNamespace(kernel=SimpleNamespace(release="6.12"), module=Path("module"))
    return Run(VARIANT, cast("guest.Machine", machine), 1)


@pytest.fixture
def generation(run: Run) -> Generation:
    """Unit 3 is written and synced."""
    generation = run.first_generation()
    data = pattern.encode_unit(3, V + 1, run.number, 8)
    generation.events = [
        Write(1, MAIN, 24, data, False),
        Written(1),
        Acknowledged(1, 3, V + 1, False, 0),
        Flush(2, MAIN),
        Flushed(2),
        Synced(1, 0),
    ]
    return generation


def _check(run: Run, generation: Generation, *, lying: bool) -> list[int]:
    """The positions at which some draw breaks a promise."""
    cuts = [Cut(at, f"{at}/{n}") for at in range(len(generation.events) + 1) for n in range(20)]
    broken = {
        moment.cut.position
        for moment in run.replay(generation, cuts, lying=lying)
        if run.check(moment)
    }
    return sorted(broken)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_new_set_is_fine(run: Run, variant: Variant) -> None:
    fresh = Run(variant, run.machine, 1)
    generation = fresh.first_generation()
    (moment,) = fresh.replay(generation, [fresh.last_cut(generation)])
    for disk, sectors in enumerate(fresh.disks):
        assert bool(moment.disks.images()[disk]) == (disk <= variant.spares), sectors
    moment.promises.unreadable = {sector // variant.unit_sectors for sector in _bad(fresh)}
    assert fresh.check(moment) == []


def _bad(run: Run) -> set[int]:
    return run.disks[MAIN].unreadable


def test_an_honest_disk_keeps_the_promise_and_a_liar_does_not(
    run: Run, generation: Generation
) -> None:
    assert _check(run, generation, lying=False) == []
    assert _check(run, generation, lying=True) == [6]


def test_the_next_generation_starts_with_what_is_left(run: Run, generation: Generation) -> None:
    following = run.next_generation(generation)
    assert following.number == 2
    assert following.bases[3] == (V + 1,) * 8
    assert following.bases[4] == (0,) * 8
    # what was left can't be lost any more, whether it was promised or not
    following.images[MAIN][24] = pattern.Sector(3, 0, run.number, 0).encode()
    (moment,) = run.replay(following, [run.last_cut(following)])
    (found,) = run.check(moment)
    assert found.what == "an acknowledged write is lost"


def test_marks_are_chosen_first_and_the_real_cut_last(run: Run, generation: Generation) -> None:
    cuts = run.choose(generation, 8)
    assert len(cuts) == 9
    assert 5 in [cut.position for cut in cuts]
    assert [cut.position for cut in cuts] == sorted(cut.position for cut in cuts)
    assert cuts[-1] == run.last_cut(generation)
    assert run.choose(generation, 8) == cuts


def test_what_is_kept_checks_as_before(run: Run, generation: Generation, tmp_path: Path) -> None:
    cuts = [Cut(6, f"6/{n}") for n in range(20)]
    cut, found = next(
        (moment.cut, found)
        for moment in run.replay(generation, cuts, lying=True)
        if (found := run.check(moment))
    )
    keep.save(tmp_path / "kept", run, generation, cut, found, lying=True)
    kept = keep.load(tmp_path / "kept")
    again = Run(kept.variant, run.machine, kept.seed)
    assert (kept.generation, kept.cut, kept.lying) == (generation, cut, True)
    (moment,) = again.replay(kept.generation, [kept.cut], lying=True)
    assert again.check(moment) == found
    assert str(found[0]) in (tmp_path / "kept" / "violations.txt").read_text()


def test_every_generation_gets_its_share_of_the_cuts() -> None:
    for wanted in (1, 200, DEFAULT_CUTS, 20000, 10**6):
        assert MIN_CUTS <= cuts_per_generation(wanted) <= MAX_CUTS
    assert cuts_per_generation(DEFAULT_CUTS) * GENERATIONS * len(VARIANTS) >= DEFAULT_CUTS
