"""Where the harness finds the project and where it keeps its files."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILD = PROJECT / "build"
PYTHON = BUILD / "venv" / "bin" / "python"

# What can be made again at any time: kernels, initramfs images, the answer to "is there KVM?".
CACHE = BUILD / "vm" / "cache"
# One console log per boot, for reading after a failure.
LOG = BUILD / "vm" / "log"


def module(release: str) -> Path:
    """Where `make module KVER=release` puts the module."""
    return BUILD / "module" / release / "kernel" / "dm-remap.ko"
