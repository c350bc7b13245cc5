"""The two views of frames: the busiest regions, and the distribution of latencies."""

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyctl.output import Rows
from pyctl.probes.frames import Device, Frame, Header, Part
from pyctl.probes.layout import KINDS, Counters, What, slot_bounds

__all__ = ["Summary", "hist_data", "hist_text", "losses_text", "percentile", "top_data", "top_rows"]

_KIB = 2
_MIB = 2048
_BAR = 40
_READ, _WRITE = 0, 1
_OF_99 = 0.99


@dataclass
class Summary:
    """Frames added up; of their `seconds`, as many as `looked` says were looked at."""

    header: Header
    parts: dict[tuple[int, int], Part]
    losses: list[dict[str, int]]
    in_flight: list[int]
    seconds: float = 0.0
    looked: float = 0.0

    @classmethod
    def of(cls, header: Header, frames: Iterable[Frame] = ()) -> "Summary":
        """Those of a header."""
        none: list[dict[str, int]] = [{} for _ in header.devices]
        summary = cls(header, {}, none, [0 for _ in header.devices])
        for frame in frames:
            summary.add(frame)
        return summary

    def add(self, frame: Frame) -> None:
        """Add another one."""
        self.seconds += frame.seconds
        self.looked += frame.seconds if frame.looked is None else frame.looked
        self.in_flight = frame.in_flight
        for key, part in frame.parts.items():
            self.parts.setdefault(key, Part()).add(part)
        for mine, theirs in zip(self.losses, frame.losses, strict=True):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number

    def device(self, index: int) -> Part:
        """All regions of a device together."""
        whole = Part()
        for (device, _), part in self.parts.items():
            if device == index:
                whole.add(part)
        return whole


def percentile(slots: Sequence[int], share: float) -> int | None:
    """An upper bound, in nanoseconds, of the fastest `share` of what is in slots.

    None if nothing is.
    """
    wanted = sum(slots) * share
    seen = 0
    for slot, number in enumerate(slots):
        seen += number
        if number and seen >= wanted:
            return slot_bounds(slot)[1]
    return None


def top_rows(summary: Summary, rows: int) -> Rows:
    """A line for each device, and below it the regions where most time was spent."""
    titles = ["DEVICE", "REGION", "READS", "WRITES", "KIB/S", "READ MS", "WRITE MS", "99% MS"]
    titles += ["SEQ %", "DEPTH", "ERRORS", "RETRIES", "REMAPS"]
    lines = []
    for index, device in enumerate(summary.header.devices):
        whole = summary.device(index)
        lines.append([device.name, "all", *_cells(summary, whole, summary.in_flight[index])])
        if device.regions > 1:
            for region, part in _busiest(summary, index)[:rows]:
                lines.append(["", _place(device, region), *_cells(summary, part, None)])
    return Rows(titles, lines)


def top_data(summary: Summary, rows: int) -> dict[str, Any]:
    """The same for programs; times in nanoseconds."""
    return {
        "seconds": round(summary.seconds, 6),
        "looked": round(summary.looked, 6),
        "source": summary.header.source,
        "why": summary.header.why,
        "devices": [
            {
                "device": device.name,
                "in_flight": summary.in_flight[index],
                "losses": summary.losses[index],
                **_plain(summary.header, summary.device(index)),
                "regions": [
                    {
                        "region": region,
                        **_range(device, region),
                        **_plain(summary.header, part),
                    }
                    for region, part in _busiest(summary, index)[:rows]
                ],
            }
            for index, device in enumerate(summary.header.devices)
        ],
    }


def hist_data(summary: Summary, regions: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Histograms of each device, or of these regions of it: pairs of nanoseconds and I/Os."""
    found = []
    for device, region, part in _chosen(summary, regions):
        counters = part.counters
        where = {} if region is None else {"region": region, **_range(device, region)}
        found.append(
            {
                "device": device.name,
                **where,
                **_plain(summary.header, part),
                "read_latency": _pairs(counters.read),
                "write_latency": _pairs(counters.write),
                "inter_arrival": _pairs(counters.gaps),
                "queue_depth": [[1 << slot, n] for slot, n in enumerate(counters.depth) if n],
            }
        )
    return found


def hist_text(summary: Summary, regions: Sequence[int] = ()) -> str:
    """The same as bars."""
    blocks = []
    for device, region, part in _chosen(summary, regions):
        where = device.name if region is None else f"{device.name}, {_place(device, region)}"
        counters = part.counters
        for title, slots in (("reads", counters.read), ("writes", counters.write)):
            if any(slots):
                blocks.append(f"{where}: {title}, latency\n" + "\n".join(_bars(slots)))
        if any(counters.gaps):
            blocks.append(f"{where}: from one I/O to the next\n" + "\n".join(_bars(counters.gaps)))
        blocks += _faults_lines(summary.header, where, part)
    if not blocks:
        if summary.header.source == "counters":
            return "The kernel's counters have no distribution of latencies."
        return "There was no I/O."
    return "\n\n".join(blocks)


def losses_text(summary: Summary) -> str:
    """What was not counted, in a sentence for each device; or ""."""
    lines = []
    for device, lost in zip(summary.header.devices, summary.losses, strict=True):
        said = [f"{number} {_LOST[name]}" for name, number in lost.items() if name in _LOST]
        if said:
            lines.append(f"{device.name}: not counted: {', '.join(said)}.")
    return "\n".join(lines)


# kinds of the tracepoint dm_remap_remap
_REMAPS = {
    0: "back on main",
    1: "remapped",
    2: "lost",
    3: "bad unit of a spare",
    4: "second copy",
    5: "no second copy any more",
}
_LOST = {
    "no_room": "for lack of room",
    "no_room_for_faults": "errors or retries for lack of room",
    "replaced": "that ended unseen",
    "never_ended": "under way for more than 10 minutes",
}


# Errors first, then time.
def _busiest(summary: Summary, index: int) -> list[tuple[int, Part]]:
    own = [(region, part) for (device, region), part in summary.parts.items() if device == index]
    return sorted(own, key=lambda each: (-_failed(each[1]), -sum(each[1].counters.ns), each[0]))


def _failed(part: Part) -> int:
    return part.count(What.ERROR) + part.count(What.INNER_ERROR)


def _cells(summary: Summary, part: Part, in_flight: int | None) -> list[object]:
    counters = part.counters
    seconds = summary.looked or 1.0
    both = [read + write for read, write in zip(counters.read, counters.write, strict=True)]
    known = summary.header.source == "bpf"
    return [
        counters.ios[_READ],
        counters.ios[_WRITE],
        round(sum(counters.sectors) / _KIB / seconds),
        _ms(_mean(counters, _READ)),
        _ms(_mean(counters, _WRITE)),
        _ms(percentile(both, _OF_99)),
        _sequential(counters) if known else "-",
        _depth(counters) if in_flight is None else in_flight,
        _failed(part),
        part.count(What.RETRY),
        part.count(What.REMAP),
    ]


def _mean(counters: Counters, kind: int) -> float | None:
    return counters.ns[kind] / counters.ios[kind] if counters.ios[kind] else None


def _ms(ns: float | None) -> str:
    return "-" if ns is None else f"{ns / 1e6:.3f}"


def _sequential(counters: Counters) -> str:
    ios = counters.ios[_READ] + counters.ios[_WRITE]
    return f"{100 * sum(counters.sequential[:2]) / ios:.0f}" if ios else "-"


# The slot that most I/Os were in.
def _depth(counters: Counters) -> str:
    if not any(counters.depth):
        return "-"
    slot = counters.depth.index(max(counters.depth))
    return "1" if not slot else f"{1 << slot}+"


def _place(device: Device, region: int) -> str:
    if region == device.elsewhere:
        return "elsewhere"
    begin = region * device.region_sectors
    return f"{region}: {begin // _MIB} MiB" if begin % _MIB == 0 else f"{region}: {begin // 2} KiB"


def _range(device: Device, region: int) -> dict[str, int]:
    if region == device.elsewhere:
        return {}
    begin = region * device.region_sectors
    return {"begin": begin, "length": min(device.region_sectors, device.sectors - begin)}


def _plain(header: Header, part: Part) -> dict[str, Any]:
    counters = part.counters
    by_kind: Mapping[str, Sequence[int]] = {
        "ios": counters.ios,
        "sectors": counters.sectors,
        "ns": counters.ns,
        "sequential": counters.sequential,
    }
    faults = [
        {
            "what": what.name.lower(),
            "io": KINDS[kind],
            "code": code,
            "name": _code_name(header, what, code),
            "count": number,
        }
        for (what, kind, code), number in sorted(part.faults.items())
    ]
    return {
        **{name: dict(zip(KINDS, values, strict=True)) for name, values in by_kind.items()},
        "faults": faults,
    }


def _code_name(header: Header, what: What, code: int) -> str:
    if what in (What.ERROR, What.RETRY):
        return header.statuses.get(code, "" if not code else f"status {code}")
    if what == What.INNER_ERROR:
        return errno.errorcode.get(code, "")
    return _REMAPS.get(code, "")


def _pairs(slots: Sequence[int]) -> list[list[int]]:
    return [[*slot_bounds(slot), number] for slot, number in enumerate(slots) if number]


def _chosen(summary: Summary, regions: Sequence[int]) -> Iterator[tuple[Device, int | None, Part]]:
    for index, device in enumerate(summary.header.devices):
        if not regions:
            yield device, None, summary.device(index)
        for region in regions:
            yield device, region, summary.parts.get((index, region), Part())


def _bars(slots: Sequence[int]) -> Iterator[str]:
    first = next(slot for slot, number in enumerate(slots) if number)
    last = max(slot for slot, number in enumerate(slots) if number)
    most = max(slots)
    for slot in range(first, last + 1):
        low, high = slot_bounds(slot)
        bar = "#" * -(-slots[slot] * _BAR // most)
        yield f"{_time(low):>8} .. {_time(high):<8}{slots[slot]:>10} {bar}".rstrip()


def _time(ns: int) -> str:
    for unit, factor in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}"
    return f"{ns} ns"


def _faults_lines(header: Header, where: str, part: Part) -> list[str]:
    if not part.faults:
        return []
    lines = [f"{where}: errors, retries, remaps"]
    for (what, kind, code), number in sorted(part.faults.items()):
        name = _code_name(header, what, code) or "-"
        lines.append(
            f"{what.name.lower().replace('_', ' '):>12} {KINDS[kind]:<6}{number:>10} {name}"
        )
    return ["\n".join(lines)]
