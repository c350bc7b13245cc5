"""What the predictor of regions is told of an interval, from what the probes have counted in it.

Reads only: a disk acknowledges writes from its cache, whatever state the medium is in.
"""

from collections.abc import Mapping

from pyctl.predict.regions.predictor import Observation
from pyctl.probes.frames import Frame, Part
from pyctl.probes.layout import LATENCY_SLOTS, What, slot_bounds

__all__ = ["LEAST_READS", "observations"]

# An interval with fewer reads says nothing about what one takes.
LEAST_READS = 5
_READ = 0
_SLOW_SHARE = 0.9


def observations(frame: Frame, device: int, regions: int) -> Mapping[int, Observation]:
    """Of each region of a device, by its number below `regions`, in which anything happened."""
    return {
        region: _observation(part, frame.seconds)
        for (its, region), part in frame.parts.items()
        if its == device and region < regions
    }


# What failed below is counted with every attempt, of every block in it: more is not known than
# that one block at least could be read again, or could not.
def _observation(part: Part, seconds: float) -> Observation:
    counters = part.counters
    errors = part.count(What.ERROR, _READ)
    again = int(not errors and part.count(What.INNER_ERROR, _READ) > 0)
    if counters.ios[_READ] < LEAST_READS:
        return Observation(None, errors=errors, retries=again)
    load = sum(counters.sectors) / seconds if seconds > 0 else None
    return Observation(typical(part), load, tail(part), errors, again)


def typical(part: Part) -> float:
    """Nanoseconds that a read took: the mean, as far as it lies in the slot of the median.

    Slots alone are too wide to tell 1.5 times, and the mean alone is what the slowest make of it.
    """
    counters = part.counters
    low, high = slot_bounds(_slot(counters.read, 0.5))
    return min(float(high), max(float(low), counters.ns[_READ] / counters.ios[_READ], 1.0))


def tail(part: Part) -> float:
    """Nanoseconds that one read in ten exceeded: the middle of the slot, by its ratio."""
    low, high = slot_bounds(_slot(part.counters.read, _SLOW_SHARE))
    return float(high) if low == 0 else (low * high) ** 0.5


# The slot that this share of all does not exceed.
def _slot(histogram: list[int], share: float) -> int:
    wanted = share * sum(histogram)
    seen = 0
    for slot, number in enumerate(histogram):
        seen += number
        if seen >= wanted:
            return slot
    return LATENCY_SLOTS - 1
