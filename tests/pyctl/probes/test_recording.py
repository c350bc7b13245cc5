import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.errors import PyctlError
from pyctl.probes.frames import End
from pyctl.probes.recording import Recorder, Recording
from tests.pyctl.probes.made import HEADER, frame, frames, reads

FRAMES = [frame(r1=reads(number)) for number in range(1, 6)]


def written(path, found, *, end=True):
    with Recorder(path, HEADER) as recorder:
        for each in found:
            recorder.add(each)
        if end:
            recorder.add(End("stopped"))
        assert recorder.bytes_written == path.stat().st_size


@given(found=st.lists(frames, max_size=3))
@settings(max_examples=30)
def test_what_was_recorded_is_replayed(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("recording") / "file"
    written(path, found)
    recording = Recording(path)
    assert recording.header == HEADER
    assert list(recording.frames()) == found
    assert recording.problem == ""


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        Recorder(path, HEADER)
    assert path.read_text() == "mine"


def test_it_is_gzip(tmp_path):
    written(tmp_path / "file", FRAMES)
    lines = gzip.decompress((tmp_path / "file").read_bytes()).decode().splitlines()
    assert lines == [HEADER.line(), *(each.line() for each in FRAMES), End("stopped").line()]


def test_wherever_it_is_cut_off_what_is_whole_is_read(tmp_path):
    whole = tmp_path / "whole"
    written(whole, FRAMES)
    data = whole.read_bytes()
    path = tmp_path / "cut"
    seen = set()
    first = len(gzip.compress(HEADER.line().encode() + b"\n", 6, mtime=0))
    for length in range(len(data)):
        path.write_bytes(data[:length])
        if length < first:
            with pytest.raises(PyctlError, match="is not a recording"):
                Recording(path)
            continue
        recording = Recording(path)
        found = list(recording.frames())
        assert found == FRAMES[: len(found)]
        assert "cut off" in recording.problem
        seen.add(len(found))
    assert seen == set(range(len(FRAMES) + 1))


def test_a_killed_recorder_leaves_all_it_has_written(tmp_path):
    written(tmp_path / "file", FRAMES, end=False)
    recording = Recording(tmp_path / "file")
    assert list(recording.frames()) == FRAMES
    assert "interrupted" in recording.problem


def test_damage_is_found_and_ends_the_replay(tmp_path):
    whole = tmp_path / "whole"
    written(whole, FRAMES)
    data = bytearray(whole.read_bytes())
    random.seed(1)
    header = len(gzip.compress(HEADER.line().encode() + b"\n", 6, mtime=0))
    for _ in range(200):
        at = random.randrange(header, len(data))
        # The time and the system in a member's head mean nothing to us.
        damaged = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        path = tmp_path / "damaged"
        path.write_bytes(damaged)
        recording = Recording(path)
        found = list(recording.frames())
        assert found == FRAMES[: len(found)]
        assert recording.problem or found == FRAMES


@pytest.mark.parametrize("data", [b"", b"text", gzip.compress(b"text\n"), gzip.compress(b"")])
def test_something_else(tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(PyctlError):
        Recording(tmp_path / "file")
