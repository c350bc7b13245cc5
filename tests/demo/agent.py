"""The part of the demo that runs on the machine with the failing disk, in the VM or on the host.

python -m tests.demo.agent write|check|clean PLAN

It tells what happens in lines of JSON (events.py). The disk, the wear and the work are the same in
both passes; only dm-remap is there or is not.
"""

import os
import sys
import time
from pathlib import Path

from tests.demo import dying, kernel_lines, remapped, tracing, tree
from tests.demo.copying import Compared, Copied, compare_tree, copy_tree
from tests.demo.dying import DyingDisk
from tests.demo.plan import Plan
from tests.demo.run import ProgramError, attempt, run
from tests.demo.watch import Watch
from tests.vm.events import emit

_PROGRESS_SECONDS = 0.5


def main() -> int:
    """Run the command line and return the exit status."""
    phase, path = sys.argv[1:]
    plan = Plan.load(Path(path))
    try:
        {"write": write, "check": check, "clean": clean}[phase](plan)
    except ProgramError as error:
        emit("failed", message=str(error))
        return 1
    return 0


def write(plan: Plan) -> None:
    """Put a file system on the disk and copy the files, while the disk wears out."""
    files = tree.load(Path(plan.files))
    disk = DyingDisk(plan.disk, plan.seed)
    _lay(disk, 0)
    top = disk.path
    if plan.spares:
        emit("step", text=remapped.create(disk.path, plan.spares))
        top = remapped.PATH
    log = kernel_lines.Log(top)
    copied = Copied()
    with Watch(disk.path, top) as watch:
        mkfs = _told("mkfs.ext4", "-q", "-F", top)
        os.makedirs(plan.mountpoint, exist_ok=True)
        mounted = mkfs and _told("mount", "-t", "ext4", top, plan.mountpoint)
        if mounted:
            copied = _copy(plan, files, disk)
            _told("sync")
            _told("umount", plan.mountpoint)
    emit(
        "written",
        **watch.totals(),
        mkfs=mkfs,
        mounted=mounted,
        copied=copied.files,
        copy_errors=dict(copied.errors),
        log_lines=log.lines(),
    )


def check(plan: Plan) -> None:
    """After the cut: the same disk as it was at the end, its file system and its files."""
    files = tree.load(Path(plan.files))
    disk = DyingDisk(plan.disk, plan.seed)
    _lay(disk, disk.map.STEPS - 1)
    top = disk.path
    if plan.spares:
        emit("step", text=remapped.assemble(disk.path, plan.spares))
        top = remapped.PATH
    log = kernel_lines.Log(top)
    compared = Compared(missing=len(files))
    with Watch(disk.path, top) as watch:
        clean_fs = _told("e2fsck", "-f", "-n", top)
        os.makedirs(plan.mountpoint, exist_ok=True)
        mounted = _told("mount", "-t", "ext4", "-o", "ro", top, plan.mountpoint) or _told(
            "mount", "-t", "ext4", "-o", "ro,noload", top, plan.mountpoint
        )
        if mounted:
            emit("step", text="comparing the SHA-256 of every file")
            compared = compare_tree(files, plan.mountpoint, _Progress("comparing"))
            _told("umount", plan.mountpoint)
    emit(
        "checked",
        **watch.totals(),
        fsck=clean_fs,
        mounted=mounted,
        files_lost=compared.lost,
        missing=compared.missing,
        unreadable=compared.unreadable,
        different=compared.different,
        log_lines=log.lines(),
    )


def clean(plan: Plan) -> None:
    """Take everything away again; for the host, as a VM needs none of it."""
    attempt("umount", plan.mountpoint)
    remapped.remove()
    dying.remove()
    tracing.remove()


class _Progress:
    """Tells the progress, but not for every file."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told = 0.0

    def __call__(self, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._told >= _PROGRESS_SECONDS:
            self._told = time.monotonic()
            emit("progress", what=self._what, done=done, total=total)


def _lay(disk: DyingDisk, step: int) -> None:
    for module in ("dm-flakey", "dm-delay"):
        run("modprobe", module)
    disk.create(step)
    emit("step", text=f"the failing disk: {_describe(disk)}")


def _describe(disk: DyingDisk) -> str:
    places = disk.map.until(disk.step)
    bad = sum(place.kind == "write-bad" for place in places)
    return f"{bad} places take no writes, {len(places) - bad} can't be read every other second"


def _copy(plan: Plan, files: list[tree.SourceFile], disk: DyingDisk) -> Copied:
    emit("step", text=f"copying {len(files)} files, with an fsync of each")
    tell = _Progress("copying")

    def on_progress(done: int, total: int) -> None:
        tell(done, total)
        # By progress, not by time: both passes meet the same disk.
        if done * disk.map.STEPS // total > disk.step and disk.step < disk.map.STEPS - 1:
            disk.wear()
            emit("wear", text=f"the disk wears: {_describe(disk)}")

    return copy_tree(files, plan.mountpoint, on_progress)


def _told(*command: str) -> bool:
    """Run a program that may fail, and tell how it went."""
    status, output = attempt(*command)
    text = " ".join(command)
    if status:
        emit("trouble", text=f"{text}: status {status}", output=output[-600:])
    else:
        emit("step", text=text)
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
