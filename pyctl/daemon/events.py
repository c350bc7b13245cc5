"""What the daemon hears: events of the kernel and its own readings, one JSON object each.

Times are seconds since 1970, UTC; in JSON also as text in ISO 8601 with a time zone. Sectors are
512 bytes, counted on the dm device.
"""

import enum
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

__all__ = [
    "GAUGES",
    "MAX_SEQ",
    "Action",
    "Event",
    "Foretold",
    "Kind",
    "Reading",
    "SpareReading",
    "iso",
    "ordered",
    "parse_time",
]

# The kernel counts its events with 64 bits.
MAX_SEQ = 2**64 - 1
# Years 1970 to 9999, so that every time can be printed.
_LAST = 253_402_300_799


class Kind(enum.StrEnum):
    """What happened. `reading` tells how a device is; the daemon takes it itself."""

    READING = "reading"
    READ_ERROR = "read-error"
    WRITE_ERROR = "write-error"
    WEAK_REGION = "weak-region"
    REMAP = "remap"
    LOST = "lost"
    VERIFY_ERROR = "verify-error"
    SPARE_FAILED = "spare-failed"
    SPARE_MISSING = "spare-missing"
    SPARE_RETURNED = "spare-returned"
    SPARE_ADDED = "spare-added"
    SPARE_REMOVED = "spare-removed"
    SPACE_LOW = "space-low"
    SPACE_FULL = "space-full"
    BREAKER_OPEN = "breaker-open"
    SET_FAILED = "set-failed"
    SET_STARTED = "set-started"
    SET_STOPPED = "set-stopped"
    SCAN_STARTED = "scan-started"
    SCAN_DONE = "scan-done"
    COPY_DONE = "copy-done"
    COPY_FAILED = "copy-failed"
    EVENTS_LOST = "events-lost"
    ACTION_STARTED = "action-started"
    ACTION_DONE = "action-done"
    ACTION_FAILED = "action-failed"


class Action(enum.StrEnum):
    """What can be done: by rules, and `scan-stop` by people only."""

    REMAP = "remap"
    RELOCATE = "relocate"
    SCAN = "scan"
    SCAN_STOP = "scan-stop"
    EVACUATE = "evacuate"
    SPARE_ADD = "spare-add"
    NOTIFY = "notify"
    HOOK = "hook"


def parse_time(value: object) -> object:
    """Seconds since 1970 of a text in ISO 8601; anything else as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        message = "the time has no time zone: append Z for UTC"
        raise ValueError(message)
    return moment.timestamp()


def iso(seconds: float) -> str:
    """Seconds since 1970 as text, UTC: `2026-11-21T10:00:00Z`, with microseconds if there are."""
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}Z"


def _never(value: object) -> object:
    return math.inf if value == "never" else value


def _not_nan(value: float) -> float:
    if math.isnan(value):
        message = "not a number"
        raise ValueError(message)
    return value


# What rules about all devices are about.
def _one(device: str) -> str:
    if device == "*":
        message = "this is no name of a device"
        raise ValueError(message)
    return device


Time = Annotated[float, BeforeValidator(parse_time), Field(ge=0, le=_LAST, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
# Seconds until something happens, "never" (infinity) if that is not in sight.
Ahead = Annotated[
    float,
    BeforeValidator(_never),
    AfterValidator(_not_nan),
    Field(ge=0),
    PlainSerializer(lambda value: "never" if math.isinf(value) else value, when_used="json"),
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpareReading(_Record):
    """How a spare is: `used` and `free` in blocks, `health` 0 to 100."""

    index: Annotated[int, Field(ge=0, le=7)]
    state: Literal["in-sync", "failed", "missing", "joining"]
    health: Percent = 100
    used: Count = 0
    free: Count = 0
    draining: bool = False


class Reading(_Record):
    """How a device is; what is None is not told of.

    `prediction` is the probability of a failure, `temperature` in degrees Celsius, `spare_fill` in
    percent of the table, `spare_full_in` in seconds, the others in blocks.
    """

    health: Percent | None = None
    prediction: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    temperature: Annotated[float, Field(ge=-60, le=200, allow_inf_nan=False)] | None = None
    spare_fill: Percent | None = None
    spare_full_in: Ahead | None = None
    below_redundancy: Count | None = None
    lost: Count | None = None
    spares: Annotated[tuple[SpareReading, ...], Field(max_length=8)] | None = None


class Foretold(_Record):
    """What the prediction says of a place: see pyctl.predict.regions.answers.

    `score` and `confidence` are 0 to 1, `hours` is the time within which a failure is to be
    expected if one comes; `reasons` are the strongest first, `advice` what to do.
    """

    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    hours: Annotated[int, Field(ge=1)]
    reasons: Annotated[tuple[str, ...], Field(max_length=3)]
    advice: str = ""


# The single numbers of a reading.
GAUGES = tuple(name for name in Reading.model_fields if name != "spares")


class Event(_Record):
    """Something that happened to a device.

    `seq` is the number that `source` gave it, which counts without gaps; None if nobody numbers it.
    `count` is how often it happened at once. `sector` and `sectors` say where. `foretold` is there
    if it has not happened yet.
    """

    time: Time
    kind: Kind
    device: Annotated[str, Field(min_length=1, max_length=127), AfterValidator(_one)]
    source: Annotated[str, Field(max_length=127)] = ""
    seq: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None
    count: Annotated[int, Field(ge=1)] = 1
    sector: Count | None = None
    sectors: Annotated[int, Field(ge=1)] | None = None
    spare: Annotated[int, Field(ge=0, le=7)] | None = None
    action: Action | None = None
    reading: Reading | None = None
    foretold: Foretold | None = None
    text: Annotated[str, Field(max_length=4096)] = ""

    def line(self) -> str:
        """One line of JSON, without what is not told."""
        return self.model_dump_json(exclude_defaults=True)


def ordered(events: Iterable[Event]) -> list[Event]:
    """The events in the one order in which they are looked at, however they came."""
    return sorted(
        events,
        key=lambda one: (
            one.time,
            one.source,
            -1 if one.seq is None else one.seq,
            one.device,
            one.line(),
        ),
    )
