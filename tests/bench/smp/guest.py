"""Measure in a machine with several processors: all of them run in turns, on one clock."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import guest, plan
from tests.bench.smp import plan as smp_plan
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

_SPARE = 1
_DEVICES = (smp_plan.LINEAR, smp_plan.EMPTY)

# QEMU 7.2 computes the flags of CMPXCHG16B from a stale state when processors run in turns: now and
# then the low half of RAX is in EFLAGS after it, and the guest dies. Without it SLUB takes a lock.
_CPU = f"{guest.CPU},-cx16"


@dataclass(frozen=True)
class Round:
    """Instructions per I/O in one round: of one processor alone, and of all at once."""

    linear_alone: float
    linear: float
    own_alone: float
    own: float


def measure(kernel: Kernel, cpus: int, rounds: int) -> Iterator[tuple[plan.Workload, list[Round]]]:
    """Boot a machine with so many processors and run every workload in it."""
    with guest.start(kernel, smp=cpus, append="maxcpus=1", extra_args=("-cpu", _CPU)) as vm:
        _start_processors(vm, cpus)
        _make_devices(vm, cpus)
        for workload in smp_plan.WORKLOADS:
            yield workload, _run(vm, workload, cpus, rounds)


# QEMU gives the next processor its turn when one halts or executes PAUSE, and Linux 6.1 waits for a
# new processor in a loop without: so some other program must pause meanwhile.
def _start_processors(vm: VM, cpus: int) -> None:
    online = (f"echo 1 > /sys/devices/system/cpu/cpu{n}/online" for n in range(1, cpus))
    vm.sh(f"bench-smp pause & pauser=$!; {' && '.join(online)}; kill $pauser")
    if (found := int(vm.sh("nproc").output)) != cpus:
        raise VMError(f"The machine has {found} processors instead of {cpus}.")


def _make_devices(vm: VM, cpus: int) -> None:
    size = plan.MAIN_GIB * plan.KIB
    main = guest.make_null_blk(vm, 0, size=size, blocksize=plan.SECTOR, submit_queues=cpus)
    spare = guest.make_null_blk(vm, _SPARE, size=plan.SPARE_MIB, memory_backed=1)
    # Those of processors come first, then one for polling.
    lists = (f"/sys/block/nullb0/mq/{n}/cpu_list" for n in range(cpus))
    if (queues := vm.sh(f"cat {' '.join(lists)}").output.split()) != [str(n) for n in range(cpus)]:
        raise VMError(f"null_blk has no queue for each processor: {queues}")
    vm.sh(f"dmsetup create linear --table '0 {plan.MAIN_SECTORS} linear {main} 0'")
    vm.sh(f"dmsetup create empty --table '0 {plan.MAIN_SECTORS} remap {main} {spare}'")


def _run(vm: VM, workload: plan.Workload, cpus: int, rounds: int) -> list[Round]:
    words = (cpus, workload.engine, workload.depth, workload.direction, rounds, workload.count)
    command = " ".join(map(str, ("bench-smp", *words, *_DEVICES)))
    found = {}
    for line in vm.sh(command, timeout=guest.RUN_SECONDS).output.splitlines():
        number, device, active, instructions = line.split()
        found[int(number), int(device), int(active)] = float(instructions)
    try:
        return [
            Round(*(found[number, device, n] for device in range(len(_DEVICES)) for n in (1, cpus)))
            for number in range(1, rounds + 1)
        ]
    except KeyError as error:
        raise VMError(f"bench-smp didn't report {rounds} whole rounds: {found}") from error
