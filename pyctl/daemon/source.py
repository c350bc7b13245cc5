"""Where events come from: the kernel's event counters and status, behind a small interface.

Every second the event number of each device is read, which costs one ioctl. A device whose number
has changed is looked at, and every device once in a while; what the two looks tell are the events.
Nothing is queued: however many errors there were meanwhile, they are one event with a count.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from pyctl.control import Control, DmDevice
from pyctl.daemon.events import Action, Event, Kind
from pyctl.daemon.hearing import Hearing
from pyctl.daemon.snapshot import SOURCE, Snapshot, changes, first_sight, look, reading
from pyctl.daemon.threads import in_thread
from pyctl.dm import DeviceName
from pyctl.errors import NoKernelError, NotFoundError, PyctlError
from pyctl.registry import Registry
from pyctl.table import DM_UUID_PREFIX

__all__ = ["Batch", "DeviceMapper", "Kernel", "Sense", "Source", "StatusSource"]

# A device of another target is asked again after so many seconds: it may have got another table.
_ASK_AGAIN = 60.0
# So long after a device has gone it is asked every second whether somebody has stopped it.
_GRACE = 10.0


@dataclass(frozen=True)
class Batch:
    """Events, and how the devices are that they are about, as JSON: to be remembered with them."""

    events: tuple[Event, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where events come from. All but `watch` return at once."""

    async def watch(self) -> None:
        """Hear what happens, until cancelled."""
        ...

    def take(self) -> Batch:
        """What has happened; the same again until it is `done`."""
        ...

    def done(self, batch: Batch) -> None:
        """A batch is in the store."""
        ...

    def restore(self, seen: Mapping[str, str]) -> None:
        """Begin from what the store has."""
        ...

    def devices(self) -> Mapping[str, Snapshot]:
        """How each device is, or was last."""
        ...

    def unavailable(self) -> Mapping[Action, str]:
        """Actions that the kernel module cannot do, and why."""
        ...


class Sense(Protocol):
    """What else tells of the devices that the source knows. `take` and `done` return at once."""

    async def watch(self, devices: Callable[[], Sequence[str]]) -> None:
        """Look at the devices that are there, until cancelled."""
        ...

    def take(self) -> Sequence[Event]:
        """What it has to tell; the same again until it is `done`."""
        ...

    def done(self, events: Sequence[Event]) -> None:
        """These are in the store."""
        ...


class Kernel(Protocol):
    """What the source asks of the kernel. Every call may take long; they raise PyctlError."""

    def events(self) -> Mapping[str, int]:
        """The dm-remap devices there are, and the number of their last event."""
        ...

    def look(self, name: str) -> Snapshot:
        """How a device is. Raises NotFoundError if it is gone."""
        ...

    def stopped(self, set_uuid: str) -> bool:
        """Has somebody stopped this set in order?"""
        ...


class DeviceMapper:
    """The kernel through libdevmapper."""

    def __init__(
        self,
        list_devices: Callable[[], list[DeviceName]],
        open_device: Callable[[str], DmDevice],
        registry: Registry,
        clock: Callable[[], float],
    ) -> None:
        self.list_devices = list_devices
        self.open_device = open_device
        self.registry = registry
        self.clock = clock
        # devices of other targets, and when that was found
        self._others: dict[DeviceName, float] = {}

    def events(self) -> Mapping[str, int]:
        """As Kernel.events; without device-mapper there are none."""
        try:
            there = self.list_devices()
        except NoKernelError:
            return {}
        now = self.clock()
        self._others = {
            row: time
            for row, time in self._others.items()
            if row in there and 0 <= now - time < _ASK_AGAIN
        }
        found = {}
        for row in there:
            number = None if row in self._others else self._number(row.name)
            if number is None:
                self._others.setdefault(row, now)
            else:
                found[row.name] = number
        return found

    def look(self, name: str) -> Snapshot:
        """As Kernel.look."""
        return look(Control(self.open_device(name)), self.clock())

    def stopped(self, set_uuid: str) -> bool:
        """As Kernel.stopped."""
        try:
            return self.registry.is_stopped(UUID(set_uuid))
        except ValueError:
            return False

    # The number of the last event; None for what is not a device of dm-remap.
    def _number(self, name: str) -> int | None:
        device = self.open_device(name)
        info = device.info()
        if not info.exists:
            return None
        if not info.uuid.startswith(DM_UUID_PREFIX):
            try:
                Control(device).status()
            except PyctlError:
                return None
        return info.event_nr


@dataclass
class _Watched:
    """What the source knows of a device: what the store has, and what was seen last."""

    base: Snapshot | None = None
    now: Snapshot | None = None
    # the event number at the last look, and when that was begun and ended, of the loop's clock
    number: int | None = None
    begun: float | None = None
    looked: float | None = None
    # since when it is gone, and when it was asked last whether somebody has stopped it
    left: float | None = None
    asked: float = 0
    there: bool = False
    why: str = ""


class StatusSource:
    """Events from status, as Source.

    `log` gets what is wrong with a device, once, and `took` how many seconds each look has taken.
    `hearing` says where things happened, and when to look at once; without it only counters speak.
    `senses` tell what no counter does.
    """

    def __init__(
        self,
        kernel: Kernel,
        log: Callable[..., object],
        clock: Callable[[], float],
        *,
        took: Callable[[float], object] = lambda _: None,
        poll: float = 1,
        read_every: float = 60,
        patience: float = 30,
        hearing: Hearing | None = None,
        senses: Sequence[Sense] = (),
    ) -> None:
        self.hearing = hearing
        self.senses = senses
        if hearing:
            hearing.woken = self._wake
        self.kernel = kernel
        self.log = log
        self.clock = clock
        self.took = took
        self.poll = poll
        self.read_every = read_every
        self.patience = patience
        self.polled = False
        self._watched: dict[str, _Watched] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self._why = ""

    async def watch(self) -> None:
        """As Source.watch."""
        async with asyncio.TaskGroup() as all_of_them:
            if self.hearing:
                all_of_them.create_task(self.hearing.watch())
            for one in self.senses:
                all_of_them.create_task(one.watch(self._there))
            all_of_them.create_task(self._poll())

    def _there(self) -> list[str]:
        return [name for name, one in self.devices().items() if one.present]

    async def _poll(self) -> None:
        while True:
            try:
                numbers = await in_thread(self.kernel.events)
            except PyctlError as error:
                self._say("", str(error))
            else:
                self._say("", "")
                self.polled = True
                await self._compare(numbers)
            await asyncio.sleep(self.poll)

    def take(self) -> Batch:
        """As Source.take."""
        events: list[Event] = []
        seen = {}
        for name, one in sorted(self._watched.items()):
            if one.now is None or one.now is one.base:
                continue
            seen[name] = one.now.model_dump_json()
            events += _between(name, one.base, one.now)
        told = [event for one in self.senses for event in one.take()]
        if self.hearing:
            events = self.hearing.places.named(events)
            told += self.hearing.take()
        # of a device that nobody knows yet is told later
        known = self.devices()
        told = [one for one in told if one.device in known]
        events += told
        seen |= {one.device: known[one.device].model_dump_json() for one in told}
        return Batch(tuple(events), seen)

    def done(self, batch: Batch) -> None:
        """As Source.done."""
        if self.hearing:
            self.hearing.done(batch.events, batch.seen)
        for sense in self.senses:
            sense.done(batch.events)
        for name, body in batch.seen.items():
            one = self._watched[name]
            # what was seen meanwhile is compared with that
            if one.now is not None and one.now.model_dump_json() == body:
                one.base = one.now
            else:
                one.base = Snapshot.model_validate_json(body)

    def restore(self, seen: Mapping[str, str]) -> None:
        """As Source.restore."""
        for name, body in seen.items():
            one = self._watched.setdefault(name, _Watched())
            one.base = Snapshot.model_validate_json(body)

    def devices(self) -> Mapping[str, Snapshot]:
        """As Source.devices."""
        found = {name: one.now or one.base for name, one in self._watched.items()}
        return {name: one for name, one in sorted(found.items()) if one is not None}

    def unavailable(self) -> Mapping[Action, str]:
        """As Source.unavailable."""
        there = [one.now for one in self._watched.values() if one.now and one.now.present]
        if not there or any("scan" in one.commands for one in there):
            return {}
        return {Action.SCAN: "the kernel module has no scanner"}

    # What is new, what is due, what has gone.
    async def _compare(self, numbers: Mapping[str, int]) -> None:
        time = asyncio.get_running_loop().time()
        for name, number in numbers.items():
            one = self._watched.setdefault(name, _Watched())
            if one.begun is not None:
                if time - one.begun > self.patience:
                    self._say(name, f"it has not answered for {time - one.begun:.0f} s")
            elif one.looked is None or time - one.looked >= self.read_every or number != one.number:
                one.begun, one.number, one.there, one.left = time, number, True, None
                task = asyncio.create_task(self._look(name, one))
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)
        for name in self._watched.keys() - numbers.keys():
            one = self._watched[name]
            one.there, one.number, one.looked = False, None, None
            await self._left(one)

    async def _look(self, name: str, one: _Watched) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            now = await in_thread(self.kernel.look, name)
            # what cannot be told is not taken
            reading(name, now)
            if self.hearing:
                await self.hearing.looked(name)
        except NotFoundError:
            # gone just now, or it has the table of another target
            await self._left(one)
        except Exception as error:  # noqa: BLE001 (one device must not end the watch of others)
            self._say(name, str(error) or repr(error))
        else:
            self._say(name, "")
            self.took(asyncio.get_running_loop().time() - begun)
            if one.there:
                one.now = now
        finally:
            one.begun = None
            if one.there:
                one.looked = asyncio.get_running_loop().time()

    # A device that has gone: in order, or nobody knows why. Then it is silent, and rules hear that.
    # Whoever stops it says so right after it has gone.
    async def _left(self, one: _Watched) -> None:
        time = asyncio.get_running_loop().time()
        one.left = one.left or time
        last = one.now or one.base
        if last is None or last.stopped:
            return
        if time - one.left > _GRACE and time - one.asked < self.read_every:
            return
        one.asked = time
        stopped = await in_thread(self.kernel.stopped, last.set)
        if last.present or stopped:
            one.now = last.model_copy(
                update={"time": self.clock(), "present": False, "stopped": stopped}
            )

    # Something has happened: the next poll looks at it, whatever its number says.
    def _wake(self, name: str) -> None:
        for each in self._watched.values() if not name else [self._watched.get(name)]:
            if each is not None:
                each.number = None

    def _say(self, name: str, why: str) -> None:
        known = self._watched[name].why if name else self._why
        if why == known:
            return
        if name:
            self._watched[name].why = why
        else:
            self._why = why
        if why:
            self.log("cannot be asked", device=name or "*", why=why)
        else:
            self.log("answers again", device=name or "*")


# The events of a device from what the store has to what was seen last.
def _between(name: str, base: Snapshot | None, now: Snapshot) -> list[Event]:
    if not now.present:
        ended = now.stopped and not (base and base.stopped)
        return [Event(time=now.time, kind=Kind.SET_STOPPED, device=name, source=SOURCE)] * ended
    return [*changes(name, base or first_sight(now), now), reading(name, now)]
