"""The offline tools on real block devices, and what the kernel makes of their results."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import disks, pattern

NAME = "offline"
NODE = f"/dev/mapper/{NAME}"
SLOTS = (0, 1024, 2048, 4096, 8192)


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    with contextlib.suppress(Exception):
        run("dmsetup", "remove", NAME)


def test_a_damaged_set_is_repaired_and_starts() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 100, 4)
        assert "is in use" in pyctl("metadata", "repair", one.path, two.path, status=8)
        notes = pyctl("metadata", "check", one.path, two.path)["findings"]
        assert ["in use" in note["message"] for note in notes[:2]] == [True, True]
        pyctl("remove", NAME)
        for slot in SLOTS[:4]:
            pwrite(one, slot, bytes(16 * 512))
        found = pyctl("metadata", "check", "--main", main.path, one.path, two.path, status=4)
        assert {row["sector"] for row in found["findings"]} == {
            sector for slot in SLOTS[:4] for sector in (slot, slot + 8)
        }
        assert len(pyctl("metadata", "repair", one.path, two.path, status=1)["findings"]) == 8
        assert pyctl("metadata", "check", one.path, two.path)["findings"] == []
        pyctl("assemble", NAME, main.path, one.path, two.path)
        assert sum(row["sectors"] for row in pyctl("list", NAME)) == 4


def test_a_wiped_set_is_restored_with_its_data(tmp_path: Path) -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 100, 8)
        pwrite(NODE, 100, pattern(8, 2))
        file = tmp_path / "backup"
        pyctl("metadata", "backup", file, one.path, two.path)
        pyctl("remove", NAME)
        for spare in (one, two):
            pwrite(spare, 0, bytes(10240 * 512))
        assign = [f"--assign={one.path}=0", f"--assign={two.path}=1", "--trust-data"]
        plan = ["metadata", "restore", file, one.path, two.path, *assign]
        assert pyctl(*plan)["written"] is False
        assert not any(pread(one, 0, 10240))
        assert pyctl(*plan, "--yes")["written"] is True
        pyctl("assemble", NAME, main.path, one.path, two.path)
        assert pread(NODE, 100, 8) == pattern(8, 2)
        pyctl("remap", NAME, 5000)
        pyctl("remove", NAME)
        # the table has moved on: the file is no longer good for it
        for slot in SLOTS:
            pwrite(one, slot + 8, bytes(8 * 512))
            pwrite(two, slot + 8, bytes(8 * 512))
        pyctl(*plan, "--yes", status=4)


def test_a_start_without_a_spare_by_mistake_is_undone() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 100, 8)
        pwrite(NODE, 100, pattern(8, 2))
        assert {row["spare"] for row in pyctl("list", NAME)} == {0, 1}
        pyctl("remove", NAME)
        pyctl("assemble", NAME, main.path, one.path, "--degraded")
        with pytest.raises(OSError, match="Input/output error"):
            pread(NODE, 100, 8)
        # written while the spare is away: it goes to the other one, in its place of the table
        pwrite(NODE, 103, pattern(2, 3))
        pyctl("remove", NAME)
        assert pyctl("metadata", "rollback", 1, one.path, two.path, "--yes")["written"]
        assert pyctl("metadata", "check", one.path, two.path)["status"] == 0
        pyctl("assemble", NAME, main.path, two.path, one.path)
        data = bytearray(pattern(8, 2))
        data[3 * 512 : 5 * 512] = pattern(2, 3)
        assert pread(NODE, 100, 8) == bytes(data)


def test_a_running_set_is_rolled_back_in_one_command() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remap", NAME, 100, 8)
        pwrite(NODE, 100, pattern(8, 2))
        pyctl("remove", NAME)
        pyctl("assemble", NAME, main.path, one.path, "--degraded", "--retries", 3)
        first, second = pyctl("rollback", NAME)["generations"][:2]
        assert (first["possible"], second["possible"]) == (True, False)
        with DirectFile(NODE):
            assert f"{NAME} is in use" in pyctl("rollback", NAME, 1, "--yes", status=4)
        assert pyctl("rollback", NAME, 1, "--yes")["written"]
        assert pread(NODE, 100, 8) == pattern(8, 2)
        assert "retries 3" in run("dmsetup", "table", NAME)
        assert pyctl("status", NAME)["fields"]["spares"] == "2/2"


def test_spares_that_were_each_started_alone_stay_apart() -> None:
    with disks(2) as (main, one, two):
        pyctl("create", NAME, main.path, one.path, two.path)
        pyctl("remove", NAME)
        for spare in (one, two):
            pyctl("assemble", NAME, main.path, spare.path, "--degraded")
            pyctl("remove", NAME)
        found = pyctl("metadata", "check", one.path, two.path, status=4)["findings"]
        assert any("each started without the other" in row["message"] for row in found)
        pyctl("metadata", "rollback", 1, one.path, two.path, "--yes", status=4)
        pyctl("assemble", NAME, main.path, one.path, two.path, status=1)


def test_a_main_that_was_replaced_is_explained() -> None:
    with disks() as (main, spare):
        run("mkfs.ext4", "-q", "-F", main.path)
        pyctl("create", NAME, main.path, spare.path)
        pyctl("remove", NAME)
        rows = pyctl("metadata", "identity", "--main", main.path, spare.path)["fields"]
        verdicts = {row["field"]: row["verdict"] for row in rows}
        assert verdicts["file system's UUID"] == verdicts["sectors"] == "same"
        run("mkfs.ext4", "-q", "-F", main.path)
        error = pyctl("assemble", NAME, main.path, spare.path, status=4)
        assert "samples of its content differ" in error
        told = pyctl("assemble", NAME, main.path, spare.path, "--force-main")["warnings"]
        assert any("file system's UUID" in warning for warning in told)
        pyctl("remove", NAME)
        assert pyctl("assemble", NAME, main.path, spare.path)["warnings"] == []
