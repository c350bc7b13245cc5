import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.dm import TargetLine
from pyctl.errors import PyctlError, UsageError
from pyctl.table import RemapTable, dm_uuid, is_ours

PATH = st.from_regex(r"\A(/dev/[a-z0-9/-]{1,10}|[0-9]{1,3}:[0-9]{1,5})\Z")


@given(
    st.integers(1, 2**63),
    PATH,
    st.lists(PATH, min_size=1, max_size=8),
    st.lists(st.sampled_from([("retries", "3"), ("set", str(uuid.uuid4()))]), max_size=3),
)
def test_a_table_reads_back(length, main, spares, options):
    words = tuple(word for pair in options for word in pair)
    table = RemapTable(length, main, tuple(spares), words)
    assert RemapTable.parse([table.line()]) == table


def test_the_line_that_is_loaded():
    table = RemapTable(204800, "/dev/sda", ("/dev/sdb", "/dev/sdc"), ("set", "U", "retries", "3"))
    assert str(table.line()) == "0 204800 remap /dev/sda /dev/sdb /dev/sdc 4 set U retries 3"
    assert str(RemapTable(8, "7:0", ("7:1",)).line()) == "0 8 remap 7:0 7:1"


@pytest.mark.parametrize("path", ["/dev/a b", "", "/dev/a\\b", "/dev/\n"])
def test_a_path_that_no_table_can_hold_is_refused(path):
    with pytest.raises(UsageError, match="cannot be part of a device-mapper table"):
        RemapTable(8, "/dev/sda", (path,)).line()


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [TargetLine(0, 8, "linear", "7:0 0")],
        [TargetLine(0, 8, "remap", "7:0 7:1")] * 2,
        [TargetLine(0, 8, "remap", "7:0")],
        [TargetLine(0, 8, "remap", "7:0 7:1 2 set")],
    ],
)
def test_what_is_no_table_of_ours_is_refused(lines):
    with pytest.raises(PyctlError):
        RemapTable.parse(lines)


def test_both_names_of_the_target_are_ours():
    assert is_ours(TargetLine(0, 8, "remap", ""))
    assert is_ours(TargetLine(0, 8, "remap-v4", ""))
    assert not is_ours(TargetLine(0, 8, "remapper", ""))


def test_the_device_mapper_uuid():
    name = dm_uuid(uuid.UUID("11111111-2222-4333-8444-555555555555"))
    assert name == "DMREMAP-11111111222243338444555555555555"
