"""A machine in a folder: dm-remap devices as files, which answer as the kernel module does.

Run as a program, it is dm-remapd on that machine: python -m tests.pyctl.daemon.machine FOLDER
[--check] [--hear]. All of the daemon is real; only libdevmapper's devices are replaced, and with
--hear the socket that the kernel's events come through (wire.py).
"""

import errno
import json
import os
import sys
import time
from pathlib import Path

from pyctl.control import Control
from pyctl.daemon.main import run
from pyctl.daemon.source import DeviceMapper
from pyctl.dm import DeviceInfo, DeviceName, TargetLine
from pyctl.errors import DmError
from pyctl.registry import Registry
from tests.pyctl.daemon.wire import hearing

PACE = 0.05
SPARE = "11111111-2222-4333-8444-55555555555{}"
HELP = ("ping", "help", "status", "spare", "scan")


def a_device(number=0, **changed):
    """The state of a healthy device, as its file has it."""
    return {
        "number": number,
        "event_nr": 0,
        "set": f"aaaaaaaa-0000-4000-8000-{number:012}",
        "prefix": True,
        "kind": "remap",
        "health": 100,
        "read_errors": 0,
        "write_errors": 0,
        "remapped": 0,
        "lost": 0,
        "capacity": 1000,
        "length": 8192,
        "mode": "rw",
        "breaker": "closed",
        "space": "ok",
        "copy": "",
        "below": 0,
        "spares": [["in-sync", 100, 0], ["in-sync", 100, 0]],
        "scan": {"state": "waiting", "pass": 0, "last": 0},
        # does a scan that was ordered run until another order?
        "keeps_scans": False,
        # of the scan: spare or "-", sector, and what is not 0 of the rest
        "regions": [],
        # and pieces that are slow time and again: sector, sectors
        "candidates": [],
        # of the table: sector, sectors, state
        "entries": [],
        "commands": list(HELP),
        "hang": [],
        "broken": [],
        "garbage": False,
        **changed,
    }


def scan_line(**changed):
    """What the scan says of itself."""
    words = {"state": "waiting", "reason": "-", "pattern": "staggered", "pass": 0} | changed
    numbers = (
        "percent done total rate left errors rescued slow blanks relocated regions candidates last"
        " next health"
    )
    words = {**dict.fromkeys(numbers.split(), 0), **words}
    return " ".join(f"{key}={value}" for key, value in words.items()) + "\n"


def region_line(spare, sector, counts):
    """What the scan says of a region."""
    words = ["health", "errors", "retries", "slow", "marginal", "blanks", "usual_us"]
    values = {**dict.fromkeys(words, 0), "health": 100, **counts}
    return f"{spare} {sector} " + " ".join(f"{key}={value}" for key, value in values.items())


def entry_line(number, sector, sectors, state):
    """A line of the table."""
    where = "- -" if state == "lost" else f"0 {4096 + 64 * number}"
    return f"{sector} {sectors} {where} {state} auto"


class Machine:
    """The folder; `change` is what the kernel would do, an event included."""

    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "dm").mkdir(exist_ok=True)
        self._asked: dict[str, int] = {}

    def state(self, name):
        try:
            return json.loads((self.folder / "dm" / name).read_text())
        except FileNotFoundError:
            return None

    def put(self, name, state):
        temp = self.folder / f".{name}"
        temp.write_text(json.dumps(state))
        temp.replace(self.folder / "dm" / name)

    def change(self, name, *, event=True, **changed):
        state = self.state(name)
        self.put(name, {**state, **changed, "event_nr": state["event_nr"] + event})

    def remove(self, name):
        (self.folder / "dm" / name).unlink()

    def said(self, name):
        """The messages that changed something, in order."""
        try:
            return (self.folder / f"said-{name}").read_text().splitlines()
        except FileNotFoundError:
            return []

    def asked(self, name):
        """How many messages this process has sent."""
        return self._asked.get(name, 0)

    def names(self):
        return sorted(path.name for path in (self.folder / "dm").iterdir())

    def list_devices(self):
        return [DeviceName(name, 254, self.state(name)["number"]) for name in self.names()]

    def open_device(self, name):
        return MachineDevice(self, name)


class MachineDevice:
    def __init__(self, machine, name):
        self.machine = machine
        self.name = name

    def _state(self, ioctl):
        state = self.machine.state(self.name)
        if state is None:
            raise DmError("gone.", errno=errno.ENXIO, ioctl=ioctl, device=self.name)
        return state

    # A file of its own: whoever runs the test writes the other one.
    def _scan_is(self, how):
        (self.machine.folder / f"scan-{self.name}").write_text(how)

    def _scan(self, state):
        ordered = self.machine.folder / f"scan-{self.name}"
        if state["keeps_scans"] and ordered.exists():
            return {**state["scan"], "state": ordered.read_text()}
        return state["scan"]

    # Answers when the file says no more that it hangs.
    def _wait(self, what):
        while what in self._state(what)["hang"]:
            time.sleep(0.02)

    def info(self):
        state = self.machine.state(self.name)
        uuid = f"DMREMAP-{state['set'].replace('-', '')}" if state and state["prefix"] else ""
        return DeviceInfo(
            exists=state is not None,
            name=self.name,
            uuid=uuid,
            major=254,
            minor=state["number"] if state else 0,
            suspended=False,
            live_table=True,
            inactive_table=False,
            read_only=False,
            open_count=0,
            event_nr=state["event_nr"] if state else 0,
            target_count=1,
            deferred_remove=False,
        )

    def status(self, *, flush=False):
        self._wait("status")
        s = self._state("STATUS")
        present = sum(state == "in-sync" for state, *_ in s["spares"])
        copy = f" copy={s['copy']}:0" if s["copy"] else ""
        line = (
            f"v4.0 {s['remapped']}/{s['capacity']} {s['lost']}/{s['capacity']}"
            f" {s['remapped']}/{s['capacity']} health={s['health']}"
            f" errors=W{s['write_errors']}:R{s['read_errors']} auto_remaps={s['remapped']}"
            f" manual_remaps=0 scan=0% set={s['set']} main=7:0 unit=512"
            f" spares={present}/{len(s['spares'])} mode={s['mode']} breaker={s['breaker']}"
            f" bad_spare_units=0 rescued=0 events=1 free=10 space={s['space']}"
            f" allocation=least-used redundancy=1 below={s['below']}{copy}"
        )
        return [TargetLine(0, s["length"], s["kind"], "garbage" if s["garbage"] else line)]

    def message(self, sector, *words):
        self.machine._asked[self.name] = self.machine.asked(self.name) + 1
        self._wait(words[0])
        state = self._state("TARGET_MSG")
        if words[0] in state["broken"]:
            raise DmError("no.", errno=errno.EIO, ioctl="TARGET_MSG", device=self.name)
        match words:
            case ("help",):
                return "".join(f"{one} - what it does\n" for one in state["commands"])
            case ("error",):
                return ""
            case ("spare", "list"):
                return "".join(
                    f"{row} 7:{row + 1} {how} {SPARE.format(row)} sectors=8192 usable=8000"
                    f" free=7000 used={used} bad=0 tier=0 health={health} draining=0\n"
                    for row, (how, health, used) in enumerate(state["spares"])
                )
            case ("scan", "status"):
                return scan_line(**self._scan(state))
            case ("scan", "regions", "0"):
                lines = [region_line(*one) for one in state["regions"]]
                return "\n".join([*lines, "end"])
            case ("scan", "candidates", "0"):
                lines = [f"{sector} {sectors}" for sector, sectors in state["candidates"]]
                return "\n".join([*lines, "end"])
            case ("list", "0", _):
                lines = [entry_line(n, *one) for n, one in enumerate(state["entries"])]
                return "\n".join([*lines, "end"])
            case ("spare", "usage"):
                used, capacity = state["remapped"], state["capacity"]
                return f"capacity={capacity} free={capacity - used} used={used}\n"
        with (self.machine.folder / f"said-{self.name}").open("a") as file:
            file.write(" ".join(words) + "\n")
        if words[0] not in state["commands"]:
            raise DmError("no.", errno=errno.EINVAL, ioctl="TARGET_MSG", device=self.name)
        self._wait("behind " + words[0])
        match words:
            case ("scan", "start", pattern):
                self._scan_is("running")
                return scan_line(**{**state["scan"], "state": "running"}, pattern=pattern)
            case ("relocate", _, sectors):
                return f"relocated={sectors} already=0 kept=0\n"
            case ("scan", "stop"):
                self._scan_is("waiting")
                return scan_line(**{**state["scan"], "state": "waiting"})
        return "done\n"


def main():
    folder = Path(sys.argv[1])
    machine = Machine(folder)
    registry = Registry(folder / "etc", folder / "run")
    kernel = DeviceMapper(machine.list_devices, machine.open_device, registry, time.time)
    sys.exit(
        run(
            folder / "daemon.yaml",
            kernel,
            lambda name: Control(machine.open_device(name)),
            check="--check" in sys.argv,
            pace=float(os.environ.get("PACE", PACE)),
            hear=hearing(machine) if "--hear" in sys.argv else None,
        )
    )


if __name__ == "__main__":
    main()
