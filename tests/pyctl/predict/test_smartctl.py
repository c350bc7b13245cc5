import copy
import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pyctl.errors import ExitCode, PyctlError, UsageError
from pyctl.predict import smartctl
from pyctl.predict.history import by_its_own_word
from pyctl.predict.smartctl import parse
from tests.pyctl.predict import documents

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def reading(document):
    return parse(json.dumps(document))


def test_ata():
    found = reading(documents.ata({5: 16, 197: 8}, firmware_version="F1"))
    assert (found.protocol, found.model, found.serial) == ("ATA", "MODEL 1", "S1")
    assert (found.hours, found.power_cycles, found.temperature) == (12_345, 7, 31)
    assert (found.passed, found.rotates, found.wear) == (True, True, None)
    assert (found.time, found.size, found.firmware) == (1_700_000_000, 4_000_000_000_000, "F1")
    assert (found.attributes[5].raw, found.attributes[197].threshold) == (16, 10)
    assert by_its_own_word(found) == ["16 reallocated sectors", "8 pending sectors"]


def test_nvme():
    found = reading(documents.nvme(percentage_used=130, media_errors="17", critical_warning=4))
    assert (found.protocol, found.wear, found.rotates) == ("NVMe", 130, None)
    assert found.nvme.media_errors == 17
    assert found.nvme.data_units_written == 2000
    assert by_its_own_word(found) == [
        "130 % of its endurance is used",
        "its critical warning is 0x4",
        "17 media errors",
    ]


def test_nvme_without_spare_blocks():
    found = reading(documents.nvme(available_spare=9))
    assert by_its_own_word(found) == ["9 % of its spare blocks are left, of a threshold of 10 %"]


def test_scsi():
    document = documents.scsi(260, 3, scsi_percentage_used_endurance_indicator=12)
    del document["model_name"]
    found = reading(document | {"vendor": "V", "product": "P"})
    assert (found.model, found.wear) == ("V P", 12)
    assert (found.scsi.grown_defects, found.scsi.uncorrected) == (260, {"read": 3})
    assert by_its_own_word(found) == [
        "260 grown defects",
        "3 read errors that could not be corrected",
    ]


def test_a_drive_that_says_it_fails():
    document = documents.ata(smart_status={"passed": False})
    document["ata_smart_attributes"]["table"][0]["when_failed"] = "now"
    found = by_its_own_word(reading(document))
    assert found[0] == "the drive's own health check has failed"
    assert "attribute 5 " in found[1]


def test_wear_of_an_ata_ssd_counts_down():
    table = [documents.attribute(233, 0, name="Media_Wearout_Indicator", value=88)]
    document = documents.ata(rotation_rate=0, ata_smart_attributes={"table": table})
    assert reading(document).wear == 12
    assert reading(document | {"rotation_rate": 7200}).wear is None
    table[0]["name"] = "Unknown_Attribute"
    assert reading(document).wear is None


def test_a_raw_value_that_is_several_numbers():
    table = [documents.attribute(9, (5 << 32) + 34, shown="34 (Min/Max 5/40)")]
    document = documents.ata(ata_smart_attributes={"table": table})
    assert reading(document).attributes[9].raw == 34


def test_what_is_missing_is_none():
    found = reading({"smartctl": {}, "device": {"protocol": "ATA"}})
    assert (found.hours, found.temperature, found.wear, found.passed) == (None,) * 4
    assert (found.attributes, found.nvme, found.scsi, found.model) == ({}, None, None, "")


@pytest.mark.parametrize("temperature", [-300, 4000, "31", None, True, 1.5])
def test_what_is_no_temperature(temperature):
    assert reading(documents.ata(temperature={"current": temperature})).temperature is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"a": 1}', "[" * 100_000])
def test_what_is_no_json_of_smartctl(text):
    with pytest.raises(UsageError, match="no JSON of smartctl"):
        parse(text)


def test_a_list_of_devices_is_no_drive():
    with pytest.raises(UsageError, match="tells of no"):
        reading({"smartctl": {"exit_status": 0}, "devices": [{"protocol": "ATA"}]})


def test_what_smartctl_could_not_ask():
    messages = [{"string": "Permission denied", "severity": "error"}]
    with pytest.raises(PyctlError, match="Permission denied"):
        reading({"smartctl": {"exit_status": 2, "messages": messages}})


@given(st.data())
def test_hostile_documents(data):
    """Anything in the place of anything: a reading with values in their ranges, or a PyctlError."""
    document = copy.deepcopy(
        data.draw(st.sampled_from([documents.ata(), documents.nvme(), documents.scsi()]))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = document
        while True:
            key = data.draw(
                st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
            )
            inner = place[key]
            if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
                place[key] = data.draw(ANYTHING)
                break
            place = inner
    try:
        found = reading(document)
    except PyctlError:
        return
    assert found.protocol in ("ATA", "SCSI", "NVMe")
    for count in (found.hours, found.wear, found.size, found.time, found.power_cycles):
        assert count is None or (type(count) is int and 0 <= count < 1 << 63)
    assert found.temperature is None or -60 < found.temperature < 200
    assert all(type(one.raw) is int and one.raw >= 0 for one in found.attributes.values())
    assert all(isinstance(one, str) for one in by_its_own_word(found))


@given(st.text() | ANYTHING.map(json.dumps))
def test_hostile_texts(text):
    try:
        found = parse(text)
    except PyctlError as error:
        assert str(error)
    else:
        assert found.protocol


def test_a_device_is_asked(monkeypatch, run):
    asked = []

    def answer(argv, **_):
        asked.append([str(word) for word in argv])
        return json.dumps(documents.nvme())

    monkeypatch.setattr(smartctl, "run", answer)
    data = run("predict", "read", "/dev/null", "--json").data
    assert asked == [["smartctl", "-j", "-x", "/dev/null"]]
    assert data["nvme"]["available_spare"] == 100
    assert data["warnings"] == []


def test_read_for_people(run, tmp_path):
    file = documents.save(tmp_path / "a.json", documents.ata({197: 8}))
    told = run("predict", "read", file).output
    assert "8 pending sectors" in told
    assert "31 C" in told


def test_a_file_that_is_not_there(run):
    assert run("predict", "read", "/nothing/here").exit_code == ExitCode.USAGE
