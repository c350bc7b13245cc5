import pytest

from pyctl import blockdev
from pyctl.blockdev import BlockDevice, users
from pyctl.errors import NotFoundError, UsageError


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A /sys with the disk sda (one partition, under a dm device) and a /proc with its mount."""
    sys, proc = tmp_path / "sys", tmp_path / "proc"
    disk = sys / "devices/pci/block/sda"

    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    put(disk / "size", "204800\n")
    put(disk / "ro", "0\n")
    put(disk / "dev", "8:0\n")
    put(disk / "queue/logical_block_size", "4096\n")
    put(disk / "device/wwid", "t10.ATA     Some Disk 1\n")
    (disk / "device/vpd_pg80").write_bytes(b"\0\x80\0\x08  SER 1 ")
    put(disk / "sda1/size", "2048\n")
    put(disk / "sda1/partition", "1\n")
    put(disk / "sda1/ro", "1\n")
    put(disk / "sda1/dev", "8:1\n")
    (disk / "sda1/holders/dm-0").mkdir(parents=True)
    (sys / "dev/block").mkdir(parents=True)
    (sys / "class/block").mkdir(parents=True)
    put(sys / "class/block/dm-0/dm/name", "vault\n")
    for node, target in (("8:0", disk), ("8:1", disk / "sda1")):
        (sys / "dev/block" / node).symlink_to(target)
        (sys / "class/block" / target.name).symlink_to(target)
    put(proc / "self/mountinfo", "29 1 8:1 / /srv/my\\040data rw - ext4 /dev/sda1 rw\n")
    put(proc / "swaps", "Filename Type\n/no/such/swap file\n")
    monkeypatch.setattr(blockdev, "SYS", sys)
    monkeypatch.setattr(blockdev, "PROC", proc)


def test_a_disk(machine):
    found = BlockDevice.by_number(8, 0)
    assert found == BlockDevice("/dev/sda", "sda", "sda", 8, 0, 204800, 4096, False)
    assert found.hardware() == {"wwid": "t10.ATA_Some_Disk_1", "serial": "SER_1"}


def test_a_partition_has_its_disks_identity(machine):
    found = BlockDevice.by_number(8, 1, "/dev/disk/by-id/x")
    assert found == BlockDevice("/dev/disk/by-id/x", "sda1", "sda", 8, 1, 2048, 4096, True)
    assert found.hardware()["serial"] == "SER_1"


def test_users_of_a_disk_are_those_of_its_partitions(machine):
    found = users(BlockDevice.by_number(8, 0))
    assert found == [
        "/dev/sda1 is mounted on /srv/my data",
        "/dev/sda1 is part of /dev/dm-0 (vault)",
    ]
    assert found == users(BlockDevice.by_number(8, 1))


def test_a_device_that_is_not_there(machine):
    with pytest.raises(NotFoundError, match="no block device 9:9"):
        BlockDevice.by_number(9, 9)


def test_only_block_devices_are_block_devices(tmp_path):
    with pytest.raises(NotFoundError, match="Cannot find the device .*/x: No such file"):
        BlockDevice.find(str(tmp_path / "x"))
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(UsageError, match="is not a block device"):
            BlockDevice.find(str(path))
