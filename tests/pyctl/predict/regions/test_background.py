"""Reading a background: intervals of devices from rows of drives."""

import random

import pytest

from pyctl.errors import FormatError
from pyctl.predict.regions.background import INTERVAL_SECONDS, day_of, read_background
from tests.pyctl.predict.regions.made import FIRST, made_rows, write_rows


def test_each_drive_is_a_region_of_its_host(tmp_path):
    rows = made_rows(days=2, hosts=3, disks=4, hours=1)
    data = read_background(write_rows(tmp_path / "b.parquet", rows))
    assert data.rows == len(rows)
    assert [device.host for device in data.devices] == [1, 2, 3]
    assert all(device.regions == [1, 2, 3, 4] for device in data.devices)
    assert [len(device.intervals) for device in data.devices] == [24] * 3


def test_an_interval_has_the_median_and_the_tail_of_its_readings(tmp_path):
    latencies = [700, 100, 300, 200, 900, 400, 600, 500, 800, 1000]
    rows = [(1, 1, FIRST + 15 * i, 10 * (i + 1), value) for i, value in enumerate(latencies)]
    [device] = read_background(write_rows(tmp_path / "b.parquet", rows)).devices
    [(time, interval)] = device.intervals
    assert time == FIRST + INTERVAL_SECONDS
    assert (interval[1].latency, interval[1].tail, interval[1].load) == (550.0, 1000.0, 60.0)


def test_the_order_of_rows_does_not_matter(tmp_path):
    rows = made_rows(days=2, hours=1)
    mixed = random.Random(1).sample(rows, len(rows))
    one = read_background(write_rows(tmp_path / "one.parquet", rows))
    assert read_background(write_rows(tmp_path / "two.parquet", mixed)) == one


def test_rows_after_a_time_change_nothing_before_it(tmp_path):
    rows = made_rows(days=2, hours=1)
    limit = FIRST + 86400
    early = [row for row in rows if row[2] < limit]
    whole = read_background(write_rows(tmp_path / "one.parquet", rows))
    cut = read_background(write_rows(tmp_path / "two.parquet", early))
    for device, shorter in zip(whole.devices, cut.devices, strict=True):
        assert [each for each in device.intervals if each[0] <= limit] == shorter.intervals


def test_empty_readings_are_left_out(tmp_path):
    rows = [(1, 1, FIRST + 15 * i, None, 100) for i in range(10)]
    rows += [(1, 2, FIRST + 15 * i, 100, None) for i in range(10)]
    rows += [(1, 3, FIRST + 15 * i, 100, 100) for i in range(3)]
    [device] = read_background(write_rows(tmp_path / "b.parquet", rows)).devices
    assert device.regions == [1]
    assert device.intervals[0][1][1].load is None


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("host,disk\n")
    with pytest.raises(FormatError, match="no Parquet file"):
        read_background(tmp_path / "text")
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"host": [1]}), tmp_path / "other.parquet")
    with pytest.raises(FormatError, match=r"column|no Parquet"):
        read_background(tmp_path / "other.parquet")


def test_a_day_ends_at_midnight_in_china():
    midnight = FIRST + 3 * 3600
    assert day_of(FIRST + 300) == day_of(midnight)
    assert day_of(midnight + 300) == day_of(midnight) + 1
