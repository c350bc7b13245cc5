"""Others beside dm-remap: targets that do little, and what people do by hand with dm-linear."""

import subprocess
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyctl.format import Entry
from tests.bench import devices, guest, plan
from tests.bench.devices import Tables
from tests.bench.plan import Case
from tests.bench.results import Result, rows_of
from tests.bench.scale import guest as scale_guest
from tests.bench.scale import plan as scale_plan
from tests.bench.scale.figures import Figure
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM, Disk

# Numbers of bad blocks, at random places of the 8 TiB.
SIZES = (1_000, 100_000)

CRYPT_MODULES = ("dm-crypt", "crypto_null", "ecb")

_GEOMETRY = scale_plan.LARGE
_SECTORS = _GEOMETRY.main_bytes // plan.SECTOR
_UNIT_SECTORS = _GEOMETRY.unit_bytes // plan.SECTOR
_PAIRS = "/tmp/pairs"  # noqa: S108 - in the guest
_CHOP_SECONDS = 300


@dataclass(frozen=True)
class Built:
    """What a device with N bad blocks takes: instructions to set it up, bytes of kernel memory."""

    instructions: float
    memory: float

    def figures(self, kernel: str, name: str, size: int) -> Iterator[Figure]:
        """The same for bench.json."""
        for measure, value, unit in (
            ("create", self.instructions, "instructions"),
            ("create-per-block", self.instructions / size, "instructions"),
            ("memory", self.memory, "bytes"),
            ("memory-per-block", self.memory / size, "bytes"),
        ):
            yield Figure(kernel, name, size, measure, round(value, 1), unit)


def has_crypt(kernel: Kernel) -> bool:
    """Whether a kernel has dm-crypt and the null cipher."""
    command = ["/usr/sbin/modprobe", "-d", str(kernel.root), "-S", kernel.release]
    command += ["--show-depends", "-a", *CRYPT_MODULES]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def measure(kernel: Kernel, made: Tables, size: int, rounds: int) -> Iterator[Result]:
    """Measure others and dm-remap with `size` bad blocks, one of SIZES."""
    series = kernel.series
    with _machine(kernel, made, size) as (vm, spare):
        chopped, built = _chop(vm, spare, size)
        yield from built.figures(series, "dm-linear chopped", size)
        remapped, built = _load(vm, spare, size)
        yield from built.figures(series, "dm-remap", size)
        cases = [chopped, remapped]
        if size == SIZES[0]:
            cases += _simple(vm, has_crypt(kernel))
        for workload in plan.BASIC:
            words = [word for case in cases for word in (case.own_word, case.linear_word)]
            samples = guest.measure(vm, words, workload, rounds)
            yield from rows_of(series, workload, cases, samples)


@contextmanager
def _machine(kernel: Kernel, made: Tables, size: int) -> Iterator[tuple[VM, str]]:
    """A machine with main, dm-linear over it, and a spare that has the table of so many entries."""
    path = made.images[size]
    pairs = _write_pairs(made.entries[:size], path.with_name(f"pairs-{size}"))
    disks = [Disk(path, "table"), Disk(pairs, "pairs"), *devices.list_disks(made.lists)]
    modules = CRYPT_MODULES if has_crypt(kernel) else ()
    with guest.start(kernel, disks, ["-snapshot"], modules) as vm:
        devices.copy_lists(vm)
        vm.sh(f"head -c {size * 16} {vm.device('pairs')} >{_PAIRS}")
        main = scale_guest.make_main(vm, _GEOMETRY, 0)
        devices.make_linear(vm, plan.LINEAR, _SECTORS, main)
        yield vm, scale_guest.make_spare(vm, _GEOMETRY, 1, vm.device("table"), path)


def _write_pairs(entries: Sequence[Entry], path: Path) -> Path:
    pairs = sorted((entry.main_unit, entry.spare_unit) for entry in entries)
    data = array("Q", [number for pair in pairs for number in pair]).tobytes()
    # A disk has whole sectors.
    path.write_bytes(data + bytes(-len(data) % plan.SECTOR))
    return path


def _case(name: str) -> Case:
    span = f":{plan.UNTOUCHED}"
    return Case(name, f"/dev/mapper/{name}", plan.BASIC, span=span, linear_span=span)


def _chop(vm: VM, spare: str, size: int) -> tuple[Case, Built]:
    """Make a table of dm-linear with a segment for each bad block, and one for each gap."""
    case = _case(f"chopped-{_short(size)}")
    vm.sh(f"dmsetup create {case.name} --notable")
    before = guest.memory_in_use(vm)
    load, resume, segments = vm.sh(
        f"bench-table {case.name} {plan.NULL_BLK} {spare} {_SECTORS} {_UNIT_SECTORS} {_PAIRS}",
        timeout=_CHOP_SECONDS,
    ).output.split()
    if not size < int(segments) <= 2 * size + 1:
        raise VMError(f"The table has {segments} segments with {size} bad blocks.")
    built = Built(float(load) + float(resume), guest.memory_in_use(vm) - before)
    vm.sh(f"dmsetup mknodes {case.name}")
    return case, built


def _load(vm: VM, spare: str, size: int) -> tuple[Case, Built]:
    """Start dm-remap with the same blocks remapped to the same places."""
    case = _case(f"remap-{_short(size)}")
    vm.sh(f"dmsetup create {case.name} --notable")
    before = guest.memory_in_use(vm)
    vm.sh(f"dmsetup load {case.name} --table '0 {_SECTORS} remap {plan.NULL_BLK} {spare}'")
    taken = float(vm.sh(f"bench-scale activate {case.name}", timeout=_CHOP_SECONDS).output)
    built = Built(taken, guest.memory_in_use(vm) - before)
    vm.sh(f"dmsetup mknodes {case.name}")
    return case, built


def _simple(vm: VM, with_crypt: bool) -> Iterator[Case]:
    """Targets over all of main; dm-crypt without its workers and their delays."""
    tables = {"flakey-up": f"flakey {plan.NULL_BLK} 0 60 0"}
    if with_crypt:
        tables["crypt-null"] = (
            f"crypt cipher_null-ecb - 0 {plan.NULL_BLK} 0 2 no_read_workqueue no_write_workqueue"
        )
    for name, table in tables.items():
        vm.sh(f"dmsetup create {name} --table '0 {_SECTORS} {table}'")
        yield _case(name)


def _short(size: int) -> str:
    return f"{size // 1000}k"
