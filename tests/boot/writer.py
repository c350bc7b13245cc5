"""In the guest: write files, sync them, and say so outside. Ends with the power.

python -m tests.boot.writer FOLDER JOURNAL
"""

import hashlib
import os
import sys
from pathlib import Path


def name_of(number: int) -> str:
    """The name of the file that is written as this one."""
    return f"file{number if number % 4 else number // 8}"


def main() -> None:
    """Write for ever."""
    folder, journal = Path(sys.argv[1]), Path(sys.argv[2])
    with journal.open("w") as acknowledged:
        for number in range(1_000_000):
            data = hashlib.sha256(str(number).encode()).digest() * 1024
            # some are written over: what was there before must not come back
            name = name_of(number)
            with open(folder / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            parent = os.open(folder, os.O_RDONLY)
            os.fsync(parent)
            os.close(parent)
            acknowledged.write(f"{number} {name} {hashlib.sha256(data).hexdigest()}\n")
            acknowledged.flush()


if __name__ == "__main__":
    main()
