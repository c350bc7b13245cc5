"""Measure one table in the machine: load it, look at the memory, let writes to it fail."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import guest
from tests.bench.scale import image, plan
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM, Disk

_DM = "scale"
_MAIN, _SPARE = 0, 1
_LOAD_SECONDS = 300


@dataclass(frozen=True)
class Loaded:
    """What the activation of a set took; memory in bytes, all that is not free any more."""

    instructions: float
    wall_seconds: float
    # Bytes that were read, by the bytes of all superblocks and leaves in all replicas.
    passes: float
    memory: float


@dataclass(frozen=True)
class Cost:
    """What writes to failing units took.

    `commits` and `metadata_writes` are the module's own counters, `device_writes` is what the spare
    has counted: metadata, and the data of each unit.
    """

    instructions: float
    commits: float
    metadata_writes: float
    device_writes: float


@dataclass(frozen=True)
class Sample:
    """All that was measured of a table; a table that was only loaded has no costs.

    `single` is for one write, the median of many; `together` for many far apart that wait together,
    `stretch` for as many neighbours, `whole` for one write over such a stretch.
    """

    geometry: plan.Geometry
    entries: int
    loaded: Loaded
    single: Cost | None = None
    together: Cost | None = None
    stretch: Cost | None = None
    whole: Cost | None = None


def measure(kernel: Kernel, geometry: plan.Geometry, images: dict[int, Path]) -> Iterator[Sample]:
    """Boot a machine and measure all tables of a geometry in it; `images` are left as they are."""
    disks = [Disk(path, f"table-{size}") for size, path in images.items()]
    with guest.start(kernel, disks, ["-snapshot"]) as vm:
        main = make_main(vm, geometry, _MAIN)
        _make_bad(vm, geometry)
        for size, path in images.items():
            with _table(vm, geometry, main, vm.device(f"table-{size}"), path) as spare:
                yield _measure_table(vm, geometry, size, spare, image.metadata_bytes(path))


def make_main(vm: VM, geometry: plan.Geometry, number: int) -> str:
    """Make the main device of a geometry, without memory; its path in the guest."""
    size = geometry.main_bytes // plan.MIB
    return guest.make_null_blk(vm, number, size=size, blocksize=geometry.unit_bytes)


def make_spare(vm: VM, geometry: plan.Geometry, number: int, source: str, path: Path) -> str:
    """Make a spare and copy the metadata of an image to it; its path in the guest.

    `path` is the image on the host, `source` its disk in the guest. The spare is in memory, so that
    no instruction counts that waits for a disk.
    """
    spare = guest.make_null_blk(
        vm,
        number,
        size=geometry.spare_bytes // plan.MIB,
        blocksize=geometry.unit_bytes,
        memory_backed=1,
    )
    flags = "bs=64k iflag=skip_bytes,count_bytes oflag=seek_bytes"
    for first, length in image.pieces(path):
        vm.sh(f"dd if={source} of={spare} {flags} skip={first} seek={first} count={length}")
    return spare


@contextmanager
def _table(vm: VM, geometry: plan.Geometry, main: str, source: str, path: Path) -> Iterator[str]:
    spare = make_spare(vm, geometry, _SPARE, source, path)
    sectors = geometry.main_bytes // plan.SECTOR
    vm.sh(f"dmsetup create {_DM} --notable")
    vm.sh(f"dmsetup load {_DM} --table '0 {sectors} remap {main} {spare}'")
    yield spare
    vm.sh(f"dmsetup remove {_DM}")
    guest.remove_null_blk(vm, _SPARE)


def _measure_table(
    vm: VM, geometry: plan.Geometry, size: int, spare: str, metadata_bytes: int
) -> Sample:
    loaded = _load(vm, spare, metadata_bytes)
    vm.sh(f"dmsetup mknodes {_DM}")
    remaps = _stats(vm)["remaps"]
    if remaps != size:
        raise VMError(f"The table has {remaps} entries instead of {size}.")
    if not geometry.writes:
        return Sample(geometry, size, loaded)
    costs = [
        _fail(vm, geometry, spare, "single", plan.SINGLE),
        _fail(vm, geometry, spare, "together", plan.TOGETHER),
        _fail(vm, geometry, spare, "together", plan.STRETCH),
        _fail(vm, geometry, spare, "single", plan.WHOLE, as_one=True),
    ]
    return Sample(geometry, size, loaded, *costs)


def _load(vm: VM, spare: str, metadata_bytes: int) -> Loaded:
    memory, read = guest.memory_in_use(vm), _disk(vm, spare)[0]
    started = time.monotonic()
    instructions = float(vm.sh(f"bench-scale activate {_DM}", timeout=_LOAD_SECONDS).output)
    seconds = time.monotonic() - started
    read = _disk(vm, spare)[0] - read
    return Loaded(instructions, seconds, read / metadata_bytes, guest.memory_in_use(vm) - memory)


def _make_bad(vm: VM, geometry: plan.Geometry) -> None:
    sectors = geometry.unit_bytes // plan.SECTOR
    bad = (f"+{u * sectors}-{(u + 1) * sectors - 1}" for f in plan.FAILURES for u in f.units())
    folder = f"{guest.NULL_BLK}/nullb{_MAIN}"
    vm.sh(f"for range in {' '.join(bad)}; do echo $range > {folder}/badblocks || exit; done")


def _fail(
    vm: VM,
    geometry: plan.Geometry,
    spare: str,
    how: str,
    failures: plan.Failures,
    as_one: bool = False,
) -> Cost:
    unit = geometry.unit_bytes
    # One write that works: the breaker takes a device without any for read-only.
    vm.sh(f"bench-scale single /dev/mapper/{_DM} {unit} {3 * unit} {unit} 1")
    count, size = (1, unit * failures.count) if as_one else (failures.count, unit)
    before, writes = _stats(vm), _disk(vm, spare)[1]
    lines = vm.sh(
        f"bench-scale {how} /dev/mapper/{_DM} {size} {failures.first * unit}"
        f" {failures.distance * unit} {count}"
    ).output.split()
    after = _stats(vm)
    units = after["remaps"] - before["remaps"]
    if units != failures.count:
        raise VMError(f"{units} units were remapped instead of {failures.count}.")
    # Of single writes, what one of them takes; the first also reads a leaf, others are alike.
    each = count if how == "single" else 1
    return Cost(
        statistics.median(float(line) for line in lines),
        (after["commits"] - before["commits"]) / each,
        (after["commit_writes"] - before["commit_writes"]) / each,
        (_disk(vm, spare)[1] - writes) / each,
    )


def _stats(vm: VM) -> dict[str, int]:
    lines = vm.sh(f"dmsetup message {_DM} 0 stats").output.split()
    return {name: int(value) for name, value in (line.split("=") for line in lines)}


def _disk(vm: VM, device: str) -> tuple[int, int]:
    """Bytes that were read from a disk, and the number of writes to it."""
    fields = vm.sh(f"cat /sys/block/{Path(device).name}/stat").output.split()
    return int(fields[2]) * plan.SECTOR, int(fields[4])
