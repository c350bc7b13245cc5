"""The machine that is measured in: its clock counts instructions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import plan
from tests.vm import initramfs, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM, Disk

PROGRAMS = {
    "/bin/bench-io": paths.BUILD / "bench" / "bench-io",
    "/bin/bench-remap": paths.BUILD / "bench" / "bench-remap",
    "/bin/bench-scale": paths.BUILD / "bench" / "bench-scale",
    "/bin/bench-table": paths.BUILD / "bench" / "bench-table",
    "/bin/bench-smp": paths.BUILD / "bench" / "bench-smp",
    "/bin/bench-alloc": paths.BUILD / "bench" / "bench-alloc",
    "/bin/bench-spares": paths.BUILD / "bench" / "bench-spares",
}

MODULES = ("null_blk", "dm-mod", "dm-flakey")

# How far a tick may be from an instruction before the counts are worthless.
CALIBRATION_TOLERANCE = 0.002

RUN_SECONDS = 300

NULL_BLK = "/sys/kernel/config/nullb"

# Here a string instruction counts as one for each step. With ERMS the kernel of Linux 6.1 clears a
# page by 4,096 steps of a byte, and such a device below would make everything above it look cheap.
CPU = "max,-erms"

# Interrupts of the clock come every 4 ms of guest time, in every I/O's count alike.
_COMMAND_LINE = "nowatchdog nmi_watchdog=0"


def start(
    kernel: Kernel,
    disks: Sequence[Disk] = (),
    extra_args: Iterable[str] = (),
    modules: Sequence[str] = (),
    module: Path | None = None,
    smp: int = 1,
    append: str = "",
) -> VM:
    """Start the machine without devices but `disks`, with null_blk and dm-remap loaded.

    `modules` are loaded, too; `module` takes the place of the dm-remap that `make module` built.
    The machine has `smp` processors, and gets `append` on the kernel's command line.
    """
    module = module or paths.module(kernel.release)
    for path in (module, *PROGRAMS.values()):
        if not path.exists():
            raise VMError(f"{path} isn't built. `make bench` builds it.")
    initrd = initramfs.build(
        kernel,
        "initramfs",
        files={**PROGRAMS, "/dm-remap.ko": module},
        programs=["/usr/sbin/dmsetup"],
        modules=[*MODULES, *modules],
    )
    vm = VM(
        kernel,
        name="bench",
        root="initramfs",
        initrd=initrd,
        disks=disks,
        smp=smp,
        memory="1G",
        icount=True,
        append=f"{_COMMAND_LINE} {append}",
        # The last -cpu counts.
        extra_args=["-cpu", CPU, *extra_args],
    )
    try:
        _check_clock(vm)
        vm.sh(
            f"modprobe null_blk nr_devices=0 && modprobe -a {' '.join([*MODULES[1:], *modules])}"
            " && insmod /dm-remap.ko && mkdir -p /dev/mapper"
        )
    except BaseException:
        vm.close()
        raise
    return vm


def make_null_blk(vm: VM, number: int, **settings: int) -> str:
    """Make a disk that completes inside the submission, so that nothing ever waits; its path.

    `settings` are attributes of its folder in configfs; "size" is in MiB.
    """
    # Linux 6.1 names the disk by its index, which counts from 0; 6.12 by its folder.
    folder = f"{NULL_BLK}/nullb{number}"
    # queue_mode=2 is blk-mq, irqmode=0 completes inside the submission.
    settings = {"queue_mode": 2, "irqmode": 0, **settings}
    setup = [f"echo {value} > {folder}/{key}" for key, value in settings.items()]
    vm.sh(" && ".join([f"mkdir {folder}", *setup, f"echo 1 > {folder}/power"]))
    return f"/dev/nullb{number}"


def remove_null_blk(vm: VM, number: int) -> None:
    """Remove a disk of make_null_blk(); its memory is free then."""
    folder = f"{NULL_BLK}/nullb{number}"
    vm.sh(f"echo 0 > {folder}/power && rmdir {folder}")


def memory_in_use(vm: VM) -> int:
    """Bytes that are not free: pages of any use, but for caches, which are dropped.

    Pages that wait in the lists of the processor are free, too, though MemFree leaves them out.
    """
    vm.sh("sleep 0.1; echo 3 > /proc/sys/vm/drop_caches")
    text = vm.sh("grep -E '^Mem(Total|Free):' /proc/meminfo; grep -w count: /proc/zoneinfo").output
    numbers = [line.split() for line in text.splitlines()]
    info = {name: int(value) for name, value, *_ in numbers if name != "count:"}
    waiting = sum(int(value) for name, value, *_ in numbers if name == "count:")
    return (info["MemTotal:"] - info["MemFree:"]) * plan.KIB - waiting * plan.PAGE


@dataclass(frozen=True)
class Samples:
    """What a device took for a workload: instructions per I/O, and refused I/Os, by round."""

    instructions: list[float]
    refused: list[int]


def measure(
    vm: VM,
    words: Sequence[str],
    workload: plan.Workload,
    rounds: int,
    count: int | None = None,
    around: str = "true",
) -> dict[str, Samples]:
    """Run a workload on devices in turns; what they took, in the order of the rounds.

    `words` are devices as bench-io is told them; they are the keys of the result. `around` is a
    command that is run right before and right after it; it must print nothing.
    """
    words = list(dict.fromkeys(words))
    command = f"bench-io {workload.arguments(rounds, count)} {' '.join(words)}"
    results = {word: Samples([], []) for word in words}
    # The lines come in the order of the rounds, so lists of one round each line up.
    for line in vm.sh(
        f"{around} && {command} && {around}", timeout=RUN_SECONDS
    ).output.splitlines():
        _, device, instructions, refused = line.split()
        samples = results[words[int(device)]]
        samples.instructions.append(float(instructions))
        samples.refused.append(int(refused))
    if any(len(samples.instructions) != rounds for samples in results.values()):
        raise VMError(f"bench-io didn't report {rounds} rounds for every device: {results}")
    return results


def _check_clock(vm: VM) -> None:
    per_instruction = float(vm.sh("bench-io calibrate").output)
    if abs(per_instruction - 1) > CALIBRATION_TOLERANCE:
        raise VMError(
            f"The guest's clock counts {per_instruction:.4f} ticks for an instruction instead of "
            "1: this QEMU's -icount doesn't do what the measurement needs."
        )
