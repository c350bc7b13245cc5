"""A load that goes on while a test does something else, and knows what every block must hold.

Two parts. fio writes at random and verifies: its blocks carry their offset, a checksum and the
number of the write, so that lost, damaged, misplaced and stale blocks show; its jobs have ranges of
their own. A prober writes and reads one block at a time, every few milliseconds. It compares with
what it wrote last, however long ago, and measures how long the longest request took.

The end of the with block raises LoadError when anything was wrong: data, an error of a request
that was not announced by may_fail(), a pause, or too little I/O: a load that does nothing proves
nothing.
"""

import contextlib
import errno
import json
import random
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.kernel.lib.blockdev import SECTOR, BlockDevice
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.retry import PATIENCE, SLOWNESS, wait_until

# What a user is promised is less than a second. An emulated guest on a busy host stands still for
# longer than that all by itself, so this only tells a pause from an operation that blocks I/O for
# as long as it takes. The figure of each run is in the JUnit file.
LONGEST_PAUSE = 5.0

# What every fio job and the prober must have done at the least.
LEAST_IOS = 50

_MIB = 1 << 20
_PROBER_BLOCK = 4096
_PROBER_BLOCKS = 64
_PROBER_PAUSE = 0.003


@dataclass(frozen=True)
class Job:
    """A job of fio: random writes over a range of its own, and reads that verify them."""

    name: str
    start: int  # in bytes, from the start of the load's range
    size: int
    block: int  # bytes of a request; 0 for the logical blocks of the device
    options: Mapping[str, object]


# Of one size of block each, for fio compares the numbers of writes only then.
JOBS = (
    # Single units, with flushes in between; verified soon after they were written.
    Job("units", 0, _MIB // 2, 0, {"iodepth": 4, "verify_backlog": 32, "fsync": 64}),
    # Many at once, likewise.
    Job("churn", _MIB, 2 * _MIB, 4096, {"iodepth": 8, "verify_backlog": 64}),
    # All of a range is written before it is verified: blocks that rest, and may be moved meanwhile.
    Job("settled", 3 * _MIB, 2 * _MIB, 16384, {"iodepth": 4}),
    # Reads of anything among the writes.
    Job("mixed", 5 * _MIB, _MIB, 4096, {"iodepth": 4, "rw": "randrw", "fsync": 128}),
)
PROBER_START = 6 * _MIB  # in bytes, too
PROBER_SECTORS = _PROBER_BLOCKS * _PROBER_BLOCK // SECTOR
# How much of a device a load needs.
LOAD_SECTORS = 7 * _MIB // SECTOR

_COMMON: Mapping[str, object] = {
    "ioengine": "libaio",
    "direct": 1,
    "thread": 1,
    "rw": "randwrite",
    "verify": "crc32c",
    "verify_fatal": 1,
    "verify_state_save": 0,
    "continue_on_error": "io",
    "error_dump": 1,
    # Over and over. With time_based fio would not compare the numbers of writes.
    "loops": 1_000_000,
}

# fio: io_u error on file /dev/dm-1: Input/output error: read offset=1118208, buflen=4096
_IO_ERROR = re.compile(r"io_u error on file .*: (read|write|sync) offset=(\d+), buflen=(\d+)")


class LoadError(AssertionError):
    """The load has seen what must not be; the text has the words of fio and of the prober."""


@dataclass(frozen=True)
class Pause:
    """How long a request took, in seconds, and whose it was."""

    seconds: float
    who: str


@dataclass(frozen=True)
class Figures:
    """What a load has done."""

    ios: Mapping[str, int]  # requests of each job and of the prober
    failed: int  # requests that failed, as they could
    longest: Pause


class Prober:
    """One block at a time, compared with what was written to it last, and timed."""

    def __init__(self, device: BlockDevice, offset: int, *, flush: bool) -> None:
        self.ios = 0
        self.failed = 0
        self.longest = Pause(0, "prober")
        self.may_fail: set[int] = set()  # sectors
        self._device = device
        self._offset = offset
        self._flush = flush
        self._newest: dict[int, bytes] = {}
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> list[str]:
        """End, after every block has been read once more; what was wrong."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            return [f"prober: a request didn't end in {timeout} s"]
        return [f"prober: {self._error}"] if self._error else []

    @property
    def running(self) -> bool:
        """Whether nothing has gone wrong yet."""
        return self._thread.is_alive()

    def _run(self) -> None:
        rng = random.Random(1)
        try:
            with DirectFile(self._device) as file:
                while not self._stop.is_set():
                    self._step(file, rng)
                    time.sleep(_PROBER_PAUSE)
                for block in self._newest:
                    self._read(file, block)
        except BaseException as error:  # noqa: BLE001 (told by stop)
            self._error = error

    def _step(self, file: DirectFile, rng: random.Random) -> None:
        block = rng.randrange(_PROBER_BLOCKS)
        if block not in self._newest or rng.random() < 0.5:
            self._write(file, block)
        else:
            self._read(file, block)
        if self._flush and self.ios % 64 == 0:
            with self._timed("flush"):
                file.fsync()

    def _write(self, file: DirectFile, block: int) -> None:
        offset = self._offset + block * _PROBER_BLOCK
        data = struct.pack("<QQ", offset, self.ios) * (_PROBER_BLOCK // 16)
        with self._timed("write"):
            file.pwrite(offset, data)
        self._newest[block] = data

    def _read(self, file: DirectFile, block: int) -> None:
        offset = self._offset + block * _PROBER_BLOCK
        try:
            with self._timed("read"):
                found = file.pread(offset, _PROBER_BLOCK)
        except OSError:
            if not _touches(offset, _PROBER_BLOCK, self.may_fail):
                raise
            self.failed += 1
            return
        wanted = self._newest[block]
        if found != wanted:
            raise LoadError(
                f"bytes {offset} to {offset + _PROBER_BLOCK} hold {_describe(found)},"
                f" written was {_describe(wanted)}"
            )

    @contextlib.contextmanager
    def _timed(self, what: str) -> Any:
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            self.ios += 1
            if seconds > self.longest.seconds:
                self.longest = Pause(seconds, f"prober's {what}")


class VerifyingLoad:
    """A load on the first LOAD_SECTORS of a device; see the module.

    `flush` has some requests be flushes. `pause` is the longest that a request may take, in
    seconds, `least` how many each part must do.
    """

    def __init__(
        self,
        device: BlockDevice,
        *,
        flush: bool = True,
        pause: float = LONGEST_PAUSE,
        least: int = LEAST_IOS,
    ) -> None:
        self._device = device
        self._flush = flush
        self._limit = pause * SLOWNESS
        self._least = least
        self._may_fail: set[int] = set()
        self._figures: Figures | None = None

    @property
    def figures(self) -> Figures:
        """What it has done; after its end."""
        assert self._figures
        return self._figures

    def __enter__(self) -> Self:
        assert self._device.sectors >= LOAD_SECTORS
        self._folder = tempfile.TemporaryDirectory(prefix="verify.")
        folder = Path(self._folder.name)
        (folder / "jobs").write_text(self._job_file())
        self._out = folder / "fio.json"
        self._err = folder / "fio.err"
        before = self._done()
        with self._err.open("wb") as err:
            words = ("/usr/bin/env", "fio", "--output-format=json", f"--output={self._out}", "jobs")
            self._fio = subprocess.Popen(words, cwd=folder, stdout=err, stderr=err)
        self._prober = Prober(self._device, PROBER_START, flush=self._flush)
        self._prober.may_fail = self._may_fail
        try:
            # Before the prober adds its own.
            wait_until(
                lambda: not self._alive() or self._done() - before > LEAST_IOS, "fio works", 60
            )
            self._prober.start()
            self.work()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        problems = self._end()
        if not problems:
            return
        text = "\n".join(problems)
        if error is None:
            raise LoadError(text)
        error.add_note(f"And the load: {text}")

    def work(self, ios: int = 50) -> None:
        """Wait until the prober and fio have each done so many more requests, or have failed."""
        done, probes = self._done(), self._prober.ios

        def enough() -> bool:
            if not self.running:
                return True
            by_prober = self._prober.ios - probes
            return by_prober >= ios and self._done() - done - by_prober >= ios

        wait_until(enough, f"{ios} requests more", timeout=60)

    @property
    def running(self) -> bool:
        """Whether neither fio nor the prober has given up."""
        return self._alive() and self._prober.running

    def may_fail(self, sectors: Iterable[int]) -> None:
        """Say of sectors that reads of them may fail from now on."""
        self._may_fail |= set(sectors)

    def _alive(self) -> bool:
        return self._fio.poll() is None

    def _done(self) -> int:
        """Reads and writes that the device has completed."""
        fields = (self._device.sysfs / "stat").read_text().split()
        return int(fields[0]) + int(fields[4])

    def _job_file(self) -> str:
        lines = ["[global]", f"filename={self._device}"]
        lines += [f"{key}={value}" for key, value in _COMMON.items()]
        for job in JOBS:
            lines += [f"[{job.name}]", f"offset={job.start}", f"size={job.size}"]
            lines.append(f"bs={job.block or self._device.queue('logical_block_size')}")
            for key, value in job.options.items():
                if self._flush or key != "fsync":
                    lines.append(f"{key}={value}")
        return "\n".join(lines) + "\n"

    def _end(self) -> list[str]:
        """Stop both; what was wrong."""
        problems = self._prober.stop(60 * PATIENCE)
        problems += self._stop_fio()
        said = self._err.read_text(errors="replace")
        report = self._out.read_text(errors="replace") if self._out.exists() else ""
        self._folder.cleanup()
        problems += self._judge(said, report)
        return problems

    def _stop_fio(self) -> list[str]:
        early = not self._alive()
        if not early:
            self._fio.send_signal(signal.SIGINT)
        try:
            self._fio.wait(60 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._fio.kill()
            return ["fio: didn't end"]
        return [f"fio: ended too early, with status {self._fio.returncode}"] if early else []

    def _judge(self, said: str, report: str) -> list[str]:
        errors = [match.groups() for match in _IO_ERROR.finditer(said)]
        bad = [
            f"fio: {what} of bytes {offset} to {int(offset) + int(length)} failed"
            for what, offset, length in errors
            if what != "read" or not _touches(int(offset), int(length), self._may_fail)
        ]
        bad += [f"fio: {line}" for line in said.splitlines() if line.startswith("verify: ")]
        try:
            jobs = json.loads(report[report.index("{") :])["jobs"]
        except (ValueError, KeyError):
            return [*bad, f"fio: no report, status {self._fio.returncode}:\n{said}{report}"]
        # Of a job that goes on after its first error, that one is told.
        fine = (0, errno.EIO) if errors and not bad else (0,)
        bad += [
            f"fio: job {job['jobname']} has error {job['error']}"
            for job in jobs
            if job["error"] not in fine
        ]
        if bad:
            bad = [*bad[:10], f"({len(bad)} lines in all)", said[:4000]]
        self._figures = self._sum_up(jobs, len(errors))
        return bad + self._shortfalls(self._figures)

    def _sum_up(self, jobs: list[Mapping[str, Any]], failed: int) -> Figures:
        ios = {job["jobname"]: job["read"]["total_ios"] + job["write"]["total_ios"] for job in jobs}
        pauses = [self._prober.longest]
        for job in jobs:
            for what, latency in (
                ("read", job["read"]["clat_ns"]["max"]),
                ("write", job["write"]["clat_ns"]["max"]),
                ("flush", job["sync"]["lat_ns"]["max"]),
            ):
                pauses.append(Pause(latency / 1e9, f"{what} of fio's job {job['jobname']}"))
        return Figures(
            ios={**ios, "prober": self._prober.ios},
            failed=failed + self._prober.failed,
            longest=max(pauses, key=lambda pause: pause.seconds),
        )

    def _shortfalls(self, figures: Figures) -> list[str]:
        found = [
            f"{name} did {count} requests only"
            for name, count in figures.ios.items()
            if count < self._least
        ]
        if figures.longest.seconds > self._limit:
            found.append(f"a {figures.longest.who} took {figures.longest.seconds:.1f} s")
        return found


def _touches(offset: int, length: int, sectors: set[int]) -> bool:
    return not sectors.isdisjoint(range(offset // SECTOR, -(-(offset + length) // SECTOR)))


def _describe(data: bytes) -> str:
    """What a block of the prober says of itself."""
    pieces = {data[i : i + 16] for i in range(0, len(data), 16)}
    if len(pieces) > 3:
        return f"{len(pieces)} different pieces, the first {data[:16].hex()}"
    return " and ".join(
        "write {1} of offset {0}".format(*struct.unpack("<QQ", piece)) for piece in pieces
    )
