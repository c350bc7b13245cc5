"""Which places of a device are weak, in the predictor's judgement, and why.

A place is named as closely as it is known: slow pieces of 32 KiB that a scan has found, what lies
around blocks that have failed, or else the whole region.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyctl.control import Control, RemapEntry
from pyctl.predict.regions.answers import Answer
from pyctl.predict.regions.live import LiveRegion, assess, table_counts
from pyctl.predict.regions.predictor import DevicePredictor
from pyctl.probes.frames import Device
from pyctl.scan import REGION_SECTORS, Candidate, Scan

__all__ = ["MOST_SECTORS", "NEAR_SECTORS", "Place", "Weak", "from_latencies", "from_marks"]

_SECTOR = 512
# Most errors are within so many sectors of an earlier one: docs/prediction-regions.md.
NEAR_SECTORS = 100
# What is moved without knowing where exactly it is weak: 32 MiB, as a policy moves at a time.
MOST_SECTORS = 65_536
_PIECES = 32

Range = tuple[int, int]
Place = tuple[str, int]
"""What judged it, and the first sector of the region."""


@dataclass(frozen=True)
class Weak:
    """A region that may fail: `pieces` (sector, sectors) are what is to be moved of it.

    Without pieces it is too large for that, and a scan must find out where in it.
    """

    place: Place
    sectors: int
    answer: Answer
    pieces: tuple[Range, ...]

    @property
    def words(self) -> str:
        """All of it in a line."""
        said = self.answer
        reasons = "; ".join(reason.words for reason in said.reasons)
        mib = -(-self.sectors // REGION_SECTORS)
        return (
            f"the region of {mib} MiB at sector {self.place[1]} may fail within"
            f" {said.horizon_hours} h (score {said.score:.2f}, confidence {said.confidence:.2f}):"
            f" {reasons}"
        )


def from_marks(control: Control) -> list[Weak]:
    """By the marks of scans and by the table, the worst first. Raises as Control does."""
    scan = Scan(control)
    if "scan" not in control.commands():
        return []
    marks = scan.regions()
    entries = list(control.remaps())
    unit = control.status().unit_bytes // _SECTOR
    alarmed = [
        one
        for one in assess(marks, table_counts(entries, unit))
        if one.alarmed and one.spare is None
    ]
    if not alarmed:
        return []
    length, candidates = control.length(), scan.candidates()
    return [_marked(one, length, candidates, entries) for one in alarmed]


def from_latencies(
    predictor: DevicePredictor, regions: Iterable[int], device: Device
) -> list[Weak]:
    """By what reads of these regions have taken, the worst first; regions that were seen."""
    weak = []
    for region in regions:
        if predictor.alarmed(region):
            start = region * device.region_sectors
            sectors = min(device.region_sectors, device.sectors - start)
            answer = predictor.answer(region)
            pieces = ((start, sectors),) if sectors <= MOST_SECTORS else ()
            weak.append(Weak(("probes", start), sectors, answer, pieces))
    return sorted(weak, key=lambda one: (-one.answer.score, one.place))


def _marked(
    region: LiveRegion, length: int, candidates: Sequence[Candidate], entries: Sequence[RemapEntry]
) -> Weak:
    start, end = region.sector, min(region.sector + REGION_SECTORS, length)
    slow = [(one.sector, one.sector + one.sectors) for one in candidates]
    failed = [
        (one.sector - NEAR_SECTORS, one.sector + one.sectors + NEAR_SECTORS)
        for one in entries
        if one.state != "remap" or one.origin == "auto"
    ]
    pieces = _within(slow + failed, start, end) or [(start, end - start)]
    return Weak(("marks", start), end - start, region.answer, tuple(pieces[:_PIECES]))


# Ranges (start, end) as far as they lie here: (sector, sectors), joined where they touch.
def _within(ranges: Iterable[Range], start: int, end: int) -> list[Range]:
    found: list[Range] = []
    for low, high in sorted((max(low, start), min(high, end)) for low, high in ranges):
        if low >= high:
            continue
        if found and low <= sum(found[-1]):
            first = found[-1][0]
            found[-1] = (first, max(sum(found[-1]), high) - first)
        else:
            found.append((low, high - low))
    return found
