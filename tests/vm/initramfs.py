"""Build the initramfs: a static busybox, the init script, the modules that reach the root.

With root "host" that is all. With root "initramfs" the guest stays in it, so it takes more:
whole programs with their libraries, and a /lib/modules for modprobe. Only such a guest can be
snapshotted, because a mounted 9p share blocks migration.
"""

import hashlib
import lzma
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel, unzstd, write_atomically

INIT = Path(__file__).with_name("init.sh")

HOST_ROOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "9pnet_virtio", "9p", "overlay")
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "virtio_console")

_BUSYBOX = ("/bin/busybox", "/usr/lib/initramfs-tools/bin/busybox")


class Archive:
    """A cpio archive in the "newc" format, which is what the kernel unpacks."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._names: set[str] = set()

    def add_directory(self, name: str) -> None:
        """Add a directory and its parents; adding it again does nothing."""
        name = name.strip("/")
        if not name or name in self._names:
            return
        self.add_directory(os.path.dirname(name))
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def add_file(self, name: str, content: bytes, executable: bool = False) -> None:
        """Add a regular file and the directories above it."""
        self.add_directory(os.path.dirname(name))
        self._add(name.strip("/"), stat.S_IFREG | (0o755 if executable else 0o644), content)

    def add_symlink(self, name: str, target: str) -> None:
        """Add a symbolic link and the directories above it."""
        self.add_directory(os.path.dirname(name))
        self._add(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def add_character_device(self, name: str, major: int, minor: int) -> None:
        """Add a device node, which needs no root here."""
        self.add_directory(os.path.dirname(name))
        self._add(name.strip("/"), stat.S_IFCHR | 0o600, b"", (major, minor))

    def finish(self) -> bytes:
        """Return the whole archive."""
        self._add("TRAILER!!!", 0, b"")
        return bytes(self._data)

    def _add(self, name: str, mode: int, content: bytes, device: tuple[int, int] = (0, 0)) -> None:
        if name in self._names:
            return
        self._names.add(name)
        path = name.encode() + b"\0"
        inode = len(self._names)
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(path), 0)
        self._data += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._pad()
        self._data += content
        self._pad()

    def _pad(self) -> None:
        self._data += bytes(-len(self._data) % 4)


def build(
    kernel: Kernel,
    root: str = "host",
    *,
    files: Mapping[str, Path] | None = None,
    programs: Iterable[str] = (),
    modules: Iterable[str] = (),
) -> Path:
    """Return the initramfs for a kernel, from the cache when its parts haven't changed.

    `files` maps a path in the guest to a file of the host. `programs` are programs of the host,
    which get the same path in the guest, with their libraries. `modules` are for modprobe, by name.
    All three are for root "initramfs" only.
    """
    archive = Archive()
    for directory in ("bin", "dev", "proc", "sys", "run", "tmp"):
        archive.add_directory(directory)
    archive.add_character_device("dev/console", 5, 1)
    archive.add_file("bin/busybox", _busybox().read_bytes(), executable=True)
    archive.add_symlink("bin/sh", "busybox")
    archive.add_file("init", INIT.read_bytes(), executable=True)

    needed = HOST_ROOT_MODULES if root == "host" else INITRAMFS_MODULES
    for number, path in enumerate(_with_dependencies(kernel, needed)):
        archive.add_file(f"boot-modules/{number:02}-{_plain_name(path)}", _read_module(path))

    for name, source in (files or {}).items():
        archive.add_file(name, source.read_bytes(), executable=os.access(source, os.X_OK))
    for program in programs:
        for part in (program, *_libraries(program)):
            archive.add_file(part, Path(part).read_bytes(), executable=True)
    if root != "host":
        _add_module_tree(archive, kernel, ["configfs", *modules])

    content = archive.finish()
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = paths.CACHE / f"initramfs-{kernel.release}-{root}-{digest}.cpio"
    if not path.exists():
        write_atomically(path, content)
    return path


def _busybox() -> Path:
    for name in _BUSYBOX:
        if Path(name).exists():
            return Path(name)
    raise VMError("There is no static busybox. `make setup` installs it.")


def _with_dependencies(kernel: Kernel, names: Iterable[str]) -> list[Path]:
    """The files of modules and of all they need, in the order of loading; built-in: none."""
    found: dict[Path, None] = {}
    for name in names:
        command = ["/usr/sbin/modprobe", "-d", str(kernel.root), "-S", kernel.release]
        command += ["--show-depends", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise VMError(f"Kernel {kernel.release} has no module {name}: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            if line.startswith("insmod "):
                found[Path(line.split()[1])] = None
    return list(found)


def _plain_name(module: Path) -> str:
    return module.name.removesuffix(".xz").removesuffix(".zst").removesuffix(".gz")


def _read_module(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return unzstd(data)
    return data


def _libraries(program: str) -> list[str]:
    """The shared libraries that a program loads, its loader among them."""
    # A static program has none, which ldd calls a failure.
    done = subprocess.run(["/usr/bin/ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def _add_module_tree(archive: Archive, kernel: Kernel, names: Iterable[str]) -> None:
    """Add unpacked modules under /lib/modules with the index that modprobe reads."""
    with tempfile.TemporaryDirectory() as staging:
        tree = Path(staging, "lib", "modules", kernel.release)
        (tree / "kernel").mkdir(parents=True)
        for path in _with_dependencies(kernel, names):
            (tree / "kernel" / _plain_name(path)).write_bytes(_read_module(path))
        for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if (kernel.modules / index).exists():
                (tree / index).write_bytes((kernel.modules / index).read_bytes())
        subprocess.run(["/usr/sbin/depmod", "-b", staging, kernel.release], check=True)
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                archive.add_file(str(path.relative_to(staging)), path.read_bytes())
