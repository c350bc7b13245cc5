"""Events that are rare: no spare takes metadata any more, and the kernel has no room for more."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyctl.netlink.numbers import News, SetMode
from pyctl.netlink.sets import Kernel
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.faults import FaultyDevice
from tests.kernel.lib.news import Ear, storm
from tests.kernel.lib.setup import Disks, QuickRemap, failing_write, patient, pattern

_REMAPS = 2000
# The room of a socket that misses none of what they tell.
_ROOM = 1 << 25
_ROUNDS = 5
_SPIN = 20
_UNBOUND = Path("/sys/devices/virtual/workqueue/cpumask")
_REALTIME = Path("/proc/sys/kernel/sched_rt_runtime_us")


def test_a_set_that_fails_says_so(two: Disks) -> None:
    main, spare = two
    with FaultyDevice(spare) as dying, QuickRemap(main, dying, opts=patient()) as dm, Ear() as ear:
        failing_write(main, dm, 1000, pattern(1, seed=2))
        assert not ear.kinds(News.SET_FAILED)
        dying.fail()
        main.add_bad(2000)
        with pytest.raises(OSError):
            dm.write(2000, pattern(1, seed=3))
        ear.until(lambda: ear.kinds(News.SET_FAILED), "that it has failed")
        (failed,) = ear.kinds(News.SET_FAILED)
        info = Kernel().get(dm.name)
        assert (failed.set, info.mode) == (info.uuid, SetMode.FAILED)
        assert not ear.gaps


@contextlib.contextmanager
def busy_worker() -> Iterator[None]:
    """Work of the kernel that is bound to no processor waits, for 20 s at most.

    It may run on the last processor only, which a program of real-time priority keeps.
    """
    ours = os.sched_getaffinity(0)
    last = max(ours)
    assert len(ours) > 1, "it takes two processors"
    texts = {_UNBOUND: f"{1 << last:x}", _REALTIME: "-1"}
    saved = {path: path.read_text() for path in texts}
    pid = 0
    try:
        for path, text in texts.items():
            path.write_text(text)
        os.sched_setaffinity(0, ours - {last})
        pid = _spin(last)
        yield
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.sched_setaffinity(0, ours)
        for path, text in saved.items():
            path.write_text(text)


def _spin(processor: int) -> int:
    ready, say = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.sched_setaffinity(0, {processor})
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            os.write(say, b"x")
            end = time.monotonic() + _SPIN
            while time.monotonic() < end:
                pass
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(ready, "rb") as file:
        assert file.read(1) == b"x", "it can't be kept busy"
    return pid


@pytest.mark.timeout(300)
def test_a_full_ring_says_how_many_found_no_room() -> None:
    """Whoever reports an event doesn't wait for the one that sends it, and forgets some."""
    with (
        NullBlk(64) as main,
        NullBlk(32) as spare,
        QuickRemap(main, spare) as dm,
        Ear(_ROOM) as ear,
    ):
        before = Kernel().get(dm.name)

        def counts() -> tuple[int, int]:
            dropped = sum(one.count for one in ear.kinds(News.DROPPED))
            return dropped, len(ear.heard) + dropped

        rounds = 0
        while not ear.kinds(News.DROPPED):
            # the worker may just not have ended when its processor is taken away
            rounds += 1
            assert rounds <= _ROUNDS, "there was always room"
            storm(dm, _REMAPS)
            ear.until_seq(Kernel().get(dm.name).seq)
            with busy_worker():
                dm.message("unremap", 0, 2 * _REMAPS)
            ear.until(lambda: ear.numbers.last == Kernel().get(dm.name).seq, "all that is told")
        total = Kernel().get(dm.name).seq - before.seq
        ear.until(lambda: counts()[1] == total, "how many found no room")
        assert not ear.overruns
        assert sum(gap.missed for gap in ear.gaps) == counts()[0] > 0
        # a dump has what they would have told
        assert Kernel().remaps(before.uuid) == []
