"""packaging/udev/dm-remap-probe, the shell's answer to pyctl.identity.evidence()."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyctl import identity
from pyctl.format import (
    BLOCK_SIZE,
    REPLICAS,
    MainGeometry,
    format_set,
    open_exclusively,
    plan_set,
    slot_sector,
)
from pyctl.identity import Evidence, Main
from pyctl.setconfig import SetConfig
from tests.vm.paths import PROJECT

SCRIPT = PROJECT / "packaging/udev/dm-remap-probe"


class Machine:
    """A folder that the script takes for /sys/class/block, /etc and /run."""

    def __init__(self, root):
        self.root = root
        text = SCRIPT.read_text()
        for path in ("/sys/class/block/", "/etc/dm-remap/", "/run/dm-remap/"):
            assert path in text
            text = text.replace(path, f"{root}{path}")
        self.script = root / "probe"
        self.script.write_text(text)
        self.device = root / "sdx"
        self.sysfs = root / "sys/class/block/sdx"

    def make(self, sectors, **files):
        with self.device.open("wb") as file:
            file.truncate(sectors * 512)
        for name, text in {"size": f"{sectors}\n", **files}.items():
            path = self.sysfs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)

    def know(self, config, folder="etc"):
        path = self.root / folder / "dm-remap/sets.d" / f"{config.set_uuid}.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(config.text())

    def probe(self, **properties):
        """As udev calls it: nothing is in the environment but what it knows."""
        done = subprocess.run(
            ["/bin/sh", self.script, self.device],
            env={"DEVTYPE": "disk", **properties},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def format_spare(machine):
    machine.make(65536)
    (superblock,) = plan_set(MainGeometry(204800, 512, "wwid=W"), [65536])
    with open_exclusively(machine.device, write=True) as opened:
        format_set([opened], [superblock])
    return superblock


def test_a_spare(machine):
    superblock = format_spare(machine)
    expected = {
        "DM_REMAP_ROLE": "spare",
        "DM_REMAP_SET": str(superblock.set_uuid),
        "DM_REMAP_SPARE": str(superblock.spare_uuid),
    }
    assert machine.probe() == expected
    # a signature at its end, in what is data by now
    assert machine.probe(ID_FS_TYPE="zfs_member") == expected


@pytest.mark.parametrize("left", range(REPLICAS))
def test_one_superblock_is_enough(machine, left):
    format_spare(machine)
    with machine.device.open("r+b") as file:
        for copy in set(range(REPLICAS)) - {left}:
            file.seek(slot_sector(copy) * 512)
            file.write(bytes(BLOCK_SIZE))
    assert machine.probe()["DM_REMAP_ROLE"] == "spare"
    # what was made on it since is what it is now
    made = machine.probe(ID_FS_TYPE="ext4")
    assert made.get("DM_REMAP_ROLE") == ("spare" if left == 0 else None)


def test_anything_else(machine):
    machine.make(65536)
    assert machine.probe() == {}
    machine.make(1)
    assert machine.probe() == {}
    machine.device.write_bytes(b"DMREMAP4")
    assert machine.probe() == {}


WORDS = st.sampled_from(["A", "B", "a_b", "naa.5000"])
STORED = st.dictionaries(
    st.sampled_from(["wwid", "serial", "dmuuid", "partuuid", "fsuuid", "ptuuid", "fstype"]), WORDS
)
# Of a main device that has replaced another, its own length is known.
LENGTHS = st.sampled_from([{}, {"sectors": "204808"}, {"sectors": "204800"}, {"sectors": "2x"}])


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stored=STORED,
    length=LENGTHS,
    here=STORED,
    size=st.sampled_from([204800, 204801, 204808, 204792]),
)
def test_main_is_what_pyctl_takes_for_main(tmp_path_factory, stored, length, here, size):
    """Hidden is what would be started: evidence of hardware; or a file system, if nothing else."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    files = {
        name: here[key]
        for key, name in (("wwid", "wwid"), ("serial", "device/serial"), ("dmuuid", "dm/uuid"))
        if key in here
    }
    machine.make(size, **files)
    (superblock,) = plan_set(
        MainGeometry(204800, 512, identity.encode(stored | length)), [65536], unit_bytes=4096
    )
    machine.know(SetConfig(superblock.set_uuid, "srv", True, 204800, 4096, superblock.identity))
    names = {
        "partuuid": "ID_PART_ENTRY_UUID",
        "fsuuid": "ID_FS_UUID",
        "ptuuid": "ID_PART_TABLE_UUID",
        "fstype": "ID_FS_TYPE",
    }
    found = machine.probe(**{names[key]: here[key] for key in here.keys() & names.keys()})
    evidence = identity.evidence(superblock, Main("x", size, 512, here))
    hard = {"wwid", "serial", "dmuuid", "partuuid"} & stored.keys()
    expected = evidence == Evidence.HARDWARE or (evidence == Evidence.FILE_SYSTEM and not hard)
    assert found.get("DM_REMAP_ROLE") == ("main" if expected else None)
    if expected:
        assert found["DM_REMAP_SET"] == str(superblock.set_uuid)
        assert found["DM_REMAP_NAME"] == "srv"


def known(machine, text, **files):
    (superblock,) = plan_set(MainGeometry(204800, 512, text), [65536])
    machine.make(204800, **files)
    machine.know(SetConfig(superblock.set_uuid, "srv", True, 204800, 512, text), folder="run")
    return machine.probe()


def test_a_serial_number_is_read_from_page_80(machine):
    assert known(machine, "serial=SER_1", **{"device/vpd_pg80": b"\0\x80\0\x08  SER 1 "})


def test_white_space_is_no_difference(machine):
    assert known(machine, "wwid=t10.ATA_Some_Disk_1", wwid="t10.ATA     Some Disk 1  \n")


def test_a_partition_has_its_disks_identity(machine):
    disk = machine.root / "devices/sd"
    (disk / "sdx").mkdir(parents=True)
    (disk / "wwid").write_text("W\n")
    (disk / "sdx/partition").write_text("1\n")
    machine.sysfs.parent.mkdir(parents=True)
    machine.sysfs.symlink_to(disk / "sdx")
    assert known(machine, "wwid=W")["DM_REMAP_ROLE"] == "main"


def test_a_file_that_makes_no_sense_is_passed_over(machine):
    path = machine.root / "etc/dm-remap/sets.d/x.conf"
    path.parent.mkdir(parents=True)
    path.write_text("main_sectors=$(reboot)\nunit_bytes=0\nidentity=wwid=W\n")
    assert known(machine, "wwid=W", wwid="W")["DM_REMAP_NAME"] == "srv"


def test_no_shell_word_of_a_device_is_run(machine):
    evil = "$(touch evil)`touch evil`;touch evil"
    known(machine, "wwid=W", wwid=evil)
    assert not Path("evil").exists()
    assert "evil" not in os.listdir(machine.root)
