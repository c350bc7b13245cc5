"""pyctl against the real kernel: the program that an administrator runs, start to end."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.errors import ExitCode
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.program import pyctl, pyctl_program
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import disks, pattern

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
