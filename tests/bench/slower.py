"""The negative control of the gate: a module that takes more instructions for each bio.

A gate that lets it pass is worth nothing.
"""

import difflib
import re
from pathlib import Path

from tests.mistakes.__main__ import Mistake, MistakeError, build
from tests.vm import paths
from tests.vm.errors import VMError
from tests.vm.kernels import Kernel

_SOURCE = Path("kernel/dm-remap-map.c")
_BEGINNING = re.compile(r"^int dmr_map\([^)]*\)\n\{\n", re.MULTILINE)


def module(kernel: Kernel, instructions: int) -> Path:
    """Build the module with so many instructions that do nothing at the beginning of dmr_map()."""
    # Not a patch in the tree: it would have to follow every change of that function.
    path = paths.BUILD / "bench" / f"00_slower_by_{instructions}.patch"
    path.write_text(patch(instructions))
    try:
        return build(Mistake(path), kernel)
    except MistakeError as error:
        raise VMError(str(error)) from error


def patch(instructions: int) -> str:
    """The difference to the sources as they are now."""
    text = (paths.PROJECT / _SOURCE).read_text()
    # A declaration, since others follow.
    line = (
        "\tint __maybe_unused slower ="
        f' ({{ asm volatile(".rept {instructions}; nop; .endr"); 0; }});\n'
    )
    slow, found = _BEGINNING.subn(lambda match: match[0] + line, text)
    if found != 1:
        raise VMError(f"{_SOURCE} has {found} functions dmr_map().")
    old, new = (content.splitlines(keepends=True) for content in (text, slow))
    return "".join(difflib.unified_diff(old, new, f"a/{_SOURCE}", f"b/{_SOURCE}"))
