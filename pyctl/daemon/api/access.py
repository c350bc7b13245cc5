"""Who calls, what they may, and how often.

On the socket in the file system the kernel says which user calls; root may do everything. Everybody
else shows a token. The file of tokens has a line for each: a name, a role, and the SHA-256 of the
token in hex; the token itself is nowhere.
"""

import enum
import hashlib
import hmac
import pwd
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pyctl.daemon.settings import read_private
from pyctl.errors import UsageError

__all__ = ["PEER", "Access", "Caller", "Limiter", "Role", "load_tokens"]

# What the server puts before the user id of somebody on the socket in the file system, in the
# place of an address.
PEER = "uid:"
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# More callers than that are forgotten, oldest first.
_CALLERS = 10_000


class Role(enum.StrEnum):
    """What somebody may: each includes those before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """May it do what the other may?"""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Caller:
    """Somebody, as the audit log calls them."""

    name: str
    role: Role


def load_tokens(path: str | None) -> Mapping[str, Caller]:
    """Callers by the hash of their token. Raises UsageError with the line, RefusedError."""
    found: dict[str, Caller] = {}
    text = read_private(path) if path else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        good = (
            len(words) == 3
            and _NAME.fullmatch(words[0])
            and words[1] in list(Role)
            and _HASH.fullmatch(words[2])
        )
        if not good or words[2] in found:
            raise UsageError(
                f"{path}:{number}: this is not `NAME ROLE SHA-256`, or is there twice.",
                hint=f"ROLE is one of: {', '.join(Role)}. `printf %s TOKEN | sha256sum` makes the"
                " last word.",
            )
        found[words[2]] = Caller(f"token:{words[0]}", Role(words[1]))
    return MappingProxyType(found)


@dataclass
class Access:
    """Who may what."""

    tokens: Mapping[str, Caller]

    def caller(self, address: str, token: str | None) -> Caller | None:
        """Who calls from an address, with a token or without; None for nobody who is known."""
        if token is not None:
            return self._holder(token)
        if address.startswith(PEER) and address.removeprefix(PEER) == "0":
            return Caller(_user(0), Role.ADMIN)
        return None

    # Every token is compared, so that the time tells nothing.
    def _holder(self, token: str) -> Caller | None:
        value = hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
        found = None
        for known, caller in self.tokens.items():
            if hmac.compare_digest(known, value):
                found = caller
        return found


@dataclass
class Limiter:
    """So many calls a second for each caller, and twice as many at once after a pause."""

    per_second: int
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, caller: str) -> float:
        """Count a call; returns 0, or how many seconds too early it is."""
        now = self.clock()
        most = 2.0 * self.per_second
        left, since = self._left.pop(caller, (most, now))
        left = min(most, left + (now - since) * self.per_second)
        early = max(0.0, (1 - left) / self.per_second)
        self._left[caller] = (left if early else left - 1, now)
        if len(self._left) > _CALLERS:
            del self._left[next(iter(self._left))]
        return early


def _user(number: int) -> str:
    try:
        return f"user:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user:{number}"
