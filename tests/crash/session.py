"""One time that the power is on: disks, a guest, a load, and the cut."""

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import guest
from tests.crash.disks import Disk, Power
from tests.crash.journal import Acknowledged
from tests.crash.nbd import Server
from tests.crash.plan import Variant
from tests.crash.reports import Content, End, Parser
from tests.vm.errors import GuestLostError, GuestTimeoutError
from tests.vm.kernel_log import find_problems
from tests.vm.qemu import VM

LOAD_SECONDS = 60
"""How long the load may take for its least number of writes."""


@dataclass
class Session:
    """A guest that runs with the disks of a set; use powered_on()."""

    variant: Variant
    power: Power
    server: Server
    vm: VM
    contents: dict[int, Content] = field(default_factory=dict)
    read_all: threading.Event = field(default_factory=threading.Event)

    @property
    def disks(self) -> list[Disk]:
        """The disks of the set: main, then spares."""
        return self.power.disks[: 1 + self.variant.spares]

    def assemble(self) -> None:
        """Attach the disks and create the dm-remap device."""
        guest.attach(self.vm, self.disks, [self.variant.unit_bytes] * len(self.disks))
        guest.assemble(self.vm, self.variant, self.disks)

    def read_back(self) -> dict[int, Content]:
        """Read all units through the kernel."""
        self.contents.clear()
        self.read_all.clear()
        guest.start_reading(self.vm, self.variant)
        if not self.read_all.wait(guest.READ_SECONDS):
            raise self._stuck("did not read everything back")
        return dict(self.contents)

    def wait_for_acknowledgements(self, number: int) -> None:
        """Wait until the load has been told that so many units are written."""
        deadline = time.monotonic() + LOAD_SECONDS
        seen = done = 0
        while done < number:
            events = self.power.events
            done += sum(
                isinstance(event, Acknowledged) and not event.error for event in events[seen:]
            )
            seen = len(events)
            if time.monotonic() > deadline or self.vm.ended:
                raise self._stuck(f"has written {done} units instead of {number}")
            time.sleep(0.02)

    def _stuck(self, what: str) -> GuestTimeoutError:
        text = f"The guest {what}.\n{self.vm.console_tail()}"
        return GuestTimeoutError(text, self.vm.console)

    def kernel_problems(self) -> list[str]:
        """What the guest's kernel complained about."""
        return find_problems(self.vm.sh("dmesg").output)

    def cut(self) -> None:
        """Cut the power of the disks, then end the guest, which never learns of it."""
        self.server.cut()
        died = self.vm.ended
        self.vm.kill()
        if died:
            raise GuestLostError("The guest died before its power was cut.", self.vm.console)


@contextmanager
def powered_on(
    machine: guest.Machine, variant: Variant, disks: list[Disk], rng: random.Random
) -> Iterator[Session]:
    """Turn the power on for some disks and a guest."""
    power = Power(disks)
    parser = Parser(variant.unit_bytes)
    contents: dict[int, Content] = {}
    read_all = threading.Event()

    def on_report(data: bytes) -> None:
        for report in parser.feed(data):
            if isinstance(report, Content):
                contents[report.unit] = report
            elif isinstance(report, End):
                read_all.set()
            else:
                power.note(report)

    with (
        tempfile.TemporaryDirectory(prefix="dm-remap-crash.") as sockets,
        Server(power, Path(sockets), rng, on_report) as server,
        machine.start(Path(sockets)) as vm,
    ):
        yield Session(variant, power, server, vm, contents, read_all)
