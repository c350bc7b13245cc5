"""Frames as the worker of the probes gives them, of a device with eight regions of 1 MiB."""

from pyctl.probes.frames import Device, Frame, Header
from pyctl.probes.layout import What

MIB = 2048
REGIONS = 8
DEVICE = Device("srv", "254:0", REGIONS * MIB, MIB, REGIONS)
READ = 0
_MICRO = 1000


def header(*devices, started=1000.0, interval=300.0):
    """What the worker says first."""
    return Header(
        devices=devices or (DEVICE,),
        source="bpf",
        why="",
        kernel="6.12",
        started=started,
        interval=interval,
    )


def slot(ns):
    """The slot of a latency."""
    return max(0, (ns >> 10).bit_length())


def reads(frame, region, *microseconds, device=0):
    """Reads in a region that took so long each."""
    part = frame.part(device, region)
    for each in microseconds:
        ns = each * _MICRO
        part.counters.ios[READ] += 1
        part.counters.sectors[READ] += 8
        part.counters.ns[READ] += ns
        part.counters.read[slot(ns)] += 1
    return part


def a_frame(number, slow=None, times=3, least=100, seconds=300.0):
    """The interval with this number: 20 reads of each region, those of `slow` take longer."""
    frame = Frame(at=(number + 1) * seconds, seconds=seconds)
    for region in range(REGIONS):
        usual = least + (number * 7 + region * 3) % 5
        reads(frame, region, *[usual * (times if region == slow else 1)] * 20)
    return frame


def failed(frame, region, what=What.INNER_ERROR, kind=READ, count=4):
    """Something that failed there."""
    frame.part(0, region).faults[what, kind, 5] = count
