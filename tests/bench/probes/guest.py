"""Measure in a machine whose root is the host's: bcc needs a compiler's library and headers."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyctl.probes.frames import Frame, Header, parse
from tests.bench import guest
from tests.bench.devices import make_linear
from tests.bench.guest import Samples
from tests.bench.plan import Workload
from tests.bench.probes import plan
from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

# In the guest.
_ASK, _FRAMES, _ERRORS = "/run/ask", "/run/frames", "/run/errors"


@dataclass(frozen=True)
class Measured:
    """Instructions per I/O of a load on plan.DEVICES, without and with probes on the first."""

    load: Workload
    off: dict[str, Samples]
    on: dict[str, Samples]


def measure(kernel: Kernel) -> list[Measured]:
    """All loads without and with probes. Raises VMError if the probes did not see them."""
    with _machine(kernel) as vm:
        off = {load: _run(vm, load) for load in plan.LOADS}
        _start_probes(vm)
        on = {load: _run(vm, load) for load in plan.LOADS}
        _check_probes(vm)
    return [Measured(load, off[load], on[load]) for load in plan.LOADS]


@contextmanager
def _machine(kernel: Kernel) -> Iterator[VM]:
    program = guest.PROGRAMS["/bin/bench-io"]
    if not program.exists():
        raise VMError(f"{program} isn't built. `make bench` builds it.")
    with VM(
        kernel,
        name="bench-probes",
        smp=1,
        icount=True,
        append="nowatchdog nmi_watchdog=0",
        extra_args=["-cpu", guest.CPU],
    ) as vm:
        vm.sh(f"ln -s {shlex.quote(str(program))} /usr/local/bin/bench-io")
        vm.sh("modprobe null_blk nr_devices=0 && modprobe dm-mod && mkdir -p /dev/mapper")
        below = guest.make_null_blk(vm, 0, size=plan.MAIN_GIB * plan.KIB, blocksize=plan.SECTOR)
        for path in plan.DEVICES:
            make_linear(vm, path, plan.MAIN_SECTORS, below)
        yield vm


def _run(vm: VM, load: Workload) -> dict[str, Samples]:
    return guest.measure(vm, plan.DEVICES, load, plan.ROUNDS)


def _start_probes(vm: VM) -> None:
    request = {"paths": [plan.PROBED], "region_sectors": 0, "interval": plan.INTERVAL}
    worker = shlex.join([str(paths.PYTHON), "-m", "pyctl.probes.worker"])
    vm.sh(f"mkfifo {_ASK}")
    vm.sh(
        f"cd {shlex.quote(str(paths.PROJECT))} && (sleep infinity > {_ASK} &"
        f" {worker} < {_ASK} > {_FRAMES} 2> {_ERRORS} &) > /dev/null 2>&1"
    )
    vm.sh(f"echo {shlex.quote(json.dumps(request))} > {_ASK}")
    vm.sh(
        f"until [ -s {_FRAMES} ] || ! pgrep -f probes.worker; do sleep 0.5; done",
        timeout=plan.LOADING_SECONDS,
    )
    lines = vm.sh(f"cat {_FRAMES}").output.splitlines()
    if not lines or "format" not in lines[0]:
        raise VMError(f"The probes can't be loaded: {lines}\n{vm.sh(f'cat {_ERRORS}').output}")


# All I/O of the device that has probes must have been counted, and nothing else.
def _check_probes(vm: VM) -> None:
    vm.sh(f"echo > {_ASK}")
    vm.sh(f"until [ $(wc -l < {_FRAMES}) -ge 2 ]; do sleep 0.1; done")
    header, frame = map(parse, vm.sh(f"cat {_FRAMES}").output.splitlines()[:2])
    if not isinstance(header, Header) or not isinstance(frame, Frame):
        raise VMError("The probes said something else than what was asked for.")
    found = sum(part.counters.ios[0] for part in frame.parts.values())
    # A round to warm up is there, too.
    wanted = sum(load.count * (plan.ROUNDS + 1) for load in plan.LOADS)
    if found < wanted:
        raise VMError(f"The probes counted {found} reads instead of {wanted}.")
