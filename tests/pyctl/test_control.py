import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.control import CHUNK_SECTORS, Control, RemapEntry, chunks
from pyctl.errors import DmError, NotFoundError, PyctlError


@given(st.integers(0, 2**50), st.integers(1, 50 * CHUNK_SECTORS))
def test_chunks_cover_a_range_once(sector, count):
    pieces = list(chunks(sector, count))
    at = sector
    for start, length in pieces:
        assert start == at
        assert 0 < length <= CHUNK_SECTORS
        # a block never lies in two pieces
        assert start == sector or start % CHUNK_SECTORS == 0
        at += length
    assert at == sector + count


def test_a_long_range_is_cut_and_summed_up(device):
    steps = []
    done = Control(device).remap(2047, 2050, lambda *step: steps.append(step))
    assert done == {"remapped": 2050, "lost": 0, "already": 0}
    assert device.sent == [
        ("remap", "2047", "1"),
        ("remap", "2048", "2048"),
        ("remap", "4096", "1"),
    ]
    assert steps == [(1, 2050), (2049, 2050), (2050, 2050)]


def test_verify_all_asks_only_where_remaps_are(device):
    device.remaps = {5: 10240, 2047: 10241, 2048: 10242, 204799: 10243}
    device.bad_main = {2048}
    assert Control(device).verify_all() == {"verified": 3, "errors": 1}
    asked = [words[1:] for words in device.sent if words[0] == "verify"]
    assert asked == [("0", "2048"), ("2048", "2048"), ("202752", "2048")]


def test_clear_goes_step_by_step(device):
    device.remaps = {s: 10240 + s for s in (1, 2, 9000)}
    device.bad_main = {2}
    steps = []
    done = Control(device).clear(lambda *step: steps.append(step))
    assert done == {"cleared": 2, "kept": 1, "lost": 0}
    assert set(device.remaps) == {2}
    assert steps == [(1, 2), (2, 2)]


@given(st.integers(0, 450))
def test_the_list_is_read_page_by_page(count):
    from tests.pyctl.fakes import FakeDevice

    device = FakeDevice(remaps={3 * i: 10240 + i for i in range(count)})
    entries = list(Control(device).remaps())
    assert [entry.sector for entry in entries] == [3 * i for i in range(count)]
    assert len(device.sent) == max(1, -(-count // 200))


def test_a_list_that_does_not_end_is_refused(device, monkeypatch):
    for last in ("next=0", "nonsense", "next=x"):
        monkeypatch.setattr(device, "message", lambda *_a, last=last: f"0 1 0 9 remap auto\n{last}")
        with pytest.raises(PyctlError, match="ended a page"):
            list(Control(device).remaps())


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("8 8 1 10240 remap auto", RemapEntry(8, 8, 1, 10240, "remap", "auto")),
        ("8 1 - - lost auto", RemapEntry(8, 1, None, None, "lost", "auto")),
    ],
)
def test_a_line_of_the_list(line, entry):
    assert RemapEntry.parse(line) == entry


@given(st.text(max_size=40).filter(lambda text: len(text.split()) != 6))
def test_another_line_is_refused(line):
    with pytest.raises(PyctlError, match="Cannot understand the line"):
        RemapEntry.parse(line)


def test_the_kernels_own_sentence_explains_a_failed_message(device):
    device.fail = {"remap": errno.ENOSPC}
    device.said = "No spare has a free unit."
    with pytest.raises(DmError, match="^d: No spare has a free unit.$") as caught:
        Control(device).remap(0, 1)
    assert caught.value.errno == errno.ENOSPC


def test_without_a_sentence_the_error_is_the_ioctls(device):
    device.fail = {"remap": errno.ENOSPC}
    with pytest.raises(DmError, match="^no.$"):
        Control(device).remap(0, 1)


@pytest.mark.parametrize("word", ["ping", "status", "table", "stats"])
def test_a_device_that_is_not_there(device, word):
    device.exists = False
    with pytest.raises(NotFoundError, match="no device-mapper device d"):
        getattr(Control(device), word)()


def test_a_device_of_another_target(device):
    device.kind = "linear"
    with pytest.raises(NotFoundError, match=r"not one of dm-remap \(linear\)"):
        Control(device).status()


def test_a_device_that_was_never_started(device, monkeypatch):
    from pyctl.dm import TargetLine

    monkeypatch.setattr(device, "status", lambda: [TargetLine(0, 8, "remap", "")])
    with pytest.raises(PyctlError, match="never started"):
        Control(device).status()


@pytest.mark.parametrize("reply", ["", "saved", "saved events=x", "pong"])
def test_a_reply_that_makes_no_sense_is_told(device, monkeypatch, reply):
    monkeypatch.setattr(device, "message", lambda *_args: reply)
    with pytest.raises(PyctlError, match="d answered save with"):
        Control(device).save()
