"""Which devices are looked at, and how they are divided into regions."""

from collections.abc import Sequence
from pathlib import Path

from pyctl.blockdev import SYS, BlockDevice
from pyctl.errors import UsageError
from pyctl.probes.frames import Device

__all__ = ["MAX_REGIONS", "by_requests", "numbers", "plan", "region_sectors"]

_MIB = 2048
# So many without being asked to; at most so many of all devices together: 1.25 KiB of memory for
# each and for each processor.
_REGIONS = 1024
MAX_REGIONS = 65536
_MAX_DEVICES = 64


def region_sectors(sectors: int, wanted: int = 0) -> int:
    """The length of the regions of a device, a power of two: `wanted`, or what gives about 1,000.

    Raises UsageError for what is no power of two of at least 8 sectors.
    """
    if wanted:
        if wanted < 8 or wanted & wanted - 1:
            raise UsageError(
                "The size of a region must be a power of two of at least 4 KiB.",
                hint="For example 1M or 64M.",
            )
        return wanted
    size = _MIB
    while size * _REGIONS < sectors:
        size *= 2
    return size


def plan(paths: Sequence[str], wanted: int = 0) -> tuple[Device, ...]:
    """The devices at these paths; a word without a slash is the name of a device-mapper device.

    Raises NotFoundError, PermissionDeniedError, and UsageError for what can't be looked at.
    """
    found: list[Device] = []
    for path in paths:
        it = BlockDevice.find(path if "/" in path else f"/dev/mapper/{path}")
        if it.name != it.disk:
            raise UsageError(
                f"{path} is a partition.", hint=f"Name the whole disk: /dev/{it.disk}."
            )
        if not it.sectors:
            raise UsageError(f"{path} has no sectors.")
        size = region_sectors(it.sectors, wanted)
        name = it.dm_name or it.name
        found.append(Device(name, it.number, it.sectors, size, -(-it.sectors // size)))
    if len({each.number for each in found}) < len(found):
        raise UsageError("A device was named twice.")
    if len(found) > _MAX_DEVICES or sum(each.regions + 1 for each in found) > MAX_REGIONS:
        raise UsageError(
            f"These are more than {_MAX_DEVICES} devices or {MAX_REGIONS:,} regions.",
            hint="Choose a larger --region-size.",
        )
    return tuple(found)


def numbers(device: Device) -> list[str]:
    """The numbers, MAJOR:MINOR, under which I/O of a device comes: its own and its partitions'."""
    here = SYS / "dev/block" / device.number
    parts = sorted(here.glob("*/partition"))
    return [device.number, *(_text(part.with_name("dev")) for part in parts)]


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def by_requests(device: Device) -> bool:
    """Does its driver take requests, and not bios?"""
    return (SYS / "dev/block" / device.number / "mq").is_dir()
