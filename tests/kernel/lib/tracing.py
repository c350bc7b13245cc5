"""What the block layer's tracepoints tell about a disk."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.kernel.lib.blockdev import BlockDevice

_TRACING = Path("/sys/kernel/tracing")


class WriteTrace:
    """Follows the writes to a disk; called after the with block, tells them in order."""

    def __init__(self, disk: BlockDevice) -> None:
        self._wanted = f"{disk.number} W"
        self._events = [
            _TRACING / "events/block" / event / "enable"
            for event in ("block_bio_queue", "block_bio_complete")
        ]

    def __enter__(self) -> Callable[[], list[tuple[bool, int]]]:
        (_TRACING / "trace").write_text("")
        for event in self._events:
            event.write_text("1")
        return self._read

    def __exit__(self, *_: object) -> None:
        for event in self._events:
            event.write_text("0")

    def _read(self) -> list[tuple[bool, int]]:
        """Whether a write was submitted (or completed), and where it began."""
        lines = (_TRACING / "trace").read_text().splitlines()
        found = []
        for line in lines:
            match = re.search(r"block_bio_(queue|complete): (\d+,\d+ W)\S* (\d+)", line)
            if match and match[2] == self._wanted:
                found.append((match[1] == "queue", int(match[3])))
        return found
