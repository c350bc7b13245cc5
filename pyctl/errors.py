"""Every error of pyctl, and the one table that maps errors to exit codes.

An error is a finished sentence: what failed, where, why. Its `hint`, when there is one, is a second
sentence that says what to do.
"""

import enum
import errno
import os
from collections.abc import Mapping, Sequence

__all__ = [
    "CheckNotRunError",
    "CheckStatus",
    "DmError",
    "ExitCode",
    "FormatError",
    "MediaError",
    "NoKernelError",
    "NotFoundError",
    "PermissionDeniedError",
    "PyctlError",
    "RefusedError",
    "RunError",
    "TaskDestroyedError",
    "UsageError",
    "exit_code",
    "from_os_error",
]


class ExitCode(enum.IntEnum):
    """What the process's exit status says; documented in docs/pyctl.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    MEDIA = 5
    NO_KERNEL = 6
    PERMISSION = 7
    NOT_CHECKED = 8
    INTERRUPTED = 130


class CheckStatus(enum.IntEnum):
    """Exit status of `metadata check` and `metadata repair`, which is that of fsck."""

    CLEAN = 0
    REPAIRED = 1
    LEFT = 4
    NOT_CHECKED = 8


class PyctlError(Exception):
    """Something failed; the base of all errors of pyctl."""

    def __init__(
        self, message: str, *, hint: str = "", details: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # rows of a table that belongs to the message
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UsageError(PyctlError):
    """The command line asks for something impossible."""


class NotFoundError(PyctlError):
    """A device that was named does not exist or is not a dm-remap device."""


class RefusedError(PyctlError):
    """Doing it could destroy or misread data, so nothing was done."""


class MediaError(PyctlError):
    """The work was done as far as the media allowed, and that was not all of it."""


class NoKernelError(PyctlError):
    """The kernel has no device-mapper, or dm-remap's module is not there."""


class PermissionDeniedError(PyctlError):
    """The caller may not do this."""


class FormatError(PyctlError):
    """On-disk metadata cannot be read, or cannot be made for these devices."""


class CheckNotRunError(PyctlError):
    """Metadata could not be checked at all, for whatever reason."""


class RunError(PyctlError):
    """A program that pyctl started failed.

    `returncode` is its exit status, or -1 if it could not be started.
    """

    def __init__(self, message: str, *, returncode: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode


class DmError(PyctlError):
    """A device-mapper ioctl failed.

    `errno` is the kernel's error (0 if unknown), `ioctl` the name of the call, `device` the name of
    the device or "" for calls that are about none.
    """

    def __init__(
        self, message: str, *, errno: int = 0, ioctl: str = "", device: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.ioctl = ioctl
        self.device = device


class TaskDestroyedError(DmError):
    """A libdevmapper task was used after it was destroyed: a mistake in pyctl itself."""


# The most specific class of an error that is listed here decides.
_EXIT_CODES: dict[type[BaseException], ExitCode] = {
    UsageError: ExitCode.USAGE,
    NotFoundError: ExitCode.NOT_FOUND,
    RefusedError: ExitCode.REFUSED,
    MediaError: ExitCode.MEDIA,
    NoKernelError: ExitCode.NO_KERNEL,
    CheckNotRunError: ExitCode.NOT_CHECKED,
    PermissionDeniedError: ExitCode.PERMISSION,
    PyctlError: ExitCode.FAILED,
    PermissionError: ExitCode.PERMISSION,
    FileNotFoundError: ExitCode.NOT_FOUND,
    KeyboardInterrupt: ExitCode.INTERRUPTED,
}

# A DmError is about whatever its errno is about.
_ERRNO_CODES: dict[int, ExitCode] = {
    errno.EPERM: ExitCode.PERMISSION,
    errno.EACCES: ExitCode.PERMISSION,
    errno.ENXIO: ExitCode.NOT_FOUND,
    errno.ENODEV: ExitCode.NOT_FOUND,
    errno.EBUSY: ExitCode.REFUSED,
    errno.EIO: ExitCode.MEDIA,
    errno.ENODATA: ExitCode.MEDIA,
}


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that tells of `error`; FAILED for anything unforeseen."""
    if isinstance(error, DmError):
        return _ERRNO_CODES.get(error.errno, ExitCode.FAILED)
    for cls in type(error).__mro__:
        if cls in _EXIT_CODES:
            return _EXIT_CODES[cls]
    return ExitCode.FAILED


def from_os_error(error: OSError, what: str) -> PyctlError:
    """A PyctlError for a failed system call; `what` is the clause before the reason."""
    why = os.strerror(error.errno) if error.errno else str(error)
    message = f"{what}: {why}."
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionDeniedError(message, hint="Run it as root.")
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return NotFoundError(message)
    if error.errno == errno.EBUSY:
        return RefusedError(message)
    if error.errno in (errno.EIO, errno.ENODATA, errno.EREMOTEIO):
        return MediaError(message)
    return PyctlError(message)
