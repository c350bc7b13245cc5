"""Command line of the power-cut tests.

python -m tests.crash run [--kernel 6.12] [--cuts N] [--seed N]
python -m tests.crash replay build/crash/violation-N [--boot]
"""

import argparse
import shutil
import sys
from pathlib import Path

from tests.crash import controls, guest, keep, report
from tests.crash.campaign import Campaign
from tests.crash.plan import DEFAULT_CUTS
from tests.crash.run import Run
from tests.mistakes.__main__ import MistakeError
from tests.vm import kernels, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel

DIRECTORY = paths.BUILD / "crash"


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="cut the power of every kind of set")
    run.add_argument("--kernel", help="series or release; the newest when left out")
    run.add_argument("--cuts", type=int, default=DEFAULT_CUTS, help="at least so many")
    run.add_argument("--seed", type=int, default=1)
    replay = commands.add_parser("replay", help="check a violation that was kept again")
    replay.add_argument("directory", type=Path)
    replay.add_argument("--boot", action="store_true", help="by a kernel, too")
    replay.add_argument("--kernel", help="series or release; the newest when left out")
    options = parser.parse_args()
    try:
        kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
        if options.command == "replay":
            return _replay(options.directory, kernel, boot=options.boot)
        return _run(kernel, options.cuts, options.seed)
    except (VMError, MistakeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(kernel: Kernel, cuts: int, seed: int) -> int:
    screen = report.Screen(cuts)
    for old in DIRECTORY.glob("violation-*"):
        shutil.rmtree(old)
    with guest.saved(kernel, paths.module(kernel.release)) as machine:
        campaign = Campaign(machine, cuts, seed, DIRECTORY, screen)
        campaign.run()
        verdicts = [controls.lying_flush(machine, seed)]
    screen.control(verdicts[0])
    for mistake in controls.mistakes():
        verdicts.append(controls.mistake(mistake, kernel, seed))
        screen.control(verdicts[-1])
    report.write_json(
        paths.BUILD / "crash.json",
        campaign,
        verdicts,
        kernel=kernel.release,
        seed=seed,
        seconds=screen.seconds,
    )
    report.write_junit(
        paths.BUILD / "junit" / "crash.xml", f"crash-{kernel.series}", campaign, verdicts
    )
    return report.conclude(campaign, verdicts, seed)


def _replay(directory: Path, kernel: Kernel, *, boot: bool) -> int:
    """Check the cut that was kept; 1 when it has violations still."""
    kept = keep.load(directory)
    machine = guest.Machine(kernel, paths.module(kernel.release))
    try:
        run = Run(kept.variant, machine, kept.seed)
        (moment,) = run.replay(kept.generation, [kept.cut], lying=kept.lying)
        where = f"generation {kept.generation.number}, position {kept.cut.position}"
        print(f"{kept.variant.name}, {where}: {moment.disks.how}")
        found = run.check(moment)
        if boot:
            machine.save()
            found += run.boot(kept.generation, moment)
    finally:
        machine.close()
    for violation in found:
        print(violation)
    print(f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
