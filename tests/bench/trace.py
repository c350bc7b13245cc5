"""Where the instructions go: every instruction of a few I/Os, by function and by source line.

QEMU logs the address of each instruction while a program does I/O without end. What lies between
two entries into its system call is one I/O, or as many as the queue is deep; where an interrupt
came, nothing is counted.
"""

import bisect
import itertools
import re
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench import devices, plan
from tests.bench.scale.plan import MILLION
from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel
from tests.vm.qemu import VM

# An I/O has about 7,000 lines of about 80 bytes; QEMU writes 25 MB in a second.
LOG_BYTES_PER_IO = 600_000
SYSTEM_CALLS = 4
LOG_SECONDS = 180

SUBMIT = "dm_submit_bio [dm_mod]"
INTERRUPTS = ("asm_sysvec_", "asm_common_interrupt", "asm_exc_")

Key = TypeVar("Key")

_LINE = re.compile(r"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/", re.MULTILINE)
# QEMU called it "singlestep" until 8.0.
_SINGLE = ("one-insn-per-tb", "singlestep")


@dataclass(frozen=True)
class Profile:
    """One I/O of a device: the instructions it takes, by function and by address in dm-remap."""

    device: str
    total: float
    functions: dict[str, float]
    addresses: dict[int, float]


class Symbols:
    """The guest's functions."""

    def __init__(self, vm: VM) -> None:
        found = {}
        for line in vm.sh("grep -i ' t ' /proc/kallsyms").output.splitlines():
            address, _, name, *module = line.split()
            found[int(address, 16)] = f"{name} {module[0]}" if module else name
        self._starts = sorted(found)
        self._names = [found[start] for start in self._starts]
        self.by_name = {name: start for start, name in found.items()}

    def name(self, address: int) -> str:
        """The function that an address is in."""
        if not address >> 63:
            return "(the program)"
        return self._names[max(0, bisect.bisect_right(self._starts, address) - 1)]


def run(kernel: Kernel, workload: plan.Workload, cases: Sequence[plan.Case]) -> list[Profile]:
    """Trace cases, which have one machine, and the dm-linear that the first is compared with."""
    words = {"dm-linear": cases[0].linear_word} | {case.name: case.own_word for case in cases}
    entry = _system_call(workload)
    with tempfile.TemporaryDirectory(prefix="dm-remap-trace.") as directory:
        log = Path(directory, "trace")
        with _machine(kernel, cases, ["-D", str(log)]) as vm:
            symbols = Symbols(vm)
            profiles = []
            for name, word in words.items():
                addresses = _trace(vm, word, workload, log)
                profiles.append(_profile(name, addresses, symbols, symbols.by_name[entry]))
            base = int(vm.sh("cat /sys/module/dm_remap/sections/.text").output, 16)
    return [
        Profile(
            profile.device,
            profile.total,
            profile.functions,
            {address - base: count for address, count in profile.addresses.items()},
        )
        for profile in profiles
    ]


@contextmanager
def _machine(kernel: Kernel, cases: Sequence[plan.Case], extra_args: Sequence[str]) -> Iterator[VM]:
    if all(case in plan.SMALL for case in cases):
        with devices.small(kernel, extra_args) as vm:
            yield vm
    elif all(case in plan.LARGE for case in cases):
        with devices.tables(MILLION) as made, devices.large(kernel, made, extra_args) as vm:
            yield vm
    else:
        raise VMError("These cases have no machine in common.")


def source_lines(kernel: Kernel, profile: Profile) -> dict[str, float]:
    """Instructions per I/O by source line of the module, inlined code at its own line."""
    offsets = sorted(profile.addresses)
    if not offsets:
        return {}
    command = ["addr2line", "-j", ".text", "-e", str(paths.module(kernel.release))]
    command += [f"{offset:#x}" for offset in offsets]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines: dict[str, float] = {}
    for offset, place in zip(offsets, done.stdout.splitlines(), strict=True):
        place = re.sub(r" \(discriminator \d+\)", "", place)
        short = "/".join(place.split("/")[-2:])
        lines[short] = lines.get(short, 0) + profile.addresses[offset]
    return lines


def _system_call(workload: plan.Workload) -> str:
    if workload.engine != "psync":
        return "__x64_sys_io_uring_enter"
    return "__x64_sys_pread64" if workload.direction == "read" else "__x64_sys_pwrite64"


def _trace(vm: VM, device: str, workload: plan.Workload, log: Path) -> list[int]:
    vm.sh(
        f"bench-io {workload.arguments(0)} {device} >/dev/null 2>&1 & echo $! >/tmp/pid; sleep 0.1"
    )
    wanted = LOG_BYTES_PER_IO * workload.depth * SYSTEM_CALLS
    offset = log.stat().st_size if log.exists() else 0
    _single_step(vm, "on")
    _monitor(vm, "log exec,nochain")
    deadline = time.monotonic() + LOG_SECONDS
    while not log.exists() or log.stat().st_size < offset + wanted:
        if time.monotonic() > deadline:
            raise VMError("QEMU's log of executed instructions doesn't grow.")
        time.sleep(0.05)
    _monitor(vm, "log none")
    _single_step(vm, "off")
    vm.sh("kill $(cat /tmp/pid)")
    with log.open() as file:
        file.seek(offset)
        return [int(address, 16) for address in _LINE.findall(file.read())]


def _single_step(vm: VM, state: str) -> None:
    if not any("unknown command" not in _monitor(vm, f"{word} {state}") for word in _SINGLE):
        raise VMError("This QEMU can't execute single instructions.")


def _monitor(vm: VM, command: str) -> str:
    return str(vm.qmp("human-monitor-command", **{"command-line": command}))


def _profile(name: str, addresses: Sequence[int], symbols: Symbols, entry: int) -> Profile:
    ios = [
        io
        for io in _split(addresses, entry)
        if not any(symbols.name(address).startswith(INTERRUPTS) for address in io)
    ]
    if not ios:
        raise VMError(f"The trace of {name} holds no whole I/O.")
    # All are alike but for those that refill a cache; the median drops these.
    by_function = [Counter(map(symbols.name, io)) for io in ios]
    by_address = [Counter(a for a in io if symbols.name(a).endswith("[dm_remap]")) for io in ios]
    each = statistics.median(io.count(symbols.by_name[SUBMIT]) for io in ios)
    return Profile(
        device=name,
        total=statistics.median(len(io) for io in ios) / each,
        functions=_medians(by_function, each),
        addresses=_medians(by_address, each),
    )


def _medians(counters: Sequence[Counter[Key]], divisor: float) -> dict[Key, float]:
    keys: set[Key] = set().union(*counters)
    medians = {key: statistics.median(c[key] for c in counters) / divisor for key in keys}
    return {key: value for key, value in medians.items() if value}


def _split(addresses: Sequence[int], entry: int) -> Iterator[Sequence[int]]:
    starts = [number for number, address in enumerate(addresses) if address == entry]
    for start, end in itertools.pairwise(starts):
        yield addresses[start:end]
