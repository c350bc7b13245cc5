"""Frames that nobody has measured."""

from hypothesis import strategies as st

from pyctl.probes.frames import Device, Frame, Header, Part
from pyctl.probes.layout import Counters, What

DEVICE = Device("disk", "252:0", 1 << 20, 1 << 14, 64)
HEADER = Header((DEVICE,), "bpf", "", "6.12", 1.5, 1.0, {7: "medium", 10: "ioerr"})

_number = st.integers(0, 2**40)


def _list(length):
    return st.lists(_number, min_size=length, max_size=length)


counters = st.builds(
    Counters, *(_list(3) for _ in range(4)), *(_list(32) for _ in range(3)), _list(16)
)
faults = st.dictionaries(
    st.tuples(st.sampled_from(What), st.integers(0, 2), st.integers(0, 255)),
    st.integers(1, 99),
    max_size=3,
)
parts = st.builds(Part, counters, faults)
frames = st.builds(
    Frame,
    st.integers(0, 10**6).map(float),
    st.integers(0, 100).map(float),
    st.dictionaries(st.tuples(st.just(0), st.integers(0, 64)), parts, max_size=3),
    st.just([3]),
    st.sampled_from([[{}], [{"no_room": 2}]]),
    st.one_of(st.none(), st.integers(0, 100).map(float)),
)


def frame(seconds=1.0, **regions):
    """A frame of the device; `r5=Part(...)` is its region 5."""
    made = Frame(seconds, seconds, {}, [0], [{}])
    for name, part in regions.items():
        made.parts[0, int(name[1:])] = part
    return made


def reads(number, slot=3, sectors=8, sequential=0):
    """A part with so many reads, all in one slot of latency."""
    part = Part()
    part.counters.ios[0] = number
    part.counters.sectors[0] = number * sectors
    part.counters.ns[0] = number * (1024 << slot - 1)
    part.counters.sequential[0] = sequential
    part.counters.read[slot] = number
    return part
