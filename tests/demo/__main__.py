"""Command line of the demo.

python -m tests.demo [--kernel 6.12]    in a VM
python -m tests.demo --host [--yes]     on this host
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tests.demo import host, tree
from tests.demo.act import Act, Outcome
from tests.demo.host import Host
from tests.demo.machine import Job, Machine, MachineError
from tests.demo.report import Report
from tests.demo.run import ProgramError
from tests.demo.screen import Screen
from tests.demo.tree import SourceFile, TreeError
from tests.demo.virtual import VirtualMachine
from tests.vm import kernels, paths
from tests.vm.errors import VMError

_DIRECTORY = paths.BUILD / "demo"
_REPORT = paths.BUILD / "demo.json"
_MAIN_BYTES = 512 << 20
_SPARE_BYTES = 64 << 20
_SPARES = 2
_SEED = 1

_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return the exit status."""
    options = _parse()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Screen() as screen:
            return _run(options, screen)
    except (VMError, MachineError, ProgramError, TreeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; everything is taken away again.", file=sys.stderr)
        return _INTERRUPTED


def _run(options: argparse.Namespace, screen: Screen) -> int:
    machine: Machine
    if options.host:
        host.refuse_or_ask(yes=options.yes)
        machine = Host()
    else:
        kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
        machine = VirtualMachine(kernel)
    started = time.monotonic()
    _REPORT.unlink(missing_ok=True)
    with _directory() as directory:
        files = tree.choose()
        tree.save(files, directory / "files.json")
        megabytes = sum(file.size for file in files) / 1e6
        screen.say(
            f"kernel {machine.kernel} ({machine.accel}); {len(files)} files with"
            f" {megabytes:.0f} MB of this machine are going to be copied"
        )
        screen.heading("First: the failing disk as it is")
        raw = _play(machine, screen, files, directory, 0)
        screen.heading("Then: dm-remap over a disk with the very same errors")
        remap = _play(machine, screen, files, directory, _SPARES)
    report = Report(raw, remap, machine.kernel, machine.accel, time.monotonic() - started)
    report.save(_REPORT)
    report.show(screen)
    if report.succeeded:
        screen.say(f"dm-remap kept it all. The numbers are in {_name(_REPORT)}.", "bold green")
        return 0
    screen.say(f"This isn't what should have come out: see {_name(_REPORT)}.", "bold red")
    return 1


def _play(
    machine: Machine, screen: Screen, files: list[SourceFile], directory: Path, spares: int
) -> Outcome:
    """One pass with disks of its own, which are gone afterwards."""
    name = "remap" if spares else "raw"
    images = [_image(directory / f"{name}-main.img", _MAIN_BYTES)]
    images += [
        _image(directory / f"{name}-spare{number}.img", _SPARE_BYTES) for number in range(spares)
    ]
    job = Job(name, directory, images[0], tuple(images[1:]), _SEED)
    try:
        return Act(machine, job, len(files), screen).play()
    finally:
        for image in images:
            image.unlink()


def _image(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@contextmanager
def _directory() -> Iterator[Path]:
    """An empty folder for the disks, which goes when the show is over."""
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    _DIRECTORY.mkdir(parents=True)
    try:
        yield _DIRECTORY
    finally:
        shutil.rmtree(_DIRECTORY, ignore_errors=True)


def _name(path: Path) -> str:
    return str(path.relative_to(paths.PROJECT))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.demo")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    parser.add_argument("--host", action="store_true", help="on this host, with loop devices")
    parser.add_argument("--yes", action="store_true", help="with --host: don't ask")
    return parser.parse_args()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
