"""The VM: the kernel that QEMU boots is not the host's, and its plug can be pulled."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.demo.machine import Job
from tests.demo.plan import Plan
from tests.vm import accel
from tests.vm.agent import run_agent
from tests.vm.events import OnEvent
from tests.vm.kernel_log import find_problems
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import GUEST_JOB, VM, Disk


class RunningVM:
    """A guest with the disks of a job."""

    def __init__(self, vm: VM, job: Job) -> None:
        self.greeting = f"kernel {vm.kernel.release} is up in {vm.boot_seconds:.1f} s"
        self._vm = vm
        main, *spares = [vm.device(image.stem) for image in job.images]
        plan = Plan(main, tuple(spares), job.seed, f"{GUEST_JOB}/files.json", "/run/demo")
        plan.save(job.directory / "plan.json")

    def run(self, phase: str, on_event: OnEvent) -> None:
        """Run a phase of the agent in the guest."""
        run_agent(self._vm, on_event, "tests.demo.agent", phase, f"{GUEST_JOB}/plan.json")

    def cut(self) -> str:
        """Kill QEMU."""
        self._vm.kill()
        return (
            "POWER CUT: QEMU is killed, nothing is shut down. (Sudden for the machine only: what a"
            " real disk loses from its cache then is not part of this show.)"
        )

    def problems(self) -> list[str]:
        """What the guest's kernel complained about."""
        return find_problems(self._vm.sh("dmesg").output)


class VirtualMachine:
    """Starts VMs of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel.release
        self.accel = accel.choose()
        self._kernel = kernel

    @contextmanager
    def start(self, job: Job) -> Iterator[RunningVM]:
        """Boot and load the module."""
        disks = [Disk(image, image.stem) for image in job.images]
        with VM(self._kernel, name=f"demo-{job.name}", disks=disks, job=job.directory) as vm:
            load_module(vm)
            yield RunningVM(vm, job)
