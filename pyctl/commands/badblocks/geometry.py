"""Where a device lies in what a list of bad blocks is of: itself, or the disk that its main is on.

Whoever has a dying disk has lists of two kinds. Those made over the partition, the file system or
the dm-remap device count from its first sector, as the device does. Those made over the whole disk,
and all that the drive itself says, count from the first sector of the disk.
"""

from dataclasses import dataclass

from pyctl.badblocks import Format, Window
from pyctl.blockdev import BlockDevice
from pyctl.control import Control
from pyctl.errors import PyctlError, UsageError

__all__ = ["Reference", "hint", "main_device", "window"]


@dataclass(frozen=True)
class Reference:
    """What the command line says that the list is of: `disk` is a path, `offset` in sectors."""

    disk: str | None = None
    offset: int | None = None

    def __post_init__(self) -> None:
        if self.disk is not None and self.offset is not None:
            raise UsageError("--of finds the offset by itself; give either --of or --offset.")


def window(control: Control, reference: Reference, kind: Format) -> Window:
    """Where the sectors of a device are in a list. Raises UsageError if that cannot be known."""
    length, unit = control.length(), control.status().unit_bytes // 512
    if reference.offset is not None:
        return Window(reference.offset, length, unit)
    if reference.disk is not None:
        main = main_device(control)
        disk = BlockDevice.find(reference.disk)
        if disk.number == main.number:
            return Window(0, length, unit)
        if disk.number != main.whole().number:
            raise UsageError(
                f"{main.path}, the main device of {control.name}, is not a partition of"
                f" {reference.disk}.",
                hint="--offset says in sectors where on that disk it begins.",
            )
        return Window(main.start, length, unit, disk.sectors)
    if kind is Format.SMARTCTL:
        return _on_its_disk(control, length, unit)
    return Window(0, length, unit)


def main_device(control: Control) -> BlockDevice:
    """The main device. Raises PyctlError if the status does not name it."""
    number = control.status().fields.get("main", "")
    major, colon, minor = number.partition(":")
    if not (colon and major.isdecimal() and minor.isdecimal()):
        raise PyctlError(f"The status of {control.name} does not say which its main device is.")
    return BlockDevice.by_number(int(major), int(minor))


def hint(control: Control) -> str:
    """What to try when a list does not fit: is it of the whole disk?"""
    try:
        main = main_device(control)
    except PyctlError:
        return ""
    if main.disk == main.name:
        return "Check --block-size; --clip leaves out what is not on the device."
    return (
        f"The main device {main.path} begins at sector {main.start} of /dev/{main.disk}: if the"
        f" list is of the whole disk, say --of /dev/{main.disk}. Otherwise check --block-size."
    )


# What a drive says is always about the whole disk.
def _on_its_disk(control: Control, length: int, unit: int) -> Window:
    main = main_device(control)
    if main.stacked:
        raise UsageError(
            f"smartctl counts the blocks of a disk, and {main.path}, the main device of"
            f" {control.name}, is made of other devices: where it is on the disk is not known.",
            hint="--offset says it in sectors, if it is there in one piece.",
        )
    if main.name == main.disk:
        return Window(0, length, unit)
    return Window(main.start, length, unit, main.whole().sectors)
