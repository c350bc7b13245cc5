"""The metrics of the daemon for an OpenTelemetry collector: OTLP over HTTP, with protobuf.

They are those that Prometheus gets, taken from the same registry. What is lost while the collector
is away is not sent later: the next values say how things are then.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from pyctl import __version__
from pyctl.daemon.threads import in_thread

__all__ = ["Export", "converted"]

_TOTAL = AggregationTemporality.CUMULATIVE
_UNITS = {"_seconds": "s", "_bytes": "By"}


class Export:
    """Sends a registry's metrics to `url` every `every` seconds. `log` hears what changes."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        every: float,
        timeout: float,
        registry: CollectorRegistry,
        log: Callable[..., object],
    ) -> None:
        self.url = url
        self.every = every
        self.registry = registry
        self.log = log
        self._begun = time.time()
        self._resource = Resource.create(
            {"service.name": "dm-remapd", "service.version": __version__}
        )
        self._heard = _Heard()
        self._exporter = OTLPMetricExporter(endpoint=url, headers=dict(headers), timeout=timeout)
        self._trouble = False

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self.send()
                await asyncio.sleep(self.every)
        finally:
            self._exporter.shutdown()
            self._heard.close()

    async def send(self) -> bool:
        """Send how things are now; whether the collector has taken it."""
        families = list(self.registry.collect())
        found = converted(families, self._begun, time.time())
        scope = ScopeMetrics(InstrumentationScope("dm-remapd", __version__), list(found), "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        self._heard.last = ""
        good = await in_thread(self._exporter.export, data) is MetricExportResult.SUCCESS
        if not good and not self._trouble:
            why = self._heard.last
            self.log("the collector takes no metrics; tried again", url=self.url, why=why)
        elif good and self._trouble:
            self.log("the collector takes metrics again", url=self.url)
        self._trouble = not good
        return good


def converted(
    families: Iterator[Family] | list[Family], begun: float, now: float
) -> Iterator[Metric]:
    """Prometheus metrics as OpenTelemetry has them; times in seconds since 1970.

    A counter is called as its family, without `_total`.
    """
    span = (int(begun * 1e9), int(now * 1e9))
    for one in families:
        data: Gauge | Histogram | Sum
        match one.type:
            case "counter":
                points = [
                    NumberDataPoint(dict(sample.labels), *span, sample.value)
                    for sample in one.samples
                    if sample.name == f"{one.name}_total"
                ]
                data = Sum(points, _TOTAL, is_monotonic=True)
            case "histogram":
                data = Histogram(list(_histograms(one, span)), _TOTAL)
            case _:
                data = Gauge(
                    [
                        NumberDataPoint(dict(sample.labels), *span, sample.value)
                        for sample in one.samples
                    ]
                )
        if data.data_points:
            unit = next((unit for end, unit in _UNITS.items() if one.name.endswith(end)), "")
            yield Metric(one.name, one.documentation, unit, data)


# Buckets of Prometheus count all below, those of OpenTelemetry each its own.
def _histograms(family: Family, span: tuple[int, int]) -> Iterator[HistogramDataPoint]:
    below: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for one in _named(family, "_bucket"):
        labels = {name: value for name, value in one.labels.items() if name != "le"}
        below.setdefault(frozenset(labels.items()), {})[float(one.labels["le"])] = one.value
    sums = {frozenset(one.labels.items()): one.value for one in _named(family, "_sum")}
    for who, found in below.items():
        bounds = sorted(found)
        counts = [found[bound] for bound in bounds]
        yield HistogramDataPoint(
            dict(who),
            *span,
            count=int(counts[-1]),
            sum=sums[who],
            bucket_counts=[
                int(count - before) for before, count in zip([0, *counts], counts, strict=False)
            ],
            explicit_bounds=[bound for bound in bounds if math.isfinite(bound)],
            min=math.inf,
            max=-math.inf,
        )


def _named(family: Family, end: str) -> list[Sample]:
    return [one for one in family.samples if one.name == family.name + end]


# The exporter says only to the log of Python what has failed, and says it at every try.
class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        self._logger = logging.getLogger("opentelemetry")
        self._propagate = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagate
        super().close()
