"""Sets and a real udev: what is hidden, and what starts by itself when a disk appears."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.errors import ExitCode
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import pattern
from tests.kernel.lib.udev import SECONDS, HotDisk, HotDisks, Udev

NAME = "hot"
NODE = Path("/dev/mapper", NAME)
CONFIG = Path("/etc/dm-remap/sets.d")
FS_UUID = "6cf2a2a0-5a2e-4a53-9d8b-3a2f2a3c4d5e"
BY_UUID = Path("/dev/disk/by-uuid", FS_UUID)
DISCOVERY = Path("/sys/kernel/dm-remap-v4/discovery")

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


@pytest.fixture(scope="module")
def udev() -> Iterator[Udev]:
    with Udev() as daemon:
        yield daemon


@pytest.fixture
def hot(udev: Udev) -> Iterator[list[HotDisk]]:
    """A main disk and two spares, all of them SCSI disks."""
    with HotDisks(3) as disks:
        udev.settle()
        yield disks
        udev.quiet()
        for name in (NAME, "other"):
            with contextlib.suppress(CommandError):
                run("dmsetup", "remove", "--retry", name)
        run("rm", "-rf", "/etc/dm-remap")
        udev.reboot()


def make(udev: Udev, main: HotDisk, *spares: HotDisk) -> None:
    run("mkfs.ext4", "-q", "-F", "-U", FS_UUID, main.path)
    udev.settle()
    udev.pyctl("create", NAME, main.path, *(spare.path for spare in spares))
    udev.settle()


def stop(udev: Udev) -> None:
    """As a reboot does: nobody has stopped the set by hand."""
    udev.pyctl("remove", NAME)
    udev.quiet()
    udev.reboot()


def set_uuid() -> str:
    (file,) = CONFIG.iterdir()
    return file.stem


def test_main_is_hidden_and_the_device_over_it_is_not(udev: Udev, hot: list[HotDisk]) -> None:
    main, *spares = hot
    run("mkfs.ext4", "-q", "-F", "-U", FS_UUID, "-L", "hotdisk", main.path)
    udev.settle()
    assert BY_UUID.resolve() == main.path
    udev.pyctl("create", NAME, main.path, *(spare.path for spare in spares))
    udev.settle()
    assert BY_UUID.resolve() == NODE.resolve()
    assert Path("/dev/disk/by-label/hotdisk").resolve() == NODE.resolve()

    seen = udev.properties(main.path)
    assert (seen["SYSTEMD_READY"], seen["UDISKS_IGNORE"]) == ("0", "1")
    assert seen["DM_REMAP_SET"] == set_uuid()
    assert "ID_FS_UUID" not in seen
    assert not [link for link in udev.links(main.path) if "by-uuid" in link or "by-label" in link]
    # Administrators still find it by what it is.
    assert [link for link in udev.links(main.path) if "by-id" in link]
    for spare in spares:
        seen = udev.properties(spare.path)
        assert (seen["ID_FS_TYPE"], seen["ID_FS_USAGE"]) == ("dm_remap_member", "raid")
        assert seen["ID_FS_UUID"] == set_uuid()
        assert seen["UDISKS_IGNORE"] == "1"
        assert not [link for link in udev.links(spare.path) if "by-uuid" in link]

    # Hidden as long as the set exists, not only while it runs.
    udev.pyctl("remove", NAME)
    udev.trigger(main.path)
    assert not BY_UUID.exists()
    udev.pyctl("assemble", "--all")
    udev.pyctl("remove", NAME, "--forget")
    udev.settle()
    assert BY_UUID.resolve() == main.path
    assert not list(CONFIG.iterdir())


def test_partitions_of_main_are_hidden_with_it(udev: Udev, hot: list[HotDisk]) -> None:
    main, spare, _ = hot
    entry = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, main.sectors - 2048)
    table = bytes(440) + b"\x01\x02\x03\x04" + bytes(2) + entry + bytes(48) + b"\x55\xaa"
    pwrite(main, 0, table)
    run("blockdev", "--rereadpt", main.path)
    udev.settle()
    part = Path(f"{main.path}1")
    run("mkfs.ext4", "-q", "-F", "-U", FS_UUID, part)
    udev.settle()
    assert BY_UUID.resolve() == part
    udev.pyctl("create", NAME, main.path, spare.path)
    udev.settle()
    assert not BY_UUID.exists()
    seen = udev.properties(part)
    assert (seen["SYSTEMD_READY"], seen["UDISKS_IGNORE"]) == ("0", "1")


@pytest.mark.parametrize("last", [0, 2], ids=["main", "spare"])
def test_the_last_disk_starts_the_set(udev: Udev, hot: list[HotDisk], last: int) -> None:
    main, *spares = hot
    make(udev, main, *spares)
    pwrite(NODE, 5000, pattern(8, seed=1))
    udev.pyctl("remap", NAME, 5000, 8)
    pwrite(NODE, 5000, pattern(8, seed=2))
    stop(udev)
    for disk in hot:
        disk.pull()
    udev.quiet()
    order = [disk for disk in hot if disk is not hot[last]]
    for disk in order:
        disk.plug()
        udev.quiet()
        assert not NODE.exists(), udev.log()
    hot[last].plug()
    wait_until(NODE.exists, "the set has started", SECONDS)
    udev.quiet()
    assert pread(NODE, 5000, 8) == pattern(8, seed=2)
    assert pread(main, 5000, 8) == pattern(8, seed=1)
    assert BY_UUID.resolve() == NODE.resolve()
    assert "running as hot" in udev.pyctl("discover")


def test_a_set_that_was_stopped_by_hand_stays_stopped(udev: Udev, hot: list[HotDisk]) -> None:
    main, *spares = hot
    make(udev, main, *spares)
    udev.pyctl("remove", NAME)
    spares[0].pull()
    spares[0].plug()
    udev.quiet()
    assert "stopped by hand" in udev.log()
    assert not NODE.exists()
    assert "started" in udev.pyctl("assemble", "--set", set_uuid())
    assert NODE.exists()


def test_without_auto_discovery_only_the_trigger_starts(udev: Udev, hot: list[HotDisk]) -> None:
    main, *spares = hot
    make(udev, main, *spares)
    stop(udev)
    (DISCOVERY / "auto_discovery").write_text("0")
    try:
        spares[1].pull()
        spares[1].plug()
        udev.quiet()
        assert "Nothing starts by itself" in udev.log()
        assert not NODE.exists()
        (DISCOVERY / "trigger_discovery").write_text("1")
        wait_until(NODE.exists, "the set has started", SECONDS)
        udev.quiet()
    finally:
        (DISCOVERY / "auto_discovery").write_text("1")


def test_a_set_that_this_machine_does_not_know(udev: Udev, hot: list[HotDisk]) -> None:
    """It does not start by itself, but its main is hidden when it is not whole alone."""
    main, *spares = hot
    make(udev, main, *spares)
    uuid = set_uuid()
    udev.pyctl("remap", NAME, 5000)
    stop(udev)
    run("rm", "-r", "/etc/dm-remap")
    udev.trigger(main.path)
    assert BY_UUID.resolve() == main.path
    for spare in spares:
        udev.trigger(spare.path)
        udev.quiet()
    assert not NODE.exists()
    assert "does not know it" in udev.log()
    udev.settle()
    assert not BY_UUID.exists()
    udev.pyctl("assemble", "--set", uuid)
    name = Path("/dev/mapper", f"remap-{uuid[:8]}")
    try:
        assert BY_UUID.resolve() == name.resolve()
        assert set_uuid() == uuid
    finally:
        udev.pyctl("remove", name.name)


def test_copies_of_main_are_told_apart_or_refused(udev: Udev, hot: list[HotDisk], tmp_path) -> None:
    """A copy on other hardware is not main. Two files have no hardware: neither is started."""
    main, spare, other = hot
    make(udev, main, spare)
    stop(udev)
    run("dd", f"if={main.path}", f"of={other.path}", "bs=1M", "oflag=direct")
    udev.trigger(other.path)
    udev.quiet()
    # The copy has the file system's UUID, and its link; the set has its own main.
    udev.pyctl("assemble", "--all")
    assert str(main.path) in run("dmsetup", "deps", "-o", "blkdevname", NAME).replace("(", "(/dev/")
    udev.pyctl("remove", NAME, "--forget")
    run("wipefs", "-qa", other.path)
    for disk in (spare, other):
        run("dd", "if=/dev/zero", f"of={disk.path}", "bs=1M", "count=6", "oflag=direct")

    run("modprobe", "loop")
    loops = []
    try:
        for number in (1, 2):
            image = tmp_path / f"image{number}"
            run("dd", f"if={main.path}", f"of={image}", "bs=1M")
            loops.append(run("losetup", "--find", "--show", image).strip())
        run("blkdiscard", "--force", "--zeroout", main.path)
        udev.settle()
        udev.pyctl("create", NAME, loops[0], other.path)
        stop(udev)
        said = udev.pyctl("assemble", "--all", status=ExitCode.REFUSED)
        assert "2 devices look like its main device" in said
        assert not NODE.exists()
        run("losetup", "--detach", loops.pop())
        wait_until(lambda: "2 devices" not in udev.pyctl("discover"), "the copy is gone")
        udev.pyctl("assemble", "--all")
        udev.pyctl("remove", NAME, "--forget")
    finally:
        for loop in loops:
            run("losetup", "--detach", loop)


@pytest.mark.parametrize("noticed", [False, True], ids=["unnoticed", "failed"])
def test_a_spare_that_comes_back_to_a_running_set(
    udev: Udev, hot: list[HotDisk], noticed: bool
) -> None:
    """It is taken back as what it was, whether or not the set has missed it meanwhile."""
    main, *spares = hot
    make(udev, main, *spares)
    udev.pyctl("remap", NAME, 100, 16)
    before = pread(NODE, 100, 16)
    spares[1].pull()
    udev.settle()
    if noticed:
        udev.pyctl("remap", NAME, 5000)
        assert "failed" in udev.pyctl("spare", "list", NAME)
    spares[1].plug()
    in_use = Path("/sys/block", NODE.resolve().name, "slaves")
    wait_until(lambda: (in_use / spares[1].path.name).exists(), "it is in the table", timeout=60)
    wait_until(
        lambda: udev.pyctl("spare", "list", NAME).count("in-sync") == 2, "it is current", timeout=60
    )
    assert pread(NODE, 100, 16) == before
    udev.pyctl("remap", NAME, 6000, 64)
    udev.pyctl("verify", NAME)
