"""pyctl against the real kernel: the program that an administrator runs, start to end."""

import contextlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyctl import blockdev, identity, replacement
from pyctl.control import Control
from pyctl.dm import Device
from pyctl.errors import ExitCode
from pyctl.registry import Registry
from pyctl.setconfig import SetConfig
from tests.kernel.lib.blockdev import SECTOR, NullBlk, ScsiDebug
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.program import pyctl, pyctl_program
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import MAIN_MB, disks, pattern

NAME = "admin"
NODE = f"/dev/mapper/{NAME}"


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    with contextlib.suppress(Exception):
        run("umount", NODE)
    with contextlib.suppress(Exception):
        run("dmsetup", "remove", NAME)


def test_create_wraps_main_in_place_and_unwraps_it() -> None:
    with disks(2) as (main, one, two):
        before = pattern(main.sectors, 1)
        pwrite(main, 0, before)
        made = pyctl_program("create", NAME, main.path, one.path, two.path)
        assert made["action"] == "format"
        assert pread(NODE, 0, main.sectors) == before
        assert pyctl("remap", NAME, 100, 4)["remapped"] == 4
        assert pyctl("remap", NAME, 100, 4)["already"] == 4
        assert pread(NODE, 0, main.sectors) == before
        pwrite(NODE, 100, pattern(4, 2))
        assert pread(main, 0, main.sectors) == before
        assert pyctl("clear", NAME, "--yes")["cleared"] == 4
        assert pyctl_program("status", NAME) == pyctl("status", NAME)
        pyctl("remove", NAME)
        assert pread(main, 100, 4) == pattern(4, 2)
        assert pread(main, 0, 100) == before[: 100 * SECTOR]


def test_create_refuses_what_would_destroy_data() -> None:
    with disks(2) as (main, one, two):
        run("mkfs.ext4", "-q", "-F", one.path)
        untouched = pread(one, 0, one.sectors)
        error = pyctl("create", NAME, main.path, one.path, status=ExitCode.REFUSED)
        assert "ext4" in error
        assert "--force" in error
        assert pread(one, 0, one.sectors) == untouched
        pyctl("create", NAME, main.path, one.path, "--force")
        pyctl("create", "second", main.path, two.path, status=ExitCode.REFUSED)


def test_a_mounted_main_is_refused() -> None:
    with disks() as (main, spare):
        run("mkfs.ext4", "-q", main.path)
        run("mount", main.path, "/mnt")
        try:
            error = pyctl("create", NAME, main.path, spare.path, status=ExitCode.REFUSED)
        finally:
            run("umount", "/mnt")
        assert "/mnt" in error


def test_dry_run_prints_the_table_and_touches_nothing() -> None:
    uuid = "01234567-89ab-4def-8123-456789abcdef"
    with disks() as (main, spare):
        plan = pyctl("create", NAME, main.path, spare.path, "--dry-run", "--uuid", uuid)
        assert not any(pread(spare, 0, spare.sectors))
        assert f"0 {main.sectors} remap {main.path} {spare.path}" in json.dumps(plan)
        pyctl("create", NAME, main.path, spare.path, "--uuid", uuid)
        assert pyctl("status", NAME)["fields"]["set"] == uuid
        assert run("dmsetup", "info", "-c", "--noheadings", "-o", "uuid", NAME).strip() == (
            "DMREMAP-" + uuid.replace("-", "")
        )


def test_an_error_is_seen_in_status_list_and_verify() -> None:
    with disks() as (main, spare):
        pyctl("create", NAME, main.path, spare.path, "--retries", "1", "--backoff-ms", "0")
        main.add_bad(5000, 2)
        pwrite(NODE, 4999, pattern(3, 1))
        assert [row["sector"] for row in pyctl("list", NAME)] == [5000, 5001]
        status = pyctl("status", NAME)
        assert (status["remapped"], status["write_errors"]) == (2, 2)
        assert pyctl("verify", NAME)["errors"] == 0
        assert pyctl("stats", NAME)["auto_remaps"] == 2
        spare.add_bad(pyctl("list", NAME)[0]["spare_sector"])
        assert pyctl("verify", NAME, status=ExitCode.MEDIA)


def test_assembly_finds_the_remaps_and_refuses_a_wrong_main() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 7)
        pyctl("remove", NAME)
        assert pyctl("create", NAME, main.path, two.path, one.path)["action"] == "assemble"
        assert [row["sector"] for row in pyctl("list", NAME)] == [7]
        pyctl("remove", NAME)
        pyctl("assemble", NAME, one.path, main.path, two.path, status=ExitCode.REFUSED)
        error = pyctl("assemble", NAME, main.path, two.path, status=ExitCode.REFUSED)
        assert "--degraded" in error
        pyctl("assemble", NAME, main.path, two.path, "--degraded")


def test_a_device_in_use_is_not_removed() -> None:
    with disks() as (main, spare):
        pyctl("create", NAME, main.path, spare.path)
        run("mkfs.ext4", "-q", NODE)
        run("mount", NODE, "/mnt")
        assert "/mnt" in pyctl("remove", NAME, status=ExitCode.REFUSED)
        run("umount", "/mnt")
        pyctl("remove", NAME)
        assert not Path(NODE).exists()
        pyctl("ping", NAME, status=ExitCode.NOT_FOUND)


def test_metadata_dump_reads_spares_offline() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 40, 3)
        pyctl("remove", NAME)
        dump = pyctl("metadata", "dump", one.path, two.path)
        assert sorted(entry["main_unit"] for entry in dump["entries"]) == [40, 41, 42]
        assert not dump["problems"]


def test_disks_of_4096_byte_blocks_are_remapped_by_the_block() -> None:
    with disks(blocksize=4096) as (main, spare):
        pyctl("create", NAME, main.path, spare.path)
        assert pyctl("remap", NAME, 9)["remapped"] == 1
        (row,) = pyctl("list", NAME)
        assert (row["sector"], row["sectors"]) == (8, 8)
        main.add_bad(80, 8)
        pwrite(NODE, 80, pattern(8, 3))
        assert pread(NODE, 80, 8) == pattern(8, 3)
        assert [row["sector"] for row in pyctl("list", NAME)] == [8, 80]


def test_migrate_main_moves_everything_to_another_disk() -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB + 4) as new:
        before = pattern(main.sectors, 1)
        pwrite(main, 0, before)
        pyctl("create", NAME, main.path, spare.path)
        pyctl("remap", NAME, 100, 4)
        main.add_bad(500)
        plan = pyctl("migrate-main", NAME, new.path, "--dry-run")
        assert f"copy_to {new.path}" in plan["table"]
        assert pyctl("migrate-main", NAME, "--status")["state"] == "off"
        # Exit code 5 says that something is lost.
        result = pyctl("migrate-main", NAME, new.path, status=ExitCode.MEDIA)
        assert result["lost_sectors"] == [{"sector": 500, "sectors": 1}]
        assert result["moved"] == 4
        assert pyctl("status", NAME)["main"] == str(new.path)
        # What was done is not done again.
        pyctl("migrate-main", NAME, new.path, status=ExitCode.MEDIA)
        pwrite(NODE, 500, before[500 * SECTOR : 501 * SECTOR])
        assert pyctl("migrate-main", NAME, new.path)["lost"] == 0
        assert pread(NODE, 0, main.sectors) == before
        assert pread(new, 0, main.sectors) == before
        pyctl("remove", NAME)
        # It is longer than the set, and nevertheless what the set remembers.
        pyctl("assemble", NAME, new.path, spare.path)
        pyctl("remove", NAME)


def test_migrate_main_refuses_a_disk_that_is_not_empty_or_does_not_fit() -> None:
    with disks(2) as (main, spare, small), NullBlk(MAIN_MB) as new:
        run("mkfs.ext4", "-q", "-F", new.path)
        pyctl("create", NAME, main.path, spare.path)
        untouched = pread(new, 0, new.sectors)
        error = pyctl("migrate-main", NAME, new.path, status=ExitCode.REFUSED)
        assert "ext4" in error
        assert "--force" in error
        assert "too small" in pyctl("migrate-main", NAME, small.path, status=ExitCode.REFUSED)
        assert pread(new, 0, new.sectors) == untouched
        pyctl("migrate-main", NAME, new.path, "--force")
        assert pread(new, 0, new.sectors) == pread(main, 0, main.sectors)


def test_migrate_main_can_be_killed_and_run_again() -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        before = pattern(main.sectors, 1)
        pwrite(main, 0, before)
        pyctl("create", NAME, main.path, spare.path)
        words = [Path(sys.prefix) / "bin/pyctl", "migrate-main", NAME, new.path, "--rate", "1"]
        with subprocess.Popen(words) as process:
            # A message would be told to try again while the table is reloaded.
            copies = re.compile(r"copy=running:[1-9]")
            wait_until(lambda: copies.search(run("dmsetup", "status", NAME)), "it copies", 60)
            process.kill()
        status = pyctl("migrate-main", NAME, "--status")
        assert status["state"] == "running"
        assert status["rate"] == 1024
        pwrite(NODE, 0, pattern(8, 2))
        assert pyctl("migrate-main", NAME, "--abort")["aborted"]
        assert not pyctl("migrate-main", NAME, "--abort")["aborted"]
        # It carries a part of main now, which is no reason to refuse it.
        assert pyctl("migrate-main", NAME, new.path)["lost"] == 0
        assert pread(new, 0, new.sectors) == pattern(8, 2) + before[8 * SECTOR :]


def remembered(set_uuid: str) -> SetConfig | None:
    """What this machine knows of a set after its next boot."""
    return Registry().known().sets.get(uuid.UUID(set_uuid))


def test_migrate_main_remembers_the_new_disk() -> None:
    """The set starts by itself with it, although the old one has the same file system."""
    with disks() as (main, spare), ScsiDebug(dev_size_mb=MAIN_MB + 4) as new:
        run("mkfs.ext4", "-q", "-F", main.path)
        set_uuid = pyctl("create", NAME, main.path, spare.path)["set_uuid"]
        before = remembered(set_uuid)
        assert before and "fsuuid=" in before.identity and "sectors=" not in before.identity
        pyctl("migrate-main", NAME, new.path)
        after = remembered(set_uuid)
        assert after == replace(before, identity=Metadata(spare).superblock().identity)
        known = identity.decode(after.identity)
        assert known["sectors"] == str(new.sectors)
        hardware = blockdev.BlockDevice.find(str(new)).hardware()
        assert hardware and hardware.items() <= known.items()
        # It was killed before it could write that down.
        Registry().remember(before)
        pyctl("migrate-main", NAME, new.path)
        assert remembered(set_uuid) == after
        pyctl("remove", NAME)
        (seen,) = pyctl("discover")["sets"]
        assert (seen["state"], seen["main"]) == ("ready to assemble", str(new))
        (told,) = pyctl("assemble", "--all")
        assert (told["name"], told["result"]) == (NAME, "started")
        assert pyctl("status", NAME)["main"] == str(new)
        # The disk goes before what the fixture removes.
        pyctl("remove", NAME)


def test_migrate_main_remembers_no_set_that_was_not() -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        pyctl("create", NAME, main.path, spare.path, "--no-remember")
        pyctl("migrate-main", NAME, new.path)
        assert not Registry().known().sets


@pytest.mark.parametrize("leave", [False, True], ids=["in_place", "to_another_disk"])
def test_unwrap_forgets_the_set(leave: bool) -> None:
    """Its main device is hidden no more, and nothing starts over it at the next boot."""
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        set_uuid = pyctl("create", NAME, main.path, spare.path)["set_uuid"]
        pyctl("remap", NAME, 100, 4)
        assert remembered(set_uuid)
        pyctl("unwrap", NAME, *(("--to", new.path) if leave else ()))
        assert not remembered(set_uuid)
        assert not list(Path("/etc/dm-remap/sets.d").iterdir())
        (seen,) = pyctl("discover")["sets"]
        assert (seen["set_uuid"], seen["remembered"]) == (set_uuid, False)


def test_assemble_goes_on_with_a_copy_of_main() -> None:
    """After a stop in order, with --copy-to; without, the copy is worth nothing."""
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        before = pattern(main.sectors, 1)
        pwrite(main, 0, before)
        pyctl("create", NAME, main.path, spare.path)
        start = ("assemble", NAME, main.path, spare.path)
        control = Control(Device(NAME))
        replacement.prepare(control, replacement.plan(control, str(new), rate=4096))
        wait_until(lambda: control.copy().copied >= 4096, "it copies", 30)
        control.copy("pause")
        copied = control.copy().copied
        assert copied < main.sectors
        pyctl("remove", NAME)

        plan = pyctl(*start, "--copy-to", new.path, "--dry-run")
        assert f"copy_to {new.path} copy_id " in plan["table"]
        pyctl(*start, "--copy-to", new.path)
        state = pyctl("migrate-main", NAME, "--status")
        assert (state["state"], state["copied"]) == ("paused", copied)
        pwrite(NODE, 0, pattern(8, 2))
        assert pread(new, 0, 8) == pattern(8, 2)
        pyctl("remove", NAME)

        pyctl(*start)
        assert pyctl("migrate-main", NAME, "--status")["state"] == "off"
        pyctl("remove", NAME)
        pyctl(*start, "--copy-to", new.path)
        assert pyctl("migrate-main", NAME, "--status")["copied"] == 0
        assert pyctl("migrate-main", NAME, new.path)["lost"] == 0
        assert pread(new, 0, new.sectors) == pattern(8, 2) + before[8 * SECTOR :]


def test_assemble_needs_a_name_to_go_on_with_a_copy() -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        pyctl("create", NAME, main.path, spare.path)
        pyctl("remove", NAME)
        error = pyctl("assemble", "--all", "--copy-to", new.path, status=ExitCode.USAGE)
        assert "--copy-to" in error
        assert not Path(NODE).exists()


def test_unwrap_leaves_a_whole_main_device() -> None:
    with disks() as (main, spare):
        run("mkfs.ext4", "-q", "-F", main.path)
        pyctl("create", NAME, main.path, spare.path)
        pyctl("remap", NAME, 2, 64)
        run("mount", NODE, "/mnt")
        Path("/mnt/file").write_text("kept")
        error = pyctl("unwrap", NAME, status=ExitCode.REFUSED)
        assert "/mnt" in error
        run("umount", "/mnt")
        assert pyctl("unwrap", NAME, "--wipe-spares")["removed"]
        run("fsck.ext4", "-fn", main.path)
        run("mount", main.path, "/mnt")
        assert Path("/mnt/file").read_text() == "kept"
        run("umount", "/mnt")
        # Blank enough for a set of another.
        assert pyctl("create", NAME, main.path, spare.path, "--force")["action"] == "format"


def test_unwrap_keeps_what_main_does_not_take() -> None:
    with disks() as (main, spare), NullBlk(MAIN_MB) as new:
        pyctl("create", NAME, main.path, spare.path)
        main.add_bad(64, 8)
        pwrite(NODE, 64, pattern(8, 5))
        error = pyctl("unwrap", NAME, status=ExitCode.MEDIA)
        assert "8 blocks" in error
        assert "--to" in error
        assert pread(NODE, 64, 8) == pattern(8, 5)
        assert pyctl("unwrap", NAME, "--to", new.path)["main"] == str(new.path)
        assert pread(new, 64, 8) == pattern(8, 5)
