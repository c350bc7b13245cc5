"""The spares of a live set as a pool: its rows, and the messages that change them.

`blocks` are units of the set. Every method raises as those of Control do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pyctl.blockdev import BlockDevice
from pyctl.control import Control
from pyctl.errors import NotFoundError, PyctlError
from pyctl.format import Policy, Usage
from pyctl.status import key_values

__all__ = ["Migrated", "Pool", "PoolUsage", "SpareRow"]

IN_SYNC = "in-sync"


@dataclass(frozen=True)
class SpareRow:
    """A spare of a live set, or a device of its table that is no member (`row` is None).

    `device` is major:minor, None when the spare is not there; `sectors` are of 512 bytes; `usable`,
    `free`, `used` and `bad` count blocks; `health` is 0 to 100.
    """

    row: int | None
    device: str | None
    state: str
    uuid: UUID | None = None
    sectors: int = 0
    usable: int = 0
    free: int = 0
    used: int = 0
    bad: int = 0
    tier: int = 0
    health: int = 0
    draining: bool = False

    @classmethod
    def parse(cls, line: str) -> "SpareRow":
        """Read a line of the message `spare list`. Raises PyctlError."""
        words = line.split()
        try:
            row, device, state, *rest = words
            found = cls(None if row == "-" else int(row), None if device == "-" else device, state)
            if not rest:
                return found
            number = {key: int(value) for key, value in key_values(" ".join(rest[1:])).items()}
            return replace(
                found,
                uuid=UUID(rest[0]),
                sectors=number["sectors"],
                usable=number["usable"],
                free=number["free"],
                used=number["used"],
                bad=number["bad"],
                tier=number["tier"],
                health=number["health"],
                draining=bool(number["draining"]),
            )
        except (KeyError, ValueError) as error:
            raise PyctlError(f"Cannot understand the line {line!r} of the spare list.") from error

    @property
    def in_use(self) -> bool:
        """Does it hold the current table, and take data?"""
        return self.state == IN_SYNC

    @property
    def path(self) -> str:
        """The device's path, or what is known of it."""
        if self.device is None:
            return f"spare {self.row} (not there)"
        major, _, minor = self.device.partition(":")
        try:
            return BlockDevice.by_number(int(major), int(minor)).path
        except NotFoundError:
            return self.device


@dataclass(frozen=True)
class Migrated:
    """What a step of a migration did: `left` blocks are still there, `end` was reached."""

    moved: int
    left: int
    failed: int
    end: bool


@dataclass(frozen=True)
class PoolUsage:
    """Entries of the table that are possible, still free and in use; and earlier notes of it."""

    capacity: int
    free: int
    used: int
    notes: tuple[Usage, ...]


class Pool:
    """The spares of one device."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.name = control.name

    def rows(self) -> list[SpareRow]:
        """The members, and behind them the devices that are only attached."""
        return [SpareRow.parse(line) for line in self._say("list").splitlines()]

    def members(self) -> list[SpareRow]:
        """The members alone."""
        return [row for row in self.rows() if row.row is not None]

    def find(self, word: str) -> SpareRow:
        """A spare by its number, its UUID or the beginning of it, or its device.

        A device of the table that is no member is found by its path. Raises NotFoundError, also
        when the beginning of a UUID fits several.
        """
        rows = self.rows()
        found = [row for row in rows if word == str(row.row)]
        if not found and "/" in word:
            number = BlockDevice.find(word).number
            found = [row for row in rows if row.device == number]
        if not found and re.fullmatch(r"[0-9a-f-]{4,}", word):
            found = [row for row in rows if str(row.uuid).startswith(word)]
        if len(found) != 1:
            raise NotFoundError(
                f"{word} is {'no spare' if not found else 'more than one spare'} of {self.name}.",
                hint=f"`pyctl spare list {self.name}` shows them; name one by its number, its"
                " device or its UUID.",
            )
        return found[0]

    def join(self, device: BlockDevice, *, force: bool = False, trust: bool = False) -> int:
        """Make a device of the table a current member; its row."""
        how = ["force"] if force else ["trust"] if trust else []
        reply = self._say("join", device.number, *how)
        return self._numbers(reply, "row")["row"]

    def drain(self, row: int, on: bool) -> None:
        """Let no new blocks go to a spare, or let them again."""
        self._say("drain", str(row), "on" if on else "off")

    def migrate(self, row: int, target: int | None, blocks: int) -> Migrated:
        """Move at most so many blocks off a spare, to another or to any."""
        where = "any" if target is None else str(target)
        reply = self._say("migrate", str(row), where, str(blocks))
        number = self._numbers(reply, "moved", "left", "failed", "end")
        return Migrated(number["moved"], number["left"], number["failed"], bool(number["end"]))

    def drop(self, row: int, *, lose: bool = False) -> int:
        """Take a spare out of the set; blocks that were given up with it."""
        reply = self._say("drop", str(row), *(["lose"] if lose else []))
        return self._numbers(reply, "lost")["lost"]

    def set_tier(self, row: int, tier: int) -> None:
        """Put a spare on a tier; the lowest is filled first by the policy `tiered`."""
        self._say("tier", str(row), str(tier))

    def set_health(self, row: int, health: int) -> None:
        """Say what is thought of a spare, 0 to 100, for the policy `healthiest`."""
        self._say("health", str(row), str(health))

    def policy(self) -> Policy:
        """Where new remaps go."""
        word = key_values(self.control.message("get", "allocation")).get("allocation", "")
        for policy in Policy:
            if policy.word == word:
                return policy
        raise PyctlError(f"{self.name} has an allocation policy {word!r} that pyctl doesn't know.")

    def set_policy(self, policy: Policy) -> None:
        """Say where new remaps go, for good."""
        self.control.message("set", "allocation", policy.word)

    def redundancy(self) -> tuple[int, int]:
        """On how many spares every remap is to be, and how many blocks are on fewer."""
        fields = self.control.status().fields
        try:
            return int(fields["redundancy"]), int(fields["below"])
        except (KeyError, ValueError) as error:
            raise PyctlError(
                f"{self.name} doesn't say how redundant it is.",
                hint="The kernel module is probably older than pyctl: compare `pyctl version` and"
                " `pyctl ping NAME`.",
            ) from error

    def set_redundancy(self, copies: int) -> None:
        """Say on how many spares every remap is to be, for good; the kernel does the rest."""
        self.control.message("set", "redundancy", str(copies))

    def reload(self, spares: Sequence[str]) -> None:
        """Replace the table by one with these spares, as paths or major:minor."""
        self.control.reload(replace(self.control.table(), spares=tuple(spares)))

    def usage(self) -> PoolUsage:
        """How much is in use, and how much was."""
        first, *notes = self._say("usage").splitlines()
        number = self._numbers(first, "capacity", "free", "used")
        try:
            pairs = [(int(time), int(used)) for time, used in (note.split() for note in notes)]
        except ValueError as error:
            raise PyctlError(f"Cannot understand the usage of {self.name}: {notes}.") from error
        return PoolUsage(
            number["capacity"],
            number["free"],
            number["used"],
            tuple(Usage(time, used) for time, used in pairs),
        )

    def _say(self, *words: str) -> str:
        return self.control.message("spare", *words)

    def _numbers(self, reply: str, *keys: str) -> dict[str, int]:
        values = key_values(reply)
        try:
            return {key: int(values[key]) for key in keys}
        except (KeyError, ValueError) as error:
            raise PyctlError(
                f"{self.name} answered {reply!r} to a message about spares."
            ) from error
