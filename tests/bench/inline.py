"""Whether I/O is done where it is submitted: what is refused, left to a worker, or not polled for.

Instructions don't tell: a worker that does the I/O takes some, too. So these are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench import guest, plan
from tests.bench.plan import Case, Workload
from tests.vm.errors import VMError
from tests.vm.qemu import VM

IOS = 1000
DEPTH = 32

REFUSED, PUNTED, NOT_POLLED = "refused", "left to workers", "not polled for"

_POLLED_READ = next(w for w in plan.POLLED if w.depth == DEPTH and w.direction == "read")

# An instance of its own: nobody else's events are in it.
_TRACE = "/sys/kernel/tracing/instances/punted"
_EVENT = f"{_TRACE}/events/io_uring/io_uring_queue_async_work/enable"
_STATS = f"{_TRACE}/per_cpu/cpu0/stats"

# Numbers of null_blk devices that no case has.
_BUSY, _NO_POLLING = 60, 61
_FLAKEY = "/dev/mapper/control-flakey"


@dataclass(frozen=True)
class Count:
    """Of so many I/Os, those that were not done as they should be, and what dm-linear has of them.

    `measure` is REFUSED: came back with EAGAIN, which only a submission with RWF_NOWAIT can;
    PUNTED: io_uring gave them to a worker; NOT_POLLED: ended before they were polled for.
    """

    kernel: str
    case: str
    workload: str
    measure: str
    ios: int
    count: int
    count_linear: int

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.count > self.count_linear

    def __str__(self) -> str:
        return (
            f"On {self.kernel}, {self.count} of {self.ios} I/Os of {self.workload} were"
            f" {self.measure} with {self.case}, and {self.count_linear} with dm-linear."
        )


def counts(vm: VM, kernel: str, cases: Sequence[Case]) -> Iterator[Count]:
    """Count on the devices of cases. Call it once in a machine: it makes devices of its own."""
    vm.sh(f"mkdir {_TRACE} && echo 1 > {_EVENT}")
    _check_counters(vm)
    workloads = [w for w in plan.BASIC if w.engine == "uring"] + list(plan.NOWAIT)
    for case in (case for case in cases if case.goal):
        for workload in workloads:
            if workload in case.workloads:
                yield from _of_workload(vm, kernel, case, workload)
        own, linear = (_not_polled(vm, w, case.disk) for w in (case.own_word, case.linear_word))
        yield Count(kernel, case.name, _POLLED_READ.name, NOT_POLLED, DEPTH, own, linear)


def _of_workload(vm: VM, kernel: str, case: Case, workload: Workload) -> Iterator[Count]:
    own, linear = (_ill_done(vm, word, workload) for word in (case.own_word, case.linear_word))
    # The warm-up round leaves its events, too.
    yield Count(kernel, case.name, workload.name, PUNTED, 2 * IOS, own[0], linear[0])
    if workload.engine == "nowait":
        yield Count(kernel, case.name, workload.name, REFUSED, IOS, own[1], linear[1])


def _ill_done(vm: VM, word: str, workload: Workload) -> tuple[int, int]:
    """How many I/Os of a device went to workers, and how many came back with EAGAIN."""
    vm.sh(f"echo > {_TRACE}/trace")
    refused = sum(guest.measure(vm, [word], workload, 1, IOS)[word].refused)
    stats = dict(line.split(": ", 1) for line in vm.sh(f"cat {_STATS}").output.splitlines())
    return int(stats["entries"]) + int(stats["overrun"]), refused


def _not_polled(vm: VM, word: str, disk: str) -> int:
    """How many of DEPTH polled reads don't wait in the disk below when their submission is over."""
    return DEPTH - int(vm.sh(f"bench-io in-flight {DEPTH} {4 * plan.KIB} {word} {disk}").output)


def _check_counters(vm: VM) -> None:
    """Count on devices that do all of it: counters that stay at 0 there are worth nothing."""
    # dm-flakey doesn't take NOWAIT.
    vm.sh(
        f"dmsetup create {_FLAKEY.rpartition('/')[2]}"
        f" --table '0 {plan.MIB} flakey {plan.NULL_BLK} 0 60 0'"
    )
    # One tag, and completions by a timer.
    busy = guest.make_null_blk(
        vm, _BUSY, size=plan.KIB, irqmode=2, completion_nsec=100_000, hw_queue_depth=1
    )
    no_polling = guest.make_null_blk(vm, _NO_POLLING, size=plan.KIB, poll_queues=0)
    uring = next(w for w in plan.BASIC if w.engine == "uring" and w.depth == DEPTH)
    nowait = next(w for w in plan.NOWAIT if w.depth == DEPTH)
    punted = _ill_done(vm, _FLAKEY, uring)[0]
    refused = _ill_done(vm, busy, nowait)[1]
    not_polled = _not_polled(vm, no_polling, no_polling.rpartition("/")[2])
    vm.sh(f"dmsetup remove {_FLAKEY.rpartition('/')[2]}")
    for number in (_BUSY, _NO_POLLING):
        guest.remove_null_blk(vm, number)
    if punted != 2 * IOS or not refused or not_polled != DEPTH:
        raise VMError(
            f"With devices that can't do better, {punted} I/Os of {2 * IOS} were {PUNTED}, "
            f"{refused} of {IOS} {REFUSED} and {not_polled} of {DEPTH} {NOT_POLLED}: the counters "
            "don't count."
        )
