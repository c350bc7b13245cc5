"""The files in sysfs and debugfs, and parameters: as described, in and out of range, in a hurry."""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.lib.abi import (
    DEBUGFS,
    PARAMETERS,
    SYSFS,
    Described,
    described,
    fields,
    files,
    generic,
    numbers,
    set_line,
)
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.dm import DmDevice
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.pool import attach, number_of, row, rows
from tests.kernel.lib.retry import must_end, retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.setup import Disks, QuickRemap, disks, failing_write, pattern
from tests.vm import paths

CONTROL = DEBUGFS / "remap_control"
MODULE = paths.module(os.uname().release)

# What stands in front of the lines about single sets.
HEALTH_LINES = 12

# A file that is written, the file where its value shows, how 0 to 9 look there; values that it
# takes, and such that it doesn't. The first is the default.
Value = tuple[str, Path, list[str], list[str]]
NONSENSE = ["\n", "-1", "x", "1 1", "1x", "0x1", "1.5", "4294967296", "99999999999999999999"]
VALUES: list[Value] = [
    ("health/health_scanning", SYSFS, ["1", "0"], ["2", "y", "on"]),
    ("health/scan_interval", SYSFS, ["24", "1", "168"], ["0", "169"]),
    ("health/health_threshold", SYSFS, ["50", "0", "100"], ["101"]),
    ("discovery/auto_discovery", SYSFS, ["1", "0"], ["2", "Y"]),
    ("dm_remap_debug", PARAMETERS, ["0", "1", "2", "3"], ["4"]),
    ("enable_background_scanning", PARAMETERS, ["Y", "N"], ["2", "yes", "on", "Yes"]),
    ("scan_interval_hours", PARAMETERS, ["24", "1", "168"], ["0", "169"]),
    ("max_remaps", PARAMETERS, ["0", "1", "16515072"], ["16515073"]),
]
TRIGGERS = ["health/trigger_health_scan", "discovery/trigger_discovery", "config/reset_stats"]


def write(path: Path, text: str) -> None:
    """One write, as it is: no file is made, nothing is cut."""
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.write(fd, text.encode()) == len(text)
    finally:
        os.close(fd)


@contextlib.contextmanager
def failing(number: int) -> Iterator[None]:
    """What is done fails with this error."""
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == number


def health() -> tuple[dict[str, int], list[dict[str, str]]]:
    """health_stats: its numbers, and its lines about sets."""
    lines = (SYSFS / "stats/health_stats").read_text().splitlines(keepends=True)
    head = fields("".join(lines[:HEALTH_LINES]))
    sets = [set_line(line.rstrip("\n")) for line in lines[HEALTH_LINES:]]
    return {name: int(value) for name, value in head.items()}, sets


def control() -> tuple[list[dict[str, str]], str]:
    """remap_control: its lines about sets, and the last answer."""
    *lines, last = CONTROL.read_text().splitlines()
    assert last.startswith("answer=")
    return [set_line(line) for line in lines], last.removeprefix("answer=")


def unload() -> None:
    # Somebody may have the module for a moment: the last device, or a file that is being closed.
    retry(lambda: run("rmmod", "dm_remap"), CommandError)


@pytest.fixture
def reloaded() -> Iterator[None]:
    """The module is as it was before, whatever the test does with it."""
    yield
    if Path("/sys/module/dm_remap").exists():
        unload()
    run("insmod", MODULE)


def test_the_page_describes_every_file_and_there_is_every_file_that_it_describes(
    two: Disks,
) -> None:
    page = described()
    with QuickRemap(*two):
        found = {generic(path): path for path in files()}
        assert found.keys() == page.keys()
        for name, path in found.items():
            assert path.stat().st_mode & 0o600 == page[name].rights, name
            assert not path.stat().st_mode & 0o022, name
    assert all(generic(path) == str(path) for path in files())


def test_the_page_describes_every_name(two: Disks) -> None:
    page = described()
    with QuickRemap(*two) as dm:
        stats = SYSFS / "stats"
        folder = DEBUGFS / dm.status_fields().fields["set"]
        head, _ = health()
        seen = {
            str(stats / "health_stats"): head.keys(),
            **{
                generic(path): fields(path.read_text()).keys()
                for path in (
                    stats / "global_stats",
                    stats / "discovery_stats",
                    SYSFS / "config/version_info",
                    folder / "in_flight",
                )
            },
        }
    for name, names in seen.items():
        assert page[name].names == set(names), name


def test_global_stats_are_the_sums_of_all_sets(two: Disks) -> None:
    path = SYSFS / "stats/global_stats"
    assert set(numbers(path).values()) == {0}
    with QuickRemap(*two) as dm, disks(spares=2) as more, QuickRemap(*more) as other:
        for main, device in ((two[0], dm), (more[0], other)):
            failing_write(main, device, 1000, pattern(3, seed=1))
            device.message("remap", 2000, 2)
        found = numbers(path)
        single = [device.stats() for device in (dm, other)]
        status = [device.status_fields() for device in (dm, other)]
        names = set(single[0]) & set(found)
        assert {"write_errors", "auto_remaps", "manual_remaps", "remaps", "lost"} <= names
        assert {name: found[name] for name in names} == {
            name: sum(stats[name] for stats in single) for name in names
        }
        assert (found["sets"], found["remaps"], found["manual"]) == (2, 10, 4)
        assert found["capacity"] == sum(one.capacity for one in status)
        assert found["free"] == sum(int(one.fields["free"]) for one in status)

        write(SYSFS / "config/reset_stats", "1\n")
        found = numbers(path)
        assert [found[name] for name in ("write_errors", "auto_remaps", "commits")] == [0] * 3
        assert [found[name] for name in ("sets", "remaps", "manual")] == [2, 10, 4]
        assert dm.stats()["write_errors"] == other.stats()["write_errors"] == 0
    assert set(numbers(path).values()) == {0}


def test_health_stats_count_the_sets_below_the_threshold(three: Disks) -> None:
    main, one, two_ = three
    head, sets = health()
    assert (head["sets"], head["lowest"], head["threshold"], sets) == (0, 100, 50, [])
    with QuickRemap(main, one, two_):
        pass
    with (
        disks() as whole,
        QuickRemap(*whole, name="whole"),
        QuickRemap(main, one, name="half", opts={"degraded": "yes"}) as half,
    ):
        score = half.status_fields().health
        assert score < 100
        for threshold, below in ((score, 0), (score + 1, 1), (100, 1), (0, 0)):
            write(SYSFS / "health/health_threshold", str(threshold))
            head, sets = health()
            assert (head["sets"], head["below_threshold"]) == (2, below)
            assert (head["lowest"], head["threshold"]) == (score, threshold)
        write(SYSFS / "health/health_threshold", "50")
        lines = {line["name"]: line for line in sets}
        assert lines.keys() == {"whole", "half"}
        assert lines["half"]["uuid"] == half.status_fields().fields["set"]
        assert (lines["half"]["state"], lines["whole"]["state"]) == ("degraded", "ok")
        assert lines["half"]["health"] == str(score)
        for line in sets:
            assert line["breaker"] == "closed"
            assert re.fullmatch(r"(off|waiting|running|paused|suspended):\d+%", line["scan"])


def test_a_trigger_scans_all_sets_and_what_is_found_is_shown(two: Disks) -> None:
    main, _ = two
    with QuickRemap(*two) as dm, disks() as more, QuickRemap(*more):
        regions = DEBUGFS / dm.status_fields().fields["set"] / "regions"
        assert regions.read_text() == ""
        main.add_bad(5000)
        write(SYSFS / "health/trigger_health_scan", "1")
        wait_until(lambda: health()[0]["sets_scanned"] == 2, "both are scanned", timeout=60)
        head, sets = health()
        assert (head["scan_errors"], head["scans_running"]) == (1, 0)
        assert sorted(line["scan_errors"] for line in sets) == ["0", "1"]
        (line,) = regions.read_text().splitlines()
        assert line.startswith("- 4096 health=")
        assert " errors=1 " in line
        assert dm.message("scan", "regions").splitlines() == [line, "end"]


def test_discovery_stats_count_sets_spares_and_triggers(three: Disks) -> None:
    path = SYSFS / "stats/discovery_stats"
    write(SYSFS / "config/reset_stats", "1")
    main, one, two_ = three
    with QuickRemap(main, one, two_):
        assert numbers(path) == {
            "sets": 1,
            "ok": 1,
            "degraded": 0,
            "failed": 0,
            "spares": 2,
            "spares_in_use": 2,
            "auto_discovery": 1,
            "triggers": 0,
        }
    with QuickRemap(main, one, opts={"degraded": "yes"}) as dm:
        write(SYSFS / "discovery/trigger_discovery", "1")
        write(SYSFS / "discovery/auto_discovery", "0")
        found = numbers(path)
        write(SYSFS / "discovery/auto_discovery", "1")
        assert (found["ok"], found["degraded"], found["failed"]) == (0, 1, 0)
        assert (found["spares"], found["spares_in_use"]) == (2, 1)
        assert (found["auto_discovery"], found["triggers"]) == (0, 1)
        one.add_bad(0, one.sectors)
        main.add_bad(1000)
        with pytest.raises(OSError):
            dm.write(1000, pattern(1, seed=1))
        found = numbers(path)
        assert (found["ok"], found["degraded"], found["failed"]) == (0, 0, 1)
    write(SYSFS / "config/reset_stats", "1")
    assert set(numbers(path).values()) == {0, 1}


def test_version_info_is_that_of_the_module(two: Disks) -> None:
    found = fields((SYSFS / "config/version_info").read_text())
    assert found["version"] == Path("/sys/module/dm_remap/version").read_text().strip()
    for target in found["targets"].split(","):
        assert re.search(
            rf"^{target} +v{re.escape(found['version'])}", run("dmsetup", "targets"), re.MULTILINE
        )
    with QuickRemap(*two) as dm:
        assert f"dm-remap {found['version']} " in dm.message("ping")


@pytest.mark.parametrize(("name", "root", "good", "bad"), VALUES)
def test_a_value_is_what_was_written_in_range_and_stays_out_of_range(
    name: str, root: Path, good: list[str], bad: list[str]
) -> None:
    path = root / name
    assert path.read_text() == f"{good[0]}\n"
    for value in [*good, good[0]]:
        for text in (value, f"{value}\n"):
            write(path, text)
            assert path.read_text() == f"{value}\n"
    write(path, good[1])
    for text in [*NONSENSE, *bad]:
        with failing(errno.EINVAL):
            write(path, text)
        assert path.read_text() == f"{good[1]}\n", text
    write(path, good[0])


def test_a_switch_takes_letters_and_numbers() -> None:
    path = PARAMETERS / "enable_background_scanning"
    for text, shown in (("0", "N"), ("y", "Y"), ("n", "N"), ("1", "Y")):
        write(path, text)
        assert path.read_text() == f"{shown}\n"


@pytest.mark.parametrize(
    ("file", "parameter", "values"),
    [
        ("health_scanning", "enable_background_scanning", {"0": "N", "1": "Y"}),
        ("scan_interval", "scan_interval_hours", {"168": "168", "24": "24"}),
    ],
)
def test_a_file_and_a_parameter_are_one_value(
    file: str, parameter: str, values: dict[str, str]
) -> None:
    first, second = SYSFS / "health" / file, PARAMETERS / parameter
    for one, other in values.items():
        write(first, one)
        assert second.read_text() == f"{other}\n"
    for one, other in values.items():
        write(second, other)
        assert first.read_text() == f"{one}\n"


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_takes_1_and_nothing_else(two: Disks, name: str) -> None:
    path = SYSFS / name
    with QuickRemap(*two) as dm:
        failing_write(two[0], dm, 1000, pattern(1, seed=1))
        before = dm.stats()
        for text in [*NONSENSE, "0", "2", "11"]:
            with failing(errno.EINVAL):
                write(path, text)
        assert dm.stats() == before
        write(path, "1")
        write(path, "1\n")
        with failing(errno.EACCES):
            path.read_text()


@pytest.mark.parametrize(
    ("name", "good", "bad"), [(n, g, b) for n, r, g, b in VALUES if r != SYSFS]
)
def test_the_module_is_loaded_with_values_in_range_only(
    reloaded: None, kernel_log: KernelLog, name: str, good: list[str], bad: list[str]
) -> None:
    unload()
    for text in [*bad, "-1", "x", ""]:
        seen = len(kernel_log.lines())
        with pytest.raises(CommandError):
            run("insmod", MODULE, f"{name}={text}")
        assert not SYSFS.exists()
        assert not DEBUGFS.exists()
        told = "\n".join(kernel_log.lines()[seen:])
        assert re.search(rf"remap: parameter {name} takes ", told), told
    for text in (good[1], good[0]):
        run("insmod", MODULE, f"{name}={text}")
        assert (PARAMETERS / name).read_text() == f"{text}\n"
        unload()


def test_the_module_is_loaded_with_a_switch_without_a_value(reloaded: None) -> None:
    unload()
    run("insmod", MODULE, "enable_background_scanning")
    assert (PARAMETERS / "enable_background_scanning").read_text() == "Y\n"


def test_remap_control_lists_sets(two: Disks) -> None:
    write(CONTROL, "list\n")
    assert control() == ([], "ok: list")
    with QuickRemap(*two, name="a+b=c") as dm:
        failing_write(two[0], dm, 1000, pattern(2, seed=1))
        dm.message("remap", 2000, 3)
        (line,), answer = control()
        status = dm.status_fields()
        assert answer == "ok: list"
        assert line == {
            "uuid": status.fields["set"],
            "dev": number_of(dm),
            "main": number_of(two[0]),
            "spares": number_of(two[1]),
            "remaps": "5",
            "manual": "3",
            "lost": "0",
            "unknown": "0",
            "free": status.fields["free"],
            "state": "ok",
            "name": "a+b=c",
        }


def test_remap_control_makes_a_spare_a_member(three: Disks) -> None:
    main, one, two_ = three
    with QuickRemap(main, one) as dm:
        with failing(errno.ENODEV):
            write(CONTROL, f"add {main} {two_}\n")
        _, answer = control()
        assert answer.startswith(f"error: {two_} is not in the table of ")
        assert f"pyctl spare add NAME {two_}" in answer
        attach(dm, one, two_)
        write(CONTROL, f"add {main} {two_}\n")
        (line,), answer = control()
        assert answer == f"ok: {two_} is spare 1 of set {line['uuid']}"
        assert line["spares"] == f"{number_of(one)},{number_of(two_)}"
        assert (row(dm, 1).state, row(dm, 1).device) == ("in-sync", number_of(two_))
        # A member stays one; devices by number, and the set by its own device.
        for over in (number_of(main), dm.path, number_of(dm)):
            write(CONTROL, f"  add {over}\t{number_of(two_)} ")
            assert control()[1] == f"ok: {number_of(two_)} is spare 1 of set {line['uuid']}"
        failing_write(main, dm, 1000, pattern(8, seed=1))
        dm.reassemble()
        assert dm.read(1000, 8) == pattern(8, seed=1)


def test_remap_control_overwrites_nothing_by_mistake(three: Disks) -> None:
    main, one, two_ = three
    with QuickRemap(main, one) as dm:
        attach(dm, one, two_)
        two_.path.write_bytes(b"precious" * 64)
        run("blockdev", "--flushbufs", two_)
        with failing(errno.EEXIST):
            write(CONTROL, f"add {main} {two_}")
        assert "carries other data" in control()[1]
        assert [found.state for found in rows(dm)] == ["in-sync", "attached"]
        assert two_.path.read_bytes().startswith(b"precious")


def test_remap_control_says_what_is_wrong(three: Disks) -> None:
    main, one, two_ = three
    cases = [
        ("", errno.EINVAL, "the commands are: list; add <main> <spare>"),
        ("list all", errno.EINVAL, "the commands are"),
        ("add", errno.EINVAL, "the commands are"),
        (f"add {main}", errno.EINVAL, "the commands are"),
        (f"add {main} {one} {two_}", errno.EINVAL, "the commands are"),
        (f"remove {main} {one}", errno.EINVAL, "the commands are"),
        ("add 1000 2000", errno.EINVAL, "1000 is no device; a sector is moved to a spare by"),
        (f"add {main} 2000", errno.EINVAL, "2000 is no device"),
        ("add /dev/nothing /dev/null", errno.ENOENT, "/dev/nothing is no block device"),
        (f"add {main} /dev/null", errno.ENOTBLK, "/dev/null is no block device"),
        ("add 1:2:3 1:2", errno.ENOENT, "1:2:3 is no block device"),
        (f"add {one} {two_}", errno.ENODEV, f"no set is live over {one}; make one: dmsetup create"),
        ("x" * 1025, errno.EINVAL, ""),
    ]

    def told() -> object:
        # not what a scan, or a save of the state, may count at any time
        changed = "remaps", "lost", "manual_remaps", "unremaps", "committed"
        return {key: dm.stats()[key] for key in changed}, rows(dm)

    with QuickRemap(main, one) as dm:
        before = told()
        for text, number, words in cases:
            with failing(number):
                write(CONTROL, text or "\n")
            assert control()[1].startswith("error: ")
            assert words in control()[1]
        with dm.pause():
            with failing(errno.EAGAIN):
                write(CONTROL, f"add {main} {one}")
            assert "is suspended" in control()[1]
        write(CONTROL, f"add {main} {one}")
        assert told() == before


def test_remap_control_wants_to_know_which_of_two_sets(three: Disks) -> None:
    main, one, two_ = three
    with QuickRemap(main, one) as dm, QuickRemap(main, two_) as other:
        with failing(errno.ENOTUNIQ):
            write(CONTROL, f"add {main} {one}")
        assert "several sets" in control()[1]
        write(CONTROL, f"add {dm} {one}")
        write(CONTROL, f"add {other} {two_}")
        with failing(errno.ENODEV):
            write(CONTROL, f"add {other} {one}")


def test_trap_22_a_table_goes_while_remap_control_works_with_it(three: Disks) -> None:
    """A spare joins slowly, and the table is replaced by one without it.

    Mistake: suspend doesn't wait for who came by debugfs. Seen to fail with
    tests/mistakes/22_visitor_is_not_waited_for.patch.
    """
    main, one, two_ = three
    run("modprobe", "dm-delay")
    with (
        DmDevice(Delay(two_, two_.sectors, 0, 100)) as slow,
        QuickRemap(main, one) as dm,
    ):
        attach(dm, one, slow)
        with Background(lambda: add_or_not(main, slow)) as adding:
            wait_until(lambda: "joining" in {found.state for found in rows(dm)}, "it joins")
            must_end(lambda: attach(dm, one), "a reload while a spare joins")
            adding.join()
        assert "is suspended" in control()[1]
        assert [found.state for found in rows(dm)] == ["in-sync", "missing"]
        failing_write(main, dm, 1000, pattern(4, seed=1))
        attach(dm, one, slow)
        write(CONTROL, f"add {main} {slow}")
        assert row(dm, 1).state == "in-sync"


def add_or_not(main: NullBlk, spare: DmDevice) -> None:
    with contextlib.suppress(OSError):
        write(CONTROL, f"add {main} {spare}")


def test_in_flight_shows_what_is_under_way(two: Disks) -> None:
    main, spare = two
    run("modprobe", "dm-delay")
    with DmDevice(Delay(main, main.sectors, 0, 1000)) as slow, QuickRemap(slow, spare) as dm:
        path = DEBUGFS / dm.status_fields().fields["set"] / "in_flight"
        idle = fields(path.read_text())
        names = {"slow_writes", "slow_reads", "holds", "held_units", "parked", "staged"}
        assert {idle[name] for name in names | {"metadata_writes", "failed", "suspending"}} == {"0"}
        assert (idle["engine"], idle["drain"], idle["copy"]) == ("idle", "idle", "off")

        def counted() -> int:
            found = fields(path.read_text())
            return int(found["inflight_0"]) + int(found["inflight_1"])

        assert counted() == 0
        with Background(lambda: dm.write(1000, pattern(1, seed=1))):
            wait_until(counted, "the write is counted")
            assert counted() == 1
            with Background(lambda: dm.message("remap", 1000)):
                wait_until(lambda: fields(path.read_text())["holds"] == "1", "the range is held")
                found = fields(path.read_text())
                assert (found["held_units"], found["drain"]) == ("1", "busy")
                with Background(lambda: dm.write(1000, pattern(1, seed=2))):
                    wait_until(lambda: fields(path.read_text())["parked"] == "1", "it is parked")
        assert fields(path.read_text()) | {"epoch": ""} == idle | {"epoch": ""}
        assert dm.read(1000) == pattern(1, seed=2)
        with dm.pause():
            assert fields(path.read_text())["suspending"] == "1"


# What may happen to a reader while files, sets and the module come and go.
GONE = {errno.ENOENT, errno.ENODEV, errno.EIO, errno.ENXIO, errno.EAGAIN, errno.EACCES}


def until(stop: threading.Event, work: Callable[[], None]) -> Callable[[], None]:
    """The work again and again; errors of things that are gone don't count."""

    def loop() -> None:
        while not stop.is_set():
            try:
                work()
            except OSError as error:
                if error.errno not in GONE:
                    raise

    return loop


@pytest.mark.timeout(300)
def test_files_are_used_while_sets_and_the_module_come_and_go(three: Disks) -> None:
    """Readers of all files, and writers of those that can be written."""
    main, one, two_ = three
    stop = threading.Event()
    page = described()
    seen: set[str] = set()

    def read() -> None:
        seen.update(read_all(page))

    def write_all() -> None:
        for name, root, good, bad in VALUES:
            if name == "max_remaps":
                continue
            write(root / name, good[1])
            write(root / name, good[0])
            with contextlib.suppress(OSError):
                write(root / name, bad[0])
        for name in TRIGGERS:
            write(SYSFS / name, "1")

    def add() -> None:
        stop.wait(0.05)
        write(CONTROL, f"add {main} {two_}")

    with contextlib.ExitStack() as stack:
        for work in (read, write_all, add):
            stack.enter_context(Background(until(stop, work)))
        stack.callback(stop.set)
        for turn in range(4):
            with QuickRemap(main, one) as dm:
                failing_write(main, dm, 1000, pattern(1, seed=1))
                for _ in range(5):
                    dm.reload(dm.target())
                attach(dm, one, two_)
            for disk in (one, two_):
                wipe(disk)
            if turn % 2:
                unload()
                run("insmod", MODULE)
    assert seen == {name for name, file in page.items() if file.rights & 0o400}
    for name, root, good, _ in VALUES:
        write(root / name, good[0])


def test_a_folder_that_goes_while_files_are_listed_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set's folder was listed, and gone when it was asked what it is."""
    (tmp_path / "stays").touch()
    (tmp_path / "goes").mkdir()
    monkeypatch.setattr("tests.kernel.lib.abi.SYSFS", tmp_path)
    listed = Path.rglob

    def then_gone(root: Path, wanted: str) -> Iterator[Path]:
        for path in list(listed(root, wanted)):
            if path.name == "goes":
                path.rmdir()
            yield path

    monkeypatch.setattr(Path, "rglob", then_gone)
    assert [path for path in files() if path.is_relative_to(tmp_path)] == [tmp_path / "stays"]


def test_no_file_waits_for_a_set_that_waits_for_another_one(three: Disks) -> None:
    """A set's spare is a device of another set, and that is suspended.

    Whoever kept the list of sets and waited for the first would keep the second from being resumed.
    """
    main, one, other = three
    with QuickRemap(main, one) as below, QuickRemap(other, below) as above:
        below.suspend(lockfs=False)
        with Background(lambda: above.message("remap", 1000, 1)) as moving:
            folder = DEBUGFS / set_of(other) / "in_flight"
            wait_until(lambda: fields(folder.read_text())["engine"] == "busy", "it has the table")
            must_end(lambda: read_all(described()), "all files are read")
            with Background(lambda: write(SYSFS / TRIGGERS[0], "1")):
                for name in TRIGGERS[1:]:
                    must_end(lambda name=name: write(SYSFS / name, "1"), name)
                assert moving.running()
                must_end(below.resume, "the resume")
        assert above.remapped() == {1000}


def set_of(main: NullBlk) -> str:
    """The UUID of the set over a device, from a file that takes no lock of a set."""
    return next(line["uuid"] for line in control()[0] if line["main"] == number_of(main))


def read_all(page: dict[str, Described]) -> set[str]:
    """Read all files that can be read and are there; those that were, as the page has them."""
    seen = set()
    for path in list(files()):
        if page[generic(path)].rights & 0o400:
            with contextlib.suppress(OSError):
                path.read_text()
                seen.add(generic(path))
    return seen


def wipe(disk: NullBlk) -> None:
    """Make a spare blank, for a new set."""
    with disk.path.open("r+b", buffering=0) as file:
        file.write(bytes(disk.size))
        os.fsync(file.fileno())


def test_a_file_of_sysfs_is_open_while_the_module_goes(reloaded: None) -> None:
    """It doesn't keep the module, and says that it is gone."""
    opened = [
        SYSFS / "stats/global_stats",
        SYSFS / "config/version_info",
        PARAMETERS / "max_remaps",
    ]
    written = [SYSFS / "health/scan_interval", SYSFS / "config/reset_stats"]
    fds = [os.open(path, os.O_RDONLY) for path in opened]
    fds += [os.open(path, os.O_WRONLY) for path in written]
    try:
        unload()
        for fd in fds[: len(opened)]:
            with failing(errno.ENODEV):
                os.read(fd, 4096)
        for fd in fds[len(opened) :]:
            with failing(errno.ENODEV):
                os.write(fd, b"1")
    finally:
        for fd in fds:
            os.close(fd)


def test_a_file_of_debugfs_keeps_the_module(reloaded: None) -> None:
    fd = os.open(CONTROL, os.O_RDWR)
    try:
        with pytest.raises(CommandError, match="in use"):
            run("rmmod", "dm_remap")
        os.write(fd, b"list")
        assert os.read(fd, 4096) == b"answer=ok: list\n"
    finally:
        os.close(fd)
    unload()
    assert not DEBUGFS.exists()


def test_a_file_of_a_set_is_open_while_the_set_goes(two: Disks) -> None:
    with QuickRemap(*two) as dm:
        folder = DEBUGFS / dm.status_fields().fields["set"]
        fd = os.open(folder / "in_flight", os.O_RDONLY)
    try:
        assert not folder.exists()
        with failing(errno.EIO):
            os.read(fd, 4096)
    finally:
        os.close(fd)
