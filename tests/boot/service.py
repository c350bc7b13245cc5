"""dm-remapd.service under a real systemd: as it is shipped, and with its socket and probes."""

import json
import shlex
from pathlib import Path
from typing import Any

from tests.boot.scenes import SceneError
from tests.pyctl.predict import documents
from tests.vm import paths
from tests.vm.kernels import Kernel
from tests.vm.pytest_guest import load_module
from tests.vm.qemu import VM, Disk

_PATIENCE = 600
_UNIT = "dm-remapd.service"
# systemd with our unit and nothing else, in a namespace where it is the first process. The tree may
# lie where services see nothing, and in /tmp, which Debian's systemd-tmpfiles empties at a boot.
_SYSTEMD = """
make -s -C {project} install-daemon PREFIX=/usr
for program in pyctl dm-remapd; do ln -s {venv}/bin/$program /usr/bin/$program; done
mkdir -p /run/systemd/system/dm-remapd.service.d && cd /run/systemd/system
ln -s /dev/null systemd-tmpfiles-setup.service
printf '[Unit]\\nDefaultDependencies=no\\n' >boot-test.target
printf '[Service]\\nBindReadOnlyPaths={project}\\n{more}' >dm-remapd.service.d/here.conf
container=dm-remap setsid unshare --pid --fork --mount-proc /usr/lib/systemd/systemd --system \\
    --unit=boot-test.target --log-target=kmsg </dev/null >/dev/kmsg 2>&1 &
until {systemctl} is-active -q boot-test.target; do sleep 0.2; done
"""
# It answers to nobody outside of its namespace.
_SYSTEMCTL = "nsenter --pid --mount --target $(pgrep -ox systemd) systemctl"
# NumPy wants all of x86-64-v2, of which tests.vm.qemu keeps an instruction from guests. The kernel
# still does without it.
_FOR_NUMPY: dict[str, Any] = {"append": "clearcpuid=cx16", "extra_args": ("-cpu", "max")}
# The emulated guest needs its time to start a Python program.
_SLOW = "TimeoutStartSec=5min\\n"
_POLICY = """
version: 1
name: service
rules:
  - name: always
    when: {health: {at-least: 0}}
    do: [hook: {program: /usr/bin/touch, arguments: [/run/dm-remap/hook]}]
    cool-down: 1d
"""
_ORDERS = (
    {"kind": "remap", "device": "srv", "ranges": [{"sector": 800, "sectors": 16}]},
    {"kind": "scan", "device": "srv"},
    {"kind": "spare-add", "device": "srv"},
    {"kind": "evacuate", "device": "srv", "spare": 0},
)
_ORDER = """
import json, sys
from pathlib import Path
from pyctl.daemon.client import Client
for order in json.loads(sys.argv[1]):
    Client(Path("/run/dm-remap/api.sock")).post("/v1/actions", **order)
"""
_FORESIGHT = """version: 1
read-every: 1s
foretell: {every: 1s, probes: {}}
disks: {every: 5s}
"""
# What bcc needs, as it is shipped, and the socket, as whoever wants them has them. The guest's
# disks have no SMART: the answer is that of another one.
_ALLOW = """
rm -f /usr/bin/smartctl
printf '#!/bin/sh\\necho %s' {answer} >/usr/bin/smartctl && chmod 755 /usr/bin/smartctl
install -D -m 644 -t /etc/systemd/system/dm-remapd.service.d \\
    /usr/share/dm-remap/systemd/probes.conf
{systemctl} daemon-reload
{systemctl} start dm-remapd.socket
"""
_SCRAPE = """
import socket
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect("/run/dm-remap/api.sock")
    asking.sendall(b"GET /metrics HTTP/1.0\\r\\nHost: local\\r\\n\\r\\n")
    print(asking.makefile().read())
"""


class Service:
    """The unit in the guest."""

    def __init__(self, vm: VM) -> None:
        self.vm = vm

    def do(self, verb: str) -> None:
        """Have systemctl do something with it."""
        done = self.vm.sh(f"{_SYSTEMCTL} {verb} {_UNIT}", check=False, timeout=_PATIENCE)
        if done.status:
            raise SceneError(f"systemctl {verb}: {done.output}\n{self.about()}")

    def show(self, name: str) -> str:
        """A property of it."""
        return self.vm.sh(f"{_SYSTEMCTL} show -P {name} {_UNIT}").output.strip()

    def until(self, test: str, what: str) -> None:
        """Wait until a command of the shell succeeds."""
        wait = f"for i in $(seq 1500); do {test} && exit; sleep 0.2; done; exit 1"
        if self.vm.sh(f"( {wait} ) 2>/dev/null", check=False, timeout=_PATIENCE).status:
            raise SceneError(f"{what} did not happen.\n{self.about()}")

    def can(self, command: str) -> bool:
        """Does a command work where the daemon lives? It does elsewhere."""
        inside = f"nsenter --mount --target $(pgrep -ox dm-remapd) {command}"
        return self.vm.sh(inside, check=False).status == 0

    def must_have_told(self, what: str, times: int = 1) -> None:
        """Wait until the audit log has something so many times."""
        word = shlex.quote(f'"what":"{what}"')
        count = f"grep -c {word} /var/lib/dm-remap/audit/audit.jsonl"
        self.until(f'[ "$({count})" -ge {times} ]', f"{what} ({times} times)")

    def restarted(self, times: int) -> None:
        """Wait until systemd has started it so often again, and it is ready."""
        self.must_have_told("started", times + 1)
        self.until(f"{_SYSTEMCTL} is-active -q {_UNIT}", "the restart")
        if self.show("NRestarts") != str(times):
            raise SceneError(f"It was not started {times} times again.\n{self.about()}")

    def about(self) -> str:
        """What goes on, for a failure."""
        log = "cat /var/lib/dm-remap/audit/audit.jsonl | cut -c 1-300"
        shown = f"{_SYSTEMCTL} status -l --no-pager {_UNIT}; dmesg | tail -40; {log}"
        return self.vm.sh(shown, check=False).output


def served_by_systemd(kernel: Kernel, folder: Path) -> str:
    """Start, reload, kill and stop the unit over a real device; what was seen."""
    disks = []
    for serial in ("main", "spare0", "spare1"):
        image = folder / f"service-{serial}.img"
        with image.open("wb") as file:
            file.truncate(48 << 20)
        disks.append(Disk(image, serial))
    # One processor: systemd has the kernel patch its own code, which an emulator of several may run
    # while it is half done ("Oops: int3").
    with VM(kernel, name="boot-service", disks=disks, smp=1, **_FOR_NUMPY) as vm:
        load_module(vm)
        words = {"project": str(paths.PROJECT), "venv": str(paths.BUILD / "venv"), "more": _SLOW}
        words["systemctl"] = _SYSTEMCTL
        vm.sh(_SYSTEMD.format(**words), timeout=_PATIENCE)
        main, spare, other = (vm.device(disk.serial) for disk in disks)
        vm.sh(f"pyctl create srv {main} {spare}", timeout=_PATIENCE)
        settings = "version: 1\nread-every: 1s\n"
        for name, text in (("daemon", settings), ("policy", _POLICY)):
            vm.sh(f"printf %s {shlex.quote(text)} >/etc/dm-remap/{name}.yaml")
        return _life(Service(vm), other)


def _life(service: Service, spare: str) -> str:
    vm = service.vm
    # Type=notify: this returns when the daemon has said that it is ready
    service.do("start")
    if service.show("ActiveState") != "active":
        raise SceneError(f"It is not active.\n{service.about()}")
    # the kernel, the disks, the store and other programs are within its reach
    service.must_have_told("hook done")
    service.until("[ -e /run/dm-remap/hook ]", "the hook")
    orders = [
        {**one, **({"spare": spare} if one["kind"] == "spare-add" else {})} for one in _ORDERS
    ]
    words = [str(paths.PYTHON), "-c", _ORDER, json.dumps(orders)]
    vm.sh(f"cd {shlex.quote(str(paths.PROJECT))} && {shlex.join(words)}", timeout=_PATIENCE)
    for one in orders:
        service.must_have_told(f"{one['kind']} done")
    # and nothing else is
    for folder, wanted in (("/var/lib/dm-remap", True), ("/usr", False), ("/etc", False)):
        if service.can(f"touch {folder}/x") != wanted:
            raise SceneError(f"The unit can write to {folder}: {not wanted}.")
    service.do("reload")
    service.must_have_told("reloaded")
    fed = service.show("WatchdogTimestampMonotonic")
    service.until(
        f'[ "$({_SYSTEMCTL} show -P WatchdogTimestampMonotonic {_UNIT})" != {fed} ]', "the watchdog"
    )
    vm.sh(f"{_SYSTEMCTL} kill -s KILL {_UNIT}")
    service.restarted(1)
    # what does not feed the watchdog is ended
    vm.sh(f"{_SYSTEMCTL} kill -s STOP {_UNIT}")
    service.restarted(2)
    service.do("stop")
    service.must_have_told("stopped")
    if service.show("Result") != "success":
        raise SceneError(f"It did not end in order.\n{service.about()}")
    # the cool-down of a day outlives kills; the log is whole
    verified = vm.sh("pyctl audit verify", timeout=_PATIENCE).output.strip().splitlines()[-1]
    hooks = vm.sh("grep -c 'hook done' /var/lib/dm-remap/audit/audit.jsonl").output.strip()
    if hooks != "1":
        raise SceneError(f"The hook ran {hooks} times.\n{service.about()}")
    _called(service)
    return (
        "systemd: ready, reloaded, killed, starved and stopped; called by its socket, with probes; "
        f"audit log: {verified}"
    )


def _called(service: Service) -> None:
    """Start it by the first call that its socket gets; it foretells, by probes and by disks."""
    vm = service.vm
    vm.sh(f"printf %s {shlex.quote(_FORESIGHT)} >/etc/dm-remap/daemon.yaml")
    said = documents.ata({197: 8}, temperature={"current": 47}, power_on_time={"hours": 12_345})
    answer = shlex.quote(shlex.quote(json.dumps(said)))
    vm.sh(_ALLOW.format(systemctl=_SYSTEMCTL, answer=answer), timeout=_PATIENCE)
    if service.show("ActiveState") != "inactive":
        raise SceneError(f"It runs before anybody calls.\n{service.about()}")
    scrape = shlex.join(["python3", "-c", _SCRAPE])
    if "dm_remap_daemon_info" not in vm.sh(scrape, timeout=_PATIENCE).output:
        raise SceneError(f"The first caller was not served.\n{service.about()}")
    read = "dd if=/dev/mapper/srv of=/dev/null bs=64k count=4 iflag=direct"
    seen = """grep -q '^dm_remap_io_seconds_count{.*operation="read".*} [1-9]'"""
    service.until(f"{read} && {scrape} | {seen}", "a read that probes saw")
    service.until(f"{scrape} | grep -q '^dm_remap_temperature_celsius{{.*}} 47'", "a temperature")
    service.until(f"{scrape} | grep -q '^dm_remap_failure_probability{{'", "a prediction")
    service.do("stop")
