"""Command line of `make test-debug`.

python -m tests.debug [-k EXPRESSION] [GROUP...]    build what is missing and run the tests
python -m tests.debug --where                       print the root of the debug kernel
"""

import argparse
import sys

from tests.debug import build, run
from tests.vm.errors import VMError


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.debug")
    parser.add_argument("-k", dest="expression", default="", help="pytest's -k")
    parser.add_argument("--where", action="store_true", help="build the kernel only, print where")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="names of groups; default: all")
    options = parser.parse_args()
    try:
        groups = [group.name for group in run.groups(options.groups)]
        kernel = build.kernel()
        if options.where:
            print(kernel.root)
            return 0
        run.build_module(kernel)
        passed = run.run(kernel, groups, options.expression)
        return run.summary(groups) or int(not passed)
    except VMError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
