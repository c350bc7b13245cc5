"""What the kernel's log said while something was done."""

import os
import re

__all__ = ["KernelLog"]


class KernelLog:
    """Remembers where the kernel log ends now; lines() has what came since.

    Without the right to read the log there are no lines.
    """

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self._fd: int | None
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self._fd = None

    def lines(self, pattern: str = r"device-mapper:.*remap") -> list[str]:
        """New lines that match, without time stamps; closes the log."""
        found: list[str] = []
        if self._fd is None:
            return found
        try:
            while True:
                try:
                    record = os.read(self._fd, 8192)
                except BrokenPipeError:
                    # records were overwritten before they were read: go on with the next
                    continue
                except OSError:
                    break
                if not record:
                    break
                text = record.decode("utf-8", "replace").partition(";")[2].splitlines()
                if text and re.search(pattern, text[0]):
                    found.append(text[0])
        finally:
            os.close(self._fd)
            self._fd = None
        return found
