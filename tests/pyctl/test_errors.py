import errno

import pytest

from pyctl import errors
from pyctl.errors import DmError, ExitCode, PyctlError, exit_code, from_os_error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), ExitCode.USAGE),
        (errors.NotFoundError("x"), ExitCode.NOT_FOUND),
        (errors.RefusedError("x"), ExitCode.REFUSED),
        (errors.MediaError("x"), ExitCode.MEDIA),
        (errors.NoKernelError("x"), ExitCode.NO_KERNEL),
        (errors.PermissionDeniedError("x"), ExitCode.PERMISSION),
        (errors.FormatError("x"), ExitCode.FAILED),
        (errors.RunError("x", returncode=9), ExitCode.FAILED),
        (DmError("x"), ExitCode.FAILED),
        (DmError("x", errno=errno.ENXIO), ExitCode.NOT_FOUND),
        (PermissionError(), ExitCode.PERMISSION),
        (FileNotFoundError(), ExitCode.NOT_FOUND),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ValueError(), ExitCode.FAILED),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_code(error) is code


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, errors.PermissionDeniedError),
        (errno.ENOENT, errors.NotFoundError),
        (errno.EBUSY, errors.RefusedError),
        (errno.EIO, errors.MediaError),
        (errno.EREMOTEIO, errors.MediaError),
        (errno.ENOSPC, PyctlError),
    ],
)
def test_a_failed_system_call_becomes_a_sentence(number, kind):
    error = from_os_error(OSError(number, "x"), "Cannot open /dev/sda")
    assert type(error) is kind
    assert error.message.startswith("Cannot open /dev/sda: ")
    assert error.message.endswith(".")


def test_the_hint_follows_the_sentence():
    assert str(PyctlError("It failed.", hint="Try again.")) == "It failed. Try again."
