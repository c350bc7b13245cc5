"""Programs with a library that loads none; with a kernel: tests/kernel/test_probes.py."""

import ctypes
import errno
import os
import types

import pytest

from pyctl.probes import tracepoints
from pyctl.probes.availability import UnavailableError
from pyctl.probes.tracepoints import Tracepoints

BPF = types.SimpleNamespace(dump_func=lambda name: b"8 bytes." * len(name))
NAMES = ["bio_complete", "bio_queue"]


class Library:
    """libbpf, whose programs and links are files."""

    def __init__(self):
        self.calls = []
        self.known = {f"block_{name}": 70 + number for number, name in enumerate(NAMES)}
        self.refused = ""
        self.attaches = True

    def libbpf_find_vmlinux_btf_id(self, name, kind):
        assert kind == tracepoints._RAW_TRACEPOINT
        return self.known.get(name.decode(), -errno.ESRCH)

    def bpf_prog_load(self, kind, name, licence, code, count, options):
        given = options._obj
        assert (kind, licence, len(code)) == (tracepoints._TRACING, b"GPL", 8 * count)
        assert given.sz == ctypes.sizeof(given)
        assert given.expected_attach_type == tracepoints._RAW_TRACEPOINT
        self.calls.append((name.decode(), given.attach_btf_id))
        if name.decode() != self.refused:
            return self._file()
        if given.log_level:
            ctypes.memmove(given.log_buf, b"R1 is no good\n\0", 15)
        ctypes.set_errno(errno.EACCES)
        return -errno.EACCES

    def bpf_raw_tracepoint_open(self, name, program):
        assert name is None
        os.fstat(program)
        ctypes.set_errno(errno.EBUSY)
        return self._file() if self.attaches else -errno.EBUSY

    def _file(self):
        return os.open(os.devnull, os.O_RDONLY)


@pytest.fixture
def library(monkeypatch):
    made = Library()
    monkeypatch.setattr(tracepoints, "_library", lambda: made)
    return made


def files():
    return len(os.listdir("/proc/self/fd"))


def test_they_are_attached_and_given_back(library):
    before = files()
    programs = Tracepoints(BPF, NAMES)
    assert library.calls == [("bio_complete", 70), ("bio_queue", 71)]
    assert files() == before + 2
    for _ in range(2):
        programs.attach()
        # Twice is once.
        programs.attach()
        assert files() == before + 4
        programs.detach()
        assert files() == before + 2
    programs.attach()
    programs.close()
    assert files() == before


def test_a_refusal_says_why_and_leaves_nothing(library):
    before = files()
    library.refused = "bio_queue"
    with pytest.raises(UnavailableError, match="refused bio_queue: Permission denied. R1 is no g"):
        Tracepoints(BPF, NAMES)
    assert files() == before


def test_a_kernel_that_has_no_such_tracepoint(library):
    before = files()
    del library.known["block_bio_queue"]
    with pytest.raises(UnavailableError, match="no tracepoint block_bio_queue"):
        Tracepoints(BPF, NAMES)
    assert files() == before


def test_what_cannot_be_attached(library):
    programs = Tracepoints(BPF, NAMES)
    library.attaches = False
    with pytest.raises(UnavailableError, match="attaches no program: Device or resource busy"):
        programs.attach()
    programs.close()


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(tracepoints, "_LIBRARY", "libnone.so.0")
    with pytest.raises(UnavailableError, match="libnone.so.0 is not installed"):
        Tracepoints(BPF, NAMES)
