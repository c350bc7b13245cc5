"""The worker, with maps that no kernel has filled; with one: tests/kernel/test_probes.py."""

import ctypes
import struct
import time
import types

import pytest

from pyctl.errors import PyctlError
from pyctl.probes import worker
from pyctl.probes.availability import UnavailableError
from pyctl.probes.layout import COUNTERS, LOSSES, Loss, What
from tests.pyctl.probes.made import DEVICE

CPUS = 2
REGIONS = DEVICE.regions + 1


class Array(dict):
    """A map of numbers, as bcc gives it."""

    def __setitem__(self, key, leaf):
        super().__setitem__(getattr(key, "value", key), ctypes.c_ulonglong(leaf.value))


class Flights(dict):
    def items_lookup_batch(self):
        return iter(self.items())


class Kernel:
    """The maps, which tests fill."""

    def __init__(self):
        zero = ctypes.c_ulonglong(0)
        self.regions = bytearray(COUNTERS.size * CPUS * REGIONS)
        self.losses = bytearray(8 * CPUS * LOSSES)
        self.refuses = False
        self.cut = False
        self.maps = {name: Array({0: zero}) for name in ("begun", "ended", "forgotten")}
        self.maps |= {"flights": Flights(), "faults": {}}
        self.maps |= {"regions": types.SimpleNamespace(map_fd="regions")}
        self.maps |= {"losses": types.SimpleNamespace(map_fd="losses")}

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
        return types.SimpleNamespace(bpf_lookup_batch=self.look)

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

    def set(self, name, number):
        self.maps[name][0] = ctypes.c_ulonglong(number)


@pytest.fixture
def kernel(monkeypatch):
    made = Kernel()
    monkeypatch.setattr(worker, "module_of_bcc", lambda: made)
    monkeypatch.setattr(worker, "check", lambda: None)
    monkeypatch.setattr(worker.Btf, "read", lambda: None)
    monkeypatch.setattr(worker.program, "offsets", lambda _: {})
    return made


@pytest.fixture
def probes(kernel):
    return worker._Probes([DEVICE], CPUS)


def test_a_frame_is_what_has_happened_since_the_one_before(kernel, probes):
    kernel.count(5, 0, 0, 7)
    kernel.count(5, 1, 0, 2)
    assert probes.frame(1, 1).parts[0, 5].counters.ios == [9, 0, 0]
    assert probes.frame(2, 1).parts == {}
    kernel.count(64, 1, 2, 1)
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
    kernel.lose(Loss.UNKNOWN, 1, 3)
    assert probes.frame(1, 1).losses == [{"no_room": 2, "unknown": 3}]
    assert probes.frame(2, 1).losses == [{}]


def test_what_never_ends_is_forgotten_after_a_time(kernel, probes):
    kernel.set("begun", 10)
    kernel.set("ended", 7)
    now = time.monotonic_ns()
    old = types.SimpleNamespace(began=now - worker._STALE_NS - 10**9, device=0)
    new = types.SimpleNamespace(began=now, device=0)
    kernel.maps["flights"] |= {1: old, 2: new, 3: new}
    assert probes.frame(1, 1).in_flight == [3]
    probes.sweep()
    assert set(kernel.maps["flights"]) == {2, 3}
    assert kernel.maps["forgotten"][0].value == 1
    frame = probes.frame(2, 1)
    assert (frame.in_flight, frame.losses) == ([2], [{"never_ended": 1}])
    probes.sweep()
    assert probes.frame(3, 1).losses == [{}]


def test_a_map_that_cannot_be_read(kernel, probes):
    kernel.cut = True
    with pytest.raises(PyctlError, match="Cannot read the map regions"):
        probes.frame(1, 1)


def test_a_program_that_is_refused(kernel):
    kernel.refuses = True
    with pytest.raises(UnavailableError, match="refused the program: Failed to compile"):
        worker._Probes([DEVICE], CPUS)
