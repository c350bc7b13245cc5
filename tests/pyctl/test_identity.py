from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl import identity
from pyctl.format import IDENTITY_LEN, MainGeometry, plan_set
from pyctl.identity import Main, Verdict, encode, examine, judge, merged
from pyctl.samples import Compared

NOW = 1_700_000_000

VALUE = st.text("abcdefABCDEF0123456789.-_:", min_size=1, max_size=90)
KEYS = ("wwid", "serial", "dmuuid", "partuuid", "fsuuid", "ptuuid", "fstype")


@given(st.dictionaries(st.sampled_from(KEYS), VALUE))
def test_what_fits_reads_back(known):
    text = identity.encode(known)
    assert len(text) < IDENTITY_LEN
    back = identity.decode(text)
    assert back.items() <= known.items()
    if len(" ".join(f"{key}={value}" for key, value in known.items())) < IDENTITY_LEN:
        assert back == known


@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    assert all(key for key in identity.decode(text))


SUPERBLOCK = plan_set(MainGeometry(204800), [65536], now=NOW)[0]


def look(stored, found, *, sectors=204800, lbs=512, content=None, now=NOW):
    superblock = replace(SUPERBLOCK, identity=encode(stored))
    fields = examine(superblock, Main("/dev/m", sectors, lbs, found), content=content, now=now)
    return {field.name: field for field in fields}


def verdicts(fields):
    return {name: field.verdict for name, field in fields.items()}


def test_every_field_has_a_verdict():
    stored = {"wwid": "naa.1", "serial": "S", "fsuuid": "F", "ptuuid": "P", "fstype": "ext4"}
    now = {"wwid": "naa.2", "serial": "S", "fsuuid": "G", "ptuuid": "P", "partuuid": "U"}
    assert verdicts(look(stored, now)) == {
        "sectors": Verdict.SAME,
        "logical block size": Verdict.SAME,
        "world-wide identifier": Verdict.REFUSED,
        "serial number": Verdict.SAME,
        "device-mapper UUID": Verdict.UNKNOWN,
        "partition UUID": Verdict.UNKNOWN,
        "file system's UUID": Verdict.WARNING,
        "partition table's UUID": Verdict.SAME,
        "file system's type": Verdict.UNKNOWN,
        "content samples": Verdict.UNKNOWN,
        "created at": Verdict.PLAUSIBLE,
        "updated at": Verdict.PLAUSIBLE,
        "state at": Verdict.UNKNOWN,
    }


def test_hardware_is_told_from_contents():
    stored = {"wwid": "naa.1", "fsuuid": "F"}
    fields = list(look(stored, {"wwid": "naa.2", "fsuuid": "G"}).values())
    problems, warnings = judge(fields)
    assert [problem.partition(" (")[0] for problem in problems] == [
        "main is another device: its world-wide identifier is naa.2, the spares remember naa.1"
    ]
    assert problems[0].endswith(" (--force-main accepts it nevertheless)")
    assert warnings == []
    problems, warnings = judge(fields, force_main=True)
    assert problems == []
    assert warnings == [
        "main has changed: its world-wide identifier is naa.2, the spares remember naa.1",
        "main has changed: its file system's UUID is G, the spares remember F",
    ]


def test_no_force_makes_another_size_right():
    fields = list(look({}, {}, sectors=204801, lbs=4096).values())
    assert len(judge(fields, force_main=True)[0]) == 2
    assert look({}, {}, lbs=0)["logical block size"].verdict == Verdict.UNKNOWN


def test_a_main_that_has_replaced_a_shorter_one_has_its_own_length():
    stored = {"serial": "S", "sectors": "300000"}
    assert verdicts(look(stored, {}, sectors=300000))["sectors"] == Verdict.SAME
    assert verdicts(look(stored, {}))["sectors"] == Verdict.REFUSED
    assert encode(merged(stored, {"serial": "T"})) == "sectors=300000 serial=T"


def test_only_what_both_know_is_compared():
    assert judge(list(look({"wwid": "a"}, {"serial": "b"}).values())) == ([], [])


def test_a_clock_that_is_wrong_is_a_warning():
    fields = look({}, {}, now=NOW - 100_000)
    assert fields["created at"].verdict == Verdict.WARNING
    assert "a clock is wrong" in fields["created at"].clause


@pytest.mark.parametrize(
    ("content", "known", "verdict"),
    [
        (Compared(24, 20, 0, True, 1), False, Verdict.SAME),
        (Compared(24, 20, 0, False, 1), False, Verdict.SAME),
        (Compared(24, 20, 1, True, 1), True, Verdict.REFUSED),
        (Compared(24, 20, 1, False, 1), False, Verdict.WARNING),
        (Compared(24, 20, 19, False, 1), False, Verdict.WARNING),
        (Compared(24, 20, 20, False, 1), False, Verdict.REFUSED),
        (Compared(24, 20, 20, False, 1), True, Verdict.WARNING),
        (Compared(24, 8, 8, False, 1), False, Verdict.REFUSED),
        (Compared(24, 7, 7, False, 1), False, Verdict.WARNING),
        (Compared(0, 0, 0, True, 1), False, Verdict.UNKNOWN),
    ],
)
def test_what_differing_samples_mean(content, known, verdict):
    hardware = {"serial": "S"} if known else {}
    assert look(hardware, hardware, content=content)["content samples"].verdict == verdict


def test_what_is_found_is_remembered_and_what_is_not_found_stays():
    stored = {"wwid": "a", "fsuuid": "F"}
    assert merged(stored, {"fsuuid": "G", "fstype": "xfs"}) == {
        "wwid": "a",
        "fsuuid": "G",
        "fstype": "xfs",
    }
    assert merged(stored, {}) == stored


def test_the_most_telling_stays_when_room_is_short():
    text = identity.encode({"fsuuid": "f" * 200, "wwid": "w" * 200, "serial": "s"})
    assert set(identity.decode(text)) == {"wwid", "serial"}
