"""The worker, with maps that no kernel has filled; with one: tests/kernel/test_probes.py."""

import ctypes
import dataclasses
import io
import os
import struct
import time
import types

import pytest

from pyctl.errors import PyctlError
from pyctl.probes import program, worker
from pyctl.probes.availability import UnavailableError
from pyctl.probes.frames import parse
from pyctl.probes.layout import COUNTERS, GROUP, LOSSES, STALE_NS, TOLD, Loss, What
from tests.pyctl.probes.made import DEVICE, HEADER
from tests.pyctl.probes.made import frame as made

CPUS = 2
REGIONS = DEVICE.regions + 1


class Programs:
    """Stands for Tracepoints."""

    def __init__(self, bpf, names):
        self.names = names
        self.calls = bpf.calls

    def attach(self):
        self.calls.append("attach")

    def detach(self):
        self.calls.append("detach")

    def close(self):
        self.calls.append("close")


class Kernel:
    """The maps, which tests fill."""

    def __init__(self):
        self.regions = bytearray(COUNTERS.size * CPUS * REGIONS)
        self.losses = bytearray(8 * CPUS * LOSSES)
        self.flights = bytearray(GROUP.size * program.GROUPS)
        self.traffic = types.SimpleNamespace(begun=0, ended=0)
        self.calls = []
        self.refuses = False
        self.cut = False
        self.maps = {"faults": {}, "traffic": {0: self.traffic}}
        for name in ("regions", "losses", "flights", "told"):
            self.maps[name] = types.SimpleNamespace(map_fd=name)
        # What was written, by map and index.
        self.written = {}

    def BPF(self, text, cflags):  # noqa: N802
        if self.refuses:
            raise RuntimeError("Failed to compile")
        return self

    def __getitem__(self, name):
        return self.maps[name]

    def cleanup(self):
        pass

    @property
    def lib(self):
        return types.SimpleNamespace(bpf_lookup_batch=self.look, bpf_update_elem=self.update)

    def update(self, fd, key, value, _flags):
        self.written[fd, key._obj.value] = value
        return -1 if self.cut else 0

    @property
    def told(self):
        """What the kernel has been told of the device."""
        return TOLD.unpack(self.written["told", 0])

    def look(self, fd, _before, _out, _keys, values, number):
        data = bytes(getattr(self, fd))
        ctypes.memmove(values, data, len(data))
        if self.cut:
            number._obj.value = 0
        return 0

    def count(self, region, cpu, index, number):
        """Set one of the counters of a region."""
        at = (region * CPUS + cpu) * COUNTERS.size + 8 * index
        self.regions[at : at + 8] = struct.pack("=Q", number)

    def lose(self, loss, cpu, number):
        at = (loss * CPUS + cpu) * 8
        self.losses[at : at + 8] = struct.pack("=Q", number)

    def fly(self, group, *began):
        """Set when the bios of a group began; None where there is none."""
        flights = [value for each in began for value in (each or 0, 0)]
        bios = [0 if each is None else 0xFFFF888000000040 + each % 9 for each in began]
        GROUP.pack_into(self.flights, GROUP.size * group, *bios, *flights)


@pytest.fixture
def kernel(monkeypatch):
    made = Kernel()
    monkeypatch.setattr(worker, "module_of_bcc", lambda: made)
    monkeypatch.setattr(worker, "check", lambda: None)
    monkeypatch.setattr(worker.Btf, "read", lambda: None)
    monkeypatch.setattr(worker.program, "offsets", lambda _: {})
    monkeypatch.setattr(worker, "Tracepoints", Programs)
    return made


@pytest.fixture
def probes(kernel):
    return worker._Probes([DEVICE], CPUS)


def test_a_frame_is_what_has_happened_since_the_one_before(kernel, probes):
    kernel.count(5, 0, 0, 7)
    kernel.count(5, 1, 0, 2)
    assert probes.frame(1, 1).parts[0, 5].counters.ios == [9, 0, 0]
    assert probes.frame(2, 1).parts == {}
    kernel.count(64, 1, 2 * (4 + 32), 1)
    frame = probes.frame(3, 1)
    assert {key: part.counters.ios for key, part in frame.parts.items()} == {(0, 64): [0, 0, 1]}


def test_faults_are_counted_once(kernel, probes):
    key = struct.pack("=IBBBx", 9, What.ERROR, 1, 10)
    kernel.maps["faults"] = {key: ctypes.c_ulonglong(3)}
    assert probes.frame(1, 1).parts[0, 9].faults == {(What.ERROR, 1, 10): 3}
    assert probes.frame(2, 1).parts == {}
    kernel.maps["faults"] = {key: ctypes.c_ulonglong(4)}
    assert probes.frame(3, 1).parts[0, 9].faults == {(What.ERROR, 1, 10): 1}


def test_losses_are_counted_once(kernel, probes):
    kernel.lose(Loss.NO_ROOM, 0, 2)
    kernel.lose(Loss.REPLACED, 1, 3)
    assert probes.frame(1, 1).losses == [{"no_room": 2, "replaced": 3}]
    assert probes.frame(2, 1).losses == [{}]


def test_what_never_ends_is_forgotten_after_a_time(kernel, probes):
    kernel.traffic.begun, kernel.traffic.ended = 10, 7
    now = time.monotonic_ns()
    old = now - STALE_NS - 10**9
    # One has just been taken: it has no beginning yet.
    kernel.fly(1, None, old, now, 0)
    kernel.fly(program.GROUPS - 1, now, None, None, None)
    assert probes.frame(1, 1).in_flight == [3]
    probes.sweep()
    assert kernel.told == (1, 0)
    frame = probes.frame(2, 1)
    assert (frame.in_flight, frame.losses) == ([2], [{"never_ended": 1}])
    probes.sweep()
    assert probes.frame(3, 1).losses == [{}]


def test_a_forgotten_one_whose_place_was_taken_counts_once(kernel, probes):
    kernel.traffic.begun = 2
    old = time.monotonic_ns() - STALE_NS - 10**9
    kernel.fly(1, old, old, None, None)
    probes.sweep()
    assert probes.frame(1, 1).losses == [{"never_ended": 2}]
    kernel.traffic.ended = 1
    kernel.fly(1, old, None, None, None)
    probes.sweep()
    frame = probes.frame(2, 1)
    assert (frame.in_flight, frame.losses) == ([0], [{}])


def test_programs_are_given_back(kernel, probes):
    probes.look()
    probes.close()
    assert kernel.calls == ["attach", "close"]


def test_what_is_under_way_when_it_rests_is_forgotten(kernel, probes):
    probes.look()
    _, since = kernel.told
    assert 0 < since <= time.monotonic_ns()
    kernel.traffic.begun, kernel.traffic.ended = 10, 7
    kernel.fly(5, since, None, since, since)
    probes.rest()
    assert kernel.calls == ["attach", "detach"]
    # So many were under way when it was seen last.
    assert probes.frame(1, 1).in_flight == [3]
    assert set(kernel.written) == {("told", 0)}
    probes.look()
    # The group is free, and no other one was touched.
    assert set(kernel.written) == {("told", 0), ("flights", 5)}
    assert kernel.written["flights", 5] == bytes(GROUP.size)
    assert kernel.told[0] == 3
    frame = probes.frame(2, 1)
    assert (frame.in_flight, frame.losses) == ([0], [{}])


class Scripted:
    """Probes that count nothing but calls, and end the worker after some frames."""

    def __init__(self, frames, stdin):
        self.calls = []
        self._frames = frames
        self._stdin = stdin

    def look(self):
        self.calls.append("look")

    def rest(self):
        self.calls.append("rest")

    def sweep(self):
        self.calls.append("sweep")

    def frame(self, at, seconds):
        self._frames -= 1
        if not self._frames:
            os.close(self._stdin)
        return made(seconds)


@pytest.fixture
def serve(monkeypatch):
    """Serve so many frames and one more; the probes, the lines, and what was asked of them."""
    kept = os.dup(0)

    def run(share, frames):
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.close(reading)
        out = io.StringIO()
        probes = Scripted(frames, writing)
        worker._serve(probes, dataclasses.replace(HEADER, interval=0.1, share=share), out)
        return probes.calls, [parse(line) for line in out.getvalue().splitlines()]

    yield run
    os.dup2(kept, 0)
    os.close(kept)


def test_to_look_always(serve):
    calls, lines = serve(1.0, 2)
    # It looked before, and never rests.
    assert set(calls) == {"sweep"}
    header, *frames, end = lines
    assert (header.share, len(frames), end.reason) == (1.0, 3, "stopped")
    assert {frame.looked for frame in frames} == {None}


def test_to_look_for_a_share_of_the_time(serve):
    calls, (header, *frames, _) = serve(0.25, 8)
    assert header.share == 0.25
    # It looks and rests in turns, and no bio can be under way for long.
    assert calls[:4] == ["look", "rest", "look", "rest"]
    assert all(frame.looked <= frame.seconds + 1e-5 for frame in frames)
    assert sum(frame.looked for frame in frames) > 0


def test_a_map_that_cannot_be_read(kernel, probes):
    kernel.cut = True
    with pytest.raises(PyctlError, match="Cannot read the map regions"):
        probes.frame(1, 1)


def test_a_map_that_cannot_be_written(kernel, probes):
    kernel.cut = True
    with pytest.raises(PyctlError, match="Cannot write the map told"):
        probes.look()


def test_a_program_that_is_refused(kernel):
    kernel.refuses = True
    with pytest.raises(UnavailableError, match="refused the program: Failed to compile"):
        worker._Probes([DEVICE], CPUS)
