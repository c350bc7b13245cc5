"""Events over netlink: all that happens, numbered; who may hear it; storms and unloading."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyctl.errors import NoKernelError, PermissionDeniedError
from pyctl.netlink.numbers import Cmd, CopyPhase, News, Reason, ScanEvent, Space
from pyctl.netlink.sets import Kernel
from pyctl.netlink.wire import Socket
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.news import CAP_NET_ADMIN, Ear, errno_without_rights, speak, storm
from tests.kernel.lib.pool import attach, number_of
from tests.kernel.lib.retry import must_end, retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.scanned import Scanned
from tests.kernel.lib.setup import Disks, QuickRemap, disks, eio, failing_write, pattern
from tests.vm import paths

MODULE = paths.module(os.uname().release)
DUMP = 0x300
ACK = 4
WHO = bytes([8, 0, 3, 0]) + b"abc\0"


def unload() -> None:
    retry(lambda: run("rmmod", "dm_remap"), CommandError)


@pytest.fixture
def reloaded() -> Iterator[None]:
    """The module is there afterwards, whatever the test does with it."""
    yield
    if not Path("/sys/module/dm_remap").exists():
        run("insmod", MODULE)


def test_trap_40_everything_that_happens_has_the_next_number(two: Disks) -> None:
    main, _ = two
    with Ear() as ear:
        with QuickRemap(*two) as dm:
            failing_write(main, dm, 1000, pattern(1, seed=1))
            dm.message("remap", 2000, 8)
            dm.message("unremap", 2000, 8)
            ear.until_seq(Kernel().get(dm.name).seq)
        ear.until(lambda: ear.kinds(News.SET_STOPPED), "the end of the set")
    assert not ear.gaps
    seqs = [one.seq for one in ear.heard]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len({one.set for one in ear.heard}) == len({one.instance for one in ear.heard}) == 1
    assert ear.kinds(News.SET_STARTED)
    (error,) = ear.kinds(News.WRITE_ERROR)
    assert (error.sector, error.sectors, error.count) == (1000, 1, 1)
    (first, *rest) = ear.kinds(News.REMAP)
    assert (first.sector, first.sectors, first.spare, first.detail) == (1000, 1, 0, False)
    # What follows each other may come as one.
    assert sum(one.sectors for one in rest) == sum(one.count for one in rest) == 8
    assert {one.detail for one in rest} == {True}
    assert sum(one.sectors for one in ear.kinds(News.UNREMAP)) == 8
    assert {one.sector for one in ear.kinds(News.UNREMAP)} <= set(range(2000, 2008))


def test_numbers_go_on_when_nobody_listens(two: Disks) -> None:
    with QuickRemap(*two) as dm:
        before = Kernel().get(dm.name)
        dm.message("remap", 2000, 8)
        after = Kernel().get(dm.name)
        assert after.seq >= before.seq + 8
        with Ear() as ear:
            dm.message("remap", 4000)
            ear.until(lambda: ear.kinds(News.REMAP), "the remap")
            assert ear.heard[0].seq > after.seq
            assert ear.heard[0].instance == after.instance


def test_trap_40_lost_and_recovered(two: Disks) -> None:
    main, _ = two
    with QuickRemap(*two, opts={"retries": 1, "backoff_ms": 0}) as dm, Ear() as ear:
        main.add_bad(800, 1)
        assert eio(dm, 800)
        ear.until(lambda: ear.kinds(News.LOST), "the loss")
        assert ear.kinds(News.READ_ERROR)[0].sector == 800
        assert [one.sector for one in ear.kinds(News.LOST)] == [800]
        assert not ear.kinds(News.RECOVERED)
        main.remove_bad(800, 1)
        dm.write(800, pattern(1, seed=1))
        ear.until(lambda: ear.kinds(News.RECOVERED), "the recovery")
        assert [one.sector for one in ear.kinds(News.RECOVERED)] == [800]
        assert not ear.gaps


def test_members_space_breaker_and_scan(two: Disks, third: NullBlk) -> None:
    main, _ = two
    with Scanned(*two) as dm, Ear() as ear:
        attach(dm, two[1], third)
        dm.message("spare", "join", number_of(third))
        ear.until(lambda: ear.kinds(News.MEMBERS), "the spare")
        member = ear.kinds(News.MEMBERS)[-1]
        assert (member.detail, member.spare) == (Reason.SPARE_ADDED, 1)
        dm.message("set", "space_percent", 100)
        dm.message("remap", 800)
        ear.until(lambda: ear.kinds(News.SPACE), "space")
        assert ear.kinds(News.SPACE)[-1].detail is Space.LOW
        dm.message("set", "breaker_remaps", 1)
        with contextlib.suppress(OSError):
            failing_write(main, dm, 3000, pattern(8, seed=1))
        main.remove_bad(3000, 8)
        ear.until(lambda: ear.kinds(News.BREAKER), "the breaker")
        dm.message("set", "breaker", "closed")
        ear.until(lambda: len(ear.kinds(News.BREAKER)) == 2, "the breaker, closed")
        assert [one.detail for one in ear.kinds(News.BREAKER)] == [True, False]
        dm.message("scan", "start")
        dm.message("scan", "stop")
        ear.until(lambda: len(ear.kinds(News.SCAN)) >= 2, "the scan")
        assert [one.detail for one in ear.kinds(News.SCAN)] == [ScanEvent.BEGINS, ScanEvent.STOPS]
        assert Kernel().get(dm.name).copy is CopyPhase.OFF
        assert not ear.gaps


@pytest.mark.parametrize("capability", [None, CAP_NET_ADMIN])
def test_trap_40_only_with_cap_sys_admin(two: Disks, capability: int | None) -> None:
    def joined() -> None:
        Socket().join()

    actions: dict[str, Callable[[], object]] = {
        "get": lambda: speak(Cmd.GET, ACK, WHO),
        "sets": lambda: speak(Cmd.GET, DUMP),
        "remaps": lambda: speak(Cmd.REMAPS, DUMP, WHO),
        "regions": lambda: speak(Cmd.REGIONS, DUMP, WHO),
        "configure": lambda: speak(Cmd.CONFIGURE, ACK, WHO),
        "scan": lambda: speak(Cmd.SCAN, ACK, WHO),
        "remap": lambda: speak(Cmd.REMAP, ACK, WHO),
        "spare": lambda: speak(Cmd.SPARE, ACK, WHO),
        "join": joined,
    }
    with QuickRemap(*two):
        found = {
            name: errno_without_rights(action, capability=capability)
            for name, action in actions.items()
        }
    assert found == dict.fromkeys(actions, errno.EPERM)


def test_a_socket_of_root_does_not_lend_its_rights(two: Disks) -> None:
    with QuickRemap(*two) as dm, Socket() as talking:

        def ask() -> None:
            try:
                list(talking.dump(Cmd.GET, {}, "x"))
            except PermissionDeniedError:
                raise PermissionError(errno.EPERM, "refused") from None

        assert errno_without_rights(ask) == errno.EPERM
        assert [one.name for one in Kernel().sets()] == [dm.name]


def test_the_list_of_sets_waits_for_no_set(three: Disks) -> None:
    """As test_abi has it for files: one set waits for another one, which is suspended."""
    main, one, other = three
    with QuickRemap(main, one) as below, QuickRemap(other, below) as above:
        below.suspend(lockfs=False)
        with Background(lambda: above.message("remap", 1000, 1)) as moving:
            wait_until(
                lambda: must_end(Kernel().sets, "the list") is None and moving.running(),
                "it is under way",
            )
            for name in (above.name, below.name):
                must_end(lambda name=name: Kernel().get(name), "the set")
            found = {each.name: each for each in Kernel().sets()}
            assert found[below.name].suspended
            assert not found[above.name].suspended
            must_end(below.resume, "the resume")
        assert above.remapped() == {1000}


@pytest.mark.timeout(600)
def test_a_storm_shows_as_a_gap(
    share: float, record_property: Callable[[str, object], None]
) -> None:
    """One who listens hears of every remap; one who doesn't keep up learns that he hasn't."""
    count = max(1000, int(8000 * share))
    with (
        NullBlk(64) as main,
        NullBlk(32) as spare,
        QuickRemap(main, spare) as dm,
        Ear() as quick,
        Ear(room=4096) as slow,
    ):
        with Background(lambda: storm(dm, count)) as storming:
            quick.until(lambda: not storming.running(), "the storm is over", timeout=240)
        seq = Kernel().get(dm.name).seq
        quick.until_seq(seq, timeout=120)
        slow.until(lambda: slow.overruns, "too much for it")
        # or what comes next finds no room, either
        slow.catch_up()
        dm.message("remap", 3 * count)
        seq = Kernel().get(dm.name).seq
        for ear in (quick, slow):
            ear.until_seq(seq)
        remapped = sum(one.count for one in quick.kinds(News.REMAP))
        missed = sum(gap.missed for gap in quick.gaps)
        assert remapped + missed >= count + 1
        assert missed or remapped == count + 1
        assert sum(gap.missed for gap in slow.gaps) > 0
        assert sum(gap.missed for gap in slow.gaps) + len(slow.heard) >= count
        info = Kernel().get(dm.name)
        entries = Kernel().remaps(info.uuid)
        assert {one.sector for one in entries} == {*range(0, 2 * count, 2), 3 * count}
        assert info.remaps == len(entries) == count + 1
    record_property("remaps", count)
    record_property("missed_by_a_listener_with_4_KiB", sum(gap.missed for gap in slow.gaps))


def test_the_module_goes_while_somebody_listens(reloaded: None) -> None:
    with Ear() as ear:
        run("rmmod", "dm_remap")
        ear.until(lambda: ear.gone, "that it has gone")
    with pytest.raises(NoKernelError):
        Socket()
    run("insmod", MODULE)
    with Ear() as ear, disks() as two, QuickRemap(*two) as dm:
        ear.until(lambda: ear.kinds(News.SET_STARTED), "the set")
        assert Kernel().get(dm.name).instance == ear.heard[0].instance


def test_the_module_stays_while_a_dump_is_under_way(two: Disks, reloaded: None) -> None:
    with Socket() as talking:
        with QuickRemap(*two) as dm:
            dm.message("remap", 0, 4000)
            who = {"DMR_A_NAME": dm.name}
            dump = talking.dump(Cmd.REMAPS, who, "x")
            assert next(dump)["DMR_A_SECTOR"] == 0
        with pytest.raises(CommandError, match="in use"):
            run("rmmod", "dm_remap")
    unload()
