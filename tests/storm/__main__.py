"""A storm of remaps over a daemon: python -m tests.storm [--kernel 6.12] [--count 100000]

In a VM. What came out goes to build/storm.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator

from tests.demo.machine import MachineError
from tests.demo.playing import Told, play
from tests.demo.screen import Screen
from tests.storm.outcome import Storm, wrong
from tests.vm import kernels, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel

_REPORT = paths.BUILD / "storm.json"


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    parser.add_argument("--count", type=int, default=100_000, help="sectors that are remapped")
    options = parser.parse_args()
    _REPORT.unlink(missing_ok=True)
    try:
        kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
        with Screen() as screen:
            return _run(kernel, screen, options.count)
    except (VMError, MachineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(kernel: Kernel, screen: Screen, count: int) -> int:
    over, problems = play(kernel, "storm", "tests.storm.agent", Told(screen), str(count))
    _REPORT.write_text(json.dumps({"kernel": kernel.release, **over}, indent=2) + "\n")
    storms = [Storm(**one) for one in over["storms"]]
    bad = [f"the kernel complains: {one}" for one in problems]
    for one in storms:
        screen.say("while the daemon is stopped" if one.stopped else "while the daemon listens")
        for text in _lines(one):
            screen.say(f"    {text}")
        bad += wrong(one)
    for text in bad:
        screen.say(text, "bold red")
    return 1 if bad else 0


def _lines(one: Storm) -> Iterator[str]:
    yield f"{one.remaps} remaps in {one.seconds:.0f} s; {one.caught_up:.0f} s later all are known"
    yield (
        f"of {one.told} events of the kernel {one.heard} were heard, {one.lost} lost by their"
        f" numbers; rules were told of {one.gaps} gaps"
    )
    yield (
        f"{one.counted} remaps counted, {one.placed} of them with their sectors"
        f" ({one.elsewhere} wrong ones)"
    )
    yield f"the daemon says {one.believed} blocks are remapped, the dump has {one.dumped}"
    yield (
        f"memory {one.before} MiB before, {one.peak} at most, {one.after} after;"
        f" store {one.store_mib:.1f} MiB"
    )


if __name__ == "__main__":
    sys.exit(main())
