"""What a rule can ask: the conditions of a policy file.

A condition only says what is asked; `evaluating` answers.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from pyctl.daemon.events import Kind
from pyctl.daemon.policy.schema import (
    Duration,
    Part,
    Some,
    Threshold,
    TimeThreshold,
    alternatives,
    mistake,
    nearest,
)

__all__ = [
    "GAUGE_CONDITIONS",
    "AllOf",
    "AnyOf",
    "Condition",
    "Count",
    "Counted",
    "DeviceQuorum",
    "Devices",
    "ErrorsAre",
    "EventIs",
    "EventsAre",
    "Held",
    "HeldFor",
    "Not",
    "Quorum",
    "QuorumOf",
    "Silent",
    "SpareHealth",
    "SparesMissing",
    "TimeIs",
    "TimeWindow",
    "Zone",
    "children",
    "counted",
    "walk",
]

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ERRORS = {
    "read": (Kind.READ_ERROR,),
    "write": (Kind.WRITE_ERROR,),
    "any": (Kind.READ_ERROR, Kind.WRITE_ERROR),
}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise mistake(
            f"there is no time zone {name!r}",
            "Write one such as Europe/Berlin or UTC; the Debian package tzdata has them.",
        ) from error
    return name


Zone = Annotated[str, AfterValidator(_zone)]


def _kind(value: object) -> object:
    known = [kind.value for kind in Kind]
    if value not in known:
        raise mistake(f"there is no kind of event {value!r}", nearest(str(value), known))
    return Kind(str(value))


EventKind = Annotated[Kind, BeforeValidator(_kind)]


def _clock(value: object) -> object:
    if isinstance(value, str):
        try:
            return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 (a time of day)
        except ValueError:
            pass
    raise mistake(f"{value!r} is no time of day", 'Write it with quotes: "22:00".')


Clock = Annotated[time, BeforeValidator(_clock)]


# Gauges: the latest reading.


class HealthIs(Part):
    """The health score of the device, 0 to 100."""

    value: Threshold = Field(alias="health")


class PredictionIs(Part):
    """The probability of a failure, 0 to 1."""

    value: Threshold = Field(alias="prediction")


class TemperatureIs(Part):
    """Degrees Celsius."""

    value: Threshold = Field(alias="temperature")


class SpareFillIs(Part):
    """How much of the table is in use, in percent."""

    value: Threshold = Field(alias="spare-fill")


class SpareForecastIs(Part):
    """Time until the spares are full."""

    value: TimeThreshold = Field(alias="spare-forecast")


class BelowRedundancyIs(Part):
    """Blocks that are on fewer spares than they should be."""

    value: Threshold = Field(alias="below-redundancy")


class LostIs(Part):
    """Blocks that could not be read, until they are written."""

    value: Threshold = Field(alias="lost")


# The gauge of a reading that each of them asks for.
GAUGE_CONDITIONS: dict[type[Part], str] = {
    HealthIs: "health",
    PredictionIs: "prediction",
    TemperatureIs: "temperature",
    SpareFillIs: "spare_fill",
    SpareForecastIs: "spare_full_in",
    BelowRedundancyIs: "below_redundancy",
    LostIs: "lost",
}


class SpareHealth(Part):
    """Health of the weakest spare in sync that is not being emptied."""

    value: Threshold = Field(alias="spare-health")


class SparesMissing(Part):
    """Spares that are failed or missing."""

    value: Threshold = Field(alias="spares-missing")


class Silent(Part):
    """Nothing was heard of the device for so long."""

    after: Duration = Field(alias="silent")


# Events.


class EventIs(Part):
    """One of these has just happened."""

    kinds: Some[EventKind] = Field(alias="event")


class Count(Threshold):
    """How often within a time; with `per`, as a rate."""

    within: Duration
    per: Duration | None = None


class ErrorCount(Count):
    """Errors of the device, by kind."""

    kind: Literal["read", "write", "any"] = "any"


class ErrorsAre(Part):
    """I/O errors within a time."""

    count: ErrorCount = Field(alias="errors")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The events that are counted."""
        return _ERRORS[self.count.kind]


class EventCount(Count):
    """Events of some kinds."""

    kinds: Some[EventKind]


class EventsAre(Part):
    """Events of some kinds within a time."""

    count: EventCount = Field(alias="events")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The events that are counted."""
        return self.count.kinds


Counted = ErrorsAre | EventsAre


# Time of day.


class TimeWindow(Part):
    """A part of the day, on some days of the week; over midnight it belongs to the day it began."""

    start: Clock | None = Field(None, alias="from")
    end: Clock | None = Field(None, alias="to")
    days: Some[Day] = DAYS
    timezone: Zone | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse half a window and an empty one."""
        if (self.start is None) != (self.end is None):
            raise mistake("a time window has from and to, or neither", "Give both.")
        if self.start is None and self.days == DAYS:
            raise mistake("this is always", "Give from and to, or days.")
        if self.start is not None and self.start == self.end:
            raise mistake("the window is empty", "For whole days leave from and to out.")

    def contains(self, moment: datetime) -> bool:
        """Is a local time in it?"""
        today = DAYS[moment.weekday()]
        if self.start is None or self.end is None:
            return today in self.days
        clock = moment.time()
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        yesterday = DAYS[(moment - timedelta(days=1)).weekday()]
        return (clock >= self.start and today in self.days) or (
            clock < self.end and yesterday in self.days
        )


class TimeIs(Part):
    """It is a certain time."""

    window: TimeWindow = Field(alias="time")


# Combinations.


class AllOf(Part):
    """All of them."""

    conditions: Some["Condition"] = Field(alias="all")


class AnyOf(Part):
    """One of them at least."""

    conditions: Some["Condition"] = Field(alias="any")


class Not(Part):
    """The opposite; of what is not known, not known."""

    condition: "Condition" = Field(alias="not")


class QuorumOf(Part):
    """At least `at-least` of `of`, now or with `within` at some time of late."""

    at_least: Annotated[int, Field(ge=1)]
    of: Some["Condition"]
    within: Duration | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse what can never be."""
        if self.at_least > len(self.of):
            raise mistake(
                f"{self.at_least} of {len(self.of)} conditions can never hold",
                "Lower at-least, or add conditions.",
            )


class Quorum(Part):
    """So many of some conditions."""

    quorum: QuorumOf


class DeviceQuorum(Part):
    """At least `at-least` devices of which `where` holds, now or within a time."""

    at_least: Annotated[int, Field(ge=1)]
    names: Some[str] = ("*",)
    where: "Condition"
    within: Duration | None = None


class Devices(Part):
    """So many devices; `names` are patterns as in a shell."""

    devices: DeviceQuorum


class HeldFor(Part):
    """Since when it has been so."""

    for_: Duration = Field(alias="for")
    condition: "Condition"


class Held(Part):
    """It has been so at every look for some time."""

    held: HeldFor


_ALL = (
    *GAUGE_CONDITIONS,
    SpareHealth,
    SparesMissing,
    Silent,
    EventIs,
    ErrorsAre,
    EventsAre,
    TimeIs,
    AllOf,
    AnyOf,
    Not,
    Quorum,
    Devices,
    Held,
)
if TYPE_CHECKING:
    Condition = (
        HealthIs
        | PredictionIs
        | TemperatureIs
        | SpareFillIs
        | SpareForecastIs
        | BelowRedundancyIs
        | LostIs
        | SpareHealth
        | SparesMissing
        | Silent
        | EventIs
        | ErrorsAre
        | EventsAre
        | TimeIs
        | AllOf
        | AnyOf
        | Not
        | Quorum
        | Devices
        | Held
    )
else:
    Condition = alternatives("condition", _ALL)

for _each in (AllOf, AnyOf, Not, QuorumOf, Quorum, DeviceQuorum, Devices, HeldFor, Held):
    _each.model_rebuild()


def children(condition: "Condition") -> list[tuple[str, "Condition"]]:
    """The conditions right below one, with their place in the file."""
    match condition:
        case AllOf(conditions=below):
            return [(f"all[{index}]", one) for index, one in enumerate(below)]
        case AnyOf(conditions=below):
            return [(f"any[{index}]", one) for index, one in enumerate(below)]
        case Not(condition=one):
            return [("not", one)]
        case Quorum(quorum=quorum):
            return [(f"quorum.of[{index}]", one) for index, one in enumerate(quorum.of)]
        case Devices(devices=devices):
            return [("devices.where", devices.where)]
        case Held(held=held):
            return [("held.condition", held.condition)]
        case _:
            return []


def walk(condition: "Condition") -> Iterator["Condition"]:
    """A condition and all below it."""
    yield condition
    for _, below in children(condition):
        yield from walk(below)


def counted(condition: "Condition") -> Iterator[tuple[tuple[Kind, ...], int]]:
    """What has to be counted for a condition: kinds of events, and the time in seconds."""
    for one in walk(condition):
        if isinstance(one, ErrorsAre | EventsAre):
            yield one.kinds, one.count.within
