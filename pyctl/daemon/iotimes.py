"""How long reads and writes take, summed up from what the probes have counted since the start."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import HistogramMetricFamily

from pyctl.probes.frames import Frame, Header
from pyctl.probes.layout import KINDS, LATENCY_SLOTS, slot_bounds

__all__ = ["OPERATIONS", "IoTimes"]

OPERATIONS = KINDS[:2]
# Slots whose upper bounds are told: every other one from 4 µs to 17 s, or a series for each would
# be too much for whoever keeps them.
_TOLD = range(2, 25, 2)


@dataclass
class _Sum:
    """Of one operation on one device: I/Os by slot of time, and nanoseconds of all together."""

    slots: list[int] = field(default_factory=lambda: [0] * LATENCY_SLOTS)
    ns: int = 0

    def add(self, slots: list[int], ns: int) -> None:
        self.slots = [mine + more for mine, more in zip(self.slots, slots, strict=True)]
        self.ns += ns

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Upper bounds in seconds, and how many took no longer."""
        for slot in _TOLD:
            yield f"{slot_bounds(slot)[1] / 1e9:g}", sum(self.slots[: slot + 1])
        yield "+Inf", sum(self.slots)


class IoTimes:
    """Of each device that probes look at."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[_Sum, _Sum]] = {}

    def add(self, header: Header, frame: Frame) -> None:
        """Add what the probes have counted in an interval."""
        for (index, _), part in frame.parts.items():
            read, write = self._sums.setdefault(header.devices[index].name, (_Sum(), _Sum()))
            read.add(part.counters.read, part.counters.ns[0])
            write.add(part.counters.write, part.counters.ns[1])

    def fill(self, family: HistogramMetricFamily, sets: Mapping[str, str]) -> None:
        """Tell it for Prometheus, by device, its set and the operation; forget unknown devices.

        `sets` has the set of each device that is known.
        """
        self._sums = {name: sums for name, sums in self._sums.items() if name in sets}
        for name, sums in self._sums.items():
            for operation, one in zip(OPERATIONS, sums, strict=True):
                labels = (name, sets[name], operation)
                family.add_metric(labels, list(one.buckets()), one.ns / 1e9)
