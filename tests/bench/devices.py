"""The devices of the cases, each set of them in a machine of its own."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyctl.format import Entry
from tests.bench import guest, offsets, plan
from tests.bench.plan import KIB
from tests.bench.scale import guest as scale_guest
from tests.bench.scale import image
from tests.bench.scale import plan as scale_plan
from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM, Disk

_CHECK_IOS = 1000


@dataclass(frozen=True)
class Tables:
    """Spares of scale's large geometry by the number of their entries, and offsets for the largest.

    All tables have the first of the same entries, so blocks that are untouched with the largest are
    untouched with each.
    """

    entries: list[Entry]
    images: dict[int, Path]
    lists: offsets.Lists


@contextmanager
def tables(*sizes: int) -> Iterator[Tables]:
    """Make tables on the host, for as long as they are needed."""
    geometry = scale_plan.LARGE
    with tempfile.TemporaryDirectory(dir=paths.BUILD, prefix="bench-tables.") as name:
        folder = Path(name)
        entries = image.entries_of(geometry)[: max(sizes)]
        images = image.make(geometry, entries, sizes, folder)
        lists = offsets.make(entries, geometry.main_units, geometry.unit_bytes, folder)
        yield Tables(entries, images, lists)


def machines(
    kernel: Kernel, made: Tables, module: Path | None = None
) -> Iterator[tuple[Sequence[plan.Case], VM]]:
    """One machine after the other, with the cases that it has the devices of.

    `module` is for guest.start().
    """
    with small(kernel, module=module) as vm:
        yield plan.SMALL, vm
    with large(kernel, made, module=module) as vm:
        yield plan.LARGE, vm


@contextmanager
def small(
    kernel: Kernel, extra_args: Iterable[str] = (), module: Path | None = None
) -> Iterator[VM]:
    """A machine with the devices of plan.SMALL."""
    with guest.start(kernel, extra_args=extra_args, module=module) as vm:
        guest.make_null_blk(vm, 0, size=plan.MAIN_GIB * KIB, blocksize=512)
        make_linear(vm, plan.LINEAR, plan.MAIN_SECTORS, plan.NULL_BLK)
        remapped = [case for case in plan.SMALL if isinstance(case, plan.RemappedCase)]
        for number, case in enumerate(remapped, start=1):
            spare = guest.make_null_blk(vm, number, size=plan.SPARE_MIB, memory_backed=1)
            table = f"0 {plan.MAIN_SECTORS} remap {plan.NULL_BLK} {spare}"
            vm.sh(f"dmsetup create {case.name} --table '{table}'")
            if case.distance:
                _make_remaps(vm, case)
        yield vm


@contextmanager
def large(
    kernel: Kernel, made: Tables, extra_args: Iterable[str] = (), module: Path | None = None
) -> Iterator[VM]:
    """A machine with the devices of plan.LARGE, whose table is the largest of `made`."""
    size = max(made.images)
    disks = [Disk(made.images[size], f"table-{size}"), *list_disks(made.lists)]
    with guest.start(kernel, disks, ["-snapshot", *extra_args], module=module) as vm:
        geometry = scale_plan.LARGE
        copy_lists(vm)
        main = scale_guest.make_main(vm, geometry, 0)
        source = vm.device(f"table-{size}")
        spare = scale_guest.make_spare(vm, geometry, 1, source, made.images[size])
        sectors = geometry.main_bytes // plan.SECTOR
        name = Path(plan.REMAPS_1M).name
        vm.sh(f"dmsetup create {name} --table '0 {sectors} remap {main} {spare}'")
        make_linear(vm, plan.LINEAR, sectors, main)
        make_linear(vm, plan.LINEAR_SPARE, geometry.spare_bytes // plan.SECTOR, spare)
        _check_ways(vm)
        yield vm


def list_disks(lists: offsets.Lists) -> list[Disk]:
    """Lists of offsets as disks of a machine, for copy_lists()."""
    return [Disk(path, path.name) for path in (lists.untouched, lists.remapped, lists.places)]


def copy_lists(vm: VM) -> None:
    """Copy the lists of list_disks() to where the cases have them."""
    for path in (plan.UNTOUCHED, plan.REMAPPED, plan.PLACES):
        vm.sh(f"dd if={vm.device(Path(path).name)} of={path} bs=64k")


def make_linear(vm: VM, path: str, sectors: int, below: str) -> None:
    """Make a dm-linear over the whole of another device."""
    # Without udev somebody must make the nodes: dmsetup does, since DM_DISABLE_UDEV is set.
    vm.sh(f"dmsetup create {Path(path).name} --table '0 {sectors} linear {below} 0'")


def _check_ways(vm: VM) -> None:
    """Reads of each case must end in the disk that it is about, all of them."""
    workload = plan.BASIC[0]
    for case in plan.LARGE:
        for word in (case.own_word, case.linear_word):
            before = reads(vm, case.disk)
            guest.measure(vm, [word], workload, 1, _CHECK_IOS)
            found = reads(vm, case.disk) - before
            # The warm-up round reads, too.
            if found != 2 * _CHECK_IOS:
                raise VMError(f"{found} of {2 * _CHECK_IOS} reads of {word} went to {case.disk}.")


def reads(vm: VM, disk: str) -> int:
    """The reads that a disk has completed."""
    return int(vm.sh(f"cat /sys/block/{disk}/stat").output.split()[0])


def _make_remaps(vm: VM, case: plan.RemappedCase) -> None:
    made = vm.sh(
        f"bench-remap {case.name} {plan.REMAPS} {plan.FIRST_REMAP} {case.distance}"
    ).output.strip()
    if made != str(plan.REMAPS):
        raise VMError(f"{case.name} has {made} remaps instead of {plan.REMAPS}.")
