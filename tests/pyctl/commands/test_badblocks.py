import errno
import json

import pytest

from pyctl import blockdev
from pyctl.badblocks import SectorSet
from pyctl.errors import ExitCode
from tests.pyctl.badblocks.lists import sector_set
from tests.pyctl.badblocks.test_ddrescue import MAP
from tests.pyctl.badblocks.test_smartctl import ATA
from tests.pyctl.fakes import FakeDevice, FakeKernel

PARTITION_START = 2048


@pytest.fixture
def listed(tmp_path):
    """Makes a file of a list."""

    def make(text, name="list"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


@pytest.fixture
def sysfs(tmp_path, monkeypatch):
    """A /sys in which 7:0, the main device of the fake device, is a disk or a partition."""

    def make(*, partition, sectors=204800, slaves=False):
        sys = tmp_path / "sys"
        disk = sys / "devices/vda"
        main = disk / "vda1" if partition else disk
        files = {
            disk / "size": 300000 if partition else sectors,
            disk / "dev": "7:9" if partition else "7:0",
            disk / "serial": "ABC 123",
        }
        if partition:
            files |= {main / "size": sectors, main / "dev": "7:0", main / "partition": 1}
            files[main / "start"] = PARTITION_START
        (disk / "slaves").mkdir(parents=True)
        if slaves:
            (disk / "slaves/sdc").mkdir()
        for path, value in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        for folder in ("dev/block", "class/block"):
            (sys / folder).mkdir(parents=True)
        for node in {disk, main}:
            (sys / "dev/block" / (node / "dev").read_text().strip()).symlink_to(node)
            (sys / "class/block" / node.name).symlink_to(node)
        monkeypatch.setattr(blockdev, "SYS", sys)

    return make


def remapped(device):
    return SectorSet() if not device.remaps else sector_set((s, s + 1) for s in device.remaps)


def smart(*addresses, **fields):
    log = {"table": [{"lba": address} for address in addresses]}
    document = {"smartctl": {}, "logical_block_size": 512, "ata_pending_defects_log": log}
    return json.dumps(document | fields)


def test_a_list_of_badblocks(run, device, listed):
    path = listed("4\n5\n100\n")
    device.remaps = {8: 10240}
    result = run("import", "d", path, "--json")
    assert result.exit_code == 0
    assert result.data == {
        "name": "d",
        "file": str(path),
        "format": "badblocks",
        "block_size": 1024,
        "block_size_assumed": True,
        "offset": 0,
        "ranges": 2,
        "sectors": 6,
        "blocks": 6,
        "elsewhere": 0,
        "dry_run": False,
        "remapped": 5,
        "lost": 0,
        "already": 1,
    }
    assert sorted(device.remaps) == [8, 9, 10, 11, 200, 201]
    assert [words for words in device.sent if words[0] == "remap"] == [
        ("remap", "8", "4", "200", "2")
    ]
    result = run("import", "d", path)
    assert result.stdout == "6 blocks in 2 ranges: 0 remapped, 6 were already.\n"
    assert "Taken for a list of badblocks, in blocks of 1024 bytes" in result.stderr


def test_blocks_of_another_size(run, device, listed):
    result = run("import", "d", listed("4\n"), "--block-size", 4096, "--json")
    assert (result.data["block_size"], result.data["block_size_assumed"]) == (4096, False)
    assert sorted(device.remaps) == list(range(32, 40))
    assert run("import", "d", listed("4\n"), "--block-size", 1000).exit_code == ExitCode.USAGE


def test_many_ranges_go_64_at_a_time(run, device, listed):
    run("import", "d", listed("".join(f"{4 * n}\n" for n in range(150))), "--block-size", 512)
    sizes = [len(words) // 2 for words in device.sent if words[0] == "remap"]
    assert sizes == [64, 64, 22]
    assert sorted(device.remaps) == [4 * n for n in range(150)]


def test_from_stdin(run, device):
    assert run("import", "d", "-", "--format", "lba", input="7\n").exit_code == 0
    assert sorted(device.remaps) == [7]
    result = run("import", "d", "-", input="7\nx\n")
    assert result.exit_code == ExitCode.USAGE
    assert "stdin: this is none of the known formats" in result.stderr


def test_a_map_of_ddrescue(run, device, listed):
    path = listed(MAP)
    result = run("import", "d", path, "--json")
    assert (result.data["format"], result.data["block_size"]) == ("ddrescue", None)
    assert sorted(device.remaps) == [0x117000 // 512]
    run("import", "d", path, "--also", "non-scraped,non-trimmed")
    assert remapped(device) == sector_set([(0x117000 // 512, 0x120000 // 512)])
    run("import", "d", path, "--also", "non-tried")
    assert max(device.remaps) == 0x168000 // 512 - 1
    assert run("import", "d", path, "--also", "finished").exit_code == ExitCode.USAGE
    assert run("import", "d", path, "--block-size", 512).exit_code == ExitCode.USAGE
    assert run("import", "d", listed("1\n"), "--also", "non-tried").exit_code == ExitCode.USAGE


def test_a_list_of_e2fsck_needs_the_block_size(run, device, listed):
    result = run("import", "d", listed("3\n"), "--format", "e2fsck")
    assert result.exit_code == ExitCode.USAGE
    assert "--block-size" in result.stderr
    run("import", "d", listed("3\n"), "--format", "e2fsck", "--block-size", 4096)
    assert sorted(device.remaps) == list(range(24, 32))


def test_a_mistake_names_file_and_line_and_changes_nothing(run, device, listed):
    path = listed("1\n2\nthree\n")
    result = run("import", "d", path, "--format", "badblocks")
    assert result.exit_code == ExitCode.USAGE
    assert f"{path}, line 3: 'three' is not the number of a block" in result.stderr
    assert device.remaps == {}
    assert run("import", "d", path.parent / "nothing").exit_code == ExitCode.NOT_FOUND
    assert run("import", "d", path.parent).exit_code == ExitCode.FAILED


def test_what_is_not_on_the_device_is_named(run, device, listed, sysfs):
    sysfs(partition=True)
    path = listed("1\n102400\n")
    result = run("import", "d", path)
    assert result.exit_code == ExitCode.USAGE
    assert f"{path}, line 2: sectors 204800 to 204801 are not on the device" in result.stderr
    assert "--of /dev/vda" in result.stderr
    assert device.remaps == {}
    result = run("import", "d", path, "--clip", "--json")
    assert (result.data["elsewhere"], result.data["remapped"]) == (2, 2)


def test_a_list_of_the_whole_disk(run, device, listed, sysfs, monkeypatch):
    sysfs(partition=True)
    whole = blockdev.BlockDevice.by_number(7, 9)
    monkeypatch.setattr(blockdev.BlockDevice, "find", classmethod(lambda cls, path: whole))
    path = listed("3\n1024\n1030\n120000\n")
    result = run("import", "d", path, "--of", "/dev/vda", "--json")
    assert result.exit_code == 0
    assert (result.data["offset"], result.data["elsewhere"]) == (PARTITION_START, 4)
    assert sorted(device.remaps) == [0, 1, 12, 13]
    result = run("import", "d", listed("150000\n"), "--of", "/dev/vda")
    assert result.exit_code == ExitCode.USAGE
    assert "not on the disk, which has 300000 sectors" in result.stderr
    both = run("import", "d", path, "--of", "/dev/vda", "--offset", 5)
    assert both.exit_code == ExitCode.USAGE


def test_a_disk_that_main_is_not_on_is_refused(run, device, listed, sysfs, monkeypatch):
    sysfs(partition=True)
    other = blockdev.BlockDevice("/dev/vdb", "vdb", "vdb", 7, 77, 100, 512, False)
    monkeypatch.setattr(blockdev.BlockDevice, "find", classmethod(lambda cls, path: other))
    result = run("import", "d", listed("3\n"), "--of", "/dev/vdb")
    assert result.exit_code == ExitCode.USAGE
    assert "is not a partition of /dev/vdb" in result.stderr
    assert device.remaps == {}


def test_an_offset(run, device, listed):
    assert (
        run("import", "d", listed("2048\n"), "--offset", 2000, "--block-size", 512).exit_code == 0
    )
    assert sorted(device.remaps) == [48]
    result = run("import", "d", listed("1\n"), "--offset", 2000)
    assert result.exit_code == ExitCode.USAGE
    assert "which is sectors 2000 to 206799 there" in result.stderr


def test_a_map_of_the_whole_disk_is_not_taken_for_one_of_the_partition(run, device, listed, sysfs):
    sysfs(partition=True)
    good = f"0x0 + 1\n0x0 0x200 -\n0x200 {204799 * 512:#x} +\n"
    assert run("import", "d", listed(good)).exit_code == 0
    assert sorted(device.remaps) == [0]
    device.remaps = {}
    result = run("import", "d", listed(f"{good}{204800 * 512:#x} 0x200 +\n"))
    assert result.exit_code == ExitCode.REFUSED
    assert "covers 104858112 bytes" in result.stderr
    assert "--of /dev/vda" in result.stderr
    assert device.remaps == {}


def test_smartctl_counts_from_the_beginning_of_the_disk(run, device, listed, sysfs):
    sysfs(partition=True)
    path = listed(smart(5, PARTITION_START + 7, 299999))
    result = run("import", "d", path, "--json")
    assert result.exit_code == 0
    assert (result.data["format"], result.data["block_size"]) == ("smartctl", 512)
    assert (result.data["offset"], result.data["elsewhere"]) == (PARTITION_START, 2)
    assert sorted(device.remaps) == [7]
    result = run("import", "d", listed(smart(5, PARTITION_START + 7)))
    assert result.stdout == "1 block in 1 range: 0 remapped, 1 were already.\n"
    assert result.stderr == "1 sector of the list is not on d: left out.\n"
    result = run("import", "d", listed(smart(300000)))
    assert result.exit_code == ExitCode.USAGE
    assert "not on the disk" in result.stderr


def test_smartctl_when_main_is_the_whole_disk(run, device, listed, sysfs):
    sysfs(partition=False)
    assert run("import", "d", listed(smart(5, serial_number="ABC 123"))).exit_code == 0
    assert sorted(device.remaps) == [5]


def test_smartctl_of_another_drive_is_refused(run, device, listed, sysfs):
    sysfs(partition=False)
    path = listed(smart(5, serial_number="XYZ 9"))
    result = run("import", "d", path)
    assert result.exit_code == ExitCode.REFUSED
    assert "serial number is XYZ_9, but that of /dev/vda" in result.stderr
    assert device.remaps == {}
    assert run("import", "d", path, "--force").exit_code == 0


def test_smartctl_and_a_main_that_is_made_of_others(run, device, listed, sysfs):
    sysfs(partition=False, slaves=True)
    result = run("import", "d", listed(smart(5)))
    assert result.exit_code == ExitCode.USAGE
    assert "made of other devices" in result.stderr
    assert run("import", "d", listed(smart(5)), "--offset", 0).exit_code == 0


def test_the_block_size_of_smartctl(run, device, listed, sysfs):
    sysfs(partition=False)
    unknown = smart(5, logical_block_size=None)
    result = run("import", "d", listed(unknown))
    assert result.exit_code == ExitCode.USAGE
    assert "how large a logical block is" in result.stderr
    assert run("import", "d", listed(unknown), "--block-size", 4096).exit_code == 0
    assert sorted(device.remaps) == list(range(40, 48))
    assert run("import", "d", listed(smart(5)), "--block-size", 4096).exit_code == ExitCode.USAGE


def test_smartctl_without_logs(run, device, listed):
    text = json.dumps({key: ATA[key] for key in ("smartctl", "logical_block_size")})
    result = run("import", "d", listed(text))
    assert result.exit_code == ExitCode.USAGE
    assert "smartctl -j -x" in result.stderr


def test_dry_run_changes_nothing(run, device, listed):
    device.remaps = {8: 10240, 9: 10241}
    result = run("import", "d", listed("4\n5\n"), "--dry-run", "--json")
    assert (result.data["blocks"], result.data["already"]) == (4, 2)
    assert "remapped" not in result.data
    assert sorted(device.remaps) == [8, 9]
    assert (
        "2 would be remapped, 2 are already"
        in run("import", "d", listed("4\n5\n"), "--dry-run").stdout
    )


def test_lost_blocks_are_told(run, device, listed):
    device.bad_main = {9, 10}
    result = run("import", "d", listed("4\n5\n"), "--json")
    assert result.exit_code == ExitCode.MEDIA
    assert (result.data["remapped"], result.data["lost"]) == (4, 2)
    assert "2 blocks could not be read from the main device of d" in result.stderr


def test_more_than_the_spares_hold_is_refused_at_once(run, device, listed):
    path = listed("".join(f"{n}\n" for n in range(16003)))
    result = run("import", "d", path)
    assert result.exit_code == ExitCode.REFUSED
    assert "32006 blocks of the list are not remapped yet" in result.stderr
    assert "room for 32004 at most" in result.stderr
    assert device.remaps == {}
    device.remaps = {0: 10240, 1: 10241}
    assert run("import", "d", listed("0\n")).exit_code == 0


def test_a_failing_message_is_told_in_the_kernels_words(run, device, listed):
    device.fail["remap"], device.said = errno.ENOSPC, "Sector 8 can't be remapped."
    result = run("import", "d", listed("4\n"))
    assert result.exit_code == ExitCode.FAILED
    assert "d: Sector 8 can't be remapped." in result.stderr


def test_an_empty_list(run, device, listed):
    result = run("import", "d", listed(""), "--json")
    assert result.exit_code == 0
    assert (result.data["ranges"], result.data["remapped"]) == (0, 0)


def test_a_device_that_is_not_there(run, listed):
    assert run("import", "nothing", listed("1\n")).exit_code == ExitCode.NOT_FOUND
    assert run("export", "nothing").exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "ddrescue"],
        ["--format", "badblocks", "--block-size", "512"],
        ["--format", "e2fsck", "--block-size", "512"],
        ["--format", "lba"],
        ["--format", "lba", "--offset", "2048"],
        ["--format", "ddrescue", "--offset", "2048"],
    ],
)
def test_what_is_exported_is_imported_again(run, device, tmp_path, words):
    device.remaps = {s: 10240 + s for s in (0, 1, 2, 77, 1000, 1002, 204799)}
    path = tmp_path / "out"
    result = run("export", "d", *words, "--output", path, "--json")
    assert result.exit_code == 0
    assert (result.data["ranges"], result.data["sectors"]) == (5, 7)
    other = FakeDevice(name="d")
    done = run("import", "d", path, *words, "--json", kernel=FakeKernel([other]))
    assert done.exit_code == 0
    assert sorted(other.remaps) == sorted(device.remaps)


def test_export_to_stdout_says_the_block_size(run, device):
    device.remaps = {8: 10240, 9: 10241, 20: 10242}
    result = run("export", "d", "--format", "badblocks", "--block-size", 1024)
    assert result.stdout == "4\n10\n"
    assert "`pyctl import --format badblocks --block-size 1024` reads it" in result.stderr
    result = run("export", "d")
    assert result.stdout.splitlines()[5:] == [
        "0x00000000  0x00001000  +",
        "0x00001000  0x00000400  -",
        "0x00001400  0x00001400  +",
        "0x00002800  0x00000200  -",
        "0x00002A00  0x063FD600  +",
    ]
    assert result.stderr == ""


def test_export_of_a_part_of_a_disk_covers_the_disk(run, device, sysfs, monkeypatch):
    sysfs(partition=True)
    whole = blockdev.BlockDevice.by_number(7, 9)
    monkeypatch.setattr(blockdev.BlockDevice, "find", classmethod(lambda cls, path: whole))
    device.remaps = {8: 10240}
    lines = run("export", "d", "--of", "/dev/vda").stdout.splitlines()[5:]
    assert lines[0] == "0x00000000  0x00100000  ?"
    assert lines[2] == f"0x{2056 * 512:08X}  0x00000200  -"
    assert lines[-1] == f"0x{206848 * 512:08X}  0x{(300000 - 206848) * 512:08X}  ?"


def test_export_refuses_what_cannot_be(run, device, tmp_path):
    result = run("export", "d", "--format", "smartctl")
    assert result.exit_code == ExitCode.USAGE
    assert "Only a drive itself" in result.stderr
    assert run("export", "d", "--format", "e2fsck").exit_code == ExitCode.USAGE
    assert run("export", "d", "--block-size", 512).exit_code == ExitCode.USAGE
    assert run("export", "d", "--format", "lba", "--block-size", 600).exit_code == ExitCode.USAGE
    assert run("export", "d", "--json").exit_code == ExitCode.USAGE
    path = tmp_path / "there"
    path.write_text("mine")
    assert run("export", "d", "--output", path).exit_code == ExitCode.REFUSED
    assert path.read_text() == "mine"
    assert run("export", "d", "--output", path, "--force").exit_code == 0
    assert path.read_text().startswith("# Mapfile")
