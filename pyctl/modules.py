"""The kernel module: finding, building, loading and unloading it."""

import os
from dataclasses import dataclass
from pathlib import Path

from pyctl import dm
from pyctl.errors import NoKernelError, NotFoundError, PyctlError, RefusedError, RunError
from pyctl.run import run
from pyctl.table import ALIAS, TARGET

__all__ = [
    "ModuleStatus",
    "build",
    "ensure_target",
    "load",
    "source_tree",
    "status",
    "targets",
    "unload",
    "version",
]

MODULE = "dm-remap"
_SYSFS = Path("/sys/module/dm_remap")
_INSTALLED_SOURCES = Path("/usr/src")


@dataclass(frozen=True)
class ModuleStatus:
    """What is known of the module; strings are "" and lists empty where nothing is."""

    loaded: bool
    version: str
    users: int
    targets: dict[str, str]
    installed: str
    built: str
    kernel: str
    parameters: dict[str, str]


def source_tree() -> Path:
    """Where the module's sources are: the tree that pyctl runs from, else the newest in /usr/src.

    Raises NotFoundError if there are none.
    """
    here = Path(__file__).resolve().parents[1]
    installed = sorted(_INSTALLED_SOURCES.glob("dm-remap-*"), reverse=True)
    for tree in (here, *installed):
        if (tree / "Makefile").exists() and (tree / "kernel/dm-remap-format.c").exists():
            return tree
    raise NotFoundError(
        f"The sources of the kernel module are neither in {here} nor in"
        f" {_INSTALLED_SOURCES}/dm-remap-*.",
        hint="Run pyctl from a source tree, or install the module's package.",
    )


def targets() -> dict[str, str]:
    """Our targets that the kernel has now, and their versions; {} if it cannot be asked."""
    try:
        found = dm.targets()
    except PyctlError:
        return {}
    return {name: ".".join(map(str, found[name])) for name in (TARGET, ALIAS) if name in found}


def version() -> str:
    """The version of the loaded module, or ""."""
    return _read(_SYSFS / "version")


def status() -> ModuleStatus:
    """What is known of the module, without rights and without device-mapper."""
    return ModuleStatus(
        loaded=_SYSFS.exists(),
        version=version(),
        users=int(_read(_SYSFS / "refcnt") or 0),
        targets=targets(),
        installed=_installed(),
        built=str(_built() or ""),
        kernel=os.uname().release,
        parameters={
            entry.name: _read(entry)
            for entry in sorted((_SYSFS / "parameters").glob("*"))
            if entry.is_file()
        },
    )


def build() -> Path:
    """Run `make module` in the source tree, with its output on ours; return the tree.

    Raises NotFoundError without sources, RunError if it fails.
    """
    tree = source_tree()
    run(["make", "module"], cwd=tree, capture=False)
    return tree


def load(path: Path | None = None, parameters: tuple[str, ...] = ()) -> str:
    """Load the module and say where from.

    `path` is a file to insert; without it the installed module is loaded, else the one that was
    built in the source tree. Raises RefusedError if it is loaded already, NotFoundError if there is
    none, RunError if the kernel does not take it.
    """
    if _SYSFS.exists():
        raise RefusedError(
            "The module dm-remap is loaded already.", hint="`pyctl module unload` unloads it."
        )
    if path is None and _installed():
        run(["modprobe", MODULE, *parameters])
        return _installed()
    chosen = path or _built()
    if chosen is None:
        raise NotFoundError(
            f"There is no dm-remap module for the kernel {os.uname().release}: neither installed"
            " nor built.",
            hint="`pyctl module build` builds it from the sources.",
        )
    # insmod knows no dependencies; a kernel with device-mapper built in has nothing to load here
    run(["modprobe", "--quiet", "dm-mod"], ok=(0, 1))
    run(["insmod", chosen, *parameters])
    return str(chosen)


def unload() -> None:
    """Unload the module. Raises NotFoundError if it is not loaded, RefusedError if it is in use."""
    if not _SYSFS.exists():
        raise NotFoundError("The module dm-remap is not loaded.")
    users = int(_read(_SYSFS / "refcnt") or 0)
    if users:
        raise RefusedError(
            f"The module dm-remap is in use ({users} times).",
            hint="`pyctl list` shows the devices, `pyctl remove NAME` removes one.",
        )
    run(["rmmod", "dm_remap"])


def ensure_target() -> None:
    """Have the kernel offer the target `remap`, loading the installed module if need be.

    Raises NoKernelError if it cannot be had, and what pyctl.dm.targets() raises.
    """
    if TARGET in dm.targets():
        return
    try:
        run(["modprobe", MODULE])
    except RunError as error:
        raise NoKernelError(
            f"The kernel has no target `remap`, and loading its module failed: {error.message}",
            hint="Load it with `pyctl module load`.",
        ) from error
    if TARGET not in dm.targets():
        raise NoKernelError("The module dm-remap is loaded, but offers no target `remap`.")


# modinfo looks where modprobe does: in the index that depmod made.
def _installed() -> str:
    try:
        return run(["modinfo", "--field", "filename", MODULE]).strip()
    except RunError:
        return ""


def _built() -> Path | None:
    try:
        tree = source_tree()
    except NotFoundError:
        return None
    release = os.uname().release
    for path in (
        tree / "build/module" / release / "kernel/dm-remap.ko",
        tree / "kernel/dm-remap.ko",
    ):
        if path.exists():
            return path
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
