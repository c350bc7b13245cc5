"""The metrics at an OpenTelemetry collector, which reads real protobuf."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pyctl.daemon.metrics import METRICS
from pyctl.daemon.otel import converted
from tests.pyctl.daemon.killing import folder
from tests.pyctl.daemon.machine import a_device
from tests.pyctl.daemon.running import until
from tests.pyctl.daemon.test_api import POLICY, Box, Served, free_port


def _titled(headers):
    return {name.title(): value for name, value in headers.items()}


class Collector:
    """Keeps what it gets; may be started and stopped."""

    def __init__(self):
        self.got = []
        self.headers = []
        self.port = free_port()
        self.server = None

    def start(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportMetricsServiceRequest()
                request.ParseFromString(body)
                collector.headers.append({"path": self.path, **_titled(self.headers)})
                collector.got.append(request)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
            self.server = None

    def last(self):
        """The metrics of the last request, by name."""
        (resource,) = self.got[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {one.name: one for one in scope.metrics}

    def value(self, name, **labels):
        """The value of a gauge or counter with these labels; None if there is none."""
        metric = self.last().get(name) if self.got else None
        if metric is None:
            return None
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            had = {one.key: one.value.string_value for one in point.attributes}
            if labels.items() <= had.items():
                return point.as_double
        return None


@pytest.fixture
def collector():
    one = Collector()
    yield one
    one.stop()


@pytest.fixture
def exporting(collector):
    """A daemon that tells the collector each second; not started."""
    box = Box()
    with folder() as name:
        one = Served(name, box)
        token = one.folder / "collector-token"
        token.write_text("secret\n")
        token.chmod(0o600)
        one.write_policy(POLICY)
        one.machine.put("srv", a_device(write_errors=5, health=93))
        one.write_settings(
            f"otel: {{url: 'http://127.0.0.1:{collector.port}/v1/metrics', every: 1s, timeout: 1s,"
            f" token-file: {token}}}"
        )
        yield one
        one.close()
    box.close()


def test_what_prometheus_gets_the_collector_gets(exporting, collector):
    collector.start()
    exporting.start()
    until(lambda: collector.value("dm_remap_up", device="srv") == 1, "the device")
    labels = {"device": "srv", "set": a_device()["set"]}
    assert collector.value("dm_remap_health_score", **labels) == 93
    assert collector.value("dm_remap_write_errors", **labels) == 5
    counter = collector.last()["dm_remap_write_errors"].sum
    # 2: all since the beginning
    assert (counter.is_monotonic, counter.aggregation_temporality) == (True, 2)
    until(lambda: collector.last()["dm_remap_daemon_look_seconds"].histogram, "a look")
    (looks,) = collector.last()["dm_remap_daemon_look_seconds"].histogram.data_points
    assert looks.count >= 1
    assert sum(looks.bucket_counts) == looks.count
    assert len(looks.bucket_counts) == len(looks.explicit_bounds) + 1
    assert collector.last()["process_resident_memory_bytes"].unit == "By"
    # all of the table that a healthy device has
    absent = {"dm_remap_spares_full_timestamp_seconds", "dm_remap_daemon_messages_waiting"}
    absent |= {"dm_remap_daemon_alerts", "dm_remap_io_seconds"}
    absent |= {"dm_remap_temperature_celsius", "dm_remap_failure_probability"}
    wanted = {one.name.removesuffix("_total") for one in METRICS} - absent
    assert wanted <= set(collector.last())
    assert collector.headers[-1]["Authorization"] == "Bearer secret"
    assert collector.headers[-1]["path"] == "/v1/metrics"
    (resource,) = collector.got[-1].resource_metrics
    about = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert about["service.name"] == "dm-remapd"
    exporting.machine.change("srv", write_errors=6)
    until(lambda: collector.value("dm_remap_write_errors", device="srv") == 6, "the next values")
    assert exporting.stop() == 0


def test_a_collector_that_is_away_is_told_once_and_ends_nothing(exporting, collector):
    exporting.start()
    until(lambda: "the collector takes no metrics" in exporting.log, "the complaint")
    exporting.machine.change("srv", write_errors=8)
    until(exporting.box.got.copy, "an alert all the same")
    # a second round without it
    until(lambda: exporting.notified.count("WATCHDOG=1") > 60, "some time")
    collector.start()
    until(lambda: collector.value("dm_remap_write_errors", device="srv") == 8, "the values")
    until(lambda: "the collector takes metrics again" in exporting.log, "the end of it")
    assert exporting.stop() == 0
    assert exporting.log.count("the collector takes no metrics") == 1
    assert "Traceback" not in exporting.log


def test_each_kind_of_metric():
    registry = CollectorRegistry()
    Gauge("size_bytes", "How large.", ["of"], registry=registry).labels("a").set(7)
    Counter("events", "How many.", registry=registry).inc(3)
    times = Histogram("look_seconds", "How long.", buckets=(1, 2), registry=registry)
    for one in (0.5, 0.7, 1.5, 9):
        times.observe(one)
    found = {one.name: one for one in converted(registry.collect(), 1, 2)}
    (size,) = found["size_bytes"].data.data_points
    assert (size.attributes, size.value, size.time_unix_nano) == ({"of": "a"}, 7, 2 * 10**9)
    assert found["size_bytes"].unit == "By"
    (count,) = found["events"].data.data_points
    assert (count.value, count.start_time_unix_nano) == (3, 10**9)
    (look,) = found["look_seconds"].data.data_points
    assert (look.count, look.sum) == (4, 11.7)
    assert (look.explicit_bounds, look.bucket_counts) == ([1, 2], [2, 1, 1])
    assert found["look_seconds"].unit == "s"


def test_each_series_of_a_histogram():
    registry = CollectorRegistry()
    took = Histogram("io_seconds", "How long.", ["of"], buckets=(1, 2), registry=registry)
    took.labels("a").observe(0.5)
    for one in (1.5, 3):
        took.labels("b").observe(one)
    (found,) = (one for one in converted(registry.collect(), 1, 2) if one.name == "io_seconds")
    assert {
        one.attributes["of"]: (one.count, one.sum, one.bucket_counts)
        for one in found.data.data_points
    } == {"a": (1, 0.5, [1, 0, 0]), "b": (2, 4.5, [0, 1, 1])}


def test_what_has_no_values_is_left_out():
    registry = CollectorRegistry()
    Gauge("size", "How large.", ["of"], registry=registry)
    assert list(converted(registry.collect(), 1, 2)) == []
