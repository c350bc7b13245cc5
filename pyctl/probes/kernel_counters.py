"""What can be had without BPF: the block layer's counters, and those of dm-remap's own.

They know no regions, no distribution of latencies, and no statuses.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyctl import dm
from pyctl.blockdev import SYS
from pyctl.errors import PyctlError
from pyctl.probes.frames import Device, Frame, Header
from pyctl.probes.layout import What
from pyctl.status import key_values
from pyctl.table import is_ours

__all__ = ["KernelCounters", "module_counters"]

_MS = 10**6
_READ, _WRITE, _OTHER = range(3)
# Columns of /sys/block/DISK/stat (Documentation/block/stat.rst): I/Os, sectors, milliseconds.
_COLUMNS = {_READ: (0, 2, 3), _WRITE: (4, 6, 7), _OTHER: (11, 13, 14)}
_IN_FLIGHT = 8
# Counters of a set (its message `stats`), and what faults they are; of units, not requests.
_OWN = {
    "read_errors": (What.INNER_ERROR, _READ, 0),
    "write_errors": (What.INNER_ERROR, _WRITE, 0),
    "retries": (What.RETRY, _OTHER, 0),
    "auto_remaps": (What.REMAP, _OTHER, 1),
    "manual_remaps": (What.REMAP, _OTHER, 1),
}

Own = Callable[[str], Mapping[str, int]]


def module_counters(name: str) -> Mapping[str, int]:
    """The counters of a dm-remap device; none of what is no such device."""
    device = dm.Device(name)
    try:
        # The kernel logs messages that a target does not understand.
        if not all(is_ours(line) for line in device.table()):
            return {}
        reply = device.message(0, "stats")
    except PyctlError:
        return {}
    return {key: int(value) for key, value in key_values(reply).items() if value.isdigit()}


class KernelCounters:
    """A source of frames like the worker, from counters that the kernel keeps anyway.

    Each device is one region. `why` says in a sentence why there is nothing better.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        interval: float,
        why: str,
        *,
        own: Own = module_counters,
    ) -> None:
        whole = [replace(each, region_sectors=each.sectors, regions=1) for each in devices]
        self.header = Header(
            devices=tuple(whole),
            source="counters",
            why=why,
            kernel=os.uname().release,
            started=time.time(),
            interval=interval,
        )
        self._own = own
        self._start = self._last = time.monotonic()
        self._before = [self._look(device) for device in whole]

    def frames(self) -> Iterator[Frame]:
        """A frame each interval, for ever."""
        due = self._start
        while True:
            due += self.header.interval
            time.sleep(max(0, due - time.monotonic()))
            yield self.finish()

    def finish(self) -> Frame:
        """What has happened since the last frame."""
        now = time.monotonic()
        frame = Frame(now - self._start, now - self._last)
        self._last = now
        for index, device in enumerate(self.header.devices):
            before, (stat, own) = self._before[index], self._look(device)
            self._before[index] = stat, own
            part = frame.part(index, 0)
            _add_stat(frame, index, before[0], stat)
            for name, fault in _OWN.items():
                if (number := own.get(name, 0) - before[1].get(name, 0)) > 0:
                    part.faults[fault] = part.faults.get(fault, 0) + number
            frame.in_flight.append(stat[_IN_FLIGHT])
            frame.losses.append({})
            if not part.counters.total and not part.faults:
                del frame.parts[index, 0]
        return frame

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, device: Device) -> tuple[list[int], Mapping[str, int]]:
        path = Path(SYS, "dev/block", device.number, "stat")
        stat = [int(word) for word in path.read_text(encoding="ascii").split()]
        return stat, self._own(device.name)


def _add_stat(frame: Frame, device: int, before: Sequence[int], now: Sequence[int]) -> None:
    counters = frame.part(device, 0).counters
    for kind, (ios, sectors, milliseconds) in _COLUMNS.items():
        if milliseconds < len(now):
            counters.ios[kind] = now[ios] - before[ios]
            counters.sectors[kind] = now[sectors] - before[sectors]
            counters.ns[kind] = (now[milliseconds] - before[milliseconds]) * _MS
