"""Can BPF programs be loaded here? If not, why, in a sentence."""

import importlib
import os
from pathlib import Path
from typing import Any

from pyctl.errors import PyctlError
from pyctl.probes.btf import VMLINUX

__all__ = ["UnavailableError", "check", "module_of_bcc"]

_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_STATUS = Path("/proc/self/status")
_MODULES = Path("/lib/modules")
_KHEADERS = Path("/sys/kernel/kheaders.tar.xz")
_TRACING = Path("/sys/kernel/tracing/events")
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39


class UnavailableError(PyctlError):
    """The kernel's own counters must do."""


def module_of_bcc() -> Any:
    """Debian's module bcc. Raises UnavailableError; another module of this name won't do."""
    try:
        module = importlib.import_module("bcc")
    except ImportError as error:
        raise UnavailableError(
            "Debian's package python3-bpfcc is not installed, or not visible to this Python."
        ) from error
    if not hasattr(module, "BPF"):
        raise UnavailableError(
            "The Python module bcc here is another one than that of Debian's python3-bpfcc."
        )
    return module


def check() -> None:
    """Raises UnavailableError for what would make loading fail."""
    if why := reason(os.uname().release):
        raise UnavailableError(why)


def reason(release: str) -> str:
    """Why programs can't be loaded into this kernel, or ""."""
    if not _may_load():
        return "Loading BPF programs needs root, or the capabilities BPF and PERFMON."
    if "[confidentiality]" in _read(_LOCKDOWN):
        return "The kernel is locked down (confidentiality), which forbids reading its memory."
    if not VMLINUX.exists():
        return "The kernel has no type information (CONFIG_DEBUG_INFO_BTF)."
    if not (_MODULES / release / "build").exists() and not _KHEADERS.exists():
        return f"The headers of kernel {release} are not installed, which bcc needs."
    if not (_TRACING / "block/block_bio_queue").is_dir():
        return "tracefs is not mounted at /sys/kernel/tracing, or the kernel has no tracepoints."
    return ""


def _may_load() -> bool:
    fields = dict(line.split(":\t", 1) for line in _read(_STATUS).splitlines() if ":\t" in line)
    capabilities = int(fields.get("CapEff", "0").strip(), 16)

    def has(number: int) -> bool:
        return bool(capabilities >> number & 1)

    return has(_CAP_SYS_ADMIN) or (has(_CAP_BPF) and has(_CAP_PERFMON))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
