from hypothesis import given
from hypothesis import strategies as st

from pyctl import identity
from pyctl.format import IDENTITY_LEN

VALUE = st.text("abcdefABCDEF0123456789.-_:", min_size=1, max_size=90)
KEYS = ("wwid", "serial", "dmuuid", "partuuid", "fsuuid", "ptuuid")


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


def test_hardware_is_told_from_contents():
    stored = {"wwid": "naa.1", "serial": "S", "fsuuid": "F", "ptuuid": "P"}
    hard, soft = identity.compare(stored, {**stored, "wwid": "naa.2", "fsuuid": "G"})
    assert hard == ["its world-wide identifier is naa.2, the spares remember naa.1"]
    assert soft == ["its file system's UUID is G, the spares remember F"]


def test_only_what_both_know_is_compared():
    assert identity.compare({"wwid": "a"}, {"serial": "b"}) == ([], [])
    assert identity.compare({"wwid": "a", "x": "1"}, {"wwid": "a", "x": "2"}) == ([], [])


def test_the_most_telling_stays_when_room_is_short():
    text = identity.encode({"fsuuid": "f" * 200, "wwid": "w" * 200, "serial": "s"})
    assert set(identity.decode(text)) == {"wwid", "serial"}
