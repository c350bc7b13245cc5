"""This host as the machine: its own kernel, with loop devices; nobody cuts its power."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.demo.machine import Job, MachineError
from tests.demo.plan import Plan
from tests.demo.run import ProgramError, attempt, run
from tests.vm import paths
from tests.vm.events import OnEvent, Reader
from tests.vm.kernel_log import find_problems

_MODULE = "dm_remap"
_QUESTION = (
    "This loads dm-remap.ko into the running kernel, and makes loop and device-mapper devices\n"
    "named dmr-demo-* over files in build/demo. No disk of this machine is touched, but a bug of\n"
    "the module could crash it. Go on? [y/N] "
)


class RunningHost:
    """This host with loop devices over the images of a job."""

    def __init__(self, job: Job, devices: list[str], log_before: int) -> None:
        self.greeting = f"this host, kernel {os.uname().release}"
        self._plan_file = job.directory / "plan.json"
        self._log_before = log_before
        main, *spares = devices
        files = str(job.directory / "files.json")
        plan = Plan(main, tuple(spares), job.seed, files, str(job.directory / "mnt"))
        plan.save(self._plan_file)

    def run(self, phase: str, on_event: OnEvent) -> None:
        """Run a phase of the agent."""
        reader = Reader(on_event)
        command = [sys.executable, "-m", "tests.demo.agent", phase, str(self._plan_file)]
        with subprocess.Popen(
            command,
            cwd=paths.PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C ends the show, which then ends the agent and what that has started.
            start_new_session=True,
        ) as agent:
            try:
                assert agent.stdout
                for line in agent.stdout:
                    reader.feed(line)
            except BaseException:
                os.killpg(agent.pid, signal.SIGTERM)
                raise
        if agent.returncode:
            raise MachineError(
                f"The demo's agent ended with status {agent.returncode}.\n{reader.stray}"
            )

    def cut(self) -> str:
        """Take everything apart."""
        self.run("clean", lambda _event: None)
        return (
            "NO power cut, as this is the host: all devices are taken apart and made anew instead."
            " (`make demo` without HOST=1 does cut a VM's power.)"
        )

    def problems(self) -> list[str]:
        """What the kernel complained about since the start."""
        return find_problems(_kernel_log()[self._log_before :])


class Host:
    """Uses the running kernel."""

    accel = "host"

    def __init__(self) -> None:
        self.kernel = os.uname().release

    @contextmanager
    def start(self, job: Job) -> Iterator[RunningHost]:
        """Load the module and attach the images."""
        before = len(_kernel_log())
        with ExitStack() as stack:
            if not Path("/sys/module", _MODULE).exists():
                run("modprobe", "dm-mod")
                run("insmod", str(paths.module(self.kernel)))
                stack.callback(attempt, "rmmod", _MODULE)
            attempt("modprobe", "loop")
            devices = []
            for image in job.images:
                devices.append(run("losetup", "--find", "--show", str(image)))
                stack.callback(attempt, "losetup", "--detach", devices[-1])
            running = RunningHost(job, devices, before)
            stack.callback(running.run, "clean", lambda _event: None)
            yield running


def refuse_or_ask(*, yes: bool) -> None:
    """Raise MachineError unless this host can do it and its user agrees."""
    release = os.uname().release
    if os.geteuid() != 0:
        raise MachineError("The demo on the host must be run as root: sudo make demo HOST=1")
    if not Path(f"/lib/modules/{release}/build/Makefile").exists():
        raise MachineError(
            f"There are no headers of the running kernel {release}, so no module can be built for"
            " it. `make demo` without HOST=1 runs a kernel of Debian's in a VM."
        )
    try:
        run("modprobe", "dm-mod")
    except (ProgramError, OSError) as error:
        raise MachineError(
            f"The running kernel {release} has no device-mapper, or doesn't load modules."
            f" `make demo` without HOST=1 runs a kernel of Debian's in a VM.\n{error}"
        ) from error
    if not paths.module(release).exists():
        raise MachineError(f"The module isn't built: make module KVER={release}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise MachineError("Nobody can be asked here: make demo HOST=1 YES=1 says yes beforehand.")
    if input(_QUESTION).strip().lower() not in ("y", "yes"):
        raise MachineError("Nothing was done.")


def _kernel_log() -> str:
    return run("dmesg")
