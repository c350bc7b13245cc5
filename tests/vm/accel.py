"""Choose between KVM and plain emulation (TCG).

An openable /dev/kvm isn't enough: inside some virtual machines it answers to every ioctl, and then
a stock kernel hangs under it. So the processor must have the extensions, and a kernel must really
boot.
"""

import os
import subprocess
from pathlib import Path

from tests.vm import kernels, paths

PROBE_SECONDS = 4

QEMU = "qemu-system-x86_64"


def choose() -> str:
    """Return "kvm" or "tcg"; DMR_ACCEL overrides. The answer is kept until the next boot."""
    if forced := os.environ.get("DMR_ACCEL"):
        return forced
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cached = paths.CACHE / f"accel-{boot}"
    if cached.exists():
        return cached.read_text()
    answer = "kvm" if _has_extensions() and _probe() else "tcg"
    kernels.write_atomically(cached, answer.encode())
    return answer


def _has_extensions() -> bool:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool(flags & {"vmx", "svm"})


def _probe() -> bool:
    command = [QEMU, "-accel", "kvm", "-machine", "q35", "-cpu", "host", "-m", "256"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    command += ["-kernel", str(kernels.newest().vmlinux())]
    command += ["-append", "earlyprintk=serial,ttyS0 console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_SECONDS,
            check=False,
        )
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        output = expired.stdout or b""
    return b"Linux version" in output
