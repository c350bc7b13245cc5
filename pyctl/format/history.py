"""What differs between two generations of a set, in words."""

from pyctl.format.model import SpareState
from pyctl.format.records import Generation

__all__ = ["differences"]

_STATES = {
    SpareState.IN_SYNC: "is in sync again",
    SpareState.FAILED: "was taken out of use: it took no metadata",
    SpareState.MISSING: "was left out: the set was started without it",
    SpareState.LEFT: "left the set",
    SpareState.NONE: "is not known any more",
}


def differences(before: Generation | None, now: Generation) -> list[str]:
    """Clauses about what changed since the generation before, which may not be known."""
    if before is None:
        return [] if now.number > 1 else [f"set with {len(now.spares)} spares"]
    found = []
    for index, row in enumerate(now.spares):
        if index >= len(before.spares):
            found.append(f"spare {index} was added")
            continue
        old = before.spares[index]
        if old.uuid != row.uuid:
            found.append(f"spare {index} was replaced")
        elif old.state != row.state:
            found.append(f"spare {index} {_STATES[row.state]}")
    gone = range(len(now.spares), len(before.spares))
    found += [f"spare {index} was removed" for index in gone]
    if before.main_sectors != now.main_sectors:
        found.append(f"main had {before.main_sectors} sectors")
    if before.identity != now.identity:
        found.append(f"main was {before.identity or 'not known'}, is {now.identity or 'not known'}")
    for what in ("remaps", "lost", "bad"):
        change = getattr(now, what) - getattr(before, what)
        if change:
            found.append(f"{abs(change)} {'more' if change > 0 else 'fewer'} {what}")
    return found
