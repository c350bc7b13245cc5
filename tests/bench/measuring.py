"""The parts of the benchmark: what each of them measures on a kernel."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import devices, guest, inline, others, plan
from tests.bench.report import progress
from tests.bench.results import Result, Row, rows_of
from tests.bench.scale import guest as scale_guest
from tests.bench.scale import image
from tests.bench.scale.figures import Figure, figures_of
from tests.bench.scale.plan import GEOMETRIES, MILLION
from tests.vm import paths
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

PARTS = ("io", "scale", "others")


@dataclass(frozen=True)
class Effort:
    """How much is measured: medians of so many rounds, of `count` I/Os or what the workload has."""

    rounds: int
    workloads: Sequence[plan.Workload]
    count: int | None = None


def part(name: str, kernels: Sequence[Kernel], rounds: int) -> list[Result]:
    """Measure one of PARTS on kernels."""
    if name == "io":
        return io(kernels, Effort(rounds, plan.WORKLOADS), count_inline=True)
    if name == "scale":
        return scale(kernels)
    return beside_others(kernels, rounds)


def io(kernels: Sequence[Kernel], effort: Effort, *, count_inline: bool) -> list[Result]:
    """Compare dm-remap with dm-linear, and look whether I/O is done inline."""
    results: list[Result] = []
    with devices.tables(MILLION) as made:
        for kernel in kernels:
            with progress(kernel.release) as step:
                step("booting")
                for cases, vm in devices.machines(kernel, made):
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
    samples = guest.measure(vm, words, workload, effort.rounds, effort.count)
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
