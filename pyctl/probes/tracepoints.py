"""Programs on tracepoints whose arguments have types, which bcc compiles but cannot load.

To bcc's raw tracepoints an argument is a number, and each field behind it takes a call of a helper.
Here the verifier knows the structures, and a field is a plain load.
"""

import contextlib
import ctypes
import os
from collections.abc import Sequence
from typing import Any

from pyctl.probes.availability import UnavailableError

__all__ = ["Tracepoints"]

# It comes with Debian's bcc, which uses it.
_LIBRARY = "libbpf.so.1"
# Of linux/bpf.h.
_TRACING = 26
_RAW_TRACEPOINT = 23
_LICENSE = b"GPL"
_LOG_BYTES = 1 << 20
_TOLD = 1000


# bpf_prog_load_opts of bpf/bpf.h, as of version 1.0.
class _Options(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_infos", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_infos", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


class Tracepoints:
    """The functions `names` of a program that bcc has compiled, loaded; not yet attached.

    Each goes to the tracepoint of its name with `block_` before it. Raises UnavailableError.
    """

    def __init__(self, bpf: Any, names: Sequence[str]) -> None:
        self._library = _library()
        self._programs: list[int] = []
        self._links: list[int] = []
        try:
            for name in names:
                self._programs.append(self._load(bpf, name))
        except BaseException:
            self.close()
            raise

    def attach(self) -> None:
        """Begin to call them."""
        for program in self._programs[len(self._links) :]:
            link = self._library.bpf_raw_tracepoint_open(None, program)
            if link < 0:
                raise UnavailableError(f"The kernel attaches no program: {_reason()}.")
            self._links.append(link)

    def detach(self) -> None:
        """Call them no more."""
        while self._links:
            os.close(self._links.pop())

    def close(self) -> None:
        """Give them back."""
        self.detach()
        while self._programs:
            os.close(self._programs.pop())

    def _load(self, bpf: Any, name: str) -> int:
        tracepoint = f"block_{name}"
        kind = self._library.libbpf_find_vmlinux_btf_id(tracepoint.encode(), _RAW_TRACEPOINT)
        if kind < 0:
            raise UnavailableError(f"This kernel has no tracepoint {tracepoint} with types.")
        code = bpf.dump_func(name.encode())
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = _Options(
            sz=ctypes.sizeof(_Options), expected_attach_type=_RAW_TRACEPOINT, attach_btf_id=kind
        )
        words = (_TRACING, name.encode(), _LICENSE, code, len(code) // 8, ctypes.byref(options))
        program = self._library.bpf_prog_load(*words)
        if program < 0:
            reason = _reason()
            # Once more, for what the verifier has to say.
            options.log_level, options.log_size = 1, _LOG_BYTES
            options.log_buf = ctypes.addressof(log)
            program = self._library.bpf_prog_load(*words)
            if program < 0:
                said = log.value.decode(errors="replace").strip()[-_TOLD:]
                raise UnavailableError(f"The kernel refused {name}: {reason}. {said}".strip())
        return int(program)


def _library() -> Any:
    with contextlib.suppress(OSError):
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
        library.bpf_prog_load.argtypes = (
            *(ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p),
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p),
        )
        return library
    raise UnavailableError(f"{_LIBRARY} is not installed, which comes with Debian's bcc.")


def _reason() -> str:
    return os.strerror(ctypes.get_errno())
