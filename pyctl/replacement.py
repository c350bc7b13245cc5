"""Another disk becomes the main device of a live set: everything is copied there first.

Each step finds out what has been done before it, so that all of it can be run again after an
interruption at any point. The device works all the time; its table is reloaded twice.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pyctl import identity, probe
from pyctl.blockdev import BlockDevice, users
from pyctl.control import Control, CopyStatus, Progress
from pyctl.errors import MediaError, PyctlError, RefusedError
from pyctl.format import SECTOR_SIZE, crc32c, open_exclusively
from pyctl.table import RemapTable

__all__ = ["Todo", "abort", "copy", "copy_options", "plan", "prepare", "replace"]

_POLL_SECONDS = 0.5
_MIB = (1 << 20) // SECTOR_SIZE

_REASONS = {
    "write": "the new disk does not take a write",
    "verify": "the new disk returns something else than what was written to it",
    "flush": "the new disk fails to flush its cache",
    "main-dead": "the main device answers nothing any more",
    "table": "the table cannot be changed; the kernel log says why",
    "table-full": "the table has no room for sectors that cannot be read",
}


@dataclass(frozen=True)
class Todo:
    """What is left to do for a replacement.

    `load`: the table that has the new disk as target of the copy must be loaded; `done`: the new
    disk is main already. `wipe` are the signatures on it, `rate` a limit in KiB/s or None.
    """

    name: str
    new: BlockDevice
    table: RemapTable
    load: bool
    done: bool
    wipe: tuple[str, ...] = ()
    rate: int | None = None

    def copying(self) -> RemapTable:
        """The table under which everything is copied."""
        words = iter(copy_options(self.new))
        return self.table.with_options(
            **dict(zip(words, words, strict=True)), copy_rate=str(self.rate or 0)
        )

    def replaced(self) -> RemapTable:
        """The table with the new disk as main."""
        bare = _bare(self.table)
        return RemapTable(bare.length, self.new.path, bare.spares, bare.options)


def copy_options(new: BlockDevice) -> tuple[str, ...]:
    """The words of a table that has a disk as target of the copy."""
    return ("copy_to", new.path, "copy_id", str(_id(new)))


def plan(control: Control, new_path: str, *, force: bool = False, rate: int | None = None) -> Todo:
    """Look at everything; write nothing. Raises RefusedError when the disk cannot be taken."""
    state, table, new = control.status(), control.table(), BlockDevice.find(new_path)
    todo = Todo(control.name, new, table, load=False, done=False, rate=rate)
    if _is(table.main, new):
        return Todo(control.name, new, table, load=False, done=True)
    target = table.option("copy_to")
    if target is not None and _is(target, new):
        return todo
    if target is not None:
        raise RefusedError(
            f"{control.name} is being copied to another disk ({target}).",
            hint=f"`pyctl migrate-main {control.name} --abort` gives that up.",
        )
    _check_shape(table, new, state.unit_bytes)
    if any(_is(spare, new) for spare in table.spares):
        raise RefusedError(f"{new.path} is a spare of {control.name}.")
    _check_unused(new)
    found: tuple[str, ...] = ()
    if not _was_begun(control, new):
        found = tuple(str(signature) for signature in probe.signatures(new.path))
    if found and not force:
        raise RefusedError(
            f"{new.path} is not empty: it carries {'; '.join(found)}.",
            hint="Nothing was written. If all of that may be destroyed, add --force.",
        )
    return Todo(control.name, new, table, load=True, done=False, wipe=found, rate=rate)


def prepare(control: Control, todo: Todo) -> None:
    """Load the table with the new disk, and start the copy."""
    if todo.load:
        if todo.wipe:
            probe.wipe(todo.new.path)
        control.reload(todo.copying())
    elif todo.rate is not None:
        control.message("set", "copy_rate", str(todo.rate))
    control.copy("start")


def copy(
    control: Control,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> CopyStatus:
    """Wait until everything is on the new disk; progress is told in MiB.

    An interruption leaves the copy running in the kernel. Raises MediaError when it cannot go on.
    """
    while True:
        state = control.copy()
        if progress:
            progress(state.copied // _MIB, state.total // _MIB)
        if state.state in ("copied", "ready"):
            return state
        if state.state != "running":
            raise _gave_up(control.name, state)
        sleep(_POLL_SECONDS)


def replace(control: Control, todo: Todo) -> None:
    """Make the new disk main, in the set's metadata and in the live table."""
    words = identity.of_replacement(todo.new, todo.table.length).split()
    # what a message cannot have is not remembered
    control.copy("complete", *(word for word in words if "\\" not in word))
    control.reload(todo.replaced())


def abort(control: Control) -> bool:
    """Give a copy up; False if there is none. What is on the new disk is worthless then."""
    table = control.table()
    if table.option("copy_to") is None:
        return False
    control.copy("abort")
    control.reload(_bare(table))
    return True


def _bare(table: RemapTable) -> RemapTable:
    return table.with_options(copy_to=None, copy_id=None, copy_rate=None)


# A table has names or numbers, and numbers once it is live.
def _is(name: str, device: BlockDevice) -> bool:
    if name == device.number:
        return True
    try:
        return BlockDevice.find(name).number == device.number
    except PyctlError:
        return False


# Of the hardware only: what is on it changes.
def _id(new: BlockDevice) -> int:
    return crc32c((identity.encode(new.hardware()) or f"sectors={new.sectors}").encode())


# The set remembers whom it was copied to; what is there then is a part of main.
def _was_begun(control: Control, new: BlockDevice) -> bool:
    state = control.copy()
    return (state.id, state.sectors) == (_id(new), new.sectors)


def _check_shape(table: RemapTable, new: BlockDevice, unit_bytes: int) -> None:
    if new.read_only:
        raise RefusedError(f"{new.path} is read-only.")
    if new.sectors < table.length:
        raise RefusedError(
            f"{new.path} is too small: it has {new.sectors} sectors, {table.length} are needed."
        )
    if new.lbs > unit_bytes:
        raise RefusedError(
            f"{new.path} has logical blocks of {new.lbs} bytes, but the set remaps blocks of"
            f" {unit_bytes}."
        )


def _check_unused(new: BlockDevice) -> None:
    try:
        with ExitStack() as stack:
            stack.enter_context(open_exclusively(new.path, write=False))
    except RefusedError as error:
        found: Sequence[str] = users(new)
        raise RefusedError(
            f"{new.path} is in use: {'; '.join(found) or 'somebody has claimed it'}.",
            hint="Unmount it, or stop what uses it, and try again.",
        ) from error


def _gave_up(name: str, state: CopyStatus) -> PyctlError:
    why = _REASONS.get(state.reason, state.reason)
    if state.state == "failed":
        return MediaError(
            f"{name} cannot be copied: {why} (sector {state.at}).",
            hint=f"{name} works as before; `pyctl migrate-main {name} --abort` takes the new disk"
            " out, which should be replaced.",
        )
    if state.state == "paused" and state.reason != "-":
        return MediaError(
            f"The copy of {name} waits at sector {state.at}: {why}.",
            hint="Run the command again when that is mended.",
        )
    return PyctlError(
        f"Somebody else has ended the copy of {name}: it is {state.state}.",
        hint="Run the command again to go on.",
    )
