"""Build the debug kernel once, into a cache outside the clone.

A finished kernel is a folder laid out like the root of a system, for the harness's --kernel-root:
boot/vmlinux-<release>, lib/modules/<release>/ and in that build/, for which modules can be built.
Its name says of which source and of which configuration it was built. The work is done in a folder
beside it, which keeps what an interrupted build has done; what is whole gets its name last.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel, installed

SOURCE_PACKAGE = "linux-source-6.12"
TARBALL = Path("/usr/src", f"{SOURCE_PACKAGE}.tar.xz")
FRAGMENT = Path(__file__).with_name("kernel.config")
LOG = paths.BUILD / "log" / "debug-kernel.log"

# How many objects this configuration has, to show how far the compiler is. It may be a little off.
OBJECTS = 1700

_REPORT_SECONDS = 30


def cache() -> Path:
    """The folder of all debug kernels: DMR_KERNEL_CACHE, or one in the user's cache."""
    if chosen := os.environ.get("DMR_KERNEL_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "dm-remap", "debug-kernel").absolute()


def root() -> Path:
    """Where the kernel of the installed source and of the present configuration belongs."""
    query = ["dpkg-query", "-W", "-f", "${Version}", SOURCE_PACKAGE]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    if done.returncode or not TARBALL.exists():
        raise VMError(f"{SOURCE_PACKAGE} isn't installed. `packaging/setup.sh debug` does it.")
    version = re.sub(r"[^\w.+-]", "_", done.stdout.strip())
    return cache() / f"{version}-{hashlib.sha256(FRAGMENT.read_bytes()).hexdigest()[:12]}"


def kernel() -> Kernel:
    """The debug kernel; it is built now if it isn't there."""
    place = root()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.with_name(f"{place.name}.lock")):
            if not place.exists():
                _Build(place).run()
    found = installed(place)
    if len(found) != 1:
        raise VMError(f"{place} holds {len(found)} kernels. Remove it, and it is built again.")
    return found[0]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another run that builds it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Build:
    """One build. Every phase may be repeated, and the compiler goes on where it was interrupted."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._work = place.with_name(f"{place.name}.work")
        self._source = self._work / "source"
        self._result = self._work / "result"
        self._progress = _Progress()

    def run(self) -> None:
        """Build it and put it in its place."""
        phases = (self._unpack, self._configure, self._compile, self._install)
        _say(f"building it once, in {self._place} (log: {LOG})")
        started = time.monotonic()
        for number, phase in enumerate(phases, 1):
            self._progress.begin(f"{number}/{len(phases)} {phase.__name__.strip('_')}")
            phase()
            self._progress.end()
        self._result.rename(self._place)
        shutil.rmtree(self._work)
        minutes = (time.monotonic() - started) / 60
        _say(f"ready after {minutes:.0f} min")

    def _unpack(self) -> None:
        if self._source.exists():
            return
        draft = self._work / "source.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        command = ["tar", "-xJ", "--strip-components=1", "-C", str(draft)]
        size = TARBALL.stat().st_size
        with LOG.open("ab") as log, TARBALL.open("rb") as tarball:
            tar = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            assert tar.stdin
            try:
                while chunk := tarball.read(1 << 20):
                    tar.stdin.write(chunk)
                    self._progress.show(tarball.tell() / size)
                tar.stdin.close()
            except BrokenPipeError:
                pass
            if tar.wait():
                raise VMError(f"The source could not be unpacked. {_end_of_log()}")
        draft.rename(self._source)

    def _configure(self) -> None:
        self._make(f"KCONFIG_ALLCONFIG={FRAGMENT}", "allnoconfig")
        missing = missing_options(FRAGMENT.read_text(), (self._source / ".config").read_text())
        if missing:
            raise VMError(f"The source's Kconfig doesn't allow {', '.join(missing)}.")

    def _compile(self) -> None:
        done = sum(1 for _ in self._source.rglob("*.o"))
        with _make_process(self._source, f"-j{os.cpu_count() or 1}", "vmlinux", "modules") as make:
            assert make.stdout
            with LOG.open("ab") as log:
                for line in make.stdout:
                    log.write(line)
                    log.flush()
                    done += line.lstrip().startswith((b"CC ", b"AS "))
                    self._progress.show(min(done / OBJECTS, 0.99))
        if make.returncode:
            raise VMError(f"The kernel doesn't compile. {_end_of_log()}")

    def _install(self) -> None:
        shutil.rmtree(self._result, ignore_errors=True)
        release = (self._source / "include/config/kernel.release").read_text().strip()
        boot = self._result / "boot"
        boot.mkdir(parents=True)
        self._run("strip", "-o", str(boot / f"vmlinux-{release}"), "vmlinux")
        self._make(f"INSTALL_MOD_PATH={self._result}", "INSTALL_MOD_STRIP=1", "modules_install")
        tree = self._result / "lib" / "modules" / release / "build"
        tree.unlink(missing_ok=True)
        environment = {"srctree": ".", "SRCARCH": "x86", "CC": "gcc", "HOSTCC": "gcc"}
        self._run("sh", "scripts/package/install-extmod-build", str(tree), **environment)
        shutil.copyfile(self._source / ".config", tree / ".config")

    def _make(self, *arguments: str) -> None:
        self._run("make", *arguments)

    def _run(self, *command: str, **environment: str) -> None:
        with LOG.open("ab") as log:
            done = subprocess.run(
                command,
                cwd=self._source,
                env=_environment() | environment,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise VMError(f"`{' '.join(command)}` failed. {_end_of_log()}")


def missing_options(fragment: str, config: str) -> list[str]:
    """The lines of a fragment which a configuration doesn't fulfil."""
    have = set(config.splitlines())
    lines = [line for line in fragment.splitlines() if line.startswith("CONFIG_")]
    # An option that is off may not even be mentioned.
    off = re.findall(r"^# (CONFIG_\w+) is not set$", fragment, re.MULTILINE)
    missing = [line for line in lines if line not in have]
    return missing + [f"# {name} is not set" for name in off if f"\n{name}=" in config]


def _say(text: str) -> None:
    print(f"debug kernel: {text}", file=sys.stderr, flush=True)


def _make_process(directory: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["/usr/bin/nice", "-n", "10", "make", *arguments],
        cwd=directory,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _environment() -> dict[str, str]:
    """Ours without what a make above us has left in it."""
    inherited = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KBUILD", "KDIR", "KVER", "ARCH")
    return {name: value for name, value in os.environ.items() if not name.startswith(inherited)}


def _end_of_log() -> str:
    lines = LOG.read_text(errors="replace").splitlines()[-20:]
    return f"The end of {LOG}:\n" + "\n".join(lines)


class _Progress:
    """Which phase, how far, and how long it may take still: one line on a terminal."""

    def __init__(self, out: IO[str] = sys.stderr) -> None:
        self._out = out
        self._phase = ""
        self._started = self._shown = 0.0
        self._first: float | None = None

    def begin(self, phase: str) -> None:
        """A new phase, of which nothing is done yet."""
        self._phase, self._first, self._shown = phase, None, 0.0
        self._write("…")

    def show(self, fraction: float) -> None:
        """Say how much is done; what was done before the first call doesn't tell the speed."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = fraction, now
        if now - self._shown < (0.5 if self._out.isatty() else _REPORT_SECONDS):
            return
        self._shown = now
        done, elapsed = fraction - self._first, now - self._started
        left = f", about {elapsed * (1 - fraction) / done / 60:.0f} min left" if done > 0.01 else ""
        self._write(f"{fraction:4.0%}{left}")

    def end(self) -> None:
        """The phase is over."""
        self._write("done")
        if self._out.isatty():
            self._out.write("\n")

    def _write(self, text: str) -> None:
        line = f"debug kernel: {self._phase} {text}"
        self._out.write(f"\r\033[K{line}" if self._out.isatty() else f"{line}\n")
        self._out.flush()
