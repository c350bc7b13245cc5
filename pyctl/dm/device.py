"""Device-mapper devices, by name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyctl.dm.task import Ioctl, Task, _cstring
from pyctl.errors import UsageError

__all__ = ["Device", "DeviceInfo", "DeviceName", "TargetLine", "list_devices", "targets"]

# DM_NAME_LEN and DM_UUID_LEN of the kernel, with room for the final zero.
_NAME_MAX = 127
_UUID_MAX = 128


@dataclass(frozen=True)
class TargetLine:
    """One line of a table or of its status; `start` and `length` are in 512-byte sectors."""

    start: int
    length: int
    kind: str
    params: str

    def __str__(self) -> str:
        return f"{self.start} {self.length} {self.kind} {self.params}".rstrip()


@dataclass(frozen=True)
class DeviceInfo:
    """What the kernel knows of a device; all but `exists` is meaningless if that is False."""

    exists: bool
    name: str
    uuid: str
    major: int
    minor: int
    suspended: bool
    live_table: bool
    inactive_table: bool
    read_only: bool
    open_count: int
    event_nr: int
    target_count: int
    deferred_remove: bool


@dataclass(frozen=True)
class DeviceName:
    """A row of the list of devices."""

    name: str
    major: int
    minor: int


class Device:
    """A device-mapper device, which need not exist yet.

    Every method raises DmError (with errno, ioctl, device), NoKernelError or
    PermissionDeniedError; the constructor raises UsageError for an impossible name.
    """

    def __init__(self, name: str) -> None:
        if not name or len(name.encode()) > _NAME_MAX or "/" in name or not name.isprintable():
            raise UsageError(
                f"{name!r} cannot be the name of a device-mapper device: it must have 1 to"
                f" {_NAME_MAX} printable characters and no slash."
            )
        self.name = name

    def create(self, table: Sequence[TargetLine], uuid: str = "") -> None:
        """Make the device, load its table and start it.

        If any of the three steps fails, the device is removed again before the error is raised.
        """
        if len(uuid.encode()) > _UUID_MAX:
            raise UsageError(f"The device-mapper UUID {uuid!r} is longer than {_UUID_MAX} bytes.")
        with Task(Ioctl.CREATE, self.name) as task:
            if uuid:
                task.call("dm_task_set_uuid", _cstring(uuid))
            task.run()
        try:
            self.load(table)
            self.resume()
        except BaseException:
            self.remove()
            raise

    def load(self, table: Sequence[TargetLine]) -> None:
        """Load a table into the inactive slot; resume() makes it live."""
        with Task(Ioctl.RELOAD, self.name) as task:
            for line in table:
                task.call(
                    "dm_task_add_target",
                    line.start,
                    line.length,
                    _cstring(line.kind),
                    _cstring(line.params),
                )
            task.run()

    def suspend(self, *, noflush: bool = False, skip_lockfs: bool = False) -> None:
        """Stop I/O to the device: new I/O waits until resume().

        `noflush` does not wait for what the device itself holds back, `skip_lockfs` does not
        freeze the file system above.
        """
        with Task(Ioctl.SUSPEND, self.name) as task:
            if noflush:
                task.call("dm_task_no_flush")
            if skip_lockfs:
                task.call("dm_task_skip_lockfs")
            task.run()

    def resume(self, *, noflush: bool = False, skip_lockfs: bool = False) -> None:
        """Make a loaded table live and let I/O go on."""
        with Task(Ioctl.RESUME, self.name) as task:
            if noflush:
                task.call("dm_task_no_flush")
            if skip_lockfs:
                task.call("dm_task_skip_lockfs")
            task.use_udev()
            task.run()

    def remove(self, *, deferred: bool = False, retry: bool = False) -> None:
        """Remove the device.

        `deferred` removes it when its last user closes it, `retry` tries again for some seconds
        while it is open (by a passing udev rule, say).
        """
        with Task(Ioctl.REMOVE, self.name) as task:
            if deferred:
                task.call("dm_task_deferred_remove")
            if retry:
                task.call("dm_task_retry_remove")
            task.use_udev()
            task.run()

    def message(self, sector: int, *words: str) -> str:
        """Send a message to the target at `sector` (512-byte sectors) and return its reply."""
        for word in words:
            if not word or re.search(r"\s|\\|\0", word):
                raise UsageError(
                    f"{word!r} cannot be a word of a device-mapper message: it is empty or has"
                    " white space or a backslash in it."
                )
        with Task(Ioctl.TARGET_MSG, self.name) as task:
            task.call("dm_task_set_sector", sector)
            task.call("dm_task_set_message", _cstring(" ".join(words)))
            task.run()
            return task.text("dm_task_get_message_response")

    def status(self, *, flush: bool = False) -> list[TargetLine]:
        """The targets' status lines; `flush` lets a target commit before it answers."""
        with Task(Ioctl.STATUS, self.name) as task:
            if not flush:
                task.call("dm_task_no_flush")
            task.run()
            return [TargetLine(*line) for line in task.targets()]

    def table(self) -> list[TargetLine]:
        """The live table."""
        with Task(Ioctl.TABLE, self.name) as task:
            task.run()
            return [TargetLine(*line) for line in task.targets()]

    def deps(self) -> list[tuple[int, int]]:
        """The (major, minor) numbers of the devices below."""
        with Task(Ioctl.DEPS, self.name) as task:
            task.run()
            return task.deps()

    def info(self) -> DeviceInfo:
        """What the kernel knows of the device; no error if there is none (`exists` is False)."""
        with Task(Ioctl.INFO, self.name) as task:
            task.run()
            return self._info(task)

    def wait(self, event_nr: int) -> DeviceInfo:
        """Block until the device's event counter is above `event_nr`."""
        with Task(Ioctl.WAITEVENT, self.name) as task:
            task.call("dm_task_set_event_nr", event_nr)
            task.run()
            return self._info(task)

    def _info(self, task: Task) -> DeviceInfo:
        raw = task.info()
        return DeviceInfo(
            exists=bool(raw.exists),
            name=self.name,
            uuid=task.text("dm_task_get_uuid") if raw.exists else "",
            major=raw.major,
            minor=raw.minor,
            suspended=bool(raw.suspended),
            live_table=bool(raw.live_table),
            inactive_table=bool(raw.inactive_table),
            read_only=bool(raw.read_only),
            open_count=raw.open_count,
            event_nr=raw.event_nr,
            target_count=raw.target_count,
            deferred_remove=bool(raw.deferred_remove),
        )


def list_devices() -> list[DeviceName]:
    """All device-mapper devices. Raises as Device does."""
    with Task(Ioctl.LIST) as task:
        task.run()
        return [DeviceName(*row) for row in task.names()]


def targets() -> dict[str, tuple[int, int, int]]:
    """The targets that the kernel has now, and their versions. Raises as Device does."""
    with Task(Ioctl.LIST_VERSIONS) as task:
        task.run()
        return task.versions()
