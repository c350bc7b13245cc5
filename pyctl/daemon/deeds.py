"""What the kernel did, for the audit log: what was remapped or lost, which spares came and went.

One record for each kind and device of what was heard at once; errors that were heard with it are
why. Who had it done is not known here: the record of an action says that, if there is one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyctl.daemon.events import Event, Kind, iso

__all__ = ["deeds"]

_WHO = "kernel"
# What matters for where data is, and whether it is there.
_TOLD = (
    Kind.SET_STARTED,
    Kind.REMAP,
    Kind.LOST,
    Kind.SPARE_FAILED,
    Kind.SPARE_MISSING,
    Kind.SPARE_RETURNED,
    Kind.SPARE_ADDED,
    Kind.SPARE_REMOVED,
    Kind.BREAKER_OPEN,
    Kind.SET_FAILED,
    Kind.COPY_DONE,
    Kind.COPY_FAILED,
    Kind.SET_STOPPED,
)
_ERRORS = (Kind.READ_ERROR, Kind.WRITE_ERROR)
# What of a device is shown before and after: blocks.
_SHOWN = ("remapped", "lost")


def deeds(
    events: Sequence[Event], before: Mapping[str, str], after: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The records of events that came at once.

    `before` and `after` are how devices were and are, as JSON by their names (Snapshot).
    """
    found = []
    for device in sorted({one.device for one in events if one.kind in _TOLD}):
        own = [one for one in events if one.device == device]
        change = {"before": _counts(before.get(device)), "after": _counts(after.get(device))}
        for kind in _TOLD:
            same = [one for one in own if one.kind is kind]
            if same:
                counted = kind in (Kind.REMAP, Kind.LOST)
                found.append(
                    {
                        "time": iso(same[-1].time),
                        "who": _WHO,
                        "what": kind.value,
                        "why": _why(own) if counted else "",
                        "device": device,
                        **(change if counted else {"before": None, "after": None}),
                        **_where(same),
                    }
                )
    return found


def _why(events: Iterable[Event]) -> str:
    errors = dict.fromkeys(_ERRORS, 0)
    for one in events:
        if one.kind in errors:
            errors[one.kind] += one.count
    told = [f"{count} {kind}" for kind, count in errors.items() if count]
    return f"heard with {' and '.join(told)}" if told else "heard without an error"


def _where(events: Sequence[Event]) -> dict[str, Any]:
    named = [one for one in events if one.sector is not None]
    spares = [one.spare for one in events if one.spare is not None]
    return {
        "count": sum(one.count for one in events),
        **({"sectors": [[one.sector, one.sectors] for one in named]} if named else {}),
        **({"spares": spares} if spares else {}),
    }


def _counts(body: str | None) -> dict[str, int] | None:
    if body is None:
        return None
    plain = json.loads(body)
    return {name: plain[name] for name in _SHOWN}
