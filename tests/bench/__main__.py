"""Command line of the benchmark.

python -m tests.bench run [--part io|scale|others] [--rounds N] [--markdown] [KERNEL...]
python -m tests.bench trace [--kernel 6.12] [--workload NAME] [CASE...]
"""

import argparse
import sys
import time
from pathlib import Path

from tests.bench import measuring, plan, report, results, trace
from tests.vm import kernels, paths
from tests.vm.errors import VMError


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure, and compare with dm-linear and with the goals")
    run.set_defaults(function=_run)
    run.add_argument("--rounds", type=int, default=plan.ROUNDS, help="the median is of so many")
    run.add_argument("--part", choices=measuring.PARTS, help="only this part")
    run.add_argument("--markdown", action="store_true", help="print tables for documents")
    run.add_argument("--output", type=Path, default=paths.BUILD / "bench.json")
    run.add_argument("kernels", nargs="*", default=list(kernels.SERIES), help="series or releases")
    attribute = commands.add_parser("trace", help="show which functions the instructions are in")
    attribute.set_defaults(function=_trace)
    names = [workload.name for workload in plan.WORKLOADS]
    attribute.add_argument("--workload", choices=names, default=names[0])
    cases = ", ".join(plan.CASES)
    attribute.add_argument("cases", nargs="*", default=["empty"], metavar="CASE", help=cases)
    attribute.add_argument("--kernel", default=kernels.SERIES[-1], help="series or release")
    options = parser.parse_args()
    try:
        return int(options.function(options))
    except VMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    chosen = [kernels.find(name) for name in options.kernels]
    found: list[results.Result] = []
    for name in [options.part] if options.part else measuring.PARTS:
        found += measuring.part(name, chosen, options.rounds)
        # What is measured is kept, even if a later part fails.
        results.write(found, options.output)
    report.show(found, markdown=options.markdown)
    seconds = time.monotonic() - started
    print(f"{len(found)} rows in {options.output}, {seconds:.0f} s", file=sys.stderr)
    missed = list(report.misses(found))
    for sentence in missed:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if missed else 0


def _trace(options: argparse.Namespace) -> int:
    unknown = [name for name in options.cases if name not in plan.CASES]
    if unknown:
        raise VMError(f"There is no case {unknown[0]}; there are {', '.join(plan.CASES)}.")
    kernel = kernels.find(options.kernel)
    workload = plan.workload(options.workload)
    profiles = trace.run(kernel, workload, [plan.CASES[name] for name in options.cases])
    report.show_functions(kernel.release, profiles)
    for profile in profiles[1:]:
        report.show_lines(profile.device, trace.source_lines(kernel, profile))
    return 0


if __name__ == "__main__":
    sys.exit(main())
