"""Measure in the machine: a user's I/O with and without the scan, and the scan alone."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.bench import guest
from tests.bench.plan import Workload
from tests.bench.scan import plan
from tests.vm.errors import VMError
from tests.vm.qemu import VM

_DM = "scanned"
_PATH = f"/dev/mapper/{_DM}"
# In the guest.
_LOG = "/tmp/stats"  # noqa: S108
_LOGGED = f"dmsetup message {_DM} 0 stats >> {_LOG}"


@dataclass(frozen=True)
class Beside:
    """Guest nanoseconds of a user's I/Os without and with the scan.

    `off` and `on` are means of rounds; `each_off` and `each_on` have single I/Os, if they are done
    one at a time. `reads` are the scan's during `on`.
    """

    disk: plan.Disk
    load: Workload
    off: list[float]
    on: list[float]
    each_off: list[float]
    each_on: list[float]
    reads: int


@dataclass(frozen=True)
class Alone:
    """Bytes per second that the scan and a program read, when nobody else is there."""

    disk: plan.Disk
    scan: float
    program: float


@contextmanager
def device(vm: VM, disk: plan.Disk) -> Iterator[None]:
    """A set with a scan that waits."""
    timed = {"irqmode": 2, "completion_nsec": disk.nanoseconds, "hw_queue_depth": 1}
    main = guest.make_null_blk(
        vm, 0, size=plan.MAIN_MIB, blocksize=512, **(timed if disk.nanoseconds else {})
    )
    spare = guest.make_null_blk(vm, 1, size=plan.SPARE_MIB, memory_backed=1)
    sectors = plan.MAIN_MIB * plan.MIB // plan.SECTOR
    vm.sh(f"dmsetup create {_DM} --table '0 {sectors} remap {main} {spare}'")
    _scan(vm, "start sequential")
    _scan(vm, "pause")
    yield
    vm.sh(f"dmsetup remove {_DM}")
    for number in (0, 1):
        guest.remove_null_blk(vm, number)


def beside(vm: VM, disk: plan.Disk, load: Workload) -> Beside:
    """A user's I/O, with the scan turned on and off."""
    single = replace(load, count=1)
    ios = disk.ios // plan.TURNS
    means: dict[bool, list[float]] = {False: [], True: []}
    each: dict[bool, list[float]] = {False: [], True: []}
    reads = {False: 0, True: 0}
    for on in (False, True) * plan.TURNS:
        if on:
            _scan(vm, "resume")
        took, done = _run(vm, load, ios // load.count)
        means[on] += took
        reads[on] += done
        if load.depth == 1:
            each[on] += _run(vm, single, ios)[0]
        if on:
            _scan(vm, "pause")
    if reads[False] or not reads[True]:
        raise VMError(f"The scan did {reads[False]} reads while paused, else {reads[True]}.")
    return Beside(disk, load, means[False], means[True], each[False], each[True], reads[True])


def alone(vm: VM, disk: plan.Disk) -> Alone:
    """The scan when nobody else is there, and a program that does the same."""
    took, _ = _run(vm, plan.ALONE, plan.ALONE_ROUNDS)
    _scan(vm, "resume")
    vm.sh(f"sleep {plan.LINGER_SECONDS}")
    uptime = "cut -d ' ' -f 1 /proc/uptime"
    output = vm.sh(f"{uptime}; {_LOGGED}; sleep {plan.IDLE_SECONDS}; {uptime}; {_LOGGED}").output
    started, ended = map(float, output.split())
    bytes_read = _counted(vm, "scan_sectors") * plan.SECTOR
    _scan(vm, "pause")
    program = plan.CHUNK * 1e9 / statistics.fmean(took)
    return Alone(disk, bytes_read / (ended - started), program)


def _run(vm: VM, load: Workload, rounds: int) -> tuple[list[float], int]:
    """What each round took for an I/O, and how many reads the scan has done meanwhile."""
    samples = guest.measure(vm, [_PATH], load, rounds, around=_LOGGED)[_PATH]
    return samples.instructions, _counted(vm, "scan_reads")


def _scan(vm: VM, words: str) -> None:
    vm.sh(f"dmsetup message {_DM} 0 scan {words}")


def _counted(vm: VM, name: str) -> int:
    """How far a counter went between the two times that it was logged."""
    lines = vm.sh(f"grep -w {name} {_LOG}; rm {_LOG}").output.split()
    before, after = (int(line.removeprefix(f"{name}=")) for line in lines)
    return after - before
