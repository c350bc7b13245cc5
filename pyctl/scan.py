"""The health scan of a live device: what it is doing, what it has found, and orders to it.

Sectors are 512-byte sectors, times seconds since 1970 (0: never), rates KiB per second.
"""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

from pyctl.control import Control, Progress
from pyctl.errors import DmError, MediaError, PyctlError, RefusedError
from pyctl.status import key_values

__all__ = [
    "PATTERNS",
    "REGION_SECTORS",
    "RELOCATE",
    "Candidate",
    "Region",
    "Scan",
    "ScanStatus",
    "Settings",
]

PATTERNS = ("sequential", "random", "staggered", "focused")
RELOCATE = ("off", "ask", "half", "always")

_POLL_SECONDS = 0.5
_MIB = 2048
# Sectors of a region, DMR_REGION_SECTORS in kernel/dm-remap-marks.h.
REGION_SECTORS = 2048

_REASONS = {
    "main-dead": "the main device answers nothing any more",
    "too-many-errors": "so many blocks cannot be read that this is no matter of single sectors",
    "device-error": "the device fails for another reason than its medium",
}


@dataclass(frozen=True)
class ScanStatus:
    """What the scan says of itself.

    `state` is off (nothing begins by itself), waiting, running, paused or suspended; `reason` a
    word for why it is paused, or `-`. `done` and `total` are sectors, `left` is in seconds, 0 when
    that is not known. `errors`, `rescued` and `relocated` count blocks, `slow` pieces of 32 KiB,
    `blanks` and `regions` regions of 1 MiB, `candidates` sectors.
    """

    state: str
    reason: str
    pattern: str
    number: int
    percent: int
    done: int
    total: int
    rate: int
    left: int
    errors: int
    rescued: int
    slow: int
    blanks: int
    relocated: int
    regions: int
    candidates: int
    last: int
    next: int
    health: int

    @classmethod
    def parse(cls, reply: str) -> Self:
        """Read a reply. Raises PyctlError if something is missing."""
        words = key_values(reply)
        # `pass` is a word of Python's
        words["number"] = words.get("pass", "")
        values: dict[str, str | int] = {}
        try:
            for field in fields(cls):
                text = words[field.name]
                values[field.name] = int(text) if field.type is int else text
        except (KeyError, ValueError) as error:
            raise PyctlError(f"Cannot understand what the scan says: {reply!r}.") from error
        return cls(**values)  # type: ignore[arg-type]

    @property
    def why(self) -> str:
        """Why it is paused, in words; empty when it was told to be, or is not."""
        return "" if self.reason == "-" else _REASONS.get(self.reason, self.reason)

    @property
    def findings(self) -> int:
        """How many things it has found in this pass, or in the last one."""
        return self.errors + self.rescued + self.slow + self.blanks


@dataclass(frozen=True)
class Region:
    """A region of 1 MiB of which the scan has something to tell.

    `spare` is None on main, `sector` where it begins there. `slow` and `marginal` count pieces of
    32 KiB, `errors` and `retries` blocks; older findings count for less. `usual_us` is what a read
    takes there when all is well, in microseconds, 0 when that is not known.
    """

    spare: int | None
    sector: int
    health: int
    errors: int
    retries: int
    slow: int
    marginal: int
    blanks: int
    usual_us: int

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line of the message. Raises PyctlError."""
        try:
            spare, sector, *rest = line.split()
            words = key_values(" ".join(rest))
            return cls(
                None if spare == "-" else int(spare),
                int(sector),
                **{field.name: int(words[field.name]) for field in fields(cls)[2:]},
            )
        except (KeyError, ValueError) as error:
            raise PyctlError(f"Cannot understand a region: {line!r}.") from error


@dataclass(frozen=True)
class Candidate:
    """A range of main that is slow time and again: it should be moved while it can be read."""

    sector: int
    sectors: int


@dataclass(frozen=True)
class Settings:
    """What becomes of slow pieces, and how fast the scan may be.

    `rate` is a limit in KiB/s, 0 for none; `share` percent of the time that it takes while others
    use the disks.
    """

    relocate: str
    rate: int
    share: int


class Scan:
    """The scan of a device. Every method raises what Control does."""

    def __init__(self, control: Control) -> None:
        self.control = control

    def status(self) -> ScanStatus:
        """What it is doing, and what it has found."""
        return self._order("status")

    def start(self, pattern: str | None = None) -> ScanStatus:
        """Begin a pass; without a pattern the kernel takes what is best.

        Raises RefusedError when one is under way.
        """
        try:
            return self._order("start", *([] if pattern is None else [pattern]))
        except DmError as error:
            if error.errno != errno.EALREADY:
                raise
            name = self.control.name
            raise RefusedError(
                f"A scan of {name} is under way already.",
                hint=f"`pyctl scan status {name}` shows how far it is; `resume` lets it go on"
                " when it is paused, `stop` ends it.",
            ) from error

    def stop(self) -> ScanStatus:
        """End the pass. Raises RefusedError when there is none."""
        return self._order_to_pass("stop")

    def pause(self) -> ScanStatus:
        """Let it wait, also after a restart. Raises RefusedError when there is none."""
        return self._order_to_pass("pause")

    def resume(self) -> ScanStatus:
        """Let it go on. Raises RefusedError when there is none."""
        return self._order_to_pass("resume")

    def wait(
        self, progress: Progress | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> ScanStatus:
        """Wait for the end of the pass; progress is told in MiB.

        An interruption leaves it running. Raises MediaError when it cannot go on by itself, and
        RefusedError when somebody else has paused or stopped it.
        """
        while True:
            now = self.status()
            if progress:
                progress(now.done // _MIB, now.total // _MIB)
            if now.state in ("waiting", "off") and now.percent == 100:
                return now
            if now.state not in ("running", "suspended"):
                raise self._ended_early(now)
            sleep(_POLL_SECONDS)

    def candidates(self) -> list[Candidate]:
        """What is slow time and again, by rising sector."""
        lines = self._pages("candidates")
        try:
            return [Candidate(*map(int, line.split())) for line in lines]
        except (TypeError, ValueError) as error:
            raise PyctlError("Cannot understand the list of candidates.") from error

    def regions(self) -> list[Region]:
        """Regions with something to tell: of main, then of each spare."""
        return [Region.parse(line) for line in self._pages("regions")]

    def settings(self) -> Settings:
        """How it is set."""
        words = (self.control.message("get", f"{key}") for key in _KEYS.values())
        found = key_values(" ".join(words))
        try:
            return Settings(found["relocate"], int(found["scan_rate"]), int(found["scan_share"]))
        except (KeyError, ValueError) as error:
            raise PyctlError("Cannot understand how the scan is set.") from error

    def change(self, **settings: str | int | None) -> Settings:
        """Change what is given of `relocate`, `rate` and `share`, until the device is stopped."""
        for name, value in settings.items():
            if value is not None:
                self.control.message("set", _KEYS[name], str(value))
        return self.settings()

    def _order(self, *words: str) -> ScanStatus:
        return ScanStatus.parse(self.control.message("scan", *words))

    def _order_to_pass(self, word: str) -> ScanStatus:
        try:
            return self._order(word)
        except DmError as error:
            if error.errno != errno.ENOENT:
                raise
            name = self.control.name
            raise RefusedError(
                f"No scan of {name} is under way.", hint=f"`pyctl scan start {name}` begins one."
            ) from error

    # All pages of a list: each ends with where the next one begins, or with `end`.
    def _pages(self, word: str) -> list[str]:
        found: list[str] = []
        start = "0"
        while True:
            *lines, last = self.control.message("scan", word, start).splitlines() or [""]
            found += lines
            if last == "end":
                return found
            head, sep, following = last.partition("next=")
            if head or not sep or not following.isdecimal() or int(following) <= int(start):
                raise PyctlError(f"Cannot understand a page of {word}: it ends with {last!r}.")
            start = following

    def _ended_early(self, now: ScanStatus) -> PyctlError:
        name = self.control.name
        if now.why:
            return MediaError(
                f"The scan of {name} waits at {now.percent} %: {now.why}.",
                hint=f"`pyctl scan resume {name}` goes on when that is mended.",
            )
        return RefusedError(
            f"Somebody else has ended the scan of {name}: it is {now.state} at {now.percent} %."
        )


_KEYS = {"relocate": "relocate", "rate": "scan_rate", "share": "scan_share"}
