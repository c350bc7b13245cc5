"""Measure in the machine: allocations of the module's code in a program, and writes to spares."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import guest
from tests.bench.spares import plan
from tests.vm.errors import VMError
from tests.vm.qemu import VM

_DM = "spares"
_SECONDS = 300


@dataclass(frozen=True)
class Filled:
    """Instructions of an allocation from a bitmap with so many units in use."""

    pattern: str
    used: int
    median: float
    most: float


@dataclass(frozen=True)
class Written:
    """Guest nanoseconds that all writes to so many spares took, and in which there was no work."""

    kind: plan.Spares
    spares: int
    nanoseconds: int
    idle: int

    @property
    def writes(self) -> int:
        """The writes of all writers together."""
        return plan.WRITERS * self.kind.writes


def allocations(vm: VM) -> list[Filled]:
    """Fill a bitmap in several ways, and allocate from it on the way."""
    output = vm.sh(f"bench-alloc {plan.UNITS} {plan.SAMPLES}", timeout=_SECONDS).output
    lines = [line.split() for line in output.splitlines()]
    if not lines:
        raise VMError("bench-alloc reported nothing.")
    return [
        Filled(pattern, int(used), float(median), float(most))
        for pattern, used, median, most in lines
    ]


def writes(vm: VM, kind: plan.Spares) -> Iterator[Written]:
    """Write to remapped units, by one spare, two, four, eight of a kind."""
    main = guest.make_null_blk(vm, 0, size=plan.MAIN_MIB, blocksize=plan.UNIT)
    for count in plan.COUNTS:
        with _set(vm, main, kind, count):
            yield _write(vm, kind, count)
    guest.remove_null_blk(vm, 0)


@contextmanager
def _set(vm: VM, main: str, kind: plan.Spares, count: int) -> Iterator[None]:
    spares = [_make_spare(vm, number, kind) for number in range(1, count + 1)]
    sectors = plan.MAIN_MIB * plan.MIB // plan.SECTOR
    vm.sh(f"dmsetup create {_DM} --table '0 {sectors} remap {main} {' '.join(spares)}'")
    made = vm.sh(f"bench-remap {_DM} {plan.REMAPS} 0 {plan.REMAP_DISTANCE}").output.strip()
    if made != str(plan.REMAPS):
        raise VMError(f"There are {made} remaps instead of {plan.REMAPS}.")
    yield
    vm.sh(f"dmsetup remove {_DM}")
    for number in range(1, count + 1):
        guest.remove_null_blk(vm, number)


def _make_spare(vm: VM, number: int, kind: plan.Spares) -> str:
    device = guest.make_null_blk(
        vm,
        number,
        size=plan.SPARE_MIB,
        blocksize=plan.UNIT,
        memory_backed=1,
        hw_queue_depth=plan.QUEUE_DEPTH,
        mbps=kind.mib_per_second,
    )
    # Two writes that become one would be more than it can do.
    vm.sh(f"cd /sys/block/{Path(device).name}/queue; echo none > scheduler; echo 2 > nomerges")
    return device


def _write(vm: VM, kind: plan.Spares, count: int) -> Written:
    groups = " ".join(",".join(map(str, group)) for group in _by_spare(vm, count))
    words = f"bench-spares /dev/mapper/{_DM} {plan.WRITERS} {kind.writes} {groups}"
    nanoseconds, idle = map(int, vm.sh(words, timeout=_SECONDS).output.split())
    return Written(kind, count, nanoseconds, idle)


def _by_spare(vm: VM, count: int) -> list[list[int]]:
    """The remapped units as byte offsets of the device, by the spare that each is on."""
    groups: list[list[int]] = [[] for _ in range(count)]
    lines = vm.sh(f"dmsetup message {_DM} 0 'list 0 {plan.REMAPS}'").output.splitlines()
    # "<sector> <sectors> <spare> <sector of the spare> remap manual", and "end" behind the last.
    for line in lines[: plan.REMAPS]:
        sector, _, spare, *_ = line.split()
        groups[int(spare)].append(int(sector) * plan.SECTOR)
    if {len(group) for group in groups} != {plan.REMAPS // count}:
        raise VMError(f"Remaps are not spread evenly: {[len(group) for group in groups]}")
    return groups
