import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.errors import PyctlError
from pyctl.status import Status, key_values
from tests.pyctl.fakes import STATUS, UUID

NUMBER = st.integers(0, 2**64 - 1)
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789_:/.-", min_size=1, max_size=12)


@given(st.tuples(*[NUMBER] * 10), st.dictionaries(WORD, WORD, max_size=6))
def test_every_line_reads_back(n, fields):
    line = (
        f"v4.0 {n[0]}/{n[1]} {n[2]}/{n[1]} {n[3]}/{n[1]} health={n[4]} errors=W{n[5]}:R{n[6]}"
        f" auto_remaps={n[7]} manual_remaps={n[8]} scan={n[9]}%"
    )
    state = Status.parse(" ".join([line, *(f"{k}={v}" for k, v in fields.items())]))
    assert (state.used, state.capacity, state.lost, state.remapped) == (n[0], n[1], n[2], n[3])
    assert (state.health, state.write_errors, state.read_errors) == (n[4], n[5], n[6])
    assert (state.auto_remaps, state.manual_remaps, state.scan) == (n[7], n[8], n[9])
    assert state.version == "4.0"
    assert state.fields == fields


@given(st.text(max_size=200))
def test_anything_else_is_refused_in_words(text):
    with pytest.raises(PyctlError, match="Cannot understand the status line"):
        Status.parse(text)


@given(st.integers(0, 8), st.sampled_from(["", "x", "-1", "1/", "health="]))
def test_the_fixed_part_is_strict(index, wrong):
    words = STATUS.format(used=1, lost=0).split()[:9]
    assert Status.parse(" ".join(words)).used == 1
    words[index] = wrong
    with pytest.raises(PyctlError):
        Status.parse(" ".join(words))


def test_unknown_fields_are_kept():
    state = Status.parse(STATUS.format(used=3, lost=0))
    assert state.fields["novelty"] == "7"
    assert state.fields["set"] == UUID
    assert state.unit_bytes == 512
    assert state.warnings == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("mode=rw", "mode=fail", "has failed"),
        ("breaker=closed", "breaker=open", "circuit breaker is open"),
        ("spares=2/2", "spares=1/2", "only 1 of 2 spares"),
        ("novelty=7", "redundancy=2 below=5", "5 remapped blocks are on one spare only"),
        (" 0/32004", " 4/32004", "4 blocks could not be read"),
        ("space=ok", "space=low", "room for 32001 more blocks"),
        ("space=ok", "space=full", "the spares are full"),
    ],
)
def test_what_is_wrong_is_told(old, new, words):
    line = STATUS.format(used=3, lost=0)
    assert old in line
    assert any(words in warning for warning in Status.parse(line.replace(old, new)).warnings)


def test_key_values_leaves_other_words_out():
    assert key_values("a=1 b c= =d e=f=g\nh=2") == {"a": "1", "c": "", "e": "f=g", "h": "2"}
