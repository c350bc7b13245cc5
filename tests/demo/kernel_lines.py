"""Count what the kernel log says about errors of one block device and the file system on it."""

import os
import re

_TROUBLE = re.compile(r"error|abort|remount|failed|corrupt|lost", re.IGNORECASE)


class Log:
    """The kernel's messages from now on."""

    def __init__(self, device: str) -> None:
        # The kernel names device-mapper devices by number: dm-5.
        number = os.stat(device).st_rdev
        sysfs = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
        self._name = re.compile(rf"\b{os.path.basename(os.path.realpath(sysfs))}\b")
        self._kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._kmsg, 0, os.SEEK_END)

    def lines(self) -> int:
        """How many lines told of trouble with the device; once."""
        count = 0
        while True:
            try:
                text = os.read(self._kmsg, 1 << 16).decode(errors="replace")
            except BrokenPipeError:
                continue
            except BlockingIOError:
                break
            message = text.partition(";")[2]
            count += bool(self._name.search(message) and _TROUBLE.search(message))
        os.close(self._kmsg)
        return count
