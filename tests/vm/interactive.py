"""A shell in a guest, for a person."""

import os
import shutil
import sys
import tempfile
import termios
from pathlib import Path

from tests.vm import paths, pytest_guest
from tests.vm.kernels import Kernel
from tests.vm.qemu import GUEST_JOB, VM

_WEEK = 7 * 24 * 3600


def run(kernel: Kernel, *, smp: int = 2, memory: str = "2G") -> int:
    """Boot the kernel, load the module if it is built, and give the terminal to a shell."""
    terminal = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    size = shutil.get_terminal_size()
    with tempfile.TemporaryDirectory(prefix="dm-remap-job.") as job:
        try:
            with VM(kernel, name="shell", job=Path(job), smp=smp, memory=memory, tty=True) as vm:
                if paths.module(kernel.release).exists():
                    pytest_guest.load_module(vm)
                    print("dm-remap is loaded.", end=" ")
                print(
                    f"Kernel {kernel.release}; the tree is read-only with a scratch layer on top. "
                    f"{GUEST_JOB} is {job} on the host. `exit` ends the machine.\r",
                    flush=True,
                )
                shell = (
                    f"cd {paths.PROJECT} && export TERM={os.environ.get('TERM', 'vt100')} && "
                    f"exec setsid -w -c sh -c 'stty sane cols {size.columns} rows {size.lines}; "
                    "exec bash -i' </dev/hvc0 >/dev/hvc0 2>&1"
                )
                return vm.sh(shell, timeout=_WEEK, check=False).status
        finally:
            # QEMU made the terminal raw, and killing it leaves it so.
            if terminal:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)
