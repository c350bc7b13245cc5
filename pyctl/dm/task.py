"""One libdevmapper task, wrapped so that no mistake with a handle can crash Python.

A `Task` is a single device-mapper ioctl: it is created, filled in, run, read and destroyed. Every
use of a handle that libdevmapper did not give, or that was destroyed, raises.
"""

import enum
import errno
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyctl.dm._libdm import ffi, lib
from pyctl.errors import (
    DmError,
    NoKernelError,
    PermissionDeniedError,
    PyctlError,
    TaskDestroyedError,
)

__all__ = ["Ioctl", "Task", "library_version"]

lib.pyctl_dm_log_init()
if os.environ.get("DM_DISABLE_UDEV"):
    lib.dm_udev_set_sync_support(0)


class Ioctl(enum.IntEnum):
    """The device-mapper calls that pyctl makes; the names are libdevmapper's."""

    CREATE = lib.DM_DEVICE_CREATE
    RELOAD = lib.DM_DEVICE_RELOAD
    REMOVE = lib.DM_DEVICE_REMOVE
    SUSPEND = lib.DM_DEVICE_SUSPEND
    RESUME = lib.DM_DEVICE_RESUME
    INFO = lib.DM_DEVICE_INFO
    DEPS = lib.DM_DEVICE_DEPS
    VERSION = lib.DM_DEVICE_VERSION
    STATUS = lib.DM_DEVICE_STATUS
    TABLE = lib.DM_DEVICE_TABLE
    WAITEVENT = lib.DM_DEVICE_WAITEVENT
    LIST = lib.DM_DEVICE_LIST
    CLEAR = lib.DM_DEVICE_CLEAR
    LIST_VERSIONS = lib.DM_DEVICE_LIST_VERSIONS
    TARGET_MSG = lib.DM_DEVICE_TARGET_MSG


class Task:
    """A device-mapper ioctl in the making; use it as a context manager.

    `device` is the name of the device that it is about, or None for calls about none.
    Raises NoKernelError when the kernel has no device-mapper, PermissionDeniedError when it may not
    be used, DmError otherwise.
    """

    def __init__(self, ioctl: int, device: str | None = None) -> None:
        self.ioctl = _ioctl_name(ioctl)
        self.device = device or ""
        self._cookie: Any = None
        self._destroyed = False
        lib.pyctl_dm_log_clear()
        self._ptr: Any = lib.dm_task_create(ioctl)
        if self._ptr == ffi.NULL:
            raise self._error("cannot be prepared", lib.pyctl_dm_log_errno())
        try:
            if device is not None:
                self.call("dm_task_set_name", _cstring(device))
        except BaseException:
            self.destroy()
            raise

    @property
    def ptr(self) -> Any:
        """The live handle; raises TaskDestroyedError or DmError if there is none."""
        if self._destroyed:
            raise TaskDestroyedError(
                f"The device-mapper task {self} was used after it was destroyed.",
                ioctl=self.ioctl,
                device=self.device,
                hint="This is a mistake in pyctl: please report it.",
            )
        if not self._ptr:
            raise DmError(
                f"The device-mapper task {self} has no handle.",
                ioctl=self.ioctl,
                device=self.device,
                hint="This is a mistake in pyctl: please report it.",
            )
        return self._ptr

    def __str__(self) -> str:
        return f"{self.ioctl} of {self.device}" if self.device else self.ioctl

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.destroy()

    def __del__(self) -> None:
        # __init__ may have raised before it set anything
        if getattr(self, "_ptr", None):
            self.destroy()

    def destroy(self) -> None:
        """Give the handle back; may be called again."""
        ptr, self._ptr, self._destroyed = self._ptr, ffi.NULL, True
        if ptr:
            lib.dm_task_destroy(ptr)

    def call(self, function: str, *args: Any) -> None:
        """Call a libdevmapper function that takes the task and returns 1 for success.

        Raises DmError when it returns 0.
        """
        ptr = self.ptr
        lib.pyctl_dm_log_clear()
        if not getattr(lib, function)(ptr, *args):
            raise self._error(f"was refused by {function}", lib.pyctl_dm_log_errno())

    def use_udev(self) -> None:
        """Have run() wait until udev has made or removed the device's nodes."""
        cookie = ffi.new("uint32_t *")
        self.call("dm_task_set_cookie", cookie, 0)
        self._cookie = cookie

    def run(self) -> None:
        """Do the ioctl. Raises what the class says; DmError carries the kernel's errno."""
        ptr = self.ptr
        lib.pyctl_dm_log_clear()
        done = lib.dm_task_run(ptr)
        error = lib.dm_task_get_errno(ptr)
        text = _log_text()
        if self._cookie is not None:
            # Also after a failure: whoever made a cookie must wait for it, or it leaks.
            cookie, self._cookie = self._cookie, None
            lib.dm_udev_wait(cookie[0])
            lib.dm_task_update_nodes()
        if not done:
            raise self._error("failed", error or lib.pyctl_dm_log_errno(), text)

    def info(self) -> Any:
        """The struct dm_info that the ioctl brought back. Raises DmError if it brought none."""
        info = ffi.new("struct dm_info *")
        self.call("dm_task_get_info", info)
        return info

    def text(self, function: str) -> str:
        """A string that the ioctl brought back, read by `function`; "" if there is none."""
        raw = getattr(lib, function)(self.ptr)
        return _string(raw) if raw != ffi.NULL else ""

    def targets(self) -> list[tuple[int, int, str, str]]:
        """The lines of a STATUS or TABLE call: (start, length, type, parameters), in sectors."""
        start, length = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        kind, params = ffi.new("char **"), ffi.new("char **")
        lines = []
        following = ffi.NULL
        while True:
            following = lib.dm_get_next_target(self.ptr, following, start, length, kind, params)
            if kind[0] != ffi.NULL:
                words = _string(params[0]) if params[0] != ffi.NULL else ""
                lines.append((start[0], length[0], _string(kind[0]), words.strip()))
            if following == ffi.NULL:
                return lines

    def deps(self) -> list[tuple[int, int]]:
        """The (major, minor) numbers of a DEPS call."""
        deps = self._result("dm_task_get_deps")
        return [(os.major(dev), os.minor(dev)) for dev in ffi.unpack(deps.device, deps.count)]

    def names(self) -> list[tuple[str, int, int]]:
        """The (name, major, minor) rows of a LIST call."""
        row = self._result("dm_task_get_names")
        rows: list[tuple[str, int, int]] = []
        if row.dev == 0:
            return rows
        while True:
            rows.append((_string(row.name), os.major(row.dev), os.minor(row.dev)))
            if not row.next:
                return rows
            row = _following(row, "struct dm_names *")

    def versions(self) -> dict[str, tuple[int, int, int]]:
        """The targets of a LIST_VERSIONS call and their versions."""
        row = self._result("dm_task_get_versions")
        rows = {}
        while True:
            name = _string(row.name)
            if name:
                rows[name] = (row.version[0], row.version[1], row.version[2])
            if not row.next:
                return rows
            row = _following(row, "struct dm_versions *")

    # A structure that belongs to the task: valid only while the task lives.
    def _result(self, function: str) -> Any:
        result = getattr(lib, function)(self.ptr)
        if result == ffi.NULL:
            raise self._error("brought nothing back", 0)
        return result

    def _error(self, what: str, number: int, text: str | None = None) -> PyctlError:
        said = _log_text() if text is None else text
        about = f"The device-mapper call {self} {what}"
        if number in (errno.EPERM, errno.EACCES) or (
            os.geteuid() != 0 and "Permission denied" in said
        ):
            return PermissionDeniedError(
                f"{about}: {os.strerror(number or errno.EACCES)}.", hint="Run it as root."
            )
        if not _kernel_has_dm():
            return NoKernelError(
                f"{about}: the running kernel has no device-mapper.",
                hint="Load it with `modprobe dm-mod`, or boot a kernel that has it.",
            )
        why = os.strerror(number) if number else "no reason given"
        # what libdevmapper says of every failed ioctl adds nothing
        more = "\n".join(line for line in said.splitlines() if not _COMMONPLACE.search(line))
        if more:
            why += f" ({_one_line(more)})"
        return DmError(f"{about}: {why}.", errno=number, ioctl=self.ioctl, device=self.device)


_COMMONPLACE = re.compile(r"^device-mapper: .* ioctl on .* failed: ")


def library_version() -> str:
    """The version of libdevmapper, e.g. "1.02.185 (2022-05-18)"."""
    buffer = ffi.new("char[64]")
    return _string(buffer) if lib.dm_get_library_version(buffer, len(buffer)) else "unknown"


def _ioctl_name(ioctl: int) -> str:
    try:
        return Ioctl(ioctl).name
    except ValueError:
        return f"number {ioctl}"


def _kernel_has_dm() -> bool:
    try:
        return "device-mapper" in Path("/proc/misc").read_text(encoding="ascii").split()
    except OSError:
        return False


def _log_text() -> str:
    return _string(lib.pyctl_dm_log_text())


def _one_line(text: str) -> str:
    return "; ".join(line.strip().rstrip(".") for line in text.splitlines())


def _cstring(text: str) -> bytes:
    raw = os.fsencode(text)
    if b"\0" in raw:
        raise DmError(f"The name {text!r} contains a NUL character, which no device name can.")
    return raw


def _string(raw: Any) -> str:
    return os.fsdecode(ffi.string(raw))


# The rows of libdevmapper's lists are linked by byte offsets.
def _following(row: Any, kind: str) -> Any:
    return ffi.cast(kind, ffi.cast("char *", row) + row.next)
