"""What happens in each of the guests."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from tests.boot.power import LoggedDisk
from tests.boot.writer import name_of
from tests.vm import initramfs, paths
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import GUEST_JOB, VM, Disk

NAME = "srv"
FS_UUID = "7d1f1f5c-2f0d-4a8e-9a57-0b7c3c1f9a11"
# Files that are synced before the power is cut, at the least.
ENOUGH = 60
# Sectors at the beginning of main that are on the spares.
REMAPPED = 24576
_PATIENCE = 240

_UDEV = (
    f"make -s -C {shlex.quote(str(paths.PROJECT))} install-boot KVER=none"
    f" && ln -s {shlex.quote(str(paths.BUILD / 'venv/bin/pyctl'))} /usr/local/bin/pyctl"
    " && unset DM_DISABLE_UDEV && mkdir -p /run/udev"
    " && /usr/lib/systemd/systemd-udevd --daemon --resolve-names=never"
    " && udevadm trigger --action=add && udevadm settle"
)
# systemd with our units and nothing else, in a namespace where it is the first process.
_SYSTEMD = """
mkdir -p /run/systemd/system && cd /run/systemd/system
printf '[Unit]\\nDefaultDependencies=no\\nWants=dm-remap-assemble.path\\n' >boot-test.target
container=dm-remap setsid unshare --pid --fork --mount-proc /usr/lib/systemd/systemd --system \\
    --unit=boot-test.target --log-target=kmsg </dev/null >/dev/kmsg 2>&1 &
"""
_SCRIPTS = {
    "scripts/functions": Path("/usr/share/initramfs-tools/scripts/functions"),
    "scripts/local-top/dm-remap": paths.PROJECT / "packaging/initramfs-tools/local-block",
    "usr/lib/udev/dm-remap-probe": paths.PROJECT / "packaging/udev/dm-remap-probe",
}
_PROGRAMS = ("/usr/sbin/dmsetup", "/usr/sbin/blkid", "/usr/bin/od", "/usr/bin/sha256sum")


class SceneError(Exception):
    """A guest did not do what it must."""


def write_until_the_power_is_cut(kernel: Kernel, disks: Sequence[LoggedDisk], job: Path) -> str:
    """Make a set, remap parts of it, and write files to an ext4 on it."""
    extra = [word for disk in disks for word in disk.arguments()]
    with VM(kernel, name="boot-write", job=job, extra_args=extra) as vm:
        load_module(vm)
        vm.sh(_UDEV, timeout=_PATIENCE)
        main, *spares = (vm.device(disk.serial) for disk in disks)
        vm.sh(f"mkfs.ext4 -q -U {FS_UUID} {main} && udevadm settle")
        start = shlex.join(["pyctl", "create", NAME, main, *spares])
        vm.sh(f"unset DM_DISABLE_UDEV; {start} && udevadm settle", timeout=_PATIENCE)
        # Where ext4 has its superblock, its tables and the first of its files: all on the spares.
        vm.sh(f"dmsetup message {NAME} 0 remap 0 {REMAPPED}", timeout=_PATIENCE)
        vm.sh(f"mount /dev/disk/by-uuid/{FS_UUID} /mnt && cp -r /etc/dm-remap {GUEST_JOB}")
        project = shlex.quote(str(paths.PROJECT))
        writer = f"{shlex.quote(str(paths.PYTHON))} -m tests.boot.writer /mnt {GUEST_JOB}/synced"
        vm.sh(f"cd {project} && {{ {writer} >/dev/kmsg 2>&1 </dev/null & }}")
        deadline = time.monotonic() + _PATIENCE
        while len(_synced(job)) < ENOUGH:
            if time.monotonic() > deadline or vm.ended:
                raise SceneError(f"{len(_synced(job))} files were written.\n{vm.console_tail()}")
            time.sleep(0.05)
        vm.kill()
    return f"{len(_synced(job))} files were synced when the power was cut"


def start_by_udev(kernel: Kernel, disks: Sequence[LoggedDisk], job: Path, *, systemd: bool) -> str:
    """Boot, let udev see the disks, and ask for nothing: the file system must be there.

    With `systemd` it is our units that start the set, else the rules do it themselves.
    """
    with VM(kernel, name="boot-udev", disks=_plain(disks), job=job) as vm:
        load_module(vm)
        if systemd:
            vm.sh(f"make -s -C {shlex.quote(str(paths.PROJECT))} install-boot KVER=none")
            vm.sh(_SYSTEMD)
        vm.sh(f"cp -r {GUEST_JOB}/dm-remap /etc && {_UDEV}", timeout=_PATIENCE)
        link = f"/dev/disk/by-uuid/{FS_UUID}"
        wait = f"for i in $(seq 600); do [ -e {link} ] && exit; sleep 0.2; done; exit 1"
        if vm.sh(f"( {wait} )", check=False, timeout=_PATIENCE).status:
            log = vm.sh("cat /run/dm-remap/log; dmesg | tail -20", check=False).output
            raise SceneError(f"The set has not started by itself.\n{log}")
        where = vm.sh(f"readlink -f {link}").output.strip()
        mapper = vm.sh(f"readlink -f /dev/mapper/{NAME}").output.strip()
        if where != mapper:
            raise SceneError(f"{link} leads to {where}, not to {mapper}.")
        vm.sh(f"mount {link} /mnt")
        # Without systemd, what was started would have written here.
        if systemd and vm.sh("[ -e /run/dm-remap/log ]", check=False).status == 0:
            raise SceneError("It was not systemd that started the set.")
        wrong = _wrong_files(vm, job)
        if wrong:
            raise SceneError(f"After the power cut these are not as they were synced: {wrong}.")
        # The control: without the spares it is not all there, so the check does tell.
        vm.sh(f"umount /mnt && udevadm settle && dmsetup remove --retry {NAME}")
        main = vm.device(disks[0].serial)
        mounted = vm.sh(f"mount -o ro,noload {main} /mnt", check=False).status == 0
        lost = len(_wrong_files(vm, job)) if mounted else len(_last(job))
        if not lost:
            raise SceneError("Main alone has all files: the check of the spares tells nothing.")
        return (
            f"{'systemd' if systemd else 'udev'}: the set started by itself, {len(_last(job))}"
            f" files are as they were synced (main alone: {lost} are not)"
        )


def start_in_an_initramfs(kernel: Kernel, disks: Sequence[LoggedDisk], job: Path) -> str:
    """The script of initramfs-tools in a busybox: with a spare too few, then with all."""
    files = {**_SCRIPTS, "dm-remap.ko": paths.module(kernel.release)}
    for file in (job / "dm-remap/sets.d").iterdir():
        files[f"etc/dm-remap/sets.d/{file.name}"] = file
    image = initramfs.build(
        kernel,
        "initramfs",
        files=files,
        programs=_PROGRAMS,
        modules=["dm-mod", "ext4", "crc32c_generic"],
    )
    script = f"mkdir -p /conf; export ROOT=UUID={FS_UUID} quiet=n; sh /scripts/local-top/dm-remap"
    for there, expected in ((disks[:2], False), (disks, True)):
        with VM(
            kernel, name="boot-initramfs", root="initramfs", initrd=image, disks=_plain(there)
        ) as vm:
            vm.sh("modprobe dm-mod && insmod /dm-remap.ko")
            said = vm.sh(script, timeout=_PATIENCE).output
            started = vm.sh(f"[ -e /dev/mapper/{NAME} ]", check=False).status == 0
            if started != expected:
                raise SceneError(f"started: {started}, with {len(there)} disks.\n{said}")
            if "ROOT=/dev/mapper/srv" not in vm.sh("cat /conf/param.conf").output:
                raise SceneError("The root is still looked for by the UUID that main has, too.")
            if not started:
                continue
            again = vm.sh(script, timeout=_PATIENCE).output
            # nobody loads modules for the kernel here
            vm.sh("modprobe -a crc32c_generic ext4 && mkdir -p /mnt")
            vm.sh(f"mount -o ro /dev/mapper/{NAME} /mnt")
            wrong = _wrong_files(vm, job)
            if wrong:
                raise SceneError(f"In the initramfs these are not as they were synced: {wrong}.")
            vm.sh("umount /mnt")
            if "is started" in again:
                raise SceneError(f"It was started twice.\n{again}")
    return "initramfs: not started without a spare, started with all, and all files are there"


def _plain(disks: Sequence[LoggedDisk]) -> list[Disk]:
    return [Disk(disk.image, disk.serial) for disk in disks]


def _synced(job: Path) -> list[tuple[int, str, str]]:
    journal = job / "synced"
    lines = journal.read_text().split("\n")[:-1] if journal.exists() else []
    words = [line.split() for line in lines]
    return [(int(number), name, digest) for number, name, digest in words]


def _last(job: Path) -> dict[str, str]:
    """The digest that each file had when it was synced last.

    Without the one that was being written when the power was cut.
    """
    synced = _synced(job)
    last = {name: digest for _, name, digest in synced}
    last.pop(name_of(synced[-1][0] + 1), None)
    return last


def _wrong_files(vm: VM, job: Path) -> list[str]:
    found = vm.sh("cd /mnt && sha256sum file*", check=False).output
    sums = {words[1]: words[0] for words in map(str.split, found.splitlines()) if words[1:]}
    return [name for name, digest in _last(job).items() if sums.get(name) != digest]
