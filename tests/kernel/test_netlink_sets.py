"""Dumps and orders over netlink: as messages have it, at one moment, and with reasons."""

import pytest

from pyctl.errors import NotFoundError, PyctlError, RefusedError, UsageError
from pyctl.netlink.numbers import Cmd, EntryState, RemapOrder, ScanOrder, SetMode, SpareOrder
from pyctl.netlink.sets import Entry, Kernel
from pyctl.netlink.wire import InterruptedDumpError, Socket
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.pool import attach
from tests.kernel.lib.scanned import QuickWeak, Scanned
from tests.kernel.lib.setup import Disks, QuickRemap, disks, eio, failing_write, pattern


def test_a_set_is_as_its_messages_say(three: Disks) -> None:
    main, *_ = three
    with QuickRemap(*three) as dm, disks() as more, QuickRemap(*more, name="more"):
        failing_write(main, dm, 1000, pattern(3, seed=1))
        dm.message("remap", 2000, 2)
        status, stats = dm.status_fields(), dm.stats()
        info = Kernel().get(dm.name)
        assert str(info.uuid) == status.fields["set"]
        assert info == Kernel().get(uuid=info.uuid)
        assert (info.remaps, info.manual, info.lost) == (5, 2, 0)
        assert (info.capacity, info.health) == (status.capacity, status.health)
        assert info.free == int(status.fields["free"])
        assert (info.write_errors, info.read_errors) == (stats["write_errors"], 0)
        assert (info.mode, info.suspended, info.unit) == (SetMode.OK, False, 512)
        assert info.sectors == main.sectors
        lines = [line.split() for line in dm.message("spare", "list").splitlines()]
        assert [(str(it.row), "{}:{}".format(*it.device), it.state) for it in info.spares] == [
            tuple(line[:3]) for line in lines
        ]
        for spare, line in zip(info.spares, lines, strict=True):
            pairs = dict(word.split("=") for word in line[4:])
            assert str(spare.uuid) == line[3]
            for key in ("sectors", "usable", "free", "used", "bad", "tier", "health"):
                assert getattr(spare, key) == int(pairs[key]), key
        found = {each.name: each for each in Kernel().sets()}
        assert found.keys() == {dm.name, "more"}
        assert found[dm.name] == info
        dm.suspend()
        assert Kernel().get(dm.name).suspended
        with pytest.raises(RefusedError, match="suspended"):
            Kernel().remaps(info.uuid)
        dm.resume()
    with pytest.raises(NotFoundError):
        Kernel().get(dm.name)


def as_listed(dm: QuickRemap) -> list[tuple[int, int, bool]]:
    return [(one.sector, one.sectors, one.kind == "remap") for one in dm.remaps()]


def as_dumped(entries: list[Entry]) -> list[tuple[int, int, bool]]:
    return [(it.sector, it.sectors, it.state is EntryState.REMAP) for it in entries]


def test_remaps_are_those_that_the_message_lists(three: Disks) -> None:
    main, *_ = three
    with QuickRemap(*three, opts={"retries": 1, "backoff_ms": 0}) as dm:
        uuid = Kernel().get(dm.name).uuid
        assert Kernel().remaps(uuid) == []
        main.add_bad(40, 1)
        assert eio(dm, 40)
        main.remove_bad(40, 1)
        dm.message("remap", 2000, 1500)
        entries = Kernel().remaps(uuid)
        assert as_dumped(entries) == as_listed(dm)
        assert len(entries) == 1501
        assert (entries[0].state, entries[0].spare) == (EntryState.LOST, None)
        assert entries[1].manual
        assert Kernel().lost(uuid, 8) == [(40, 1, 1)]
        assert Kernel().remaps(uuid, 3000) == [one for one in entries if one.sector >= 3000]
        assert Kernel().remaps(uuid, 1 << 60) == []
        dm.message("set", "redundancy", 2)
        dm.message("remap", 8000)
        (last,) = Kernel().remaps(uuid, 8000)
        assert last.spare and last.second
        assert {last.spare[0], last.second[0]} == {0, 1}


def test_trap_40_a_dump_is_of_one_moment_or_says_that_it_is_not(two: Disks) -> None:
    with QuickRemap(*two) as dm, Socket() as talking:
        dm.message("remap", 0, 4000)
        who = {"DMR_A_NAME": dm.name}
        assert len(list(talking.dump(Cmd.REMAPS, who, "x"))) == 4000
        dump = talking.dump(Cmd.REMAPS, who, "x")
        seen = [next(dump)["DMR_A_SECTOR"]]
        # behind where it is, and before: neither may be missed in silence
        dm.message("unremap", 0, 2)
        with pytest.raises(InterruptedDumpError):
            seen.extend(one["DMR_A_SECTOR"] for one in dump)
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen)
        assert set(range(2, 4000)) <= set(seen)
        assert len(Kernel().remaps(Kernel().get(dm.name).uuid)) == 3998


def test_a_set_that_goes_ends_its_dump_with_an_error(two: Disks) -> None:
    with Socket() as talking:
        with QuickRemap(*two) as dm:
            dm.message("remap", 0, 4000)
            dump = talking.dump(Cmd.REMAPS, {"DMR_A_NAME": dm.name}, "x")
            assert next(dump)["DMR_A_SECTOR"] == 0
        with pytest.raises(NotFoundError):
            list(dump)


def test_regions_are_those_of_the_scan() -> None:
    with disks() as (main, spare), QuickWeak(main) as weak, Scanned(weak, spare) as dm:
        uuid = Kernel().get(dm.name).uuid
        assert Kernel().regions(uuid) == []
        weak.spoil([5000, 9000], read_ms=0)
        dm.whole_pass()
        regions = Kernel().regions(uuid)
        listed = dm.regions()
        names = {None: "-"}
        assert {(names.get(it.spare, str(it.spare)), it.sector) for it in regions} == set(listed)
        for it in regions:
            said = listed[names.get(it.spare, str(it.spare)), it.sector]
            assert (it.health, it.errors, it.retries) == (
                said["health"],
                said["errors"],
                said["retries"],
            )
            assert (it.blanks, it.number) == (said["blanks"], said["pass"])
        assert sum(it.errors for it in regions) == 2
        weak.heal()


def test_orders_do_what_messages_do(two: Disks, third: NullBlk) -> None:
    kernel = Kernel()
    with Scanned(*two) as dm:
        assert kernel.configure(dm.name, "retries", "3") == "retries=3"
        assert dm.message("get", "retries") == "retries=3"
        assert kernel.remap(dm.name, RemapOrder.REMAP, 1000, 8) == "remapped=8 lost=0 already=0"
        assert kernel.remap(dm.name, RemapOrder.RELOCATE, 1004, 8) == (
            "relocated=4 already=4 kept=0"
        )
        assert kernel.remap(dm.name, RemapOrder.VERIFY, 1000, 12) == "verified=12 errors=0"
        assert dm.remapped() == set(range(1000, 1012))
        assert kernel.remap(dm.name, RemapOrder.UNREMAP, 1000, 8) == ("unremapped=8 kept=0 lost=0")
        assert dm.remapped() == set(range(1008, 1012))
        kernel.scan(dm.name, ScanOrder.START, "sequential")
        kernel.scan(dm.name, ScanOrder.PAUSE)
        assert dm.scan()["state"] == "paused"
        kernel.scan(dm.name, ScanOrder.RESUME)
        kernel.scan(dm.name, ScanOrder.STOP)
        assert dm.scan()["state"] == "waiting"
        attach(dm, two[1], third)
        major, minor = map(int, (third.sysfs / "dev").read_text().split(":"))
        assert kernel.spare(dm.name, SpareOrder.JOIN, major=major, minor=minor) == "row=1"
        kernel.spare(dm.name, SpareOrder.TIER, spare=1, count=3)
        kernel.spare(dm.name, SpareOrder.HEALTH, spare=1, count=77)
        kernel.spare(dm.name, SpareOrder.DRAIN, spare=0)
        row = kernel.get(dm.name).spares
        assert (row[1].tier, row[1].health, row[0].draining) == (3, 77, True)
        answer = kernel.spare(dm.name, SpareOrder.MIGRATE, spare=0, second_spare=1, count=100)
        assert answer.startswith("moved=4 left=0 failed=0")
        kernel.spare(dm.name, SpareOrder.UNDRAIN, spare=0)
        kernel.spare(dm.name, SpareOrder.DROP, spare=0)
        assert [one.row for one in kernel.get(dm.name).spares] == [1]


def test_refusals_have_a_reason(two: Disks) -> None:
    kernel = Kernel()
    with QuickRemap(*two) as dm:
        for order, words in (
            (lambda: kernel.configure(dm.name, "retries", "99"), "retries can't be set to 99"),
            (lambda: kernel.remap(dm.name, RemapOrder.REMAP, 1 << 40, 8), "not on the device"),
            (lambda: kernel.remap(dm.name, RemapOrder.REMAP, 0, 4096), "at most 2048"),
            (lambda: kernel.scan(dm.name, ScanOrder.STOP), "No scan is under way"),
            (lambda: kernel.scan(dm.name, ScanOrder.START, "fast"), "fast is no pattern"),
            (lambda: kernel.spare(dm.name, SpareOrder.DRAIN, spare=5), "There is no spare 5"),
            (lambda: kernel.spare(dm.name, SpareOrder.JOIN), "attribute"),
        ):
            with pytest.raises(PyctlError, match=words):
                order()
        with Socket() as talking, pytest.raises(UsageError):
            talking.ask(Cmd.GET, {}, "x")
        with Socket() as talking, pytest.raises(PyctlError):
            talking.ask(Cmd.SCAN, {"DMR_A_NAME": dm.name, "DMR_A_SCAN_ORDER": 99}, "x")
        assert dm.remapped() == set()
        with pytest.raises(NotFoundError):
            kernel.get("nobody")
