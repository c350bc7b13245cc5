import numpy as np
import pytest

from pyctl.errors import NotFoundError, UsageError
from pyctl.predict.log import read_log
from tests.pyctl.predict import fleet


def test_rows_are_sorted_by_drive_and_hour(log):
    assert (np.diff(log.keys) > 0).all()
    assert (np.diff(log.drives.ids) > 0).all()


def test_the_order_of_the_files_does_not_matter(folder, tmp_path, log):
    drives, changes = fleet.rows(folder)
    random = np.random.default_rng(1)
    fleet.write(tmp_path, list(random.permutation(drives)), list(random.permutation(changes)))
    again = read_log(tmp_path)
    assert (again.keys == log.keys).all()
    assert (again.values[197] == log.values[197]).all()
    assert (again.drives.last_hour == log.drives.last_hour).all()


def test_what_a_drive_does_not_report_is_not_a_number(log):
    silent = np.flatnonzero(log.drives.model == "MODEL 2")
    assert np.isnan(log.values[187][np.isin(log.drive, silent)]).all()
    assert not np.isnan(log.values[197]).any()


def test_some_drives_only(log):
    some = np.array([5, 2])
    part = log.of_drives(some)
    assert (part.drives.ids == log.drives.ids[some]).all()
    assert (part.hour[part.drive == 0] == log.hour[log.drive == 5]).all()


def test_a_folder_without_the_files(tmp_path):
    with pytest.raises(NotFoundError, match=r"smart_drives\.parquet"):
        read_log(tmp_path)


def test_a_file_of_another_shape(tmp_path, folder):
    drives, changes = fleet.rows(folder)
    fleet.write(tmp_path, drives, changes)
    (tmp_path / "smart_changes.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="schema"):
        read_log(tmp_path)


def test_changes_of_a_drive_that_nobody_knows(tmp_path, folder):
    drives, changes = fleet.rows(folder)
    fleet.write(tmp_path, drives, [*changes, changes[0] | {"drive_id": 999_999}])
    with pytest.raises(UsageError, match="lacks"):
        read_log(tmp_path)


def test_a_drive_that_stands_twice(tmp_path, folder):
    drives, changes = fleet.rows(folder)
    fleet.write(tmp_path, [*drives, drives[0]], changes)
    with pytest.raises(UsageError, match="twice"):
        read_log(tmp_path)
