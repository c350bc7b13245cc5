"""Asking devices that may never answer.

A read from a broken device can hang where nothing interrupts it, and a process with such a thread
cannot end. So each device is asked by a child process of its own; one that does not answer in time
is left behind.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pyctl.errors import PyctlError

__all__ = ["Answer", "ask_all"]

# Children at one time: each costs memory, and hundreds of devices are usual on some machines.
_CROWD = 32
# How long those that have answered or were killed may take to go.
_LAST_SECONDS = 1.0
_DATA, _ERROR = b"D", b"E"


@dataclass(frozen=True)
class Answer:
    """What a job returned, or why there is nothing."""

    data: bytes = b""
    why: str = ""


@dataclass
class _Child:
    number: int
    pid: int
    fd: int
    deadline: float
    received: bytes = b""


def ask_all(jobs: Sequence[Callable[[], bytes]], seconds: float) -> list[Answer]:
    """Run each job in a process of its own, for at most so many seconds; answers in their order.

    What a job changes in memory is lost. PyctlError and OSError become `why`, as does silence.
    """
    answers = [Answer(why=f"it did not answer within {seconds:g} s")] * len(jobs)
    waiting = list(enumerate(jobs))[::-1]
    pids: list[int] = []
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            while waiting and len(selector.get_map()) < _CROWD:
                child = _start(*waiting.pop(), time.monotonic() + seconds)
                pids.append(child.pid)
                selector.register(child.fd, selectors.EVENT_READ, child)
            children: list[_Child] = [key.data for key in selector.get_map().values()]
            first = min(child.deadline for child in children)
            ready = selector.select(max(0.0, first - time.monotonic()))
            for key, _ in ready:
                if _receive(key.data):
                    answers[key.data.number] = _answer(key.data)
                    selector.unregister(key.data.fd)
                    _end(key.data)
            for child in children if not ready else ():
                if time.monotonic() >= child.deadline:
                    selector.unregister(child.fd)
                    _end(child)
    _reap(pids)
    return answers


def _start(number: int, job: Callable[[], bytes], deadline: float) -> _Child:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return _Child(number, pid, ours, deadline)
    # Nothing that the parent would do at its end may happen here.
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # One that hangs must hold neither a lock of ours nor the reader of our output.
        os.closerange(0, theirs)
        os.closerange(theirs + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            said = _DATA + job()
        except PyctlError as error:
            said = _ERROR + error.message.rstrip(".").encode()
        except OSError as error:
            said = _ERROR + str(error).encode()
        while said:
            said = said[os.write(theirs, said) :]
    finally:
        os._exit(0)


# True when all has come.
def _receive(child: _Child) -> bool:
    data = os.read(child.fd, 1 << 16)
    child.received += data
    return not data


def _answer(child: _Child) -> Answer:
    kind, rest = child.received[:1], child.received[1:]
    if kind == _DATA:
        return Answer(data=rest)
    return Answer(why=rest.decode(errors="replace") or "whoever asked it died")


def _end(child: _Child) -> None:
    os.close(child.fd)
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)


# A child that hangs in the kernel goes when the kernel lets it; nobody waits for that.
def _reap(pids: list[int]) -> None:
    deadline = time.monotonic() + _LAST_SECONDS
    while pids and time.monotonic() < deadline:
        pids = [pid for pid in pids if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        if pids:
            time.sleep(0.001)
