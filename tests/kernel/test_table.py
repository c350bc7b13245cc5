"""Tables, reloads, and what dmsetup and sysfs show of a device."""

import contextlib
import os
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.errors import DmError
from pyctl.format import state_sector
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile, pread, pwrite
from tests.kernel.lib.dm import DmDevice
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import (
    Disks,
    QuickRemap,
    disks,
    eio,
    failing_write,
    patient,
    pattern,
    refused,
)
from tests.vm import paths

_PARAMETERS = Path("/sys/module/dm_remap/parameters")


@contextlib.contextmanager
def parameter(name: str, value: int) -> Iterator[None]:
    """A module parameter with another value."""
    before = (_PARAMETERS / name).read_text()
    (_PARAMETERS / name).write_text(str(value))
    try:
        yield
    finally:
        (_PARAMETERS / name).write_text(before)


def test_trap_21_remaps_made_after_a_table_was_loaded_are_not_forgotten(two: Disks) -> None:
    """A table is loaded, the live one remaps more, then the loaded one gets live.

    Mistake: read the metadata in the constructor, which runs at the load. Seen to fail with
    tests/mistakes/21_load_in_ctr.patch.
    """
    main, spare = two
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
        dm.load(dm.target())
        failing_write(main, dm, 1001, pattern(1, seed=2))
        dm.message("remap", 5000, 10)
        dm.write(5000, pattern(10, seed=3))
        expected = dm.remaps()
        dm.suspend()
        dm.resume()
        for _ in range(2):
            assert dm.remaps() == expected
            assert dm.read(1000, 2) == pattern(1, seed=1) + pattern(1, seed=2)
            assert dm.read(5000, 10) == pattern(10, seed=3)
            # Nothing that the new table believes to be free is in use.
            failing_write(main, dm, 2000, pattern(1, seed=4))
            places = [remap.spare_sector for remap in dm.remaps()]
            assert len(set(places)) == len(places) == 13
            dm.message("unremap", 2000)
            dm.reassemble()


def test_reloads_under_io_lose_nothing(two: Disks) -> None:
    main, spare = two
    stop = threading.Event()
    newest: dict[int, bytes] = {}

    def write() -> None:
        rng = random.Random(22)
        with DirectFile(dm) as file:
            number = 0
            while not stop.is_set() or len(newest) <= 32:
                number += 1
                sector = rng.randrange(0, 64)
                data = pattern(1, seed=number)
                file.pwrite(sector * SECTOR, data)
                newest[sector] = data
                other = rng.choice(list(newest))
                assert file.pread(other * SECTOR, SECTOR) == newest[other]

    with QuickRemap(main, spare) as dm:
        for sector in range(0, 64, 2):
            main.add_bad(sector)
        with Background(write) as writer:
            try:
                for number in range(100):
                    dm.load(dm.target({"retries": number % 16}))
                    dm.suspend(noflush=number % 2 == 0)
                    dm.resume()
                    assert writer.running()
            finally:
                stop.set()
        assert len(newest) > 32
        assert dm.message("get", "retries") == "retries=3"
        assert dm.remapped() <= set(range(0, 64, 2))
        for sector, data in newest.items():
            assert dm.read(sector) == data


def test_status_line(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare, opts=patient()) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
        dm.message("remap", 2000)
        main.add_bad(3000)
        assert eio(dm, 3000)
        pair = r"(\d+)/(\d+)"
        match = re.fullmatch(
            rf"0 {main.sectors} remap v4\.0 {pair} {pair} {pair} health=(\d+) errors=W(\d+):R(\d+) "
            r"auto_remaps=(\d+) manual_remaps=(\d+) scan=(\d+)%( [a-z_]+=\S+)*",
            run("dmsetup", "status", dm.name).strip(),
        )
        assert match
        capacity = str(dm.stats()["spare0_usable"])
        assert match.group(1, 2, 3, 4, 5, 6) == ("2", capacity, "1", capacity, "2", capacity)
        assert 0 < int(match[7]) < 100
        assert match.group(8, 9, 10, 11, 12) == ("1", "1", "1", "1", "0")
        fields = dm.status_fields().fields
        assert fields["unit"] == "512"
        assert fields["main"] == (main.sysfs / "dev").read_text().strip()
        assert fields["spares"] == "1/1"
        assert fields["mode"] == "rw"
        assert dm.message("status") == match[0].partition(" remap ")[2]


def test_printed_table_can_be_loaded_again(two: Disks) -> None:
    main, spare = two
    number, other = ((disk.sysfs / "dev").read_text().strip() for disk in two)
    with QuickRemap(main, spare, opts={"retries": 3, "breaker_seconds": 7}) as dm:
        dm.message("remap", 1000)
        printed = dm.table()
        uuid = Metadata(spare).superblock().set_uuid
        assert printed == (
            f"0 {main.sectors} remap {number} {other} 22 set {uuid} "
            "retries 3 backoff_ms 20 breaker_remaps 4096 breaker_seconds 7 autosave_seconds 300 "
            "spare_errors 64 space_percent 10 scan_rate 0 scan_share 1 relocate ask"
        )
        dm.reload(printed + "\n")
        assert dm.table() == printed
        dm.remove()
        with QuickRemap(main, spare) as again:
            assert again.remapped() == {1000}
            again.reload(printed + "\n")
            assert again.table() == printed
            # The short form again: with the options that it doesn't have.
            again.reload(again.target())
            assert "retries 6" in again.table()


def test_short_form_with_the_versioned_name(two: Disks) -> None:
    main, spare = two
    line = f"0 {main.sectors} remap-v4 {main} {spare}\n"
    with DmDevice(line) as dm:
        run("dmsetup", "message", dm.name, 0, "remap", 1000)
        assert " remap-v4 v4.0 1/" in dm.status()
        assert " remap-v4 " in dm.table()
    with QuickRemap(main, spare) as other:
        assert other.remapped() == {1000}


def test_wait_is_woken_by_a_remap(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        number = dm.event_nr
        with Background(lambda: dm.wait(number)) as waiter:
            assert waiter.running()
            failing_write(main, dm, 1000, pattern(1, seed=1))
        assert dm.event_nr > number


def test_dmsetup_shows_the_device(two: Disks) -> None:
    main, spare = two
    with RemapDevice(main, spare) as dm:
        deps = run("dmsetup", "deps", dm.name)
        numbers = re.findall(r"\((\d+), (\d+)\)", deps)
        assert sorted(":".join(pair) for pair in numbers) == sorted(
            (disk.sysfs / "dev").read_text().strip() for disk in two
        )
        assert dm.name in run("dmsetup", "ls", "--target", "remap")
        assert re.search(r"State: +ACTIVE", run("dmsetup", "info", dm.name))
        assert re.search(r"^remap +v4\.\d+\.\d+$", run("dmsetup", "targets"), re.MULTILINE)


def test_a_set_serves_one_device(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
        refused(kernel_log, QuickRemap(main, spare), r"is in use by \d+:\d+")
        assert dm.remapped() == {1000}
        dm.write(1000, pattern(1, seed=1))
        assert dm.read(1000) == pattern(1, seed=1)


def test_reload_with_other_devices_is_refused(kernel_log: KernelLog) -> None:
    with disks(spares=2) as (main, spare, other), NullBlk(16) as main2:
        with QuickRemap(main, spare) as dm:
            dm.message("remap", 1000)
            for wrong, reason in (
                (QuickRemap(main2, spare), "main device of a live set can't be changed"),
                (QuickRemap(main, other), "is in use and missing from the new table"),
                (QuickRemap(main, spare, sectors=main.sectors - 8), "main device of a live set"),
                (QuickRemap(main, spare, opts={"set": _OTHER_UUID}), "the table asks for"),
            ):
                dm.load(wrong._initial)
                dm.suspend()
                with pytest.raises(DmError):
                    dm.resume()
                assert re.search(reason, "\n".join(kernel_log.lines()))
                # As with any target, the wrong table is in place now: the right one goes over it.
                dm.load(dm.target())
                dm.resume()
                assert dm.remapped() == {1000}
            dm.write(1000, pattern(1, seed=1))
            assert dm.read(1000) == pattern(1, seed=1)
        assert not any(Metadata(other).image())


_OTHER_UUID = "00000000-0000-4000-8000-000000000000"


def test_table_that_never_gets_live_writes_nothing(two: Disks) -> None:
    main, spare = two
    with DmDevice(f"0 {main.sectors} error\n") as dm:
        dm.load(QuickRemap(main, spare)._initial)
        dm.clear()
        assert not any(Metadata(spare).image())
    with QuickRemap(main, spare) as first:
        first.message("remap", 1000)
    image = Metadata(spare).image()
    with DmDevice(f"0 {main.sectors} error\n") as dm:
        dm.load(QuickRemap(main, spare)._initial)
        dm.clear()
    assert Metadata(spare).image() == image


def test_clean_activation_changes_nothing(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000)
    image = Metadata(spare).image()
    with QuickRemap(main, spare) as dm:
        assert dm.remapped() == {1000}
    state = slice(state_sector(0) * SECTOR, (state_sector(0) + 16) * SECTOR)
    again = Metadata(spare).image()
    assert again[: state.start] == image[: state.start]
    assert again[state] != image[state]
    assert again[state.stop :] == image[state.stop :]


def test_one_target_makes_a_device(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two
    half = main.sectors // 2
    ours = f"{half} remap {main} {spare}\n"
    for table in (
        f"0 {ours}{half} {half} linear {main} {half}\n",
        f"0 {half} linear {main} 0\n{half} {ours}",
        f"0 {ours}{half} {ours}",
    ):
        refused(kernel_log, DmDevice(table), "singleton|must appear alone|remap")
    assert not any(Metadata(spare).image())


def test_max_remaps_can_be_changed_while_it_runs(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        with parameter("max_remaps", 4):
            assert dm.status_fields().capacity == 4
            dm.message("remap", 1000, 3)
            failing_write(main, dm, 2000, pattern(1, seed=1))
            with pytest.raises(DmError):
                dm.message("remap", 3000)
            assert "no table entry is free" in dm.message("error")
            main.add_bad(2001)
            with pytest.raises(OSError):
                dm.write(2001, pattern(1, seed=2))
            # What is remapped stays so, and can be written.
            dm.write(2000, pattern(1, seed=3))
        dm.write(2001, pattern(1, seed=2))
        assert dm.read(2000, 2) == pattern(1, seed=3) + pattern(1, seed=2)


def test_max_remaps_sizes_new_tables() -> None:
    with NullBlk(16) as main, NullBlk(32) as spare, parameter("max_remaps", 50_000):
        dm = QuickRemap(main, spare)
        with dm:
            superblock = Metadata(spare).superblock()
            assert superblock.max_remaps == 50_000
            assert superblock.nr_leaves == -(-50_000 // 252)
            dm.message("remap", 0, 200)
            places = {remap.spare_sector for remap in dm.remaps()}
            assert len(places) == 200
            assert all(place is not None and superblock.usable(place) for place in places)
            dm.reassemble()
            assert len(dm.remapped()) == 200


def test_debug_level_can_be_changed_while_it_runs(two: Disks, kernel_log: KernelLog) -> None:
    main, spare = two

    def told() -> list[str]:
        return re.findall(r"sector (\d+) remapped", "\n".join(kernel_log.lines()))

    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
        assert told() == []
        with parameter("dm_remap_debug", 3):
            failing_write(main, dm, 1001, pattern(1, seed=1))
        assert told() == ["1001"]
        failing_write(main, dm, 1002, pattern(1, seed=1))
        assert told() == ["1001"]


def test_eight_spares_share_the_work() -> None:
    with disks(spares=8) as (main, *spares), QuickRemap(main, *spares) as dm:
        data = pattern(16, seed=1)
        failing_write(main, dm, 1000, data)
        assert {remap.spare for remap in dm.remaps()} == set(range(8))
        assert dm.read(1000, 16) == data
        with DirectFile(dm) as file:
            file.fsync()
        dm.reassemble()
        assert dm.read(1000, 16) == data
        assert dm.status_fields().fields["spares"] == "8/8"
        # In any order: a spare knows its place.
        dm.remove()
        with QuickRemap(main, *reversed(spares)) as other:
            assert other.read(1000, 16) == data
            with DirectFile(other) as file:
                file.fsync()


@pytest.mark.parametrize(("main_block", "spare_block"), [(4096, 4096), (512, 4096), (4096, 512)])
def test_large_blocks(main_block: int, spare_block: int) -> None:
    with NullBlk(16, main_block) as main, NullBlk(8, spare_block) as spare:
        with QuickRemap(main, spare) as dm:
            assert dm.queue("logical_block_size") == 4096
            assert dm.status_fields().fields["unit"] == "4096"
            with pytest.raises(OSError):
                dm.read(1, 1)
            data = pattern(32, seed=1)
            main.add_bad(1000, 8)
            main.add_bad(1016, 8)
            dm.write(1000, data)
            assert dm.remapped() == {1000, 1016}
            dm.message("remap", 1008, 8)
            assert dm.read(1000, 32) == data
            dm.reassemble()
            assert dm.read(1000, 32) == data
            main.remove_bad(1000, 8)
            main.remove_bad(1016, 8)
            assert dm.message("clear") == "cleared=3 kept=0 lost=0"
            assert dm.read(1000, 32) == data
        assert pread(main, 1000, 32) == data


def test_set_with_large_units_needs_large_blocks(kernel_log: KernelLog) -> None:
    with NullBlk(16) as main, NullBlk(8) as small, NullBlk(8, 4096) as large:
        with QuickRemap(main, small, large) as dm:
            dm.message("remap", 1000)
            assert dm.queue("logical_block_size") == 4096
        refused(
            kernel_log,
            QuickRemap(main, small, opts={"degraded": "yes"}),
            "remaps units of 4096 bytes because of a spare that is not here",
        )
        with QuickRemap(main, small, large) as dm:
            assert dm.status_fields().fields["spares"] == "2/2"


def test_read_only_device(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        failing_write(main, dm, 1000, pattern(1, seed=1))
    image = Metadata(spare).image()
    table = QuickRemap(main, spare)._initial
    with DmDevice(table, readonly=True) as dm:
        assert (dm.sysfs / "ro").read_text() == "1\n"
        assert pread(dm, 1000) == pattern(1, seed=1)
        with pytest.raises(OSError):
            pwrite(dm, 1000, pattern(1, seed=2))
        with pytest.raises(CommandError):
            dm.message("unremap", 1000)
        assert "read-only" in dm.message("error")
    assert Metadata(spare).image() == image


def test_read_only_device_makes_no_new_set(two: Disks) -> None:
    main, spare = two
    with pytest.raises(CommandError), DmDevice(QuickRemap(main, spare)._initial, readonly=True):
        pass
    assert not any(pread(spare, 0, spare.sectors))


def test_device_in_use_is_not_removed(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm, DirectFile(dm) as file:
        with pytest.raises(CommandError):
            run("dmsetup", "remove", dm.name)
        file.pwrite(0, pattern(1, seed=1))
        assert file.pread(0, SECTOR) == pattern(1, seed=1)


def test_module_goes_when_nothing_uses_it(two: Disks) -> None:
    main, spare = two
    module = paths.module(os.uname().release)
    with QuickRemap(main, spare) as dm:
        dm.message("remap", 1000, 100)
        with pytest.raises(CommandError):
            run("rmmod", "dm_remap")
    retry(lambda: run("rmmod", "dm_remap"), CommandError)
    try:
        assert not _PARAMETERS.exists()
        with pytest.raises(DmError):
            QuickRemap(main, spare).__enter__()
    finally:
        run("insmod", module)
    wait_until(_PARAMETERS.exists, "the module is loaded again")
    with QuickRemap(main, spare) as dm:
        assert len(dm.remapped()) == 100
