"""Typed binding to libdevmapper."""

from pyctl.dm.device import Device, DeviceInfo, DeviceName, TargetLine, list_devices, targets
from pyctl.dm.task import Ioctl, Task, library_version

__all__ = [
    "Device",
    "DeviceInfo",
    "DeviceName",
    "Ioctl",
    "TargetLine",
    "Task",
    "library_version",
    "list_devices",
    "targets",
]
