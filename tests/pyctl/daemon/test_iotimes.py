"""How long I/O takes, from the probes' frames to what Prometheus reads."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from pyctl.daemon.iotimes import IoTimes
from pyctl.probes.frames import Device, Frame
from tests.pyctl.daemon.probed import DEVICE, MIB, REGIONS, header, reads


class Told:
    """What a registry asks."""

    def __init__(self, times, sets):
        self.times = times
        self.sets = sets

    def collect(self):
        family = HistogramMetricFamily("io_seconds", "", labels=("device", "set", "operation"))
        self.times.fill(family, self.sets)
        yield family


def scraped(times, **sets):
    """The series as Prometheus reads them: values by the labels, by the end of the name."""
    registry = CollectorRegistry()
    registry.register(Told(times, sets))
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for one in family.samples:
            labels = dict(one.labels)
            le = labels.pop("le", None)
            assert sets[labels["device"]] == labels["set"]
            of = (labels["device"], labels["operation"])
            end = one.name.removeprefix("io_seconds_")
            found.setdefault(of, {}).setdefault(end, {})[le] = one.value
    return found


def test_intervals_and_regions_are_added_up():
    times = IoTimes()
    for number in range(2):
        frame = Frame(at=(number + 1) * 300, seconds=300)
        reads(frame, 0, 100, 100)
        # a region "elsewhere", for what has no place
        reads(frame, REGIONS, 3_000_000)
        times.add(header(), frame)
    found = scraped(times, srv="A")
    read = found["srv", "read"]
    assert read["count"] == {None: 6}
    assert abs(read["sum"][None] - 6.0004) < 1e-9
    # 100 microseconds are in the slot up to 131, 3 seconds in the one up to 4.3
    below = {float(le): number for le, number in read["bucket"].items()}
    assert list(below.values()) == sorted(below.values())
    assert {number for le, number in below.items() if le < 100e-6} == {0}
    assert {number for le, number in below.items() if 0.0005 < le < 3} == {4}
    assert below[float("inf")] == 6 and 6 in {n for le, n in below.items() if 4 < le < 20}
    assert found["srv", "write"]["count"] == {None: 0}


def test_devices_are_apart_and_unknown_ones_are_forgotten():
    times = IoTimes()
    other = Device("other", "254:1", REGIONS * MIB, MIB, REGIONS)
    frame = Frame(at=300, seconds=300)
    reads(frame, 0, 100, device=0)
    reads(frame, 0, 100, 200, device=1)
    times.add(header(DEVICE, other), frame)
    found = scraped(times, srv="A", other="B")
    assert [found[of, "read"]["count"][None] for of in ("srv", "other")] == [1, 2]
    assert {of for of, _ in scraped(times, srv="A")} == {"srv"}
    assert {of for of, _ in scraped(times, srv="A", other="B")} == {"srv"}
