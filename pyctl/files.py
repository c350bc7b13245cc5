"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from pyctl.errors import from_os_error

__all__ = ["sync_folder", "write_whole"]


def write_whole(path: Path, data: bytes, *, replace: bool, mode: int = 0o600) -> None:
    """Write a file so that it is there whole or not at all, and on the medium.

    Raises PyctlError as the system calls say, also if there is one already and `replace` is not
    given.
    """
    temp = ""
    try:
        fd, temp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        if replace:
            Path(temp).replace(path)
        else:
            # unlike a rename, a link never replaces what has come into being meanwhile
            os.link(temp, path)
            Path(temp).unlink()
        sync_folder(path.parent)
    except OSError as error:
        if temp:
            Path(temp).unlink(missing_ok=True)
        raise from_os_error(error, f"Cannot write {path}") from error


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the medium."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
