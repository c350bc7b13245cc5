"""Find the installed kernels and turn their images into something QEMU boots fast.

A kernel is installed in the root of the host, unless the caller names another folder that is laid
out like one: boot/vmlinuz-<release> (or vmlinux-<release>) and lib/modules/<release>/.
"""

import lzma
import os
import re
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from tests.vm import paths
from tests.vm.errors import VMError

SERIES = ("6.1", "6.12")

HOST = Path("/")


@dataclass(frozen=True)
class Kernel:
    """One installed kernel: its image, its modules, and the root that they lie in."""

    release: str
    image: Path
    root: Path = HOST

    @property
    def series(self) -> str:
        """The part of the release that users name a kernel by: "6.12"."""
        return ".".join(self.release.split(".")[:2])

    @property
    def modules(self) -> Path:
        """The folder of its modules."""
        return self.root / "lib" / "modules" / self.release

    @property
    def headers(self) -> Path:
        """What modules are built with: the KDIR of `make module`."""
        return self.modules / "build"

    @property
    def is_host(self) -> bool:
        """Whether the guest, which sees the host's root, finds its modules by itself."""
        return self.root == HOST

    @property
    def has_headers(self) -> bool:
        """Whether modules can be built for it."""
        return (self.headers / "Makefile").exists()

    def vmlinux(self) -> Path:
        """Return the uncompressed image, which boots a second sooner, from the cache."""
        if self.image.name.startswith("vmlinux"):
            return self.image
        stat = self.image.stat()
        cached = paths.CACHE / f"vmlinux-{self.release}-{stat.st_size}-{stat.st_mtime_ns}"
        if not cached.exists():
            write_atomically(cached, extract_vmlinux(self.image.read_bytes()))
        return cached


def installed(root: Path = HOST) -> list[Kernel]:
    """All kernels in a root with an image and modules, the oldest first."""
    found = []
    for directory in (root / "lib" / "modules").glob("*"):
        boot, name = root / "boot", directory.name
        images = (boot / f"vmlinuz-{name}", boot / f"vmlinux-{name}", directory / "vmlinuz")
        image = next((path for path in images if path.exists()), None)
        if image and (directory / "modules.dep").exists():
            found.append(Kernel(name, image, root))
    return sorted(found, key=lambda kernel: _version_key(kernel.release))


def find(name: str, root: Path = HOST) -> Kernel:
    """The kernel of this release ("6.12.117+deb12-amd64"), or the newest of a series ("6.12")."""
    kernels = installed(root)
    matching = [kernel for kernel in kernels if name in (kernel.release, kernel.series)]
    if not matching:
        have = ", ".join(kernel.release for kernel in kernels) or "none"
        where = "" if root == HOST else f" in {root}"
        raise VMError(
            f"No kernel {name} is installed{where} (found: {have}). `make setup` installs it."
        )
    return matching[-1]


def newest(root: Path = HOST) -> Kernel:
    """The newest installed kernel of a supported series."""
    supported = [kernel for kernel in installed(root) if kernel.series in SERIES]
    if not supported:
        raise VMError(f"No kernel of {' or '.join(SERIES)} is installed. `make setup` does it.")
    return supported[-1]


def extract_vmlinux(image: bytes) -> bytes:
    """Unpack the ELF kernel inside a bzImage; the boot protocol says where it is."""
    if image[0x202:0x206] != b"HdrS":
        raise VMError("The kernel image isn't an x86 bzImage.")
    setup_sectors = image[0x1F1] or 4
    offset = (setup_sectors + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    length = int.from_bytes(image[0x24C:0x250], "little")
    vmlinux = _decompress(image[offset : offset + length])
    if not vmlinux.startswith(b"\x7fELF"):
        raise VMError("The kernel image's payload isn't an ELF file.")
    return vmlinux


def _decompress(payload: bytes) -> bytes:
    # Behind the payload is its unpacked size, which the one-shot functions would stumble over.
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31).decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return unzstd(payload[:-4])
    raise VMError("The kernel image is compressed in a way that the harness doesn't know.")


def unzstd(data: bytes) -> bytes:
    """Unpack zstd data (Python 3.11 has no module for it)."""
    command = ["/usr/bin/zstd", "-qdc"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def write_atomically(path: Path, data: bytes) -> None:
    """Write a cache file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)


def _version_key(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]
