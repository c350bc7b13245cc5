"""The process that has bcc: loads program.c, and writes what has changed, one line at a time.

python -m pyctl.probes.worker: the first line of stdin is the request (JSON: paths, region_sectors,
interval; share, above 0 and below 1, to look for that share of the time only); each further line
asks for a frame at once; its end ends the worker, after a last frame.
The first line of stdout is a header, or {"unavailable": why} when probes can't be had here.
"""

import ctypes
import json
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from pyctl.errors import PyctlError
from pyctl.probes import planning, program
from pyctl.probes.availability import UnavailableError, check, module_of_bcc
from pyctl.probes.btf import Btf
from pyctl.probes.frames import Device, End, Frame, Header
from pyctl.probes.layout import (
    COUNTERS,
    GROUP,
    LOSSES,
    STALE_NS,
    TOLD,
    Counters,
    Loss,
    changed,
    fault_key,
    occupied,
    under_way,
)
from pyctl.probes.tracepoints import Tracepoints
from pyctl.probes.windows import Windows

__all__ = ["main"]

_SWEEP_SECONDS = 60
# A window lasts at least so long, since to attach and detach costs something, too; but windows are
# no further apart than this, however long an interval is.
_WINDOW_SECONDS = 0.05
_CYCLE_SECONDS = 10.0
_COUNT = 8


class _Probes:
    def __init__(self, devices: Sequence[Device], cpus: int) -> None:
        bcc = module_of_bcc()
        check()
        self._devices = devices
        self._bases = program.bases(devices)
        self._cpus = cpus
        numbers = [planning.numbers(device) for device in devices]
        by_requests = any(planning.by_requests(device) for device in devices)
        source = program.text(
            devices, numbers, program.offsets(Btf.read()), by_requests=by_requests
        )
        try:
            # Its own structures are not ours to warn about.
            self._bpf = bcc.BPF(text=source, cflags=["-w"])
        except Exception as error:
            raise UnavailableError(f"The kernel or bcc refused the program: {error}.") from error
        self._tracepoints = Tracepoints(self._bpf, program.functions(by_requests=by_requests))
        self._look: dict[str, bytes] = {"regions": b"", "losses": b""}
        self._faults: dict[bytes, int] = {}
        self._forgotten = [0] * len(devices)
        self._since = 0
        self._never_ended = [0] * len(devices)
        self._in_flight: list[int] | None = None

    # Count from now on. What was under way when it was called to rest is forgotten, since its end
    # was not seen.
    def look(self) -> None:
        if self._in_flight is not None:
            for index in occupied(self._batch("flights", program.GROUPS, GROUP.size)):
                self._put("flights", index, bytes(GROUP.size))
            self._forgotten = [each.begun - each.ended for each in self._traffic()]
            self._in_flight = None
        self._since = time.monotonic_ns()
        self._tell()
        self._tracepoints.attach()

    # Count no more, until look() is called.
    def rest(self) -> None:
        self._tracepoints.detach()
        self._in_flight = self._under_way()

    def frame(self, at: float, seconds: float) -> Frame:
        frame = Frame(at, seconds)
        for region, counters in self._changed_regions():
            device, own = self._split(region)
            frame.part(device, own).counters = counters
        for key, number in self._changed_faults():
            fault = fault_key(key)
            device, own = self._split(fault.region)
            frame.part(device, own).faults[fault.what, fault.kind, fault.code] = number
        frame.in_flight = self._under_way() if self._in_flight is None else self._in_flight
        frame.losses = self._lost()
        return frame

    # What began long ago and never ended is none that is under way, unless it ends right now.
    def sweep(self) -> None:
        oldest = time.monotonic_ns() - STALE_NS
        found = [0] * len(self._devices)
        for began, device in under_way(self._batch("flights", program.GROUPS, GROUP.size)):
            if began < oldest:
                found[device] += 1
        for index, number in enumerate(found):
            # The kernel takes the place of some for others.
            self._never_ended[index] += max(0, number - self._forgotten[index])
        self._forgotten = found
        self._tell()

    def close(self) -> None:
        self._tracepoints.close()
        self._bpf.cleanup()

    def _tell(self) -> None:
        for index, forgotten in enumerate(self._forgotten):
            self._put("told", index, TOLD.pack(forgotten, self._since))

    def _traffic(self) -> list[Any]:
        return [self._bpf["traffic"][index] for index in range(len(self._devices))]

    def _under_way(self) -> list[int]:
        return [
            max(0, each.begun - each.ended - forgotten)
            for each, forgotten in zip(self._traffic(), self._forgotten, strict=True)
        ]

    def _changed_regions(self) -> list[tuple[int, Counters]]:
        size = COUNTERS.size * self._cpus
        now = self._batch("regions", self._bases[-1], size)
        before, self._look["regions"] = self._look["regions"], now
        return list(changed(before, now, self._cpus))

    def _changed_faults(self) -> list[tuple[bytes, int]]:
        found = []
        for key, leaf in self._bpf["faults"].items():
            plain = bytes(key)
            if number := leaf.value - self._faults.get(plain, 0):
                self._faults[plain] = leaf.value
                found.append((plain, number))
        return found

    def _lost(self) -> list[dict[str, int]]:
        count = LOSSES * len(self._devices)
        now = self._batch("losses", count, _COUNT * self._cpus)
        before = self._look["losses"] or bytes(len(now))
        self._look["losses"] = now
        sums = [
            _sum(now, index, self._cpus) - _sum(before, index, self._cpus) for index in range(count)
        ]
        lost = []
        for index, never_ended in enumerate(self._never_ended):
            own = {loss.name.lower(): sums[index * LOSSES + loss] for loss in Loss}
            own["never_ended"] = never_ended
            lost.append({name: number for name, number in own.items() if number})
        self._never_ended = [0] * len(self._devices)
        return lost

    # All of an array, in one call.
    def _batch(self, name: str, count: int, size: int) -> bytes:
        library = module_of_bcc().lib
        keys = (ctypes.c_uint32 * count)()
        values = ctypes.create_string_buffer(count * size)
        out, number = ctypes.c_uint32(0), ctypes.c_uint32(count)
        status = library.bpf_lookup_batch(
            self._bpf[name].map_fd, None, ctypes.byref(out), keys, values, ctypes.byref(number)
        )
        if number.value != count:
            reason = os.strerror(ctypes.get_errno()) if status else "too few entries"
            raise PyctlError(f"Cannot read the map {name} of the probes: {reason}.")
        return values.raw

    def _put(self, name: str, index: int, value: bytes) -> None:
        key = ctypes.c_uint32(index)
        if module_of_bcc().lib.bpf_update_elem(self._bpf[name].map_fd, ctypes.byref(key), value, 0):
            reason = os.strerror(ctypes.get_errno())
            raise PyctlError(f"Cannot write the map {name} of the probes: {reason}.")

    def _split(self, region: int) -> tuple[int, int]:
        device = next(index for index, end in enumerate(self._bases[1:]) if region < end)
        return device, region - self._bases[device]


def _sum(look: bytes, index: int, cpus: int) -> int:
    at = index * cpus * _COUNT
    return sum(memoryview(look)[at : at + cpus * _COUNT].cast("Q"))


def _possible_cpus() -> int:
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:  # noqa: PTH123
        last = file.read().strip().replace(",", "-").split("-")[-1]
    return int(last) + 1


def main() -> int:
    """Serve one request."""
    # What clang says must not be taken for frames.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        request: dict[str, Any] = json.loads(_line(0))
        devices = planning.plan(request["paths"], request["region_sectors"])
        share = float(request.get("share", 1))
        probes = _Probes(devices, _possible_cpus())
        if share >= 1:
            probes.look()
    except UnavailableError as error:
        _say(out, json.dumps({"unavailable": error.message}))
        return 0
    except PyctlError as error:
        _say(out, json.dumps({"failed": error.message, "hint": error.hint}))
        return 1
    release = os.uname().release
    header = Header(
        devices=devices,
        source="bpf",
        why="",
        kernel=release,
        started=time.time(),
        interval=request["interval"],
        statuses=program.status_names(release),
        share=share,
    )
    try:
        _serve(probes, header, out)
    except BrokenPipeError:
        pass
    finally:
        probes.close()
    return 0


# With a share of 1 they look already.
def _serve(probes: _Probes, header: Header, out: TextIO) -> None:
    start = last = time.monotonic()
    cycle = min(max(header.interval, _WINDOW_SECONDS / header.share), _CYCLE_SECONDS)
    windows = Windows(header.share, cycle, start)
    always = windows.is_open
    _say(out, header.line())
    due = start + header.interval
    sweep_due = start
    going_on = True
    while going_on:
        wake = min(due, windows.edge)
        ready, _, _ = select.select([0], [], [], max(0, wake - time.monotonic()))
        if ready:
            going_on = bool(os.read(0, 4096))
        now = time.monotonic()
        if windows.switch(now):
            (probes.look if windows.is_open else probes.rest)()
        if not ready and now < due:
            continue
        if always and now >= sweep_due:
            probes.sweep()
            sweep_due = now + _SWEEP_SECONDS
        frame = probes.frame(now - start, now - last)
        if not always:
            frame.looked = windows.looked(now)
        _say(out, frame.line())
        last, due = now, now + header.interval
    _say(out, End("stopped").line())


# Unbuffered, so that select() sees all that is there.
def _line(descriptor: int) -> str:
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            break
        data += piece
    return data.decode()


def _say(out: TextIO, line: str) -> None:
    out.write(line + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
