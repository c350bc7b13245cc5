"""A real systemd-udevd in the guest, with our rules, and disks that it sees come and go."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.retry import PATIENCE, retry, wait_until
from tests.kernel.lib.run import CommandError, run
from tests.kernel.lib.warm import WarmPyctl
from tests.vm.paths import PROJECT

_DAEMON = "/usr/lib/systemd/systemd-udevd"
_PYCTL = Path("/usr/local/bin/pyctl")
_RUN = Path("/run/dm-remap")
_BUS = Path("/sys/bus/pseudo/drivers/scsi_debug")
# Programs take seconds to start in an emulated guest.
SECONDS = 60


class Udev:
    """Installs rules and pyctl, runs udevd, and removes all of that again."""

    def __enter__(self) -> Self:
        run("make", "-s", "-C", PROJECT, "install-boot", "KVER=none")
        _PYCTL.symlink_to(Path(sys.prefix, "bin/pyctl"))
        Path("/run/udev").mkdir(exist_ok=True)
        env = _without_switch()
        subprocess.run([_DAEMON, "--daemon", "--resolve-names=never"], check=True, env=env)
        self._warm = WarmPyctl(env)
        self.trigger()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.closing(self._warm):
            run("udevadm", "control", "--exit")
        _PYCTL.unlink()
        run("make", "-s", "-C", PROJECT, "uninstall-boot", "KVER=none")
        run("rm", "-rf", "/run/udev", _RUN, "/etc/dm-remap")

    def trigger(self, *devices: object) -> None:
        """Have udev see devices, or all there are, as if they had just appeared."""
        run("udevadm", "trigger", "--action=add", *devices)
        self.settle()

    def settle(self) -> None:
        """Wait until udev has nothing to do; what it has started may go on."""
        seconds = SECONDS * PATIENCE
        run("udevadm", "settle", f"--timeout={seconds:.0f}", timeout=2 * seconds)

    def properties(self, device: object) -> dict[str, str]:
        """What udev knows of a device."""
        text = run("udevadm", "info", "--query=property", device)
        return dict(line.split("=", 1) for line in text.splitlines())

    def links(self, device: object) -> list[str]:
        """The links to a device."""
        return self.properties(device).get("DEVLINKS", "").split()

    def pyctl(self, *words: object, status: int = 0) -> str:
        """Run pyctl, which waits for udev as it does for an administrator: what it writes."""
        ended, output = self._warm.run([*map(str, words)], timeout=2 * SECONDS * PATIENCE)
        assert ended == status, f"{words}: {ended}: {output}"
        return output

    def reboot(self) -> None:
        """Forget what is forgotten at a reboot, and nothing else."""
        run("rm", "-rf", _RUN)

    def log(self) -> str:
        """What was started by udev has said."""
        log = _RUN / "log"
        return log.read_text() if log.exists() else ""

    def quiet(self) -> None:
        """Wait until all that udev has started has ended."""
        self.settle()
        wait_until(lambda: not _starters(), "what udev has started has ended", SECONDS)


# The whole guest has DM_DISABLE_UDEV set, for all tests without udev.
def _without_switch() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "DM_DISABLE_UDEV"}


def _starters() -> list[str]:
    found = []
    for node in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = node.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"assemble" in words and b"--pending" in words:
            found.append(node.parent.name)
    return found


class HotDisk(BlockDevice):
    """A SCSI disk that can be pulled and plugged; its content and its identity stay."""

    def __init__(self, host: str) -> None:
        self.host = host

    @property
    def path(self) -> Path:  # type: ignore[override]
        """Its node now: another name may come back."""
        (name,) = self._names()
        return Path("/dev", name)

    def _names(self) -> list[str]:
        return [node.name for node in _BUS.glob(f"adapter*/{self.host}/target*/*/block/*")]

    @property
    def is_there(self) -> bool:
        """Whether it is plugged."""
        return bool(self._names())

    def pull(self) -> None:
        """Take it away, whoever uses it."""
        (name,) = self._names()
        Path("/sys/block", name, "device/delete").write_text("1")
        wait_until(lambda: not self.is_there, f"{name} is gone")

    def plug(self) -> None:
        """Bring it back."""
        Path("/sys/class/scsi_host", self.host, "scan").write_text("- - -")
        wait_until(lambda: self.is_there and self.path.exists(), f"{self.host} has a disk")


class HotDisks:
    """Several SCSI disks of the same size, each with a content and an identity of its own."""

    def __init__(self, count: int, size_mb: int = 16) -> None:
        self._options = {"add_host": count, "dev_size_mb": size_mb, "per_host_store": 1, "delay": 0}
        self._count = count

    def __enter__(self) -> list[HotDisk]:
        run("modprobe", "sd_mod")
        run("modprobe", "scsi_debug", *(f"{key}={value}" for key, value in self._options.items()))
        wait_until(
            lambda: len(list(_BUS.glob("adapter*/host*/target*/*/block/*"))) == self._count,
            f"there are {self._count} disks",
        )
        hosts = sorted(_BUS.glob("adapter*/host*"), key=lambda path: int(path.name[4:]))
        return [HotDisk(host.name) for host in hosts]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        retry(lambda: run("rmmod", "scsi_debug"), CommandError, timeout=20)
