"""What happens to sets, live, and what has changed meanwhile when events were lost."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from uuid import UUID

from pyctl.errors import NoKernelError
from pyctl.netlink.events import Gap, Happening, Listener, word
from pyctl.netlink.sets import Kernel, SetInfo
from pyctl.output import counted, when

__all__ = ["Watch"]

# Seconds until the module that went is looked for again.
_AGAIN = 1.0
# What of a set changes without an event, or says nothing about it.
_SILENT = ("seq", "instance", "spares", "scan_percent", "last_error")

Sets = Mapping[UUID, SetInfo]
Tell = Callable[[Mapping[str, object], str], None]


class Watch:
    """Watches all sets. `tell` gets each thing for programs, and as a line for people.

    With `follow` it waits for a module that goes; it ends after `count` events.
    """

    def __init__(self, tell: Tell, follow: bool, count: int | None) -> None:
        self._tell = tell
        self.follow = follow
        self.left = count
        self.kernel = Kernel()
        self.sets: Sets = {}

    async def run(self) -> None:
        """Until interrupted. Raises PyctlError."""
        while True:
            try:
                await self._listen()
            except NoKernelError as error:
                if not self.follow:
                    raise
                self._tell({"event": "module-gone"}, f"{error.message} Waiting for it.")
                await self._wait()
            else:
                return

    async def _wait(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN)
            try:
                Listener().close()
            except NoKernelError:
                continue
            return

    async def _listen(self) -> None:
        listener = Listener()
        try:
            before, self.sets = self.sets, await self._dump()
            self._tell({"event": "listening"}, "Listening.")
            self._changed(before)
            async for one in listener.hear():
                if isinstance(one, Gap):
                    await self._gap(one)
                elif self._event(one):
                    return
        finally:
            listener.close()

    async def _dump(self) -> Sets:
        return {one.uuid: one for one in await asyncio.to_thread(self.kernel.sets)}

    def _event(self, one: Happening) -> bool:
        known = self.sets.get(one.set) if one.set else None
        told = one.json() | ({"name": known.name} if known else {})
        self._tell(told, _line(one, known))
        self.left = None if self.left is None else self.left - 1
        return self.left == 0

    async def _gap(self, gap: Gap) -> None:
        many = f"{counted(gap.missed, 'event')} lost" if gap.missed else "Events were lost"
        self._tell(
            {"event": "lost", "count": gap.missed, "why": gap.why},
            f"{many}: {gap.why}. What a dump says has changed:",
        )
        before, self.sets = self.sets, await self._dump()
        self._changed(before)

    def _changed(self, before: Sets) -> None:
        for uuid in {**before, **self.sets} if before else ():
            old, new = before.get(uuid), self.sets.get(uuid)
            name = (new or old or self.sets[uuid]).name
            for what, was, now in _differences(old, new):
                told = {"event": "changed", "set": str(uuid), "name": name, "what": what}
                self._tell(told | {"before": was, "now": now}, f"  {name}: {what} {was} -> {now}")


def _differences(
    old: SetInfo | None, new: SetInfo | None
) -> list[tuple[str, str | int, str | int]]:
    if old is None or new is None:
        return [("set", "there" if old else "-", "there" if new else "-")]
    found = [(one.name, getattr(old, one.name), getattr(new, one.name)) for one in fields(SetInfo)]
    return [
        (name, _plain(was), _plain(now))
        for name, was, now in found
        if was != now and name not in _SILENT
    ]


def _plain(value: object) -> str | int:
    name = getattr(value, "name", None)
    if name:
        return word(str(name))
    return value if isinstance(value, int) else str(value)


def _line(one: Happening, known: SetInfo | None) -> str:
    device = "{}:{}".format(*one.device) if one.device else "*"
    parts = [when(int(one.time)), f"#{one.seq}", known.name if known else device]
    parts.append(word(one.kind.name))
    if one.detail is not None:
        parts.append(str(one.told).lower())
    if one.spare is not None:
        parts.append(f"spare {one.spare}")
    if one.sectors:
        parts.append(f"sectors {one.sector}+{one.sectors}")
    if one.count > 1:
        parts.append(f"({one.count} times)")
    return " ".join(parts)
