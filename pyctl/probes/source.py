"""Where frames come from: the worker with its BPF programs, or else the kernel's counters."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from pyctl.errors import PyctlError
from pyctl.probes import planning
from pyctl.probes.frames import End, Frame, Header, parse
from pyctl.probes.kernel_counters import KernelCounters
from pyctl.run import start

__all__ = ["Source", "Worker", "opened"]

_COMPLAINTS = 2000
_END_SECONDS = 60


class Source(Protocol):
    """What gives frames."""

    @property
    def header(self) -> Header:
        """What is looked at."""

    def frames(self) -> Iterator[Frame]:
        """A frame each interval."""

    def finish(self) -> Frame:
        """The last one: what has happened since the one before."""

    def close(self) -> None:
        """End what was started."""


class _NoBpfError(PyctlError):
    """The worker says that BPF can't be had here."""


class Worker:
    """The process with the BPF programs (pyctl.probes.worker).

    It begins to count before this is made, and has counted everything when finish() is back; with a
    `share` below 1, all of so much of the time. Raises PyctlError if it fails.
    """

    def __init__(
        self,
        paths: Sequence[str],
        region_sectors: int,
        interval: float,
        command: Sequence[str] = (),
        *,
        share: float = 1.0,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        words = [*command] or [sys.executable, "-m", "pyctl.probes.worker"]
        self._process, self._stdin, self._stdout = start(words, stderr=self._stderr)
        try:
            request = {"paths": list(paths), "region_sectors": region_sectors, "interval": interval}
            self._send(json.dumps(request | ({"share": share} if share < 1 else {})))
            self.header = self._header()
        except BaseException:
            self.close()
            raise

    def frames(self) -> Iterator[Frame]:
        """A frame each interval, until the worker ends."""
        while isinstance(found := self._next(), Frame):
            yield found

    def frame(self) -> Frame:
        """Ask for what has happened since the last frame; of use with a long interval."""
        self._send("")
        found = self._next()
        if not isinstance(found, Frame):
            raise self._failed("It ended.")
        return found

    def finish(self) -> Frame:
        """End it, and give what has happened since the last frame."""
        self._stdin.close()
        rest = list(self.frames())
        if not rest:
            raise self._failed("It ended without a last frame.")
        last = rest[0]
        for frame in rest[1:]:
            for key, part in frame.parts.items():
                last.part(*key).add(part)
            last.at, last.seconds = frame.at, last.seconds + frame.seconds
            if last.looked is not None and frame.looked is not None:
                last.looked += frame.looked
            last.in_flight = frame.in_flight
            last.losses = [_sum(*pair) for pair in zip(last.losses, frame.losses, strict=True)]
        return last

    def close(self) -> None:
        """End the process, at once if need be."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        # It may be about to write, and would wait for us for ever.
        self._stdout.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _header(self) -> Header:
        line = self._line()
        try:
            plain = json.loads(line)
        except ValueError:
            raise self._failed("It did not begin.") from None
        if why := plain.get("unavailable"):
            raise _NoBpfError(f"{why}{self._clang()}")
        if why := plain.get("failed"):
            raise PyctlError(why, hint=plain.get("hint", ""))
        header = parse(line)
        if not isinstance(header, Header):
            raise self._failed("It did not begin with a header.")
        return header

    def _next(self) -> Header | Frame | End:
        line = self._line()
        if not line:
            raise self._failed("It ended suddenly.")
        return parse(line)

    def _line(self) -> str:
        return self._stdout.readline().decode(errors="replace")

    def _send(self, line: str) -> None:
        try:
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()
        except OSError as error:
            raise self._failed("It ended at once.") from error

    def _failed(self, what: str) -> PyctlError:
        return PyctlError(f"The worker of the probes failed. {what}{self._clang()}")

    # The end of what bcc and clang wrote.
    def _clang(self) -> str:
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip()[-_COMPLAINTS:]
        return f" It said: {said}" if said else ""


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one | other}


@contextmanager
def opened(
    paths: Sequence[str],
    region_sectors: int,
    interval: float,
    *,
    bpf: bool = True,
    share: float = 1.0,
) -> Iterator[Source]:
    """Look at devices: by BPF, or by the kernel's counters where that is impossible or not wanted.

    BPF looks for a `share` of the time, the counters always.
    Raises PyctlError: for devices that can't be looked at, and when the worker fails.
    """
    source: Source | None = None
    why = "It was asked for by --no-bpf."
    devices = planning.plan(paths, region_sectors)
    if bpf:
        try:
            source = Worker(paths, region_sectors, interval, share=share)
        except _NoBpfError as error:
            why = error.message
    if source is None:
        source = KernelCounters(devices, interval, why)
    try:
        yield source
    finally:
        source.close()
