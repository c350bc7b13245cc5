"""Run a module of this tree in a guest that tells what it does (events.py)."""

import shlex

from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.events import OnEvent, Reader
from tests.vm.qemu import VM

_SECONDS = 900


def run_agent(vm: VM, on_event: OnEvent, module: str, *words: str) -> None:
    """Run it to its end; raises VMError if it fails."""
    reader = Reader(on_event)
    agent = shlex.join([str(paths.PYTHON), "-m", module, *words])
    done = vm.sh(
        f"cd {shlex.quote(str(paths.PROJECT))} && exec {agent}",
        timeout=_SECONDS,
        check=False,
        on_output=reader.feed,
    )
    if done.status:
        raise VMError(
            f"{module} ended with status {done.status} in the VM.\n{reader.stray}"
            f"The console of the VM: {vm.console}"
        )
