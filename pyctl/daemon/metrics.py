"""What Prometheus gets. The table below is the one place where metrics are named.

A device that has gone stays, with its last values and `dm_remap_up 0`: what vanishes is not missed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pyctl import __version__
from pyctl.daemon.actions import FINAL
from pyctl.daemon.events import Action, Kind
from pyctl.daemon.iotimes import IoTimes
from pyctl.daemon.snapshot import Snapshot, SpareSnapshot

if TYPE_CHECKING:
    from pyctl.daemon.process import Daemon

__all__ = ["METRICS", "Meter", "Metrics"]

Type = Literal["gauge", "counter", "histogram"]
Rows = Iterator[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Meter:
    """A metric: its name as it is scraped, what it is, and its labels."""

    name: str
    type: Type
    about: str
    labels: tuple[str, ...] = ()


DEVICE = ("device", "set")
SPARE = (*DEVICE, "spare", "uuid")
_OF_DEVICE: tuple[tuple[Meter, Callable[[Snapshot], float | None]], ...] = (
    (
        Meter("dm_remap_up", "gauge", "1 if the device is there, 0 if it was and has gone", DEVICE),
        lambda one: one.present,
    ),
    (
        Meter("dm_remap_stopped", "gauge", "1 if somebody has stopped it in order", DEVICE),
        lambda one: one.stopped,
    ),
    (
        Meter(
            "dm_remap_last_seen_timestamp_seconds",
            "gauge",
            "When the device was looked at last, or when it went",
            DEVICE,
        ),
        lambda one: one.time,
    ),
    (
        Meter("dm_remap_health_score", "gauge", "Health of the set, 0 to 100", DEVICE),
        lambda one: one.health,
    ),
    (
        Meter("dm_remap_read_errors_total", "counter", "Reads of main that failed", DEVICE),
        lambda one: one.read_errors,
    ),
    (
        Meter("dm_remap_write_errors_total", "counter", "Writes to main that failed", DEVICE),
        lambda one: one.write_errors,
    ),
    (
        Meter("dm_remap_remapped_blocks", "gauge", "Blocks that are on a spare", DEVICE),
        lambda one: one.remapped,
    ),
    (
        Meter(
            "dm_remap_lost_blocks",
            "gauge",
            "Blocks that could not be read and are errors until they are written",
            DEVICE,
        ),
        lambda one: one.lost,
    ),
    (
        Meter(
            "dm_remap_below_redundancy_blocks",
            "gauge",
            "Remapped blocks that are on fewer spares than they should be",
            DEVICE,
        ),
        lambda one: one.below,
    ),
    (
        Meter("dm_remap_block_bytes", "gauge", "Bytes of a block of the set", DEVICE),
        lambda one: one.unit_bytes,
    ),
    (
        Meter("dm_remap_table_used_blocks", "gauge", "Entries of the table in use", DEVICE),
        lambda one: one.used,
    ),
    (
        Meter(
            "dm_remap_table_capacity_blocks", "gauge", "Entries that the table has room for", DEVICE
        ),
        lambda one: one.capacity,
    ),
    (
        Meter(
            "dm_remap_failed",
            "gauge",
            "1 if the device takes no writes any more, since no spare takes metadata",
            DEVICE,
        ),
        lambda one: one.failed,
    ),
    (
        Meter(
            "dm_remap_breaker_open",
            "gauge",
            "1 if main was taken for dead, and nothing is remapped any more",
            DEVICE,
        ),
        lambda one: one.breaker_open,
    ),
    (
        Meter("dm_remap_space_low", "gauge", "1 if the spares fill up or are full", DEVICE),
        lambda one: one.space != "ok",
    ),
    (
        Meter(
            "dm_remap_spares_full_timestamp_seconds",
            "gauge",
            "When the spares will be full, if their use goes on; absent if that is not in sight",
            DEVICE,
        ),
        lambda one: one.full_at,
    ),
)
# What disks say of themselves, by the name that readings have for it.
_OF_DISKS = (
    (
        Meter(
            "dm_remap_temperature_celsius",
            "gauge",
            "Temperature of the hottest disk of the set; absent if none has told lately",
            DEVICE,
        ),
        "temperature",
    ),
    (
        Meter(
            "dm_remap_failure_probability",
            "gauge",
            "How likely a disk of main fails within 7 days, 0 to 1; absent if that is not known",
            DEVICE,
        ),
        "prediction",
    ),
)
_OF_SPARE: tuple[tuple[Meter, Callable[[SpareSnapshot], float]], ...] = (
    (
        Meter(
            "dm_remap_spare_in_sync", "gauge", "1 if the spare has the table and takes data", SPARE
        ),
        lambda one: one.state == "in-sync",
    ),
    (
        Meter("dm_remap_spare_health_score", "gauge", "Health of the spare, 0 to 100", SPARE),
        lambda one: one.health,
    ),
    (
        Meter("dm_remap_spare_used_blocks", "gauge", "Blocks that are on the spare", SPARE),
        lambda one: one.used,
    ),
    (
        Meter("dm_remap_spare_free_blocks", "gauge", "Blocks that it has room for", SPARE),
        lambda one: one.free,
    ),
    (
        Meter("dm_remap_spare_bad_blocks", "gauge", "Blocks of it that were set aside", SPARE),
        lambda one: one.bad,
    ),
    (
        Meter("dm_remap_spare_draining", "gauge", "1 if nothing new goes there", SPARE),
        lambda one: one.draining,
    ),
)
_IO = Meter(
    "dm_remap_io_seconds",
    "histogram",
    "How long reads and writes took; only where the daemon has probes",
    (*DEVICE, "operation"),
)
_INFO = Meter(
    "dm_remap_daemon_info",
    "gauge",
    "1; which daemon, and which policy decides",
    ("version", "policy", "policy_sha256"),
)
_TROUBLE = Meter(
    "dm_remap_daemon_trouble",
    "gauge",
    "1 if something cannot be written, and is tried again",
)
_EVENTS = Meter(
    "dm_remap_daemon_events_total",
    "counter",
    "Events that were written down since the daemon was started, by kind",
    ("kind",),
)
_HEARING = Meter(
    "dm_remap_daemon_hearing",
    "gauge",
    "1 if the kernel's events are heard; without them, places are missing, not counts",
)
_HEARD = Meter(
    "dm_remap_daemon_kernel_events_total",
    "counter",
    "Events of the kernel that were heard since the daemon was started",
)
_MISSED = Meter(
    "dm_remap_daemon_kernel_events_lost_total",
    "counter",
    "Events of the kernel that did not come, as their numbers tell",
)
_RUNNING = Meter("dm_remap_daemon_actions_running", "gauge", "Actions under way")
_ACTIONS = Meter(
    "dm_remap_daemon_actions_total",
    "counter",
    "Actions that have ended since the daemon was started",
    ("kind", "state"),
)
_ALERTS = Meter(
    "dm_remap_daemon_alerts",
    "gauge",
    "Alerts that are not over",
    ("severity", "state"),
)
_WAITING = Meter(
    "dm_remap_daemon_messages_waiting",
    "gauge",
    "Messages that are not sent yet, by channel",
    ("channel",),
)
_LOOK = Meter(
    "dm_remap_daemon_look_seconds",
    "histogram",
    "How long a device took to tell how it is",
)
METRICS = (
    *(meter for meter, _ in _OF_DEVICE),
    *(meter for meter, _ in _OF_DISKS),
    *(meter for meter, _ in _OF_SPARE),
    _IO,
    *(_INFO, _TROUBLE, _EVENTS, _HEARING, _HEARD, _MISSED),
    *(_RUNNING, _ACTIONS, _ALERTS, _WAITING, _LOOK),
)


class Metrics:
    """The metrics of a daemon, made anew at each scrape from what it knows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.look = Histogram(
            _LOOK.name,
            _LOOK.about,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.io = IoTimes()
        self.events: dict[str, int] = {kind.value: 0 for kind in Kind}
        # a counter that is there from the beginning: Prometheus counts from what it saw first
        self.actions: dict[tuple[str, str], int] = {
            (kind.value, state.value): 0 for kind in Action for state in FINAL
        }
        self._daemon: Daemon | None = None

    def watch(self, daemon: "Daemon") -> None:
        """Tell of this daemon from now on."""
        self._daemon = daemon
        self.registry.register(self)

    def text(self) -> tuple[bytes, str]:
        """What a scrape gets, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        if self._daemon is None:
            return
        devices = self._daemon.source.devices()
        for meter, value in _OF_DEVICE:
            yield _family(meter, _devices(devices, value))
        for disk_meter, name in _OF_DISKS:
            yield _family(disk_meter, _readings(self._daemon, devices, name))
        for spare_meter, of_spare in _OF_SPARE:
            yield _family(spare_meter, _spares(devices, of_spare))
        io = HistogramMetricFamily(_IO.name, _IO.about, labels=_IO.labels)
        self.io.fill(io, {name: one.set for name, one in devices.items()})
        yield io
        for own, rows in self._own(self._daemon):
            yield _family(own, rows)

    def _own(self, daemon: "Daemon") -> Iterator[tuple[Meter, Rows]]:
        loaded = daemon.loaded
        yield _INFO, iter([((__version__, loaded.policy.name, loaded.version), 1)])
        yield _TROUBLE, iter([((), float(bool(daemon.trouble)))])
        yield _EVENTS, (((kind,), count) for kind, count in sorted(self.events.items()))
        ear = daemon.source.hearing
        yield _HEARING, iter([((), float(bool(ear and ear.on)))])
        yield _HEARD, iter([((), ear.heard if ear else 0)])
        yield _MISSED, iter([((), ear.missed if ear else 0)])
        yield _RUNNING, iter([((), daemon.runner.busy)])
        yield _ACTIONS, iter(sorted(self.actions.items()))
        yield _ALERTS, _counts((one.severity, one.state) for one in daemon.core.alerts.all())
        yield _WAITING, iter(daemon.core.alerts.waiting())


def _devices(devices: Mapping[str, Snapshot], value: Callable[[Snapshot], float | None]) -> Rows:
    for name, one in devices.items():
        number = value(one)
        if number is not None:
            yield (name, one.set), float(number)


def _readings(daemon: "Daemon", devices: Mapping[str, Snapshot], what: str) -> Rows:
    for name, one in devices.items():
        number = daemon.core.reading(name, what)
        if number is not None:
            yield (name, one.set), number


def _spares(devices: Mapping[str, Snapshot], value: Callable[[SpareSnapshot], float]) -> Rows:
    for name, one in devices.items():
        for spare in one.spares:
            yield (name, one.set, str(spare.row), spare.uuid), float(value(spare))


def _counts(pairs: Iterator[tuple[str, str]]) -> Rows:
    for pair, same in groupby(sorted(pairs)):
        yield tuple(pair), len(list(same))


def _family(meter: Meter, rows: Rows) -> Metric:
    kind = CounterMetricFamily if meter.type == "counter" else GaugeMetricFamily
    family = kind(meter.name, meter.about, labels=meter.labels)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
