"""What a daemon with many devices costs: python -m tests.pyctl.daemon.measuring [--faces] [--deaf]

CPU time in percent of one processor, and memory (RSS and PSS, in MiB) of the process: when nothing
happens; with an error on each device three times a second, of which the kernel tells by netlink,
too; and in a storm, when 100,000 events come as fast as it takes them. The devices are files that
answer at once, as those of the tests, and netlink messages come through a socket in a file
(wire.py); the policy is the shipped one. With --faces it looks for an SNMP agent and a collector,
too, which are not there; with --deaf it hears nothing.
"""

import argparse
import os
import time
from pathlib import Path

from pyctl.daemon.client import Client
from pyctl.netlink.numbers import News
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import ROOT, Box, Running, until
from tests.pyctl.daemon.wire import Sender

_TICKS = os.sysconf("SC_CLK_TCK")
# Events that the storm sends before it counts them up on the device.
_BATCH = 1000


def cpu(pid):
    """Seconds of CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid):
    """RSS and PSS in MiB, and the highest RSS so far."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    lines += Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split()[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024, kib["VmHWM:"] / 1024


def over(seconds, pid, work=lambda _: None):
    """CPU seconds per minute over so long, while `work` is done three times a second."""
    begun, used = time.monotonic(), cpu(pid)
    turn = 0
    while time.monotonic() - begun < seconds:
        turn += 1
        work(turn)
        time.sleep(max(0, begun + turn / 3 - time.monotonic()))
    return (cpu(pid) - used) * 60 / (time.monotonic() - begun)


def tell(what, pid):
    rss, pss, peak = memory(pid)
    print(f"{what}, RSS {rss:.0f} MiB (at most {peak:.0f}), PSS {pss:.0f} MiB", flush=True)


def storm(daemon, sender, name, count):
    """So many remaps that don't touch, on one device; until all are in the store."""
    pid, state = daemon.process.pid, daemon.machine.state(name)
    client = Client(daemon.socket)
    heard = client.get("/v1/status")["kernel_events"]
    begun, used = time.monotonic(), cpu(pid)
    for first in range(0, count, _BATCH):
        last = min(count, first + _BATCH)
        daemon.machine.change(name, remapped=last, capacity=2 * count)
        sender.send(
            [
                (state["set"], News.REMAP, {"sector": 2 * one, "sectors": 1, "spare": 0})
                for one in range(first, last)
            ]
        )
    until(lambda: client.get("/v1/status")["kernel_events"] == heard + count, "it has heard all")
    took = time.monotonic() - begun
    until(lambda: daemon.seen()[name]["remapped"] == count, "it has counted all")
    status = client.get("/v1/status")
    tell(
        f"storm: {count} events in {took:.1f} s ({count / took:.0f}/s), {cpu(pid) - used:.1f} s of"
        f" CPU, {status['kernel_events_lost']} lost",
        pid,
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.pyctl.daemon.measuring")
    parser.add_argument("--devices", type=int, default=150)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--storm", type=int, default=100_000, help="events of it")
    parser.add_argument("--faces", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args()
    box = Box()
    with folder() as name:
        daemon, sender = Running(name, box), Sender(name)
        (daemon.folder / "policy.yaml").write_bytes(
            (ROOT / "packaging/policy/default.yaml").read_bytes()
        )
        settings = daemon.folder / "daemon.yaml"
        text = settings.read_text().replace("read-every: 1s", "read-every: 1m")
        settings.write_text(text + "snmp: {}\notel: {}\n" * options.faces)
        names = [f"d{number}" for number in range(options.devices)]
        for number, one in enumerate(names):
            daemon.machine.put(one, a_device(number))
        sets = [a_device(number)["set"] for number in range(options.devices)]

        def spoil(turn):
            for one in names:
                daemon.machine.change(one, write_errors=turn)
            if not options.deaf:
                sender.send(
                    [(one, News.WRITE_ERROR, {"sector": turn * 8, "sectors": 8}) for one in sets]
                )

        try:
            daemon.start(*[] if options.deaf else ["--hear"], PACE="1")
            until(lambda: len(daemon.seen()) == len(names), "the first looks")
            pid = daemon.process.pid
            for what, work in (("idle", lambda _: None), ("errors", spoil)):
                used = over(options.seconds, pid, work)
                tell(
                    f"{options.devices} devices, {what}: {used:.1f} s of CPU a minute"
                    f" ({used / 0.6:.0f} %)",
                    pid,
                )
            if not options.deaf:
                storm(daemon, sender, names[0], options.storm)
        finally:
            daemon.close()
            sender.close()
            box.close()


if __name__ == "__main__":
    main()
