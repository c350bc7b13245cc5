"""What is said of the regions of a live device, from what the kernel counts of them today.

The scan keeps marks of regions with findings, in which older findings count for less; the table
says where blocks failed, but not when. So there is no history here: the predictor of series
(pyctl.predict.regions.predictor) and this share the evidence, and what is said of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyctl.control import RemapEntry
from pyctl.predict.regions.answers import Answer, Evidence, answer
from pyctl.predict.regions.settings import DEFAULT
from pyctl.scan import REGION_SECTORS, Region

__all__ = ["LiveRegion", "assess", "table_counts"]

# What the comparisons of a scan are worth: three slow reads and a well place elsewhere, once or in
# two passes.
_ONE_LOOK, _TWO_LOOKS = 0.5, 0.75
_NOTHING = (0, 0)


@dataclass(frozen=True)
class LiveRegion:
    """A region of which there is something to say; `spare` is None on main.

    `sector` is where it begins on its device; `moved` and `lost` are blocks of it in the table.
    """

    spare: int | None
    sector: int
    moved: int
    lost: int
    answer: Answer
    alarmed: bool

    def card(self) -> dict[str, Any]:
        """For JSON: scores and confidence 0 to 1, with two digits."""
        found = asdict(self.answer)
        return {
            "spare": self.spare,
            "sector": self.sector,
            "moved": self.moved,
            "lost": self.lost,
            "alarmed": self.alarmed,
            **found,
            "score": round(self.answer.score, 2),
            "confidence": round(self.answer.confidence, 2),
            "reasons": [
                {"name": r.name, "weight": round(r.weight, 2), "words": r.words}
                for r in self.answer.reasons
            ],
        }


def table_counts(entries: Iterable[RemapEntry], unit_sectors: int) -> dict[int, tuple[int, int]]:
    """Blocks of the regions of main that were moved because they failed, and that are lost.

    By the number of the region. Blocks that somebody had moved say nothing.
    """
    counts: dict[int, tuple[int, int]] = {}
    for entry in entries:
        for number, sectors in entry.pieces(REGION_SECTORS):
            moved, lost = counts.get(number, _NOTHING)
            if entry.state != "remap":
                lost += sectors // unit_sectors
            elif entry.origin == "auto":
                moved += sectors // unit_sectors
            counts[number] = moved, lost
    return {number: count for number, count in counts.items() if count != _NOTHING}


def assess(marks: Sequence[Region], counts: dict[int, tuple[int, int]]) -> list[LiveRegion]:
    """All regions of which there is something to say, the worst first.

    `counts` is what table_counts() has found.
    """
    noted = {(mark.spare, mark.sector): mark for mark in marks}
    keys = set(noted) | {(None, number * REGION_SECTORS) for number in counts}
    errors = {key: float(_errors(noted.get(key), _count(key, counts))) for key in keys}
    retries = {key: float(noted[key].retries) if key in noted else 0.0 for key in keys}
    found = []
    for key in keys:
        mark, (moved, lost) = noted.get(key), _count(key, counts)
        spare, sector = key
        beside = [(spare, sector - REGION_SECTORS), (spare, sector + REGION_SECTORS)]
        evidence = Evidence(
            errors=errors[key],
            retries=retries[key],
            # When they failed is not known, so they count as if they were neighbours.
            near_errors=DEFAULT.spread * (moved + sum(errors.get(each, 0.0) for each in beside)),
            near_retries=DEFAULT.spread * sum(retries.get(each, 0.0) for each in beside),
            slow=mark.slow - mark.marginal if mark else 0,
            marginal=mark.marginal if mark else 0,
        )
        known = _TWO_LOOKS if mark and mark.marginal else _ONE_LOOK
        said = answer(evidence, DEFAULT, known)
        found.append(LiveRegion(spare, sector, moved, lost, said, said.score >= DEFAULT.alarm))
    return sorted((each for each in found if each.answer.reasons), key=_badness)


# The worst first, then main before the spares.
def _badness(region: LiveRegion) -> tuple[float, int, int]:
    return -region.answer.score, -1 if region.spare is None else region.spare, region.sector


def _count(key: tuple[int | None, int], counts: dict[int, tuple[int, int]]) -> tuple[int, int]:
    spare, sector = key
    return counts.get(sector // REGION_SECTORS, _NOTHING) if spare is None else _NOTHING


# The scan records what it cannot read as lost: that is the same block twice.
def _errors(mark: Region | None, count: tuple[int, int]) -> int:
    return max(mark.errors if mark else 0, count[1])
