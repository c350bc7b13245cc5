"""Starting the sets that are complete, and nothing else."""

import enum
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pyctl import assembly, discovery, spares
from pyctl.assembly import Wishes
from pyctl.control import Control, DmDevice
from pyctl.discovery import Discovery
from pyctl.dm import DeviceName
from pyctl.errors import NoKernelError, NotFoundError, PyctlError
from pyctl.foundset import FoundSet, Running, SetState
from pyctl.identity import decode, encode, merged
from pyctl.pool import Pool
from pyctl.registry import Known, Registry
from pyctl.setconfig import SetConfig, default_name
from pyctl.table import RemapTable

__all__ = ["Done", "Outcome", "Starter", "config_of", "running_sets"]

_AUTO = Path("/sys/kernel/dm-remap-v4/discovery/auto_discovery")


class Done(enum.StrEnum):
    """What became of a set."""

    STARTED = "started"
    RUNNING = "running"
    LEFT = "left alone"
    FAILED = "not started"
    RETURNED = "a spare is back"


@dataclass(frozen=True)
class Outcome:
    """A set, and what was done with it; `why` is a sentence, "" if there is nothing to say."""

    set_uuid: uuid.UUID
    name: str
    done: Done
    why: str = ""
    warnings: tuple[str, ...] = ()


def running_sets(
    list_devices: Callable[[], list[DeviceName]], open_device: Callable[[str], DmDevice]
) -> dict[uuid.UUID, Running]:
    """The sets that the kernel runs, as the tables of their devices tell.

    Without device-mapper there are none.
    """
    found = {}
    try:
        names = list_devices()
    except NoKernelError:
        return {}
    for row in names:
        try:
            table = RemapTable.parse(open_device(row.name).table())
            words = dict(zip(table.options[::2], table.options[1::2], strict=False))
            found[uuid.UUID(words["set"])] = Running(row.name, table.main, table.spares)
        except (LookupError, ValueError, PyctlError):
            # another target's, without a table yet, or just gone
            continue
    return found


def config_of(one: FoundSet, name: str) -> SetConfig:
    """What is to be remembered of a set."""
    stored = decode(one.reference.identity)
    return SetConfig(
        set_uuid=one.uuid,
        name=name,
        auto=True,
        main_sectors=one.reference.main_sectors,
        unit_bytes=one.reference.unit_bytes,
        identity=encode(merged(stored, one.main_identity)),
    )


@dataclass
class Starter:
    """Starts sets that were discovered; the caller holds the registry's lock.

    `by_itself`: nobody has asked for it, a device has appeared. Then only sets that this machine
    knows are started, and those not that somebody has stopped.
    """

    open_device: Callable[[str], DmDevice]
    ensure_target: Callable[[], None]
    registry: Registry
    known: Known
    by_itself: bool = False
    remember: bool = True
    auto_file: Path = field(default=_AUTO)

    def start(self, found: Discovery, wanted: Iterable[uuid.UUID] | None) -> list[Outcome]:
        """Start what is complete of the wanted sets, or of all that may start together.

        Nothing is formatted, and nothing started degraded. Never raises: whatever keeps a set from
        being started is told as its outcome.
        """
        if wanted is None:
            return [self._start(one, explicit=False) for one in found.sets]
        chosen = set(wanted)
        outcomes = [self._start(one, explicit=True) for one in found.sets if one.uuid in chosen]
        gone = chosen - {one.uuid for one in found.sets}
        outcomes += [_unseen(set_uuid, found) for set_uuid in sorted(gone)]
        return outcomes

    def _start(self, one: FoundSet, *, explicit: bool) -> Outcome:
        name = one.name
        if one.running:
            return self._take_back(one, name)
        reason = self._reason_to_leave(one, explicit=explicit)
        if reason:
            if self.by_itself and one.config is None:
                self._hide(one, name)
            return Outcome(one.uuid, name, Done.LEFT, reason)
        if one.state != SetState.READY or one.main is None:
            why = " ".join(problem.text for problem in one.problems)
            return Outcome(one.uuid, name, Done.FAILED, f"{str(one.state).capitalize()}. {why}")
        try:
            todo = assembly.plan(
                name,
                one.main.device.path,
                [device.path for device in one.spares],
                Wishes(may_format=False, set_uuid=one.uuid),
            )
            self.registry.check_name(one.uuid, name)
            assembly.execute(todo, self.open_device(name), self.ensure_target)
        except PyctlError as error:
            return Outcome(one.uuid, name, Done.FAILED, str(error))
        warnings = tuple(f"{warning}." for warning in todo.warnings)
        warnings += tuple(self._note(one, name))
        return Outcome(one.uuid, name, Done.STARTED, warnings=warnings)

    # A spare that went while the set ran, and is there again.
    def _take_back(self, one: FoundSet, name: str) -> Outcome:
        absent = [member for member in one.returned if self.by_itself]
        if not absent or self._auto_is_off():
            return Outcome(one.uuid, name, Done.RUNNING)
        pool, why = Pool(Control(self.open_device(name))), []
        for member in absent:
            try:
                row = spares.add(pool, member.device.path)
            except PyctlError as error:
                why.append(f"{member.device.path} could not be taken back: {error}")
            else:
                why.append(f"{member.device.path} is spare {row.row} again.")
        return Outcome(one.uuid, name, Done.RETURNED, " ".join(why))

    def _reason_to_leave(self, one: FoundSet, *, explicit: bool) -> str:
        where = self.registry.etc / "sets.d" / f"{one.uuid}.conf"
        if one.uuid in self.known.broken:
            return f"What is remembered of it cannot be read: {self.known.broken[one.uuid]}"
        if not self.by_itself and explicit:
            return ""
        if one.config and not one.config.auto:
            return f"It is not started by itself: auto=no in {where}."
        if not self.by_itself:
            return ""
        if one.config is None:
            return (
                "This machine does not know it. `pyctl assemble --set"
                f" {one.uuid}` starts it, and it is known from then on."
            )
        if self.registry.is_stopped(one.uuid):
            return "It was stopped by hand, and is not started by itself until the next boot."
        if self._auto_is_off():
            return f"Nothing starts by itself: {self.auto_file} is 0."
        return ""

    def _auto_is_off(self) -> bool:
        try:
            return self.auto_file.read_text(encoding="ascii").strip() == "0"
        except OSError:
            # no module yet: nobody has switched it off
            return False

    # Without its spares its main device holds old data, so nobody may mount it.
    def _hide(self, one: FoundSet, name: str) -> None:
        if discovery.holds_data(one) and self.registry.note_seen(config_of(one, name)) and one.main:
            one.main.device.changed()

    def _note(self, one: FoundSet, name: str) -> list[str]:
        self.registry.mark_stopped(one.uuid, stopped=False)
        if self.by_itself or not self.remember:
            return []
        try:
            self.registry.remember(config_of(one, name))
        except PyctlError as error:
            return [f"It is not remembered: {error}"]
        if one.main:
            one.main.device.changed()
        return []


def _unseen(set_uuid: uuid.UUID, found: Discovery) -> Outcome:
    running = found.unseen.get(set_uuid)
    if running:
        return Outcome(set_uuid, running.name, Done.RUNNING, "None of its spares can be read.")
    error = NotFoundError(f"No device carries a superblock of the set {set_uuid}.")
    return Outcome(set_uuid, default_name(set_uuid), Done.FAILED, error.message)
