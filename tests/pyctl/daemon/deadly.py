"""dm-remapd on a machine in a folder, which kills itself with SIGKILL at one point, once.

The point is one of these: `begin` (an action is planned),
`before` (it is written down as running), `during` (half of it is done), `after` (it is done, which
is not written down), `recorded` (it is, and nobody has been told); of a message: `taken` (it is
written down as being sent), `sent` (it was, which is not written down).
"""

import errno
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

from pyctl import spares
from pyctl.control import Control
from pyctl.daemon.actions import Actions
from pyctl.daemon.alerts import Alerts
from pyctl.daemon.main import run
from pyctl.daemon.runner import Courier
from pyctl.daemon.source import DeviceMapper
from pyctl.errors import DmError
from pyctl.registry import Registry
from tests.pyctl.daemon.machine import PACE, Machine, MachineDevice


class Fate:
    """Where the process ends; when it has ended there, it never does again."""

    def __init__(self, folder, point):
        self.mark = folder / "killed"
        self.point = point

    def pass_by(self, point):
        if point == self.point and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class DeadlyDevice(MachineDevice):
    """Moves blocks and takes spares as the kernel does: what is done, is not done again."""

    def __init__(self, machine, name, fate):
        super().__init__(machine, name)
        self.fate = fate

    def message(self, sector, *words):
        state = self._state("TARGET_MSG")
        match words:
            case ("remap", *numbers):
                return self._done(words, self._remap(state, list(map(int, numbers))))
            case ("relocate", sector, count):
                said = self._remap(state, [int(sector), int(count)]).split()
                counts = f"{said[0].replace('remapped', 'relocated')} {said[2]} kept=0\n"
                return self._done(words, counts)
            case ("scan", "start", _) if state["scan"]["state"] == "running":
                raise DmError("no.", errno=errno.EALREADY, ioctl="TARGET_MSG", device=self.name)
            case ("scan", "start", _):
                said = super().message(sector, *words)
                self.machine.change(self.name, scan={**state["scan"], "state": "running"})
                return self._done((), said)
            case ("spare", "drain", *_):
                return "drained\n"
            case ("spare", "migrate", row, _, blocks):
                return self._done(words, self._migrate(state, int(row), int(blocks)))
        return super().message(sector, *words)

    # A device that takes a message has done what it says, whether or not somebody hears the answer.
    def _done(self, words, reply):
        if words:
            with (self.machine.folder / f"said-{self.name}").open("a") as file:
                file.write(" ".join(words) + "\n")
        self.fate.pass_by("during")
        return reply

    def _remap(self, state, numbers):
        moved = set(state.get("moved", []))
        wanted = {
            sector
            for first, count in zip(numbers[::2], numbers[1::2], strict=True)
            for sector in range(first, first + count)
        }
        self.machine.change(self.name, moved=sorted(moved | wanted))
        return f"remapped={len(wanted - moved)} lost=0 already={len(wanted & moved)}\n"

    def _migrate(self, state, row, blocks):
        rows = state["spares"]
        moved = min(blocks, rows[row][2])
        rows[row][2] -= moved
        self.machine.change(self.name, spares=rows)
        return f"moved={moved} left={rows[row][2]} failed=0 end={int(rows[row][2] == 0)}\n"


# The steps of spares.add that matter, without a block device: attached, then joined.
def added(machine, fate):
    def add(pool, path):
        state = machine.state(pool.name)
        attached = state.get("attached", [])
        if path not in attached:
            machine.change(pool.name, attached=[*attached, path])
        fate.pass_by("during")
        rows = machine.state(pool.name)["spares"]
        if len(rows) < 3:
            machine.change(pool.name, spares=[*rows, ["in-sync", 100, 0]])
        return pool.members()[-1]

    return add


def around(owner, name, fate, before="", behind=""):
    """Passes points around a method."""
    inner = getattr(owner, name)

    def outer(self, *args, **more):
        fate.pass_by(before)
        found = inner(self, *args, **more)
        fate.pass_by(behind)
        return found

    setattr(owner, name, outer)


class Process:
    """The daemon in a process of its own, as Popen: forked from one that has imported it all.

    What it says goes to a file.
    """

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload([__name__])

    def __init__(self, folder, environment):
        self._process = self._context.Process(target=live, args=(str(folder), environment))
        self._process.start()
        self.pid = self._process.pid
        self.kill = self._process.kill
        self.terminate = self._process.terminate

    def poll(self):
        return self._process.exitcode

    def wait(self, seconds):
        self._process.join(seconds)
        return self.poll()


def live(folder, environment):
    """The daemon, in a process of its own, until its end."""
    os.environ.update(environment)
    folder = Path(folder)
    with (folder / "log").open("ab") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    fate = Fate(folder, os.environ.get("POINT", "never"))
    machine = Machine(folder)
    around(Actions, "begin", fate, before="begin", behind="before")
    around(Actions, "perform", fate, behind="after")
    around(Actions, "finish", fate, behind="recorded")
    around(Courier, "_send", fate, before="taken")
    around(Alerts, "settle", fate, before="sent")
    around(Alerts, "_insert", fate, behind="during")
    spares.add = added(machine, fate)

    def device(name):
        return DeadlyDevice(machine, name, fate)

    registry = Registry(folder / "etc", folder / "run")
    kernel = DeviceMapper(machine.list_devices, device, registry, time.time)
    sys.exit(run(folder / "daemon.yaml", kernel, lambda name: Control(device(name)), pace=PACE))
