import copy
import json

import pytest

from pyctl.badblocks import ListError, smartctl

ABORTED = {"value": 25, "string": "Aborted by host", "remaining_percent": 90}
PASSED = {"value": 0, "string": "Completed without error", "passed": True}
FAILED = {
    "value": 121,
    "string": "Completed: read failure",
    "remaining_percent": 90,
    "passed": False,
}
BASE = {
    "json_format_version": [1, 0],
    "smartctl": {"version": [7, 4], "argv": ["smartctl", "-j", "-x", "/dev/sda"]},
    "serial_number": " ABC 123",
    "user_capacity": {"blocks": 976773168, "bytes": 500107862016},
    "logical_block_size": 512,
    "physical_block_size": 4096,
}
SHORT = {"value": 1, "string": "Short offline"}
EXTENDED = {"value": 2, "string": "Extended offline"}
ATA = {
    **BASE,
    "ata_smart_self_test_log": {
        "extended": {
            "revision": 1,
            "sectors": 1,
            "table": [
                {"type": SHORT, "status": PASSED, "lifetime_hours": 42},
                {"type": EXTENDED, "status": FAILED, "lifetime_hours": 41, "lba": 104870168},
                {"type": EXTENDED, "status": ABORTED, "lifetime_hours": 40, "lba": 5},
            ],
            "count": 3,
        },
        "standard": {
            "table": [
                {"type": EXTENDED, "status": FAILED, "lifetime_hours": 41, "lba": 104870168},
                {"type": EXTENDED, "status": FAILED, "lifetime_hours": 30, "lba": 77},
            ],
        },
    },
    "ata_pending_defects_log": {
        "size": 65535,
        "count": 2,
        "table": [{"lba": 3000, "power_on_hours": 41}, {"lba": 3001}],
    },
}
SCSI = {
    **BASE,
    "logical_block_size": 4096,
    "scsi_self_test_0": {
        "code": {"value": 2, "string": "Background long"},
        "result": {"value": 7, "string": "Failed in segment"},
        "power_on_time": {"hours": 9, "aka": "accumulated_power_on_hours"},
        "lba_first_failure": {"value": 900, "aka": "address_of_first_failure"},
        "sense_key": {"value": 3, "string": "Medium Error"},
    },
    "scsi_self_test_1": {"result": {"value": 0, "string": "Completed"}},
    "scsi_self_test_2": {"result": {"value": 1}, "lba_first_failure": {"value": 4}},
}
SEGMENT = {"value": 7, "string": "Completed: failed segments"}
NVME = {
    **BASE,
    "nvme_namespaces": [{"id": 1, "formatted_lba_size": 512}],
    "nvme_self_test_log": {
        "current_self_test_operation": {"value": 0, "string": "No self-test in progress"},
        "table": [
            {"self_test_result": SEGMENT, "segment": 2, "nsid": 1, "lba": 60},
            {"self_test_result": SEGMENT, "nsid": 2, "lba": 61},
            {"self_test_result": SEGMENT, "nsid": -1, "lba": 62},
            {"self_test_result": {"value": 0}, "power_on_hours": 9},
            {"self_test_result": SEGMENT, "power_on_hours": 8},
        ],
    },
}


def load(document):
    return smartctl.load(json.dumps(document))


def test_ata_failed_tests_and_pending_sectors():
    drive = load(ATA)
    assert drive.addresses == (77, 3000, 3001, 104870168)
    assert (drive.block_size, drive.size, drive.serial) == (512, 500107862016, "ABC 123")
    found = list(smartctl.extents(drive, 512))
    assert [(e.start, e.length, e.line) for e in found][:2] == [
        (77 * 512, 512, 0),
        (3000 * 512, 512, 0),
    ]


def test_scsi_addresses_are_in_its_blocks():
    drive = load(SCSI)
    assert drive.addresses == (900,)
    (extent,) = smartctl.extents(drive, drive.block_size)
    assert (extent.first_sector, extent.end_sector) == (7200, 7208)


def test_nvme_other_namespaces_are_left_alone():
    assert load(NVME).addresses == (60, 62)


def test_a_drive_whose_tests_all_passed():
    document = copy.deepcopy(ATA)
    del document["ata_pending_defects_log"]
    document["ata_smart_self_test_log"] = {"standard": {"revision": 1, "count": 0}}
    assert load(document).addresses == ()


def test_a_drive_that_tells_little():
    document = {key: ATA[key] for key in ("smartctl", "ata_pending_defects_log")}
    drive = load(document)
    assert (drive.block_size, drive.size, drive.serial) == (None, None, "")
    assert drive.addresses == (3000, 3001)


def test_what_is_no_json_is_refused_with_its_line():
    with pytest.raises(ListError, match="not JSON") as caught:
        smartctl.load('{\n"smartctl": {},\n]')
    assert caught.value.line == 3


@pytest.mark.parametrize("text", ["[]", "{}", "5", '{"a": 1}', "[" * 100000])
def test_other_json_is_refused(text):
    with pytest.raises(ListError, match="no JSON of smartctl"):
        smartctl.load(text)


def test_without_logs_it_is_told_how_to_get_them():
    with pytest.raises(ListError, match="neither a self-test log") as caught:
        load(BASE)
    assert "smartctl -j -x" in caught.value.hint


@pytest.mark.parametrize("address", [-1, "5", 1.5, True, [1]])
def test_strange_addresses_are_refused(address):
    document = copy.deepcopy(ATA)
    document["ata_pending_defects_log"]["table"][0]["lba"] = address
    with pytest.raises(ListError, match="is not the address"):
        load(document)


@pytest.mark.parametrize("log", [None, 5, [], {"table": 5}, {"table": [5, None, {}]}])
def test_logs_of_another_shape_have_no_addresses(log):
    keys = ("ata_smart_self_test_log", "nvme_self_test_log", "scsi_self_test_0")
    assert load({**ATA, **dict.fromkeys(keys, log)}).addresses == (3000, 3001)
