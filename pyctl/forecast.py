"""When will the spares be full? From the notes of usage that a set keeps.

Remaps come in bursts, so one rate would say little: there is one over all that is known, and one
over the last days. The forecast takes the faster of the two: too early is the better mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyctl.format import Usage
from pyctl.pool import PoolUsage

__all__ = ["RECENT_DAYS", "Forecast", "forecast"]

RECENT_DAYS = 30
_DAY = 86_400
# What lies further ahead is no forecast any more.
_HORIZON_DAYS = 3650


@dataclass(frozen=True)
class Forecast:
    """Blocks a day since `since`, and of late; `full_at` is None when that is not in sight.

    Times are seconds since 1970; `since` is 0 when nothing is known.
    """

    since: int
    per_day: float
    recent_per_day: float
    full_at: int | None


def forecast(usage: PoolUsage, now: int) -> Forecast:
    """Say when the spares are full if their use goes on as it did."""
    if not usage.notes:
        return Forecast(0, 0.0, 0.0, None if usage.free else now)
    first = usage.notes[0]
    per_day = _rate(first.time, first.used, now, usage.used)
    start = max(now - RECENT_DAYS * _DAY, first.time)
    recent = _rate(start, _used_at(usage.notes, start), now, usage.used)
    return Forecast(first.time, per_day, recent, _full_at(usage.free, max(per_day, recent), now))


def _rate(start: int, before: float, now: int, used: int) -> float:
    """Blocks a day; an hour is the shortest time that says anything."""
    return (used - before) * _DAY / max(now - start, 3600)


def _used_at(notes: Sequence[Usage], time: int) -> float:
    """What was in use at a time, which is not before the first note."""
    earlier = [note for note in notes if note.time < time]
    if not earlier:
        return notes[0].used
    before = earlier[-1]
    behind = next((note for note in notes if note.time >= time), None)
    if behind is None:
        return before.used
    share = (time - before.time) / (behind.time - before.time)
    return before.used + share * (behind.used - before.used)


def _full_at(free: int, per_day: float, now: int) -> int | None:
    if not free:
        return now
    if per_day <= 0 or free / per_day > _HORIZON_DAYS:
        return None
    return now + int(free / per_day * _DAY)
