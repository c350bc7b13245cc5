"""The parts of the benchmark: what each of them measures on a kernel."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import devices, guest, inline, others, plan
from tests.bench.finding import guest as finding_guest
from tests.bench.finding import plan as finding_plan
from tests.bench.finding.figures import findings_of
from tests.bench.probes import guest as probes_guest
from tests.bench.probes.figures import probing_of
from tests.bench.report import progress
from tests.bench.results import Result, Row, rows_of
from tests.bench.scale import guest as scale_guest
from tests.bench.scale import image
from tests.bench.scale.figures import Figure, figures_of
from tests.bench.scale.plan import GEOMETRIES, MILLION
from tests.bench.scan import guest as scan_guest
from tests.bench.scan import plan as scan_plan
from tests.bench.scan.figures import foreground_of, idle_of
from tests.bench.smp import guest as smp_guest
from tests.bench.smp import plan as smp_plan
from tests.bench.smp.figures import scaling_of
from tests.bench.spares import guest as spares_guest
from tests.bench.spares import plan as spares_plan
from tests.bench.spares.figures import allocations_of, throughputs_of
from tests.vm import paths
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

# What a gate can afford.
SHORT_WORKLOADS = (*plan.BASIC, *plan.NOWAIT[-2:], *plan.SEQUENTIAL[:2])


@dataclass(frozen=True)
class Effort:
    """How much is measured: so many rounds of these workloads."""

    rounds: int
    workloads: Sequence[plan.Workload]


SHORT = Effort(rounds=25, workloads=SHORT_WORKLOADS)


def io(
    kernels: Sequence[Kernel],
    effort: Effort,
    *,
    count_inline: bool,
    modules: Mapping[str, Path] | None = None,
) -> list[Result]:
    """Compare dm-remap with dm-linear, and with `count_inline` look whether I/O is done inline.

    `modules` has modules by kernel release, instead of those that `make module` built.
    """
    results: list[Result] = []
    with devices.tables(MILLION) as made:
        for kernel in kernels:
            with progress(kernel.release) as step:
                step("booting")
                for cases, vm in devices.machines(
                    kernel, made, (modules or {}).get(kernel.release)
                ):
                    for workload in effort.workloads:
                        step(workload.name)
                        results += _rows(vm, kernel, cases, workload, effort)
                    if count_inline:
                        step("I/O that is not done inline")
                        results += inline.counts(vm, kernel.series, cases)
    return results


def _rows(
    vm: VM, kernel: Kernel, cases: Sequence[plan.Case], workload: plan.Workload, effort: Effort
) -> list[Row]:
    cases = [case for case in cases if workload in case.workloads]
    if not cases:
        return []
    words = [word for case in cases for word in (case.linear_word, case.own_word)]
    samples = guest.measure(vm, words, workload, effort.rounds)
    return rows_of(kernel.series, workload, cases, samples)


def scale(kernels: Sequence[Kernel]) -> list[Result]:
    """Measure what tables of up to a million entries cost."""
    found: dict[str, list[Figure]] = {kernel.release: [] for kernel in kernels}
    for geometry in GEOMETRIES:
        with tempfile.TemporaryDirectory(dir=paths.BUILD, prefix="bench-scale.") as folder:
            entries = image.entries_of(geometry)
            images = image.make(geometry, entries, geometry.sizes, Path(folder))
            for kernel in kernels:
                with progress(kernel.release) as step:
                    samples = []
                    for sample in scale_guest.measure(kernel, geometry, images):
                        step(f"{geometry.name}, {sample.entries:,} entries measured")
                        samples.append(sample)
                found[kernel.release] += figures_of(kernel.series, samples)
    return [figure for figures in found.values() for figure in figures]


def beside_others(kernels: Sequence[Kernel], rounds: int) -> list[Result]:
    """Measure others, and dm-remap beside them."""
    with devices.tables(*others.SIZES) as made:
        return [
            result
            for kernel in kernels
            for size in others.SIZES
            for result in _beside(kernel, made, size, rounds)
        ]


def _beside(kernel: Kernel, made: devices.Tables, size: int, rounds: int) -> Iterator[Result]:
    with progress(kernel.release) as step:
        step(f"others, {size:,} bad blocks")
        yield from others.measure(kernel, made, size, rounds)


def several_processors(kernels: Sequence[Kernel], rounds: int) -> list[Result]:
    """Compare how dm-remap and dm-linear scale."""
    results: list[Result] = []
    for kernel in kernels:
        with progress(kernel.release) as step:
            for cpus in smp_plan.CPUS:
                step(f"{cpus} processors")
                for workload, measured in smp_guest.measure(kernel, cpus, rounds):
                    results.append(scaling_of(kernel.series, cpus, workload.name, measured))
                    step(f"{cpus} processors, {workload.name} measured")
    return results


def spares(kernels: Sequence[Kernel]) -> list[Result]:
    """Measure allocations of spare units, and writes to several spares."""
    results: list[Result] = []
    for kernel in kernels:
        with progress(kernel.release) as step, guest.start(kernel) as vm:
            step("allocating spare units")
            results += allocations_of(kernel.series, spares_guest.allocations(vm))
            for kind in spares_plan.KINDS:
                step(f"writing to {kind.name} spares")
                results += throughputs_of(kernel.series, list(spares_guest.writes(vm, kind)))
    return results


def beside_the_scan(kernels: Sequence[Kernel]) -> list[Result]:
    """Measure what a user notices of a scan, and how fast it is when there is none."""
    results: list[Result] = []
    for kernel in kernels:
        with progress(kernel.release) as step, guest.start(kernel) as vm:
            for disk in scan_plan.DISKS:
                with scan_guest.device(vm, disk):
                    for load in scan_plan.LOADS:
                        step(f"{load.name} beside the scan, {disk.name}")
                        measured = scan_guest.beside(vm, disk, load)
                        results.append(foreground_of(kernel.series, measured))
                    step(f"the scan alone, {disk.name}")
                    results.append(idle_of(kernel.series, scan_guest.alone(vm, disk)))
    return results


def finding(kernels: Sequence[Kernel]) -> list[Result]:
    """Scan a disk with known faults by each pattern, and see what is found, and when."""
    results: list[Result] = []
    for kernel in kernels:
        with progress(kernel.release) as step:
            step("scanning a disk with faults")
            passes = finding_guest.passes(kernel)
            results += findings_of(kernel.series, finding_plan.faults(), passes)
    return results


def probes(kernels: Sequence[Kernel]) -> list[Result]:
    """Measure what probes add to an I/O."""
    results: list[Result] = []
    for kernel in kernels:
        with progress(kernel.release) as step:
            step("I/O with probes")
            measured = probes_guest.measure(kernel)
            results += [probing_of(kernel.series, each) for each in measured]
    return results


def _whole_io(kernels: Sequence[Kernel], rounds: int) -> list[Result]:
    return io(kernels, Effort(rounds, plan.WORKLOADS), count_inline=True)


# What `make bench` measures, by name: functions of the kernels and the number of rounds.
PARTS: Mapping[str, Callable[[Sequence[Kernel], int], list[Result]]] = {
    "io": _whole_io,
    "scale": lambda kernels, _: scale(kernels),
    "others": beside_others,
    "smp": several_processors,
    "spares": lambda kernels, _: spares(kernels),
    "scan": lambda kernels, _: beside_the_scan(kernels),
    "probes": lambda kernels, _: probes(kernels),
    "finding": lambda kernels, _: finding(kernels),
}
