"""Builds `pyctl.format._native` from the very C files that the kernel module is made of.

The declarations are taken from the headers themselves, and the C compiler checks them once more, so
the binding cannot disagree with the kernel. setup.py runs this file by its path, before pyctl can
be imported: it must import nothing of pyctl.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cffi import FFI

__all__ = ["PURE_PARTS", "SHARED_PART", "builder", "declarations"]

ROOT = Path(__file__).resolve().parents[2]
# Every part of the module that is compiled outside of the kernel, too.
PURE_PARTS = ("format", "records", "alloc", "region", "health", "order", "pace", "marks")
# What those that encode metadata blocks share; nothing of it is bound.
SHARED_PART = "block"
_CRC = "pyctl/format/crc32c.c"

_TYPES = """
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
u32 dmr_crc32c(u32 crc, const void *data, size_t len);
"""


def declarations(header: str) -> str:
    """What cffi has to know of a pure header of the kernel module, given its text.

    Constants and array lengths become `...`: the compiler fills them in. Macros with arguments and
    the bodies of inline functions are left out.
    """
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL).replace("\\\n", " ")
    constants = re.findall(r"^#\s*define\s+([A-Z]\w*)[ \t]+\S", text, flags=re.MULTILINE)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\[\w+\]", "[...]", text)
    text = re.sub(
        r"static inline ([^{;]*\))\s*\{.*?^\}", r"\1;", text, flags=re.DOTALL | re.MULTILINE
    )
    return "".join(f"#define {name} ...\n" for name in constants) + text


def builder(
    module: str,
    parts: Sequence[str] = PURE_PARTS,
    flags: Sequence[str] = ("-O2",),
    root: Path = Path(),
) -> FFI:
    """An FFI, ready to compile, for some of PURE_PARTS.

    `flags` go to the compiler and the linker. `root` is the source tree as the compiler will see
    it; setuptools wants it relative, FFI.compile() changes the current directory and wants ROOT.
    """
    ffi = FFI()
    headers = [f"dm-remap-{part}.h" for part in parts]
    texts = [(ROOT / "kernel" / name).read_text(encoding="utf-8") for name in headers]
    ffi.cdef(_TYPES + "".join(map(declarations, texts)))
    kernel = root / "kernel"
    ffi.set_source(
        module,
        "".join(f'#include "{name}"\n' for name in headers),
        sources=[
            *(str(kernel / f"dm-remap-{part}.c") for part in (SHARED_PART, *parts)),
            str(root / _CRC),
        ],
        include_dirs=[str(kernel)],
        depends=[
            str(kernel / name)
            for name in ("dm-remap-pure.h", f"dm-remap-{SHARED_PART}.h", *headers)
        ],
        extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", *flags],
        extra_link_args=list(flags),
    )
    return ffi


ffibuilder = builder("pyctl.format._native", ("format", "records"))
