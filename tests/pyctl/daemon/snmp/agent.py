"""Debian's snmpd, snmptrapd and the programs that ask them, on a socket of our own."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.pyctl.daemon.running import ROOT, until

PROGRAMS = ROOT / "build/snmp"
MIBS = f"{Path(__file__).parent / 'mibs'}:{ROOT / 'packaging/snmp'}"


def free_port():
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Agent:
    """An snmpd with a community that may read our tree, which sends traps to a snmptrapd."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.master = self.folder / "agentx"
        self.port, self.trap_port = free_port(), free_port()
        self.traps = self.folder / "traps"
        self.environment = {
            **os.environ,
            "MIBDIRS": MIBS,
            "MIBS": "DM-REMAP-MIB",
            "SNMPCONFPATH": str(self.folder),
            "SNMP_PERSISTENT_DIR": str(self.folder / "persistent"),
        }
        (self.folder / "snmpd.conf").write_text(
            f"master agentx\nagentXSocket {self.master}\nrocommunity public 127.0.0.1\n"
            f"trap2sink 127.0.0.1:{self.trap_port} public\n"
        )
        (self.folder / "snmptrapd.conf").write_text("authCommunity log public\n")
        self.processes = {}

    def start(self, program, *words):
        with (self.folder / f"{program}.log").open("ab") as log:
            self.processes[program] = subprocess.Popen(
                [PROGRAMS / program, "-f", "-C", "-c", self.folder / f"{program}.conf", *words],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def start_agent(self):
        self.start("snmpd", "-Lo", f"udp:127.0.0.1:{self.port}")
        until(self.master.exists, "the agent")

    def start_trap_receiver(self):
        self.start(
            "snmptrapd",
            *("-n", "-OQ", "-Lf", self.traps, "-F", "%N %W %V|%v\\n"),
            f"udp:127.0.0.1:{self.trap_port}",
        )
        # it writes nothing before it listens
        until(self._receives, "the receiver of traps")

    def _receives(self):
        ports = Path("/proc/net/udp").read_text()
        return f"0100007F:{self.trap_port:04X}" in ports

    def stop(self, program):
        process = self.processes.pop(program, None)
        if process:
            process.kill()
            process.wait()
        if program == "snmpd":
            self.master.unlink(missing_ok=True)

    def close(self):
        for program in list(self.processes):
            self.stop(program)

    def run(self, program, *words):
        """What one of net-snmp's programs says; None if it failed."""
        done = subprocess.run(
            [shutil.which(program), "-v2c", "-c", "public", "-r", "2", "-t", "5", *words],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return done.stdout if done.returncode == 0 else None

    def ask(self, program, *objects, options=()):
        return self.run(program, *options, f"127.0.0.1:{self.port}", *objects)

    def walk(self, name="dmRemapMIB", program="snmpwalk"):
        """Values by the name that the MIB gives them."""
        said = self.ask(program, name, options=("-OQs",)) or ""
        pairs = (line.partition(" = ") for line in said.splitlines())
        return {name: value for name, _, value in pairs if "No Such" not in value}

    def told(self):
        """What the receiver of traps has written."""
        return self.traps.read_text() if self.traps.exists() else ""
