"""Recordings: each line a gzip member of its own.

So a file that was cut off is read up to there. `zcat` reads them, too. Each member has a checksum.
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pyctl.errors import PyctlError
from pyctl.probes.frames import End, Frame, Header, parse

__all__ = ["Recorder", "Recording"]

_LEVEL = 6
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 16


class Recorder:
    """Writes a recording; whatever was written stays readable if this process is killed."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises FileExistsError, and other OSErrors."""
        self._file = path.open("xb", buffering=0)
        self._write(header.line())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, frame: Frame | End) -> None:
        """Append a frame, or the end."""
        self._write(frame.line())

    @property
    def bytes_written(self) -> int:
        """The length of the file."""
        return os.fstat(self._file.fileno()).st_size

    def _write(self, line: str) -> None:
        self._file.write(gzip.compress(line.encode() + b"\n", _LEVEL, mtime=0))


class Recording:
    """A recording that was made earlier.

    After frames() is through, `problem` says in a sentence why it ended before its end, or is "".
    Raises PyctlError if not even a header can be read, and OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._lines = self._read()
        first = next(self._lines, "")
        header = parse(first) if first else None
        if not isinstance(header, Header):
            raise PyctlError(f"{path} is not a recording of probes.")
        self.header = header

    def frames(self) -> Iterator[Frame]:
        """The frames up to the end, or to where the file was cut off or damaged; once."""
        ended = False
        try:
            for line in self._lines:
                found = parse(line)
                if isinstance(found, End):
                    ended = True
                    break
                if isinstance(found, Header):
                    self.problem = f"{self.path} has a second header, and is read no further."
                    return
                yield found
        except PyctlError as error:
            self.problem = f"{self.path} is damaged, and is read no further: {error.message}"
        if not ended and not self.problem:
            self.problem = f"{self.path} was cut off: the recording was interrupted."

    def _read(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            data = b""
            while True:
                member = zlib.decompressobj(_GZIP)
                text = b""
                while not member.eof:
                    if not data and not (data := file.read(_PIECE)):
                        return
                    try:
                        text += member.decompress(data)
                    except zlib.error as error:
                        self.problem = f"{self.path} is damaged, and is read no further: {error}."
                        return
                    data = member.unused_data
                yield text.decode(errors="replace").rstrip("\n")
