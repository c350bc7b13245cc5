"""What a daemon with many devices costs: python -m tests.pyctl.daemon.measuring [--faces]

CPU time in percent of one processor, and memory (RSS and PSS, in MiB) of the process: when nothing
happens, and with an error on each device three times a second. The devices are files that answer
at once, as those of the tests; the policy is the shipped one. With --faces it looks for an SNMP
agent and a collector, too, which are not there.
"""

import argparse
import os
import time
from pathlib import Path

from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import ROOT, Box, Running, until

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid):
    """RSS and PSS in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


def over(seconds, pid, work=lambda _: None):
    """CPU seconds per minute over so long, while `work` is done three times a second."""
    begun, used = time.monotonic(), cpu(pid)
    turn = 0
    while time.monotonic() - begun < seconds:
        turn += 1
        work(turn)
        time.sleep(max(0, begun + turn / 3 - time.monotonic()))
    return (cpu(pid) - used) * 60 / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.pyctl.daemon.measuring")
    parser.add_argument("--devices", type=int, default=150)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--faces", action="store_true")
    options = parser.parse_args()
    box = Box()
    with folder() as name:
        daemon = Running(name, box)
        (daemon.folder / "policy.yaml").write_bytes(
            (ROOT / "packaging/policy/default.yaml").read_bytes()
        )
        settings = daemon.folder / "daemon.yaml"
        text = settings.read_text().replace("read-every: 1s", "read-every: 1m")
        settings.write_text(text + "snmp: {}\notel: {}\n" * options.faces)
        names = [f"d{number}" for number in range(options.devices)]
        for number, one in enumerate(names):
            daemon.machine.put(one, a_device(number))

        def spoil(turn):
            for one in names:
                daemon.machine.change(one, write_errors=turn)

        try:
            daemon.start(PACE="1")
            until(lambda: len(daemon.seen()) == len(names), "the first looks")
            pid = daemon.process.pid
            for what, work in (("idle", lambda _: None), ("errors", spoil)):
                used = over(options.seconds, pid, work)
                rss, pss = memory(pid)
                print(
                    f"{options.devices} devices, {what}: {used:.1f} s of CPU a minute"
                    f" ({used / 0.6:.0f} %), RSS {rss:.0f} MiB, PSS {pss:.0f} MiB",
                    flush=True,
                )
        finally:
            daemon.close()
            box.close()


if __name__ == "__main__":
    main()
