"""The sets that this machine knows, and what is going on with them until the next boot.

/etc/dm-remap/sets.d   a file for each set that was created or started here (see setconfig.py)
/run/dm-remap/sets.d   the same for sets that were only seen, and are not whole without their spares
/run/dm-remap/pending  sets that udev has seen something of: they may be complete now
/run/dm-remap/stopped  sets that somebody has stopped by hand: they don't start by themselves
/run/dm-remap/lock     one command at a time starts or stops sets
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyctl import setconfig
from pyctl.errors import FormatError, PyctlError, RefusedError, from_os_error
from pyctl.files import sync_folder, write_whole
from pyctl.setconfig import SetConfig

__all__ = ["ALL", "Known", "Registry"]

ALL = "all"
"""A pending wish for all sets there are."""


@dataclass
class Known:
    """What could be read: configurations by set, and what is wrong with the others, by set."""

    sets: dict[uuid.UUID, SetConfig] = field(default_factory=dict)
    broken: dict[uuid.UUID, str] = field(default_factory=dict)

    def owner(self, name: str) -> uuid.UUID | None:
        """The set that has this name, or None."""
        return next((one.set_uuid for one in self.sets.values() if one.name == name), None)


@dataclass(frozen=True)
class Registry:
    """Where all that is."""

    etc: Path = Path("/etc/dm-remap")
    run: Path = Path("/run/dm-remap")

    def known(self) -> Known:
        """All sets that are remembered in /etc. Files that cannot be read don't hide the others."""
        found = Known()
        for path in sorted((self.etc / "sets.d").glob("*.conf")):
            try:
                one = setconfig.read(path)
                found.sets[one.set_uuid] = one
            except PyctlError as error:
                with contextlib.suppress(ValueError):
                    found.broken[uuid.UUID(path.stem)] = error.message
        return found

    def remember(self, config: SetConfig) -> None:
        """Write the file of a set, and keep its `auto` if there was one.

        Raises RefusedError if another set has the name, PyctlError as the system calls say.
        """
        self.check_name(config.set_uuid, config.name)
        path = self._file(config.set_uuid)
        with contextlib.suppress(PyctlError):
            config = replace(config, auto=setconfig.read(path).auto)
        self._write(path, config)
        self._seen(config.set_uuid).unlink(missing_ok=True)

    def check_name(self, set_uuid: uuid.UUID, name: str) -> None:
        """Raise RefusedError if another set that is remembered has the name."""
        owner = self.known().owner(name)
        if owner not in (None, set_uuid):
            raise RefusedError(
                f"The name {name} belongs to the set {owner}, says"
                f" {self._file(owner or set_uuid)}.",
                hint="Choose another name. `pyctl remove --forget` gives one up; if that set is"
                " gone for good, remove its file.",
            )

    def note_seen(self, config: SetConfig) -> bool:
        """Have the main device of a set hidden until the next boot. True if that is new."""
        path, config = self._seen(config.set_uuid), replace(config, auto=False)
        with contextlib.suppress(PyctlError):
            if setconfig.read(path) == config:
                return False
        self._write(path, config)
        return True

    def forget(self, set_uuid: uuid.UUID) -> bool:
        """Remove what is known of a set. True if there was something in /etc."""
        self._seen(set_uuid).unlink(missing_ok=True)
        path = self._file(set_uuid)
        try:
            path.unlink()
            sync_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise from_os_error(error, f"Cannot remove {path}") from error
        return True

    def mark_stopped(self, set_uuid: uuid.UUID, *, stopped: bool) -> None:
        """Say whether a set was stopped by hand. Needs no medium: it lasts until the next boot."""
        path = self.run / "stopped" / str(set_uuid)
        try:
            if stopped:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise from_os_error(error, f"Cannot change {path}") from error

    def is_stopped(self, set_uuid: uuid.UUID) -> bool:
        """Whether a set was stopped by hand since the last boot."""
        return (self.run / "stopped" / str(set_uuid)).exists()

    def take_pending(self) -> set[str]:
        """UUIDs that udev has left, and ALL; they are gone then."""
        folder = self.run / "pending"
        try:
            found = {path.name for path in folder.iterdir()}
        except FileNotFoundError:
            return set()
        for name in found:
            (folder / name).unlink(missing_ok=True)
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until nobody else starts or stops sets, and keep others from it.

        Raises PermissionDeniedError, PyctlError.
        """
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise from_os_error(error, f"Cannot open {self.run / 'lock'}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _file(self, set_uuid: uuid.UUID) -> Path:
        return self.etc / "sets.d" / f"{set_uuid}.conf"

    def _seen(self, set_uuid: uuid.UUID) -> Path:
        return self.run / "sets.d" / f"{set_uuid}.conf"

    def _write(self, path: Path, config: SetConfig) -> None:
        text = config.text()
        # what is written is what will be read
        if setconfig.parse(text, path) != config:
            raise FormatError(f"{config} cannot be written to {path}.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, f"Cannot make {path.parent}") from error
        write_whole(path, text.encode("ascii"), replace=True, mode=0o644)
