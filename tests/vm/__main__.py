"""Command line of the harness.

python -m tests.vm test --kernel 6.12 [-k EXPRESSION] [--second-chance] [-- PYTEST-ARGUMENTS]
python -m tests.vm shell [--kernel 6.12]
python -m tests.vm info

--kernel-root DIR takes the kernel from another folder than / (see tests.vm.kernels).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.vm import accel, interactive, kernels, paths, pytest_guest, second_chance
from tests.vm.errors import VMError


def main() -> int:
    """Run the command line and return the exit status."""
    try:
        return _run(_parse())
    except VMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    if options.command == "info":
        return _info()
    root = options.kernel_root
    kernel = kernels.find(options.kernel, root) if options.kernel else kernels.newest(root)
    if options.command == "shell":
        return interactive.run(kernel, smp=options.smp, memory=options.memory)

    def run(junit: Path, tests: Sequence[str]) -> bool:
        return pytest_guest.run(
            kernel,
            junit,
            tests=tests or [pytest_guest.TESTS],
            expression="" if tests else options.expression,
            pytest_args=options.pytest_args,
            smp=options.smp,
            memory=options.memory,
            timeout=options.timeout,
            allow_none=options.allow_none,
            module=options.module,
        )

    junit = options.junit or paths.BUILD / "junit" / f"kernel-{kernel.series}.xml"
    passed = second_chance.run(junit, run) if options.second_chance else run(junit, [])
    return 0 if passed else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.vm")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="show the kernels and the accelerator")

    machine = argparse.ArgumentParser(add_help=False)
    machine.add_argument("--kernel", help="series or release; the newest when left out")
    machine.add_argument("--kernel-root", type=Path, default=kernels.HOST, help="instead of /")
    machine.add_argument("--smp", type=int, default=2, help="processors")
    machine.add_argument("--memory", default="2G")
    commands.add_parser("shell", parents=[machine], help="open a shell in a guest")

    test = commands.add_parser("test", parents=[machine], help="run tests/kernel in a guest")
    test.add_argument("-k", dest="expression", default="", help="pytest's -k")
    test.add_argument("--module", type=Path, help="another module than the one that was built")
    test.add_argument("--junit", type=Path, help="where the JUnit file goes")
    test.add_argument("--timeout", type=float, default=3600, help="seconds for all tests together")
    test.add_argument(
        "--second-chance",
        action="store_true",
        help="run a few failed tests again (tests.vm.second_chance)",
    )
    test.add_argument("--allow-none", action="store_true", help="no matching test is no failure")
    test.add_argument("pytest_args", nargs="*", help="more arguments for pytest, after --")
    return parser.parse_args()


def _info() -> int:
    for kernel in kernels.installed():
        built = "module built" if paths.module(kernel.release).exists() else "module not built"
        headers = "headers" if kernel.has_headers else "no headers"
        print(f"{kernel.series:5} {kernel.release}  {headers}, {built}")
    print(f"accelerator: {accel.choose()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
