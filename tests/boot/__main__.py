"""Command line: python -m tests.boot [--kernel 6.12] [--seed 1]

A guest writes to a file system on a dm-remap device until its power is cut. The next one must start
the set by itself: from udev's rules, and from the script in an initramfs. All that was synced must
be there. In the last one, systemd starts the daemon.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.boot import scenes, service
from tests.boot.power import LoggedDisk, cut
from tests.vm import kernels
from tests.vm.errors import VMError

SIZES = {"main": 96 << 20, "spare0": 48 << 20, "spare1": 48 << 20}


def main() -> int:
    """Run all scenes and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.boot")
    parser.add_argument("--kernel", help="series or release; the newest when left out")
    parser.add_argument("--seed", type=int, default=1, help="of what is lost in the power cut")
    options = parser.parse_args()
    kernel = kernels.find(options.kernel) if options.kernel else kernels.newest()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="dm-remap-boot.") as folder:
        disks = []
        for serial, size in SIZES.items():
            image = Path(folder, f"{serial}.img")
            with image.open("wb") as file:
                file.truncate(size)
            disks.append(LoggedDisk(image, serial))
        job = Path(folder, "job")
        job.mkdir()
        try:
            print(scenes.write_until_the_power_is_cut(kernel, disks, job), flush=True)
            for disk in disks:
                left = cut(disk, rng)
                print(f"{disk.serial}: {left.lost} unflushed writes are lost, {left.kept} not")
            print(scenes.start_in_an_initramfs(kernel, disks, job), flush=True)
            print(scenes.start_by_udev(kernel, disks, job, systemd=True), flush=True)
            print(scenes.start_by_udev(kernel, disks, job, systemd=False), flush=True)
            print(service.served_by_systemd(kernel, Path(folder)), flush=True)
        except (VMError, scenes.SceneError) as error:
            print(f"failed on {kernel.release}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
