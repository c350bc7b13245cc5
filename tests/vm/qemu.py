"""One virtual machine: boot it, run commands in it, pull its plug, save and restore it."""

import codecs
import contextlib
import ctypes
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.vm import accel, initramfs, paths
from tests.vm.errors import CommandError, GuestDiedError, GuestTimeoutError, VMError
from tests.vm.kernels import Kernel

BOOT_SECONDS = 180
BOOT_ATTEMPTS = 3
KEPT_LOGS = 40

# Where the share that the caller gives appears in the guest.
GUEST_JOB = "/run/job"

# "tsc" and "timer": no calibration against clocks that emulation makes jittery. The grace periods
# of RCU are expedited because a guest on a loaded host would wait long. Any oops ends the machine.
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=5 oops=panic panic=-1 sysrq_always_enabled mitigations=off "
    "tsc=reliable no_timer_check cryptomgr.notests nokaslr audit=0 8250.nr_uarts=1 "
    "rcupdate.rcu_expedited=1 random.trust_cpu=on log_buf_len=4M"
)

# A cmpxchg16b of QEMU 7.2 leaves an operand of an earlier instruction in the flags when it emulates
# (the kind of the flags, cc_op, isn't stored before helper_cmpxchg16b_unlocked() asks for it). An
# interrupt right then returns to flags like 0x22a6ee02, "virtual 8086 mode": the guest panics, most
# often in kmem_cache_alloc(). The kernel does without the instruction. Guests that count
# instructions keep it: they are to run what processors run.
EMULATED = "max,-cx16"

_MARK = b"\x1e"
_numbers = itertools.count()

Root = Literal["host", "initramfs"]


@dataclass(frozen=True)
class Disk:
    """A raw image file which the guest sees as a virtio disk with this serial number."""

    image: Path
    serial: str


@dataclass(frozen=True)
class Result:
    """What a command in the guest wrote (both streams) and its exit status."""

    status: int
    output: str


class VM:
    """A running guest. Use it as a context manager: leaving it kills the machine.

    With root "host" the guest's root is the host's, over a read-only share with a tmpfs on top, so
    all programs and this tree are there. With root "initramfs" it is the `initrd` that the caller
    made by initramfs.build(); only such a guest can be saved. With `icount`, guest nanoseconds are
    executed instructions. `restore` starts from a saved state, with all other arguments unchanged.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        name: str = "vm",
        root: Root = "host",
        initrd: Path | None = None,
        disks: Sequence[Disk] = (),
        job: Path | None = None,
        smp: int = 2,
        memory: str = "2G",
        icount: bool = False,
        tty: bool = False,
        restore: Path | None = None,
        append: str = "",
        extra_args: Iterable[str] = (),
    ) -> None:
        self.kernel = kernel
        self.console = _new_log(f"{name}-{kernel.release}")
        self._job = job
        self._buffer = b""
        self._qmp_file: Any = None
        self._directory = Path(tempfile.mkdtemp(prefix="dm-remap-vm."))
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.args = self._arguments(root, initrd, disks, smp, memory, icount, tty, append)
        if restore:
            self.args += ["-incoming", f"exec:cat {shlex.quote(str(restore))}"]
        self.args += extra_args
        started = time.monotonic()
        try:
            if restore:
                self._start(tty)
                self._continue()
            else:
                self._boot(tty)
            if job and root == "host":
                self.mount_job()
        except BaseException:
            self.close()
            raise
        self.boot_seconds = time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def sh(
        self,
        command: str,
        *,
        timeout: float = 120,
        check: bool = True,
        on_output: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a shell command in the guest; every call has a shell of its own.

        `on_output` gets the output while it comes. A failing command raises unless `check` is off.
        """
        mark = uuid.uuid4().hex.encode()
        line = f"/bin/sh -c {shlex.quote(command)} </dev/null 2>&1; "
        line += f"printf '\\036{mark.decode()}:%d\\036' $?\n"
        self._send(line.encode())
        deadline = time.monotonic() + timeout
        output = self._read_until(_MARK + mark + b":", deadline, on_output, command)
        status = int(self._read_until(_MARK, deadline, None, command))
        result = Result(status, output.decode(errors="replace"))
        if check and status:
            raise CommandError(
                f"A command in the guest failed with status {status}:\n"
                f"  {command}\n{result.output.rstrip()}"
            )
        return result

    def mount_job(self) -> None:
        """Mount the caller's folder in the guest; after a restore, since it blocks saving."""
        self.sh(
            f"grep -qw 9p /proc/filesystems || modprobe -a 9pnet_virtio 9p; "
            f"mkdir -p {GUEST_JOB} && mount -t 9p "
            f"-o trans=virtio,version=9p2000.L,msize=262144,cache=none job {GUEST_JOB}"
        )

    def device(self, serial: str) -> str:
        """The guest's path of a disk: the kernel may number them in any order."""
        found = self.sh(f"grep -lx {shlex.quote(serial)} /sys/block/*/serial", check=False).output
        if not found.strip():
            raise VMError(f"The guest has no disk with the serial number {serial}.")
        return "/dev/" + found.split("/")[3]

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Give QEMU a command by its machine protocol and return its answer."""
        if self._qmp_file is None:
            self._qmp_file = self._connect("qmp").makefile("rw")
            self._qmp_file.readline()
            self.qmp("qmp_capabilities")
        self._qmp_file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._qmp_file.flush()
        while line := self._qmp_file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise VMError(f"QEMU refused {command}: {answer['error']['desc']}.")
            if "return" in answer:
                return answer["return"]
        raise self._died(f"QEMU ended during {command}.")

    def sysrq(self, keys: str) -> None:
        """Press magic SysRq keys through the serial console, which works in a hung guest."""
        with self._connect("console") as console:
            for key in keys:
                self.qmp("chardev-send-break", id="console")
                time.sleep(0.1)
                console.sendall(key.encode())
                time.sleep(0.2)

    def save(self, path: Path) -> None:
        """Stop the machine and write its state to a file; kill it then, and restore at will."""
        self.qmp("migrate-set-parameters", **{"max-bandwidth": 1 << 33})
        self.qmp("stop")
        self.qmp("migrate", uri=f"exec:cat > {shlex.quote(str(path))}")
        while (status := self.qmp("query-migrate")["status"]) != "completed":
            if status in ("failed", "cancelled"):
                raise VMError(f"QEMU could not save the machine: {self.qmp('query-migrate')}")
            time.sleep(0.02)

    @property
    def ended(self) -> bool:
        """Whether QEMU has ended, by a panic of its guest or otherwise."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End the machine at once, as a power cut does; what reached the images stays."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Kill the machine and remove what it used; the console log stays."""
        self.kill()
        if self._control:
            self._control.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def console_tail(self, lines: int = 60) -> str:
        """The last lines of the guest's console."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _arguments(
        self,
        root: Root,
        initrd: Path | None,
        disks: Sequence[Disk],
        smp: int,
        memory: str,
        icount: bool,
        tty: bool,
        append: str,
    ) -> list[str]:
        kernel = self.kernel
        words = f"{COMMAND_LINE} dmr.root={root} {append}"
        # The guest gets an empty /tmp, unless that would hide this tree.
        if Path("/tmp") in paths.PROJECT.parents:  # noqa: S108 - asked about, not used
            words += " dmr.keep_tmp"
        modules = root == "host" and not kernel.is_host
        words += " dmr.modules" if modules else ""
        args = [accel.QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        accelerator = "tcg" if icount else accel.choose()
        processor = "max" if icount or accelerator == "kvm" else EMULATED
        args += ["-machine", "q35", "-cpu", processor, "-smp", str(smp), "-m", memory]
        args += ["-accel", accelerator]
        if icount:
            args += ["-icount", "shift=0,sleep=off"]
        args += ["-kernel", str(kernel.vmlinux()), "-append", words]
        args += ["-initrd", str(initrd or initramfs.build(kernel, root))]

        sockets = self._directory
        console = f"path={sockets}/console,server=on,wait=off,logfile={_quote(self.console)}"
        args += ["-chardev", f"socket,id=console,{console}", "-serial", "chardev:console"]
        args += ["-chardev", f"socket,id=ctl,path={sockets}/ctl,server=on,wait=off"]
        args += ["-qmp", f"unix:{sockets}/qmp,server=on,wait=off"]
        args += ["-device", "virtio-serial-pci"]
        args += ["-device", "virtserialport,chardev=ctl,name=ctl"]
        if tty:
            args += ["-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty"]

        if root == "host":
            args += _share("host", Path("/"), ",readonly=on")
        if modules:
            args += _share("modules", kernel.modules, ",readonly=on")
        if self._job:
            args += _share("job", self._job)
        for number, disk in enumerate(disks):
            drive = f"id=disk{number},file={_quote(disk.image)},if=none,format=raw"
            args += ["-drive", f"{drive},cache=writeback,discard=unmap"]
            args += ["-device", f"virtio-blk-pci,drive=disk{number},serial={disk.serial}"]
        return args

    # On a loaded host the emulator at times runs an instruction that the kernel is just patching
    # on another processor. That is before the guest is up: one more attempt hides nothing of ours.
    def _boot(self, tty: bool) -> None:
        for attempts_left in reversed(range(BOOT_ATTEMPTS)):
            self._start(tty)
            try:
                self._read_until(b"READY\n", time.monotonic() + BOOT_SECONDS)
            except GuestDiedError as error:
                if tty or not attempts_left or "int3: 0000" not in str(error):
                    raise
                print("The guest died while it booted (int3); once more.", file=sys.stderr)
                self._clear()
            else:
                return

    def _clear(self) -> None:
        """Forget a machine that has died, so that another can be started in its place."""
        if self._control:
            self._control.close()
        self._buffer = b""
        for name in ("console", "ctl", "qmp"):
            (self._directory / name).unlink(missing_ok=True)

    def _start(self, tty: bool) -> None:
        with (self._directory / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self.args,
                stdin=None if tty else subprocess.DEVNULL,
                stdout=None if tty else stderr,
                stderr=stderr,
                # Ctrl-C is for us to handle, not for QEMU, unless the user talks to the guest.
                start_new_session=not tty,
                preexec_fn=_die_with_parent,
            )
        self._control = self._connect("ctl")

    def _continue(self) -> None:
        while self.qmp("query-status")["status"] == "inmigrate":
            time.sleep(0.01)
        self.qmp("cont")
        self.sh("true", timeout=BOOT_SECONDS)

    def _connect(self, name: str) -> socket.socket:
        path = str(self._directory / name)
        deadline = time.monotonic() + 10
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(path)
            except OSError as error:
                connection.close()
                if self._process and self._process.poll() is not None:
                    raise self._died("QEMU ended at once.") from error
                if time.monotonic() > deadline:
                    raise VMError(f"QEMU doesn't listen on {path}.") from error
                time.sleep(0.01)
            else:
                return connection

    def _send(self, data: bytes) -> None:
        assert self._control
        try:
            self._control.sendall(data)
        except OSError as error:
            raise self._died("The guest is gone.") from error

    def _read_until(
        self,
        mark: bytes,
        deadline: float,
        on_output: Callable[[str], None] | None = None,
        command: str = "",
    ) -> bytes:
        """Return what comes before the mark, and leave in the buffer what comes after it."""
        assert self._control
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        shown = 0
        while True:
            end = self._buffer.find(mark)
            if on_output:
                # What follows a mark's first byte may be the beginning of the mark.
                ready = end if end >= 0 else self._buffer.find(_MARK, shown)
                ready = ready if ready >= 0 else len(self._buffer)
                if text := decoder.decode(self._buffer[shown:ready]):
                    on_output(text)
                shown = ready
            if end >= 0:
                data, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
                return data
            try:
                self._control.settimeout(max(0.001, deadline - time.monotonic()))
                received = self._control.recv(1 << 16)
            except TimeoutError as error:
                raise self._timed_out(command) from error
            except OSError:
                received = b""
            if not received:
                raise self._died("The guest died.")
            self._buffer += received

    def _timed_out(self, command: str) -> GuestTimeoutError:
        # Let the kernel print its tasks in uninterruptible sleep: most hangs are theirs.
        with contextlib.suppress(VMError, OSError):
            self.sysrq("9w")
            time.sleep(1)
        so_far = self._buffer.decode(errors="replace")[-2000:]
        return GuestTimeoutError(
            f"The guest didn't finish in time: {command or 'boot'}\n{so_far}\n{self._evidence()}",
            self.console,
        )

    def _died(self, what: str) -> GuestDiedError:
        self.kill()
        stderr = (self._directory / "stderr").read_text(errors="replace").strip()
        return GuestDiedError(f"{what}\n{stderr}\n{self._evidence()}", self.console)

    def _evidence(self) -> str:
        return f"The end of its console ({self.console}):\n{self.console_tail()}"


def _share(tag: str, directory: Path, options: str = "") -> list[str]:
    fsdev = f"local,id={tag},path={_quote(directory)},security_model=none,multidevs=remap{options}"
    return ["-fsdev", fsdev, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _quote(path: Path) -> str:
    """A path inside a comma-separated QEMU option."""
    return str(path).replace(",", ",,")


def _die_with_parent() -> None:
    # prctl(PR_SET_PDEATHSIG): an orphan would keep the images locked and the processors busy.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _new_log(name: str) -> Path:
    """A fresh file for a console; the oldest logs go."""
    paths.LOG.mkdir(parents=True, exist_ok=True)
    old = sorted(paths.LOG.glob("*.log"), key=lambda path: path.stat().st_mtime)
    for path in old[:-KEPT_LOGS]:
        path.unlink(missing_ok=True)
    return paths.LOG / f"{name}-{os.getpid()}-{next(_numbers)}.log"
