import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.errors import PyctlError
from pyctl.probes.frames import End, Frame, parse
from tests.pyctl.probes.made import HEADER, frames


@given(frames)
def test_a_frame_comes_back(frame):
    line = frame.line()
    assert "\n" not in line
    assert parse(line) == frame


def test_header_and_end_come_back():
    assert parse(HEADER.line()) == HEADER
    assert parse(End("stopped").line()) == End("stopped")


def test_a_share_comes_back_and_what_has_none_is_as_it_ever_was():
    some = replace(HEADER, share=0.05)
    assert parse(some.line()) == some
    assert "share" not in json.loads(HEADER.line())
    assert "looked" not in json.loads(Frame(1.0, 1.0).line())


def test_another_version_is_refused():
    plain = json.loads(HEADER.line())
    with pytest.raises(PyctlError, match="another version"):
        parse(json.dumps(plain | {"version": 2}))


@pytest.mark.parametrize(
    "line",
    ["", "1", "[]", "{}", "null", '{"at":1}', '{"format":"dm-remap probes","version":1}',
     '{"at":1,"seconds":1,"in_flight":[],"losses":[],"parts":[[0,0,{},[[9,0,0,1]]]]}',
     '{"at":1,"seconds":1,"in_flight":[],"losses":[],"parts":[[0,0,{},[[0,5,0,1]]]]}',
     '{"at":1,"seconds":1,"in_flight":[],"losses":[],"parts":[[0,0,{"read":[[99,1]]},[]]]}'],
)  # fmt: skip
def test_what_is_none_of_ours(line):
    with pytest.raises(PyctlError, match="Cannot understand"):
        parse(line)


@given(st.text())
def test_any_text_is_refused_in_order(text):
    with pytest.raises(PyctlError):
        parse(text)
