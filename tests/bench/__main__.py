"""Command line of the benchmark.

python -m tests.bench run [--part NAME] [--rounds N] [--markdown] [KERNEL...]
python -m tests.bench check [--slower N] [KERNEL...]
python -m tests.bench baseline [KERNEL...]
python -m tests.bench trace [--kernel 6.12] [--workload NAME] [CASE...]
"""

import argparse
import sys
import time
from pathlib import Path

from tests.bench import baseline, measuring, plan, report, results, slower, trace
from tests.bench.baseline import BaselineError
from tests.bench.inline import Count
from tests.bench.results import Row
from tests.vm import kernels, paths
from tests.vm.errors import VMError

_SLOWER = "with a module that takes N instructions more for each bio: the gate must fail"


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure, and compare with dm-linear and with the goals")
    run.set_defaults(function=_run)
    run.add_argument("--rounds", type=_rounds, default=plan.ROUNDS, help="how many of them count")
    run.add_argument("--part", choices=measuring.PARTS, help="only this part")
    run.add_argument("--markdown", action="store_true", help="print tables for documents")
    run.add_argument("--output", type=Path, default=paths.BUILD / "bench.json")
    run.add_argument("kernels", nargs="*", default=list(kernels.SERIES), help="series or releases")
    check = commands.add_parser("check", help="compare a short run with the baseline")
    check.set_defaults(function=_check)
    check.add_argument("--slower", type=int, default=0, metavar="N", help=_SLOWER)
    check.add_argument("--output", type=Path, default=paths.BUILD / "bench-check.json")
    check.add_argument(
        "kernels", nargs="*", default=list(kernels.SERIES), help="series or releases"
    )
    renew = commands.add_parser("baseline", help=f"write {baseline.PATH.name} anew")
    renew.set_defaults(function=_baseline)
    renew.add_argument(
        "kernels", nargs="*", default=list(kernels.SERIES), help="series or releases"
    )
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
    except (VMError, BaselineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _rounds(word: str) -> int:
    rounds = int(word)
    if rounds < 4:
        raise argparse.ArgumentTypeError("fewer than 4 rounds have no quartiles")
    return rounds


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    chosen = [kernels.find(name) for name in options.kernels]
    found: list[results.Result] = []
    for name in [options.part] if options.part else measuring.PARTS:
        found += measuring.PARTS[name](chosen, options.rounds)
        # What is measured is kept, even if a later part fails.
        results.write(found, options.output)
    report.show(found, markdown=options.markdown)
    seconds = time.monotonic() - started
    print(f"{len(found)} rows in {options.output}, {seconds:.0f} s", file=sys.stderr)
    missed = list(report.misses(found))
    for sentence in missed:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if missed else 0


def _check(options: argparse.Namespace) -> int:
    started = time.monotonic()
    chosen = [kernels.find(name) for name in options.kernels]
    before = baseline.load()
    # Sooner than after a minute.
    baseline.require(before, {kernel.series for kernel in chosen})
    modules = {k.release: slower.module(k, options.slower) for k in chosen if options.slower}
    found = measuring.io(chosen, measuring.SHORT, count_inline=True, modules=modules)
    results.write(found, options.output)
    changes = baseline.compare(before, [row for row in found if isinstance(row, Row)])
    better = [change for change in changes if not change.is_worse]
    for change in better:
        print(f"better: {change}")
    if better:
        print("Write the baseline anew, so that it stays so: python -m tests.bench baseline")
    errors = [str(change) for change in changes if change.is_worse]
    errors += [str(count) for count in found if isinstance(count, Count) and count.is_missed]
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    print(
        f"{len(found)} rows, {len(changes)} further than {baseline.TOLERANCE} from the baseline,"
        f" {time.monotonic() - started:.0f} s"
    )
    return 1 if errors else 0


def _baseline(options: argparse.Namespace) -> int:
    chosen = [kernels.find(name) for name in options.kernels]
    old = baseline.load() if baseline.PATH.exists() else None
    found = measuring.io(chosen, measuring.SHORT, count_inline=False)
    rows = [row for row in found if isinstance(row, Row)]
    releases = {kernel.series: kernel.release for kernel in chosen}
    baseline.save(baseline.renewed(old, releases, rows))
    number = len(baseline.entries_of(rows))
    print(f"{baseline.PATH} has {number} new entries. Look at the difference, and commit it.")
    return 0


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
