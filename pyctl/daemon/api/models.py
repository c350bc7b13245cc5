"""What the interface takes and gives. Times are seconds since 1970, UTC; blocks are of the set."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pyctl.daemon.actions import Intent, State
from pyctl.daemon.alerts import Alert, AlertState, Mute
from pyctl.daemon.api.access import Role
from pyctl.daemon.diskmap import Cell, Found, cell_size, cells
from pyctl.daemon.events import Action, Event, Kind
from pyctl.daemon.policy.engine import Decision
from pyctl.daemon.senders import Severity
from pyctl.daemon.snapshot import Snapshot, SpareSnapshot
from pyctl.scan import ScanStatus

__all__ = [
    "ActionView",
    "AlertView",
    "CallerView",
    "CellView",
    "DecisionView",
    "DeviceView",
    "Done",
    "EventView",
    "Failure",
    "MapView",
    "MuteOrder",
    "MuteView",
    "Number",
    "Order",
    "PolicyView",
    "ScanView",
    "SpareView",
    "StatusView",
]

# What SQLite counts with.
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]


# In JSON, 2.0 is a whole number, too.
def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)
Name = Annotated[str, Field(min_length=1, max_length=127, pattern=r"^[^/\x00-\x20\x7f]+$")]
Reason = Annotated[str, Field(max_length=1000)]


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Taken(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Failure(_Given):
    """Why something was not done, and what to do about it."""

    message: str
    hint: str = ""


class SpareView(_Given):
    """A spare of a device."""

    row: int
    uuid: str
    state: str
    health: int
    used: int
    free: int
    usable: int
    bad: int
    draining: bool

    @classmethod
    def of(cls, one: SpareSnapshot) -> "SpareView":
        """Of a snapshot."""
        return cls(**one.model_dump())


class DeviceView(_Given):
    """A device as it was looked at last; `up` says whether it is there now.

    `full_at` is when the spares will be full, null if that is not in sight. `temperature` is that
    of the hottest disk, in degrees Celsius, and `prediction` how likely a disk of main fails within
    7 days, 0 to 1; null if no disk has told lately.
    """

    name: str
    set: str
    up: bool
    time: float
    health: int
    read_errors: int
    write_errors: int
    remapped: int
    lost: int
    used: int
    capacity: int
    fill: float
    below: int
    unit_bytes: int
    failed: bool
    breaker_open: bool
    space: str
    copy_phase: str
    full_at: float | None
    temperature: float | None
    prediction: float | None
    spares: tuple[SpareView, ...]

    @classmethod
    def of(
        cls, name: str, one: Snapshot, reading: Callable[[str, str], float | None]
    ) -> "DeviceView":
        """Of a snapshot, and of what Core.reading() knows."""
        plain = one.model_dump(exclude={"present", "stopped", "commands", "spares"})
        spares = tuple(SpareView.of(spare) for spare in one.spares)
        return cls(
            name=name,
            up=one.present,
            fill=one.fill,
            temperature=reading(name, "temperature"),
            prediction=reading(name, "prediction"),
            spares=spares,
            **plain,
        )


class CellView(_Given):
    """A piece of a device with something to tell, as in pyctl.daemon.diskmap.Cell."""

    sector: int
    sectors: int
    health: int
    errors: int
    retries: int
    slow: int
    marginal: int
    blanks: int
    usual_us: int
    remapped: int
    lost: int

    @classmethod
    def of(cls, one: Cell) -> "CellView":
        """Of a cell."""
        return cls(**vars(one))


class ScanView(_Given):
    """What the scan of a device does: `percent` of a pass, `left` in seconds, 0 if not known."""

    state: str
    why: str
    pattern: str
    percent: int
    left: int
    last: int

    @classmethod
    def of(cls, one: ScanStatus) -> "ScanView":
        """Of its status."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class MapView(_Given):
    """Where on a device something has happened; what is not in `cells` is well.

    `sectors` is its length, `cell_sectors` that of each cell but the last.
    """

    device: str
    sectors: int
    cell_sectors: int
    cells: list[CellView]
    scan: ScanView | None

    @classmethod
    def of(cls, device: str, found: Found, most: int) -> "MapView":
        """Of what a device said, in at most so many cells."""
        return cls(
            device=device,
            sectors=found.sectors,
            cell_sectors=cell_size(found.sectors, most),
            cells=[CellView.of(one) for one in cells(found, most)],
            scan=ScanView.of(found.scan) if found.scan else None,
        )


class EventView(_Given):
    """Something that happened; `id` grows, and is the place to go on from."""

    id: int
    time: float
    kind: Kind
    device: str
    source: str
    count: int
    sector: int | None
    sectors: int | None
    spare: int | None
    action: Action | None
    text: str
    reading: dict[str, Any] | None
    foretold: dict[str, Any] | None

    @classmethod
    def of(cls, number: int, one: Event) -> "EventView":
        """Of an event."""
        plain = one.model_dump(exclude={"seq", "reading", "foretold"})
        told = one.reading.model_dump(mode="json", exclude_none=True) if one.reading else None
        foretold = one.foretold.model_dump(mode="json") if one.foretold else None
        return cls(id=number, reading=told, foretold=foretold, **plain)


class DecisionView(_Given):
    """What a rule decided; `seen` is the tree of what each of its conditions saw."""

    id: int | None = None
    time: str
    rule: str
    device: str
    verdict: str
    why: str
    steps: list[dict[str, Any]]
    seen: dict[str, Any]

    @classmethod
    def of(cls, one: Decision) -> "DecisionView":
        """Of a decision."""
        return cls(**one.plain())


class ActionView(_Given):
    """An action: who wanted it, why, and what has become of it."""

    id: int
    time: float
    who: str
    why: str
    device: str
    kind: Action
    parameters: dict[str, Any]
    state: State
    tries: int
    result: dict[str, Any]

    @classmethod
    def of(cls, one: Intent) -> "ActionView":
        """Of an action."""
        return cls(**vars(one))


class AlertView(_Given):
    """An alert; `who` has acknowledged or resolved it."""

    id: int
    key: str
    device: str
    severity: Severity
    text: str
    first: float
    last: float
    count: int
    state: AlertState
    who: str

    @classmethod
    def of(cls, one: Alert) -> "AlertView":
        """Of an alert."""
        return cls(**{key: value for key, value in vars(one).items() if key != "channels"})


class MuteView(_Given):
    """Alerts whose key matches the pattern are told to nobody until then."""

    id: int
    pattern: str
    until: float
    who: str
    why: str

    @classmethod
    def of(cls, one: Mute) -> "MuteView":
        """Of a mute."""
        return cls(**vars(one))


class CallerView(_Given):
    """Who calls, as the audit log calls them."""

    name: str
    role: Role


class PolicyView(_Given):
    """Which policy decides."""

    name: str
    file: str
    sha256: str
    dry_run: bool
    rules: list[str]


class StatusView(_Given):
    """How the daemon itself is; `trouble` is what it tries again and again, "" if nothing.

    `hearing`: does it hear the kernel's events? Those heard since it was started, and those that
    were lost.
    """

    version: str
    devices: int
    devices_up: int
    actions_running: int
    trouble: str
    last_event: int
    hearing: bool
    kernel_events: int
    kernel_events_lost: int


class Done(_Given):
    """It was done."""

    done: Literal[True] = True


# What somebody can order.


class _Order(_Taken):
    device: Name
    why: Reason = ""


class Range(_Taken):
    """Sectors of 512 bytes, counted on the device."""

    sector: Annotated[int, Field(ge=0, le=2**53), _WHOLE]
    sectors: Annotated[int, Field(ge=1, le=2**53), _WHOLE]


class RemapOrder(_Order):
    """Move sectors to a spare."""

    kind: Literal["remap"]
    ranges: Annotated[list[Range], Field(min_length=1, max_length=1000)]


class ScanOrder(_Order):
    """Look at the whole device."""

    kind: Literal["scan"]
    pattern: Literal["sequential", "random", "staggered", "focused"] = "sequential"


class ScanStopOrder(_Order):
    """End a scan that is under way."""

    kind: Literal["scan-stop"]


class EvacuateOrder(_Order):
    """Empty a spare."""

    kind: Literal["evacuate"]
    spare: Annotated[int, Field(ge=0, le=7), _WHOLE]


class SpareAddOrder(_Order):
    """Make a blank device a spare."""

    kind: Literal["spare-add"]
    spare: Annotated[str, Field(pattern=r"^/dev/[^\x00-\x20\x7f]+$", max_length=1000)]


Order = Annotated[
    RemapOrder | ScanOrder | ScanStopOrder | EvacuateOrder | SpareAddOrder,
    Field(discriminator="kind"),
]


class MuteOrder(_Taken):
    """Tell nobody of alerts whose key matches a pattern (as in a shell) for so many seconds."""

    pattern: Annotated[str, Field(min_length=1, max_length=200)]
    seconds: Annotated[int, Field(ge=1, le=31_536_000), _WHOLE]
    why: Reason = ""
