"""Run the steps of `make test`, several at a time, each line with its step's name before it.

python -m tests.steps [--jobs N] [--first STEP]... --make MAKE --out FOLDER STEP...

Steps are targets of the Makefile. Those that are to be first run alone, one after the other. The
rest begin in the order in which they are given, as soon as one of N places is free, so the longest
come first: guests wait for their disks most of the time, and two at a time take far less time than
one after the other. All are run, whatever fails; what came of them goes to a JUnit file of each.
"""

import argparse
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.vm import junit

Say = Callable[[str], None]


def run(step: str, make: Sequence[str], before: str, out: Path, say: Say) -> bool:
    """Run a step, say what it says, and record what came of it; was all well?"""
    started = time.monotonic()
    status = _follow([*make, "--no-print-directory", step], before, say)
    seconds = time.monotonic() - started
    failure = f"ended with status {status}" if status else None
    junit.record(out, "steps", step, failure, seconds)
    say(f"== {step}: {failure or 'ok'} ({seconds:.0f} s)")
    return not status


def _follow(argv: Sequence[str], before: str, say: Say) -> int:
    """Run a program and say each line of its output when it comes; its exit status."""
    # make's job server is a pair of pipes that the children inherit.
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,
        text=True,
        errors="replace",
    ) as process:
        if process.stdout is None:
            raise RuntimeError(f"no pipe from {shlex.join(argv)}")
        for line in process.stdout:
            say(before + line.rstrip("\n"))
    return process.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 when all steps were well."""
    parser = argparse.ArgumentParser(prog="python -m tests.steps")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--first", action="append", default=[], metavar="STEP")
    parser.add_argument("--make", default="make", help="the program, and options of its own")
    parser.add_argument("--out", required=True, type=Path, help="for JUnit files")
    parser.add_argument("steps", nargs="*", metavar="STEP")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}: at least 1 step must run at a time")
    make = shlex.split(options.make)
    width = max(map(len, [*options.first, *options.steps]), default=0)
    one_line = threading.Lock()

    def say(line: str) -> None:
        with one_line:
            print(line, flush=True)

    def one(step: str) -> bool:
        return run(step, make, f"{step:{width}} | ", options.out / f"step-{step}.xml", say)

    well = [one(step) for step in options.first]
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        well += pool.map(one, options.steps)
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
