"""Compiles the pure C of the kernel module into an extension of its own, and imports it.

With DMR_SANITIZE=1 it is built with AddressSanitizer and UBSan; libasan must then be preloaded:

    DMR_SANITIZE=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
        LD_PRELOAD=$(gcc -print-file-name=libasan.so) python -m pytest tests/unit
"""

import importlib.util
import os

import pytest

from pyctl.format.build import ROOT, builder

SANITIZE = os.environ.get("DMR_SANITIZE") == "1"
_FLAGS = {
    False: ["-O2", "-Werror"],
    True: [
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ],
}


def _build():
    preload = os.environ.pop("LD_PRELOAD", None)
    if SANITIZE and "asan" not in (preload or ""):
        pytest.exit(f"DMR_SANITIZE=1 needs libasan in LD_PRELOAD.\n{__doc__}", returncode=2)
    name = "dmr_pure_sanitized" if SANITIZE else "dmr_pure"
    try:
        where = ROOT / "build/unit" / ("sanitized" if SANITIZE else "plain")
        path = builder(name, flags=_FLAGS[SANITIZE], root=ROOT).compile(tmpdir=str(where))
    finally:
        if preload is not None:
            os.environ["LD_PRELOAD"] = preload
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_module = _build()
ffi, lib = _module.ffi, _module.lib


def codes():
    """The names of enum dmr_fmt_error, by value."""
    return {getattr(lib, name): name for name in dir(lib) if name.startswith("DMR_FMT_")}
