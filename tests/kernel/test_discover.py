"""The files in /sys/kernel/dm-remap-v4/discovery, and pyctl's own look at all devices."""

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.errors import ExitCode
from pyctl.format import REPLICAS, slot_sector
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.retry import retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import Disks, QuickRemap, disks, failing_write, pattern
from tests.vm import paths

FILES = Path("/sys/kernel/dm-remap-v4/discovery")
LIST = FILES / "device_list"
NAME = "found"
UEVENTS = 15  # NETLINK_KOBJECT_UEVENT


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    if Path("/dev/mapper", NAME).exists():
        run("dmsetup", "remove", NAME)


def listed() -> list[dict[str, str]]:
    """The lines of device_list."""
    lines = []
    for line in LIST.read_text().splitlines():
        head, _, name = line.partition(" name=")
        lines.append(dict(word.split("=") for word in head.split()) | {"name": name})
    return lines


def colon(*devices: NullBlk) -> str:
    return ",".join(device.number.replace(",", ":") for device in devices)


def test_device_list_has_a_line_for_each_set(three: Disks) -> None:
    main, *spares = three
    assert listed() == []
    with QuickRemap(main, *spares, name="a+b=c") as dm:
        (line,) = listed()
        assert line == {
            "uuid": dm.status_fields().fields["set"],
            "main": colon(main),
            "spares": colon(*spares),
            "state": "ok",
            "name": "a+b=c",
        }
        with disks() as other, QuickRemap(*other, name="second"):
            assert {line["name"] for line in listed()} == {"a+b=c", "second"}
    assert listed() == []
    with QuickRemap(main, spares[1], opts={"degraded": "yes"}):
        (line,) = listed()
        assert (line["state"], line["spares"]) == ("degraded", f"-,{colon(spares[1])}")


def test_device_list_tells_of_a_failed_set(two: Disks) -> None:
    main, spare = two
    with QuickRemap(main, spare) as dm:
        spare.add_bad(0, spare.sectors)
        main.add_bad(1000)
        with pytest.raises(OSError):
            dm.write(1000, pattern(1, seed=1))
        assert dm.status_fields().mode == "fail"
        assert listed()[0]["state"] == "failed"


def test_device_list_says_how_many_lines_did_not_fit() -> None:
    """Whole lines only, in one page."""
    count, sectors = 24, 12288
    stack: list[DmDevice] = []
    with NullBlk(size_mb=count) as mains, NullBlk(size_mb=count * 6) as spares:
        try:
            for number in range(count):
                parts = [
                    DmDevice(Linear(mains, 2048, number * 2048), name=f"m{number}"),
                    DmDevice(Linear(spares, sectors, number * sectors), name=f"s{number}"),
                ]
                stack += [part.__enter__() for part in parts]
                stack.append(QuickRemap(*parts, name=f"{number}".rjust(100, "x")).__enter__())
            *lines, last = LIST.read_text().splitlines()
            assert len(lines) < count
            assert last == f"more={count - len(lines)}"
            assert all(" name=" in line for line in lines)
            assert len(LIST.read_text()) <= os.sysconf("SC_PAGE_SIZE")
        finally:
            for device in reversed(stack):
                device.remove()


@pytest.mark.parametrize("text", ["", "2", "-1", "yes", "1 1", "0x1", "99999999999", "11"])
def test_a_switch_takes_nothing_else(text: str) -> None:
    for name in ("auto_discovery", "trigger_discovery"):
        before = (FILES / "auto_discovery").read_text()
        fd = os.open(FILES / name, os.O_WRONLY)
        try:
            # an empty write does not reach the driver
            with pytest.raises(OSError) as caught:
                os.write(fd, (text or "\n").encode())
        finally:
            os.close(fd)
        assert caught.value.errno == errno.EINVAL
        assert (FILES / "auto_discovery").read_text() == before


def test_auto_discovery_is_what_was_written() -> None:
    assert (FILES / "auto_discovery").read_text() == "1\n"
    for value in ("0", "1", "0\n", "1\n"):
        (FILES / "auto_discovery").write_text(value)
        assert (FILES / "auto_discovery").read_text().strip() == value.strip()


def test_trigger_sends_one_event() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, UEVENTS) as events:
        events.bind((0, 1))
        events.settimeout(5)
        with pytest.raises(OSError):
            (FILES / "trigger_discovery").write_text("0")
        (FILES / "trigger_discovery").write_text("1")
        event = events.recv(8192).decode().split("\0")
        assert event[0] == "change@/kernel/dm-remap-v4/discovery"
        assert {"DM_REMAP_DISCOVER=1", "SUBSYSTEM=dm-remap-v4"} <= set(event)
        events.settimeout(0.5)
        with pytest.raises(TimeoutError):
            events.recv(8192)
    with pytest.raises(PermissionError if os.geteuid() else OSError):
        (FILES / "trigger_discovery").read_text()


def test_files_are_read_while_sets_and_the_module_come_and_go(two: Disks) -> None:
    """Whoever is reading sees whole lines or nothing, and the module waits for him."""
    main, spare = two
    stop = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(len(listed()))
                # "w" would make the file where there is none, which is another error in sysfs.
                with (FILES / "auto_discovery").open("rb+", buffering=0) as file:
                    file.write(b"1")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise

    with Background(read), Background(read):
        try:
            for _ in range(5):
                with QuickRemap(main, spare) as dm:
                    failing_write(main, dm, 1000, pattern(1, seed=1))
                    dm.reload(dm.target())
                    wait_until(lambda: 1 in seen, "a reader has seen the set")
                    seen.discard(1)
                retry(lambda: run("rmmod", "dm_remap"), CommandError)
                run("insmod", paths.module(os.uname().release))
        finally:
            stop.set()


def found() -> dict[str, object]:
    (one,) = pyctl("discover")["sets"]
    return one


def test_a_set_from_its_making_to_its_loss(three: Disks) -> None:
    main, one, two = three
    pwrite(main, 0, pattern(main.sectors, seed=1))
    uuid = pyctl("create", NAME, main.path, one.path, two.path)["set_uuid"]
    seen = found()
    assert (seen["set_uuid"], seen["state"], seen["running_as"]) == (uuid, "running", NAME)
    assert [spare["in_use"] for spare in seen["spares"]] == [True, True]
    pyctl("remove", NAME)

    # null_blk has no identity at all, but the set was stopped in order: its content tells
    seen = found()
    assert (seen["state"], seen["main"], seen["name"]) == ("ready to assemble", str(main), NAME)
    (told,) = pyctl("assemble", "--all")
    assert (told["name"], told["result"]) == (NAME, "started")
    (told,) = pyctl("assemble", "--all")
    assert told["result"] == "running"
    (told,) = pyctl("assemble", "--set", uuid)
    assert told["result"] == "running"
    pyctl("remove", NAME)

    first = pread(one, 0, 10240)
    pwrite(one, 0, bytes(len(first)))
    seen = found()
    assert seen["state"] == "incomplete"
    assert "Spare 0" in seen["problems"][0]["text"]
    assert "--degraded" in seen["problems"][0]["hint"]
    before = pread(two, 0, 10240)
    assert pyctl("assemble", "--set", uuid, status=ExitCode.REFUSED)
    # nothing was started degraded, formatted, or written
    assert pread(two, 0, 10240) == before
    assert not any(pread(one, 0, 10240))
    pwrite(one, 0, first)
    assert found()["state"] == "ready to assemble"

    pwrite(main, 0, pattern(main.sectors, seed=2))
    seen = found()
    assert (seen["state"], seen["main"]) == ("main not found", None)
    assert str(main) in seen["problems"][0]["text"]
    pyctl("assemble", "--set", uuid, status=ExitCode.REFUSED)
    assert not Path("/dev/mapper", NAME).exists()


def test_two_sets_are_never_crossed() -> None:
    """Mains and spares of the same sizes; one by one they are refused, by discovery never mixed."""
    with disks() as (main_a, spare_a), disks() as (main_b, spare_b):
        for name, main, spare, seed in (("a", main_a, spare_a, 1), ("b", main_b, spare_b, 2)):
            pwrite(main, 0, pattern(main.sectors, seed))
            pyctl("create", name, main.path, spare.path)
            pyctl("remap", name, 100)
            pyctl("remove", name)
        error = pyctl("assemble", "x", main_a.path, spare_b.path, status=ExitCode.REFUSED)
        assert "main is another device" in error
        error = pyctl("assemble", "x", main_a.path, spare_a.path, spare_b.path, status=4)
        assert "different sets" in error
        pairs = {one["name"]: one["main"] for one in pyctl("discover")["sets"]}
        assert pairs == {"a": str(main_a), "b": str(main_b)}
        assert {row["result"] for row in pyctl("assemble", "--all")} == {"started"}
        for name, main in (("a", main_a), ("b", main_b)):
            assert main.number.replace(",", ":") in run("dmsetup", "table", name)
            pyctl("remove", name)


def test_a_copy_of_a_spare_is_told(two: Disks) -> None:
    main, spare = two
    pwrite(main, 0, pattern(main.sectors, seed=1))
    uuid = pyctl("create", NAME, main.path, spare.path)["set_uuid"]
    pyctl("remove", NAME)
    with NullBlk(size_mb=spare.size >> 20) as copy:
        pwrite(copy, 0, pread(spare, 0, spare.sectors))
        seen = found()
        assert seen["state"] == "not usable"
        assert str(spare) in seen["problems"][0]["text"]
        assert str(copy) in seen["problems"][0]["text"]
        pyctl("assemble", "--set", uuid, status=ExitCode.REFUSED)
    assert found()["state"] == "ready to assemble"


def test_devices_that_cannot_be_read_don_t_keep_it_from_the_others(three: Disks) -> None:
    main, spare, broken = three
    pwrite(main, 0, pattern(main.sectors, seed=1))
    pyctl("create", NAME, main.path, spare.path)
    pyctl("remove", NAME)
    for copy in range(REPLICAS):
        broken.add_bad(slot_sector(copy), 8)
    with (
        NullBlk() as under,
        DmDevice(Linear(under, under.sectors)) as suspended,
        suspended.pause(),
    ):
        seen = pyctl("discover")
    (one,) = seen["sets"]
    assert one["state"] == "ready to assemble"
    trouble = {row["device"]: row["why"] for row in seen["unreadable"]}
    assert "suspended" in trouble[f"/dev/mapper/{suspended.name}"]
    assert "Input/output error" in trouble[str(broken)]


def test_damaged_copies_of_a_superblock_hide_no_spare(two: Disks) -> None:
    main, spare = two
    pwrite(main, 0, pattern(main.sectors, seed=1))
    pyctl("create", NAME, main.path, spare.path)
    pyctl("remove", NAME)
    for copy in range(REPLICAS - 1):
        pwrite(spare, slot_sector(copy), bytes(4096))
    assert found()["state"] == "ready to assemble"
    pwrite(spare, slot_sector(REPLICAS - 1), b"DMREMAP4" + bytes(4088))
    seen = pyctl("discover")
    assert not seen["sets"]
    assert "no whole superblock" in seen["unreadable"][0]["why"]


@pytest.mark.timeout(300)
def test_many_start_a_set_at_one_time(two: Disks) -> None:
    """One of them does it, the others see it running."""
    main, spare = two
    pwrite(main, 0, pattern(main.sectors, seed=1))
    pyctl("create", NAME, main.path, spare.path)
    pyctl("remove", NAME)
    program = Path(sys.prefix, "bin/pyctl")
    running = [
        subprocess.Popen([program, "assemble", "--all"], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=200)[0] for process in running)
    assert [process.returncode for process in running] == [0] * 4
    assert [": started" in line for line in said].count(True) == 1
    assert [": running" in line for line in said].count(True) == 3
