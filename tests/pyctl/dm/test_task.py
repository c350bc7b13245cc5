import subprocess
import sys
from pathlib import Path

import pytest
from pyctl.dm._libdm import ffi

from pyctl.dm import Device, Task, library_version, list_devices, targets
from pyctl.dm import task as module
from pyctl.errors import (
    DmError,
    ExitCode,
    NoKernelError,
    PermissionDeniedError,
    TaskDestroyedError,
    exit_code,
)

HAVE_DM = "device-mapper" in Path("/proc/misc").read_text().split()
without_dm = pytest.mark.skipif(HAVE_DM, reason="the running kernel has device-mapper")


def hollow():
    """A task that never got a handle, as after a failed dm_task_create()."""
    task = Task.__new__(Task)
    task.ioctl, task.device = "STATUS", "d"
    task._cookie, task._destroyed, task._ptr = None, False, ffi.NULL
    return task


USES = {
    "call": lambda task: task.call("dm_task_no_flush"),
    "run": lambda task: task.run(),
    "info": lambda task: task.info(),
    "text": lambda task: task.text("dm_task_get_uuid"),
    "targets": lambda task: task.targets(),
    "deps": lambda task: task.deps(),
    "names": lambda task: task.names(),
    "versions": lambda task: task.versions(),
    "use_udev": lambda task: task.use_udev(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_null_task_raises(use):
    with pytest.raises(DmError, match="STATUS of d has no handle"):
        use(hollow())


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_destroyed_task_raises(use):
    task = hollow()
    task.destroy()
    with pytest.raises(TaskDestroyedError, match="after it was destroyed"):
        use(task)


def test_destroying_twice_is_harmless():
    task = hollow()
    for _ in range(2):
        task.destroy()
        with pytest.raises(TaskDestroyedError):
            assert task.ptr


@pytest.mark.parametrize("number", [-1, 999, 2**31 - 1])
def test_an_impossible_call_raises(number):
    with pytest.raises((DmError, NoKernelError)), Task(number) as task:
        task.run()


@pytest.mark.parametrize(
    "call",
    [
        list_devices,
        targets,
        lambda: Device("d").info(),
        lambda: Device("d").status(),
        lambda: Device("d").table(),
        lambda: Device("d").deps(),
        lambda: Device("d").remove(),
        lambda: Device("d").suspend(noflush=True, skip_lockfs=True),
        lambda: Device("d").resume(),
        lambda: Device("d").load([]),
        lambda: Device("d").create([]),
        lambda: Device("d").message(0, "ping"),
        lambda: Device("d").wait(0),
    ],
)
@without_dm
def test_without_device_mapper_there_is_a_clean_error(call):
    with pytest.raises(NoKernelError, match="no device-mapper") as caught:
        call()
    assert exit_code(caught.value) == ExitCode.NO_KERNEL
    assert "modprobe dm-mod" in str(caught.value)


def test_libdevmapper_prints_nothing_itself():
    code = (
        "from pyctl.dm import Device\n"
        "try: Device('pyctl-test-no-such-device').table()\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("NoKernelError", "DmError", "PermissionDeniedError")


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (13, PermissionDeniedError, ExitCode.PERMISSION),
        (1, PermissionDeniedError, ExitCode.PERMISSION),
        (6, DmError, ExitCode.NOT_FOUND),
        (16, DmError, ExitCode.REFUSED),
        (5, DmError, ExitCode.MEDIA),
        (22, DmError, ExitCode.FAILED),
    ],
)
def test_errors_carry_errno_call_and_device(monkeypatch, number, kind, code):
    monkeypatch.setattr(module, "_kernel_has_dm", lambda: True)
    error = hollow()._error(
        "failed", number, "text of the library.\ndevice-mapper: x ioctl on d failed: y"
    )
    assert type(error) is kind
    assert exit_code(error) == code
    assert "STATUS of d" in str(error)
    if kind is DmError:
        assert (error.errno, error.ioctl, error.device) == (number, "STATUS", "d")
        assert str(error).endswith(" (text of the library).")


def test_library_version():
    assert library_version().startswith("1.02.")
