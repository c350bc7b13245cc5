"""The rig itself: what the other tests rely on works."""

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.kernel.lib.blockdev import SECTOR, NullBlk, ScsiDebug
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice, Error, Linear, table
from tests.kernel.lib.faults import Delay, FaultyDevice, Flakey
from tests.kernel.lib.run import CommandError, run

# A compare of 16 bytes that fails, in a block of instructions in which the flags were last made by
# an addition; it prints the flags. %rdi looks like the address of an object.
_COMPARE = """
#include <stdio.h>

static unsigned long cell[2] __attribute__((aligned(16))) = { 1, 2 };

int main(void)
{
    unsigned long flags, low = 5, high = 6;

    asm volatile("pushfq; popfq; jmp 1f; 1: movl $0x22a6ee40, %%edi; addq %%rdi, %%r8;"
                 "cmpxchg16b %3; pushfq; pop %0"
                 : "=r"(flags), "+a"(low), "+d"(high)
                 : "m"(cell), "b"(0UL), "c"(0UL)
                 : "rdi", "r8", "cc", "memory");
    printf("%#lx\\n", flags);
}
"""


def test_module_is_loaded() -> None:
    assert Path("/sys/module/dm_remap").is_dir()


def test_linear_passes_data(null_blk: NullBlk) -> None:
    data = os.urandom(64 * SECTOR)
    with DmDevice(Linear(null_blk, 1024, offset=2048)) as dm:
        assert dm.sectors == 1024
        pwrite(dm, 100, data)
        assert pread(dm, 100, 64) == data
    assert pread(null_blk, 2148, 64) == data


def test_table_text_and_status(null_blk: NullBlk) -> None:
    assert table(Linear("/dev/x", 8), Error(2)) == "0 8 linear /dev/x 0\n8 2 error\n"
    with DmDevice(f"0 1024 linear {null_blk} 0\n", name="by-text") as dm:
        assert dm.table() == f"0 1024 linear {(null_blk.sysfs / 'dev').read_text().strip()} 0"
        assert dm.status() == "0 1024 linear"


def test_reload_and_pause(null_blk: NullBlk) -> None:
    with DmDevice(Linear(null_blk, 1024)) as dm:
        with dm.pause():
            assert dm.suspended
        assert not dm.suspended
        dm.reload(Linear(null_blk, 2048))
        assert dm.sectors == 2048


def test_failing_command_can_be_pasted(null_blk: NullBlk) -> None:
    wrong = DmDevice("0 8 no-such-target\n", name="wrong")
    with pytest.raises(CommandError, match=r"dmsetup create wrong <<'EOF'\n0 8 no-such-target"):
        wrong.__enter__()


@pytest.mark.parametrize("blocksize", [512, 4096])
def test_null_blk_block_size(blocksize: int) -> None:
    with NullBlk(size_mb=16, blocksize=blocksize) as disk:
        assert disk.size == 16 << 20
        assert disk.queue("logical_block_size") == blocksize


def test_null_blk_bad_blocks_come_and_go(null_blk: NullBlk) -> None:
    pwrite(null_blk, 1000, b"a" * 8 * SECTOR)
    null_blk.add_bad(1003, 2)
    for sector in (1003, 1004):
        with pytest.raises(OSError) as caught:
            pread(null_blk, sector)
        assert caught.value.errno == errno.EIO
        with pytest.raises(OSError):
            pwrite(null_blk, sector, bytes(SECTOR))
    assert pread(null_blk, 1002) == pread(null_blk, 1005) == b"a" * SECTOR
    null_blk.remove_bad(1003, 2)
    assert pread(null_blk, 1003) == b"a" * SECTOR


def test_scsi_debug_medium_error(scsi_debug: ScsiDebug) -> None:
    scsi_debug.set_opts(ScsiDebug.MEDIUM_ERROR)
    with pytest.raises(OSError) as caught:
        pread(scsi_debug, 4100)
    assert caught.value.errno == errno.ENODATA
    assert len(pread(scsi_debug, 4095)) == SECTOR


def test_faulty_device_changes_under_io(null_blk: NullBlk) -> None:
    with FaultyDevice(null_blk) as disk, DirectFile(disk) as file:
        for sector in (0, 7, 8, disk.sectors - 1):
            disk.add_bad(sector)
        for sector in (0, 7, 8, disk.sectors - 1):
            with pytest.raises(OSError):
                file.pread(sector * SECTOR, SECTOR)
        file.pwrite(SECTOR, b"b" * 6 * SECTOR)
        disk.remove_bad(7, 2)
        assert file.pread(SECTOR, 8 * SECTOR) == b"b" * 6 * SECTOR + bytes(2 * SECTOR)
        disk.fail()
        with pytest.raises(OSError):
            file.pread(SECTOR, SECTOR)
        disk.recover()
        assert file.pread(SECTOR, SECTOR) == b"b" * SECTOR


def test_flakey_drops_writes_silently(null_blk: NullBlk) -> None:
    run("modprobe", "dm-flakey")
    with DmDevice(Flakey(null_blk, 1024, features=("drop_writes",))) as dm:
        pwrite(dm, 0, b"c" * SECTOR)
        assert pread(dm, 0) == bytes(SECTOR)


def test_delay_delays_reads(null_blk: NullBlk) -> None:
    run("modprobe", "dm-delay")
    with DmDevice(Delay(null_blk, 1024, read_ms=300, write_ms=0)) as dm:
        started = time.monotonic()
        pread(dm, 0)
        assert time.monotonic() - started >= 0.29


def test_direct_writes_can_be_durable(null_blk: NullBlk) -> None:
    with DirectFile(null_blk) as file:
        file.pwrite(0, b"d" * 4096, os.RWF_DSYNC)
        file.fsync()
        assert file.pread(0, 4096) == b"d" * 4096


def test_flags_survive_a_compare_of_16_bytes(tmp_path: Path) -> None:
    """QEMU 7.2 spoils them without KVM, and the kernel's allocator dies of it: tests/vm/qemu.py."""
    source = tmp_path / "compare.c"
    source.write_text(_COMPARE)
    run("gcc", "-O1", "-o", tmp_path / "compare", source)
    done = subprocess.run([tmp_path / "compare"], capture_output=True, text=True, timeout=60)
    if "cx16" in Path("/proc/cpuinfo").read_text().split():
        assert not int(done.stdout, 16) >> 22, "no processor has such flags"
    else:
        assert done.returncode == -signal.SIGILL
