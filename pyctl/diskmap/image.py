"""The map as a PNG image. Pillow is in the extra `map`."""

from pathlib import Path

from pyctl.diskmap.cells import DiskMap
from pyctl.errors import PyctlError, from_os_error

__all__ = ["write_png"]

# Cells of an image at most: 16 TB at one region a cell.
_MOST_CELLS = 16_000_000
# The image is about so many pixels wide and high, if its cells are not single pixels.
_PIXELS = 768


def write_png(disk: DiskMap, path: Path) -> None:
    """Write it: rows from left to right, the first region at the top left.

    Raises PyctlError when Pillow is missing or the file cannot be written.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise PyctlError(
            "The Python package Pillow is missing.",
            hint="It comes with: pip install 'dm-remap[map]'",
        ) from error
    _, cells = disk.grouped(_MOST_CELLS)
    width = max(1, round(len(cells) ** 0.5))
    height = -(-len(cells) // width)
    image = Image.new("RGB", (width, height))
    image.putdata([cell.colour for cell in cells])
    scale = max(1, _PIXELS // width)
    try:
        image.resize((width * scale, height * scale), Image.Resampling.NEAREST).save(path, "PNG")
    except OSError as error:
        raise from_os_error(error, f"{path} cannot be written") from error
