"""The machine whose power is cut: restored in a fraction of a second, with the disks of a Power."""

import random
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash import nbd
from tests.crash.disks import Disk, Power
from tests.crash.plan import MAX_SPARES, Variant
from tests.vm import initramfs, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

PROGRAMS = {
    "/bin/crash-disks": paths.BUILD / "crash" / "bin" / "disks",
    "/bin/crash-load": paths.BUILD / "crash" / "bin" / "load",
}
NAME = "crash"
DEVICE = f"/dev/mapper/{NAME}"
READ_SECONDS = 60

_PORT = "reports"
# The port's number is not known before the guest has it.
_SETUP = (
    "modprobe dm-mod && insmod /dm-remap.ko && modprobe nbd nbds_max=4 && mkdir -p /run/ports && "
    'for port in /sys/class/virtio-ports/*; do read -r name <"$port/name"; '
    'ln -s "/dev/${port##*/}" "/run/ports/$name"; done'
)


class Machine:
    """Saves a guest with a module loaded, and restores it as often as it is wanted."""

    def __init__(self, kernel: Kernel, module: Path) -> None:
        self.kernel = kernel
        self.module = module
        self._directory = Path(tempfile.mkdtemp(prefix="dm-remap-crash."))
        for path in (module, *PROGRAMS.values()):
            if not path.exists():
                raise VMError(f"{path} isn't built. `make test-crash` builds it.")
        self._initrd = initramfs.build(
            kernel,
            "initramfs",
            files={**PROGRAMS, "/dm-remap.ko": module},
            programs=["/usr/sbin/dmsetup"],
            modules=["dm-mod", "nbd"],
        )
        self._state = self._directory / "state"

    def close(self) -> None:
        """Remove what was saved."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def save(self) -> None:
        """Boot, load the modules, save."""
        power = Power([Disk(number, 0) for number in range(1 + MAX_SPARES)])
        with (
            tempfile.TemporaryDirectory(prefix="dm-remap-crash.") as sockets,
            nbd.Server(power, Path(sockets), random.Random(), _ignore),
            self._boot(Path(sockets), restore=None) as vm,
        ):
            vm.sh(_SETUP)
            vm.save(self._state)

    def start(self, sockets: Path) -> VM:
        """A machine that runs and uses no disk yet."""
        return self._boot(sockets, restore=self._state)

    def _boot(self, sockets: Path, restore: Path | None) -> VM:
        ports = {f"disk{n}": nbd.disk_socket(sockets, n) for n in range(1 + MAX_SPARES)}
        ports[_PORT] = nbd.report_socket(sockets)
        arguments = []
        for name, path in ports.items():
            arguments += ["-chardev", f"socket,id={name},path={path}"]
            arguments += ["-device", f"virtserialport,chardev={name},name={name}"]
        return VM(
            self.kernel,
            name="crash",
            root="initramfs",
            initrd=self._initrd,
            smp=1,
            memory="192M",
            extra_args=arguments,
            restore=restore,
        )


@contextmanager
def saved(kernel: Kernel, module: Path) -> Iterator[Machine]:
    """A machine that can be started."""
    machine = Machine(kernel, module)
    try:
        machine.save()
        yield machine
    finally:
        machine.close()


def _ignore(_: bytes) -> None:
    """Nothing is reported while a machine is saved."""


def attach(vm: VM, disks: list[Disk], block_sizes: list[int]) -> None:
    """Make the disks of the host block devices of the guest: /dev/nbd0 is main."""
    words = []
    for disk, size in zip(disks, block_sizes, strict=True):
        port = f"/run/ports/disk{disk.number}"
        words.append(f"/dev/nbd{disk.number}:{port}:{size}:{disk.sectors * 512 // size}")
    vm.sh("crash-disks " + " ".join(words))


def assemble(vm: VM, variant: Variant, disks: list[Disk]) -> None:
    """Create the dm-remap device. Raises CommandError when the kernel refuses."""
    devices = " ".join(f"/dev/nbd{disk.number}" for disk in disks)
    options = f"6 retries {variant.retries} backoff_ms 0 breaker_remaps 1000000"
    table = f"0 {disks[0].sectors} remap {devices} {options}"
    vm.sh(f"dmsetup create {NAME} --table {shlex.quote(table)} || {{ dmesg | tail -20; exit 1; }}")
    if variant.redundancy > 1:
        message(vm, f"set redundancy {variant.redundancy}")


def message(vm: VM, words: str) -> str:
    """Send the target a message and return its answer."""
    return vm.sh(f"dmsetup message {NAME} 0 {words}").output


def remaps(vm: VM) -> dict[int, tuple[int, int]]:
    """The kernel's list of remaps: sector of main to the number of a spare and a sector on it."""
    found = {}
    start = "0"
    while start:
        *lines, last = message(vm, f"list {start} 100000").splitlines()
        for line in lines:
            sector, _, spare, spare_sector, kind, *_ = line.split()
            if kind != "lost":
                found[int(sector)] = (int(spare), int(spare_sector))
        start = last.removeprefix("next=") if last.startswith("next=") else ""
    return found


def start_reading(vm: VM, variant: Variant) -> None:
    """Begin to read all units back; they come as reports."""
    _start(vm, f"read {DEVICE} /run/ports/{_PORT} {variant.unit_bytes} {variant.units}")


def start_writing(vm: VM, variant: Variant, run: int, generation: int, seed: int) -> None:
    """Begin to write for ever."""
    _start(
        vm,
        f"write {DEVICE} /run/ports/{_PORT} {variant.unit_bytes} {variant.units} {run} {generation}"
        f" {variant.depth} {seed}",
    )


def _start(vm: VM, words: str) -> None:
    vm.sh(f"crash-load {words} >/dev/kmsg 2>&1 </dev/null &")
