"""The running kernel's log."""

import os

from tests.vm.kernel_log import TEST_MARK, find_problems


class KernelLog:
    """Follows the log from the moment it is opened."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines: list[str] = []

    def close(self) -> None:
        """Stop following."""
        os.close(self._fd)

    def lines(self) -> list[str]:
        """All messages since it was opened."""
        while True:
            try:
                record = os.read(self._fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return self._lines
            except BrokenPipeError:
                # Messages were overwritten before they were read; go on behind them.
                continue
            self._lines.append(record.partition(";")[2].partition("\n")[0])

    def problems(self) -> list[str]:
        """The messages that report a bug, a warning or a hang."""
        return find_problems("\n".join(self.lines()))


def mark_test(name: str) -> None:
    """Tell the log, and so the console of a guest that dies, which test starts."""
    with open("/dev/kmsg", "w") as kmsg:
        kmsg.write(f"<4>{TEST_MARK}{name}\n")
