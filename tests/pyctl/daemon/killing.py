"""Processes that kill themselves with SIGKILL at a chosen point."""

import os
import signal
import tempfile
from pathlib import Path

from pyctl.daemon.store import Store

# Thousands of commits that wait for a disk would take minutes; a kill needs none.
MEMORY = Path("/dev/shm")  # noqa: S108


def folder():
    """A temporary folder, in memory if there is such."""
    return tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)


class Killer:
    """Counts the points that are passed, and dies at the one it was told."""

    def __init__(self, at):
        self.left = at

    def point(self):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


class KilledStore(Store):
    """Passes a point before and behind every commit."""

    killer = Killer(-1)

    def _commit(self):
        self.killer.point()
        super()._commit()
        self.killer.point()


def whole(job):
    """Runs the job to its end, here."""
    KilledStore.killer = Killer(-1)
    job(KilledStore.killer)


def in_child(job, at):
    """Runs job(killer) in a child of its own; True if it was killed at point `at`.

    An exception in the child fails the test.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            KilledStore.killer = Killer(at)
            job(KilledStore.killer)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
