"""Command line of the benchmark.

python -m tests.bench run [--part io|scale] [--rounds N] [KERNEL...]
python -m tests.bench trace [--kernel 6.12] [--workload NAME] [CASE...]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import guest, plan, report, results, trace
from tests.bench.scale import guest as scale_guest
from tests.bench.scale import image
from tests.bench.scale import report as scale_report
from tests.bench.scale.figures import Figure, figures_of
from tests.bench.scale.plan import GEOMETRIES
from tests.vm import kernels, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel

PARTS = ("io", "scale")


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and compare with dm-linear")
    run.add_argument("--rounds", type=int, default=plan.ROUNDS, help="the median is of so many")
    run.add_argument("--part", choices=PARTS, help="only I/O, or only large tables")
    run.add_argument("--output", type=Path, default=paths.BUILD / "bench.json")
    run.add_argument("kernels", nargs="*", default=list(kernels.SERIES), help="series or releases")
    attribute = commands.add_parser("trace", help="show which functions the instructions are in")
    names = [workload.name for workload in plan.WORKLOADS]
    attribute.add_argument("--workload", choices=names, default=names[0])
    attribute.add_argument("cases", nargs="*", default=["empty"], help="of dm-remap")
    attribute.add_argument("--kernel", default=kernels.SERIES[-1], help="series or release")
    options = parser.parse_args()
    try:
        return _trace(options) if options.command == "trace" else _run(options)
    except VMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    chosen = [kernels.find(name) for name in options.kernels]
    rows = [] if options.part == "scale" else _measure_io(chosen, options.rounds)
    figures = [] if options.part == "io" else _measure_scale(chosen)
    results.write(rows, figures, options.output)
    report.show(rows)
    scale_report.show(figures)
    seconds = time.monotonic() - started
    print(f"{len(rows) + len(figures)} rows in {options.output}, {seconds:.0f} s")
    bad = results.over_limit(rows)
    for row in bad:
        print(
            f"error: on {row.kernel}, {row.case} takes {row.ratio:.4f} times what dm-linear takes "
            f"for {row.workload}; the limit is {plan.LIMITS[row.case]}.",
            file=sys.stderr,
        )
    over = [figure for figure in figures if figure.is_over]
    for figure in over:
        print(f"error: {figure}", file=sys.stderr)
    return 1 if bad or over else 0


def _measure_io(chosen: Sequence[Kernel], rounds: int) -> list[results.Row]:
    rows = []
    for kernel in chosen:
        with report.progress(kernel.release) as step:
            step("booting")
            with guest.boot(kernel) as vm:
                for workload in plan.WORKLOADS:
                    step(workload.name)
                    samples = guest.measure(vm, workload, rounds)
                    rows += results.rows_of(kernel.series, workload, samples)
    return rows


def _measure_scale(chosen: Sequence[Kernel]) -> list[Figure]:
    found: dict[str, list[Figure]] = {kernel.release: [] for kernel in chosen}
    for geometry in GEOMETRIES:
        with tempfile.TemporaryDirectory(dir=paths.BUILD, prefix="bench-scale.") as folder:
            images = image.make(geometry, Path(folder))
            for kernel in chosen:
                with report.progress(kernel.release) as step:
                    samples = []
                    for sample in scale_guest.measure(kernel, geometry, images):
                        step(f"{geometry.name}, {sample.entries:,} entries measured")
                        samples.append(sample)
                found[kernel.release] += figures_of(kernel.series, samples)
    return [figure for figures in found.values() for figure in figures]


def _trace(options: argparse.Namespace) -> int:
    kernel = kernels.find(options.kernel)
    workload = next(w for w in plan.WORKLOADS if w.name == options.workload)
    cases = [case for case in plan.CASES if case.name in options.cases]
    profiles = trace.run(kernel, workload, cases)
    report.show_functions(kernel.release, profiles)
    for profile in profiles[1:]:
        report.show_lines(profile.device, trace.source_lines(kernel, profile))
    return 0


if __name__ == "__main__":
    sys.exit(main())
