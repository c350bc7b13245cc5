"""The machine that is measured in: one processor, a clock that counts instructions."""

from collections.abc import Iterable, Sequence

from tests.bench import plan
from tests.bench.plan import KIB
from tests.vm import initramfs, paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM, Disk

PROGRAMS = {
    "/bin/bench-io": paths.BUILD / "bench" / "bench-io",
    "/bin/bench-remap": paths.BUILD / "bench" / "bench-remap",
    "/bin/bench-scale": paths.BUILD / "bench" / "bench-scale",
}

# How far a tick may be from an instruction before the counts are worthless.
CALIBRATION_TOLERANCE = 0.002

RUN_SECONDS = 300

NULL_BLK = "/sys/kernel/config/nullb"

# Interrupts of the clock come every 4 ms of guest time, in every I/O's count alike.
_COMMAND_LINE = "nowatchdog nmi_watchdog=0"


def boot(kernel: Kernel, extra_args: Iterable[str] = ()) -> VM:
    """Start the machine, with all devices there and no I/O running."""
    vm = start(kernel, extra_args=extra_args)
    try:
        _make_devices(vm)
    except BaseException:
        vm.close()
        raise
    return vm


def start(kernel: Kernel, disks: Sequence[Disk] = (), extra_args: Iterable[str] = ()) -> VM:
    """Start the machine without devices but `disks`, with null_blk and dm-remap loaded."""
    module = paths.module(kernel.release)
    for path in (module, *PROGRAMS.values()):
        if not path.exists():
            raise VMError(f"{path} isn't built. `make bench` builds it.")
    initrd = initramfs.build(
        kernel,
        "initramfs",
        files={**PROGRAMS, "/dm-remap.ko": module},
        programs=["/usr/sbin/dmsetup"],
        modules=["null_blk", "dm-mod"],
    )
    vm = VM(
        kernel,
        name="bench",
        root="initramfs",
        initrd=initrd,
        disks=disks,
        smp=1,
        memory="1G",
        icount=True,
        append=_COMMAND_LINE,
        extra_args=extra_args,
    )
    try:
        _check_clock(vm)
        vm.sh(
            "modprobe null_blk nr_devices=0 && modprobe dm-mod && insmod /dm-remap.ko"
            " && mkdir -p /dev/mapper"
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


def measure(vm: VM, workload: plan.Workload, rounds: int) -> dict[str, list[float]]:
    """Run a workload on all its cases and on dm-linear in turns; instructions per I/O by round.

    The keys are the names of the cases, and what linear_key() gives.
    """
    devices: dict[str, str] = {}
    for case in plan.cases_of(workload):
        devices[linear_key(case)] = plan.LINEAR + case.span
        devices[case.name] = case.device + case.span
    keys = list(devices)
    words = f"bench-io {workload.arguments(rounds)} {' '.join(devices.values())}"
    results: dict[str, list[float]] = {key: [] for key in keys}
    # The lines come in the order of the rounds, so lists of one round each line up.
    for line in vm.sh(words, timeout=RUN_SECONDS).output.splitlines():
        _, device, instructions = line.split()
        results[keys[int(device)]].append(float(instructions))
    if any(len(values) != rounds for values in results.values()):
        raise VMError(f"bench-io didn't report {rounds} rounds for every device: {results}")
    return results


def linear_key(case: plan.Case) -> str:
    """Where measure() puts what dm-linear takes for the same I/O."""
    return f"linear{case.span}"


def _check_clock(vm: VM) -> None:
    per_instruction = float(vm.sh("bench-io calibrate").output)
    if abs(per_instruction - 1) > CALIBRATION_TOLERANCE:
        raise VMError(
            f"The guest's clock counts {per_instruction:.4f} ticks for an instruction instead of "
            "1: this QEMU's -icount doesn't do what the measurement needs."
        )


def _make_devices(vm: VM) -> None:
    make_null_blk(vm, 0, size=plan.MAIN_GIB * KIB, blocksize=512)
    # Without udev somebody must make the nodes: dmsetup does, since DM_DISABLE_UDEV is set.
    vm.sh(f"dmsetup create linear --table '0 {plan.MAIN_SECTORS} linear /dev/nullb0 0'")
    remapped = [case for case in plan.CASES if case.is_remap]
    for number, case in enumerate(remapped, start=1):
        make_null_blk(vm, number, size=plan.SPARE_MIB, memory_backed=1)
        table = f"0 {plan.MAIN_SECTORS} remap /dev/nullb0 /dev/nullb{number}"
        vm.sh(f"dmsetup create {case.name} --table '{table}'")
        if case.remap_distance:
            _make_remaps(vm, case)


def _make_remaps(vm: VM, case: plan.Case) -> None:
    made = vm.sh(
        f"bench-remap {case.name} {plan.REMAPS} {plan.FIRST_REMAP} {case.remap_distance}"
    ).output.strip()
    if made != str(plan.REMAPS):
        raise VMError(f"{case.name} has {made} remaps instead of {plan.REMAPS}.")
