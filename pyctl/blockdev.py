"""What the kernel says of a block device in /sys and /proc, without udev."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyctl.errors import NotFoundError, UsageError, from_os_error

__all__ = ["BlockDevice", "all_devices", "holders", "plain", "users"]

SYS = Path("/sys")
PROC = Path("/proc")


@dataclass(frozen=True)
class BlockDevice:
    """A block device: `sectors` of 512 bytes, `lbs` (logical block size) in bytes.

    `path` is what the user typed, `name` the kernel's name, `disk` the whole disk's (the same as
    `name` if this is no partition).
    """

    path: str
    name: str
    disk: str
    major: int
    minor: int
    sectors: int
    lbs: int
    read_only: bool

    @classmethod
    def find(cls, path: str) -> "BlockDevice":
        """Look a device up. Raises NotFoundError, PermissionDeniedError, UsageError."""
        try:
            info = os.stat(path)  # noqa: PTH116 (the path stays as it was typed)
        except OSError as error:
            raise from_os_error(error, f"Cannot find the device {path}") from error
        if not stat.S_ISBLK(info.st_mode):
            raise UsageError(
                f"{path} is not a block device.",
                hint="An image file becomes one with `losetup --find --show FILE`.",
            )
        return cls.by_number(os.major(info.st_rdev), os.minor(info.st_rdev), path)

    @classmethod
    def by_number(cls, major: int, minor: int, path: str = "") -> "BlockDevice":
        """Look a device up by its number. Raises NotFoundError if the kernel has none."""
        node = SYS / "dev/block" / f"{major}:{minor}"
        try:
            here = node.resolve(strict=True)
        except OSError as error:
            raise NotFoundError(f"The kernel has no block device {major}:{minor}.") from error
        disk = here.parent if (here / "partition").exists() else here
        return cls(
            path=path or f"/dev/{here.name.replace('!', '/')}",
            name=here.name,
            disk=disk.name,
            major=major,
            minor=minor,
            sectors=int(_read(here / "size") or 0),
            lbs=int(_read(disk / "queue/logical_block_size") or 512),
            read_only=_read(here / "ro") == "1",
        )

    @property
    def best_path(self) -> str:
        """The path that tells people most: /dev/mapper/NAME for what has one."""
        label = self.dm_name
        return f"/dev/mapper/{label}" if label else self.path

    @property
    def dm_name(self) -> str:
        """Its device-mapper name, or ""."""
        return _read(SYS / "class/block" / self.name / "dm/name")

    @property
    def suspended(self) -> bool:
        """Is this a device-mapper device that holds all I/O back?"""
        return _read(SYS / "class/block" / self.name / "dm/suspended") == "1"

    def changed(self) -> None:
        """Have udev look at it and its partitions again.

        Nothing happens where there is no udev, or no right to.
        """
        here = SYS / "class/block" / self.name
        parts = [entry for entry in _entries(here) if (entry / "partition").exists()]
        for node in (here, *parts):
            with contextlib.suppress(OSError):
                (node / "uevent").write_text("change", encoding="ascii")

    @property
    def number(self) -> str:
        """`major:minor`."""
        return f"{self.major}:{self.minor}"

    @property
    def start(self) -> int:
        """The sector of the disk at which this partition begins, 0 for a whole disk."""
        return int(_read(SYS / "class/block" / self.name / "start") or 0)

    def whole(self) -> "BlockDevice":
        """The whole disk: itself, if this is no partition. Raises NotFoundError."""
        major, _, minor = _read(SYS / "class/block" / self.disk / "dev").partition(":")
        return BlockDevice.by_number(int(major or 0), int(minor or 0))

    @property
    def stacked(self) -> bool:
        """Whether it is made of other block devices: device-mapper, RAID, and so on."""
        return any(_entries(SYS / "class/block" / self.disk / "slaves"))

    def below(self) -> "list[BlockDevice]":
        """The whole disks that it is made of in the end; itself, if it is made of nothing else."""
        under = sorted(entry.name for entry in _entries(SYS / "class/block" / self.disk / "slaves"))
        if not under:
            return [self.whole()]
        found: dict[str, BlockDevice] = {}
        for name in under:
            major, _, minor = _read(SYS / "class/block" / name / "dev").partition(":")
            # one that went just now is none of them
            with contextlib.suppress(NotFoundError):
                found |= {
                    one.name: one
                    for one in BlockDevice.by_number(int(major or 0), int(minor or 0)).below()
                }
        return [found[name] for name in sorted(found)]

    def hardware(self) -> dict[str, str]:
        """What tells this device from others: `wwid`, `serial`, `dmuuid`; only what is known.

        Values have no white space.
        """
        disk = SYS / "class/block" / self.disk
        found = {
            "wwid": _read(disk / "wwid") or _read(disk / "device/wwid"),
            "serial": _read(disk / "serial")
            or _read(disk / "device/serial")
            or _page80(disk / "device/vpd_pg80"),
            "dmuuid": _read(disk / "dm/uuid"),
        }
        return {key: plain(value) for key, value in found.items() if plain(value)}


def all_devices() -> list[BlockDevice]:
    """All block devices that have sectors, disks and partitions alike, in the order of names."""
    found = []
    for entry in _entries(SYS / "class/block"):
        major, colon, minor = _read(entry / "dev").partition(":")
        if not colon:
            continue
        # it may just have gone
        with contextlib.suppress(NotFoundError):
            found.append(BlockDevice.by_number(int(major), int(minor)))
    return [device for device in found if device.sectors]


def holders(device: BlockDevice) -> list[str]:
    """The kernel's names of the devices that are built on this one (dm, md, bcache)."""
    return [entry.name for entry in _entries(SYS / "class/block" / device.name / "holders")]


def users(device: BlockDevice) -> list[str]:
    """Who uses a device or its partitions: mounts, swap, holders (RAID, LVM, dm); in words."""
    base = SYS / "class/block" / device.name
    parts = {device.number: f"/dev/{device.name}"}
    for entry in _entries(base):
        if (entry / "partition").exists():
            parts[_read(entry / "dev")] = f"/dev/{entry.name}"
    found = []
    for line in _lines(PROC / "self/mountinfo"):
        words = line.split()
        if len(words) > 4 and words[2] in parts:
            found.append(f"{parts[words[2]]} is mounted on {_unescape(words[4])}")
    for line in _lines(PROC / "swaps")[1:]:
        swap = line.split()[0]
        try:
            rdev = os.stat(swap).st_rdev  # noqa: PTH116
        except OSError:
            continue
        if f"{os.major(rdev)}:{os.minor(rdev)}" in parts:
            found.append(f"{swap} is in use as swap")
    for path in parts.values():
        for holder in _entries(SYS / "class/block" / path.removeprefix("/dev/") / "holders"):
            label = _read(SYS / "class/block" / holder.name / "dm/name")
            found.append(f"{path} is part of /dev/{holder.name}" + (f" ({label})" if label else ""))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip("\0 \n\t")
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _entries(path: Path) -> Iterator[Path]:
    try:
        yield from sorted(path.iterdir())
    except OSError:
        return


# SCSI page 0x80: four bytes of header, then the serial number.
def _page80(path: Path) -> str:
    try:
        return path.read_bytes()[4:].decode("ascii", "replace").strip("\0 ")
    except OSError:
        return ""


def plain(text: str) -> str:
    """An identity as one word of printable ASCII."""
    return re.sub(r"[^\x21-\x7e]+", "_", text.strip()).strip("_")


# mountinfo writes white space as \ooo
def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
