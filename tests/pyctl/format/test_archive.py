import base64
import hashlib
import json
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.errors import RefusedError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryKind,
    load_archive,
    pack_archive,
    save_archive,
    take_survey,
)
from tests.pyctl.format.disks import best_superblock, make, remap

TABLE = [(0, remap(5, 10300)), (1, remap(9, 10300, 1)), (300, Entry(EntryKind.LOST, 77))]


@pytest.fixture(scope="module")
def packed():
    disks, _ = make(2, TABLE)
    return disks, pack_archive(take_survey(disks), 5000)


@pytest.fixture
def loaded(tmp_path):
    def load(data):
        path = tmp_path / "backup"
        path.write_bytes(data)
        return load_archive(path)

    return load


def test_a_backup_has_everything_verbatim(packed, loaded):
    disks, data = packed
    archive = loaded(data)
    survey = take_survey(disks)
    assert archive.leaves == survey.best
    assert archive.reference == survey.reference
    assert archive.superblocks == {i: best_superblock(disk) for i, disk in enumerate(disks)}
    assert archive.generations == survey.generations()
    assert archive.state == survey.state()
    header = archive.header
    assert (header["remaps"], header["lost"], header["bad"]) == (2, 1, 0)
    assert (header["events"], header["time"]) == (1, 5000)


def test_every_line_can_be_read_with_common_tools(packed):
    disks, data = packed
    *lines, last = data.decode("ascii").splitlines(keepends=True)
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert json.loads(last) == {"sha256": digest}
    leaf = next(one for one in map(json.loads, lines) if one.get("block") == "leaf")
    block = zlib.decompress(base64.b64decode(leaf["data"]))
    assert block == disks[0].block(best_superblock(disks[0]).leaf_sector(leaf["number"], 0))


@settings(max_examples=60)
@given(where=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(packed, tmp_path_factory, where, bit):
    data = bytearray(packed[1])
    data[where % len(data)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(data)
    with pytest.raises(RefusedError, match="is no whole backup of a set"):
        load_archive(path)


@settings(max_examples=40)
@given(length=st.integers(min_value=0))
def test_any_truncated_file_is_refused(packed, tmp_path_factory, length):
    path = tmp_path_factory.getbasetemp() / "short"
    path.write_bytes(packed[1][: length % len(packed[1])])
    with pytest.raises(RefusedError, match="is no whole backup of a set"):
        load_archive(path)


def test_every_lost_line_is_refused(packed, loaded):
    lines = packed[1].splitlines(keepends=True)
    for index in range(len(lines)):
        with pytest.raises(RefusedError):
            loaded(b"".join(lines[:index] + lines[index + 1 :]))


def sealed(lines):
    text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return text + json.dumps({"sha256": hashlib.sha256(text).hexdigest()}).encode() + b"\n"


def edited(data, change):
    lines = [json.loads(line) for line in data.splitlines()[:-1]]
    change(lines)
    return sealed(lines)


BOMB = base64.b64encode(zlib.compress(bytes(64 << 20))).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[0].update(version=2), "of version 2"),
        (lambda lines: lines[1].update(data="!"), "cannot be unpacked"),
        (lambda lines: lines[1].update(data=BOMB), f"has not {BLOCK_SIZE} bytes"),
        (lambda lines: lines[1].update(sectors=1), "was refused"),
        (lambda lines: lines[1].update(copy=9), "There is no superblock copy 9"),
        (lambda lines: lines[1].update(copy="x"), "damaged"),
        (lambda lines: lines[3].update(block="other"), "it has a block of an unknown kind"),
        (lambda lines: lines[3].update(number=7), "Leaf 7 was refused"),
        (lambda lines: lines[0].update(reference=5), "it has no superblock"),
        (lambda lines: lines[0].pop("set_uuid"), "damaged"),
        (lambda lines: lines[0].update(set_uuid=str(os.urandom(4))), "damaged"),
        (lambda lines: lines.insert(1, [1]), "damaged"),
    ],
)
def test_a_sealed_file_that_is_not_sane_is_refused(packed, loaded, change, words):
    with pytest.raises(RefusedError, match=words):
        loaded(edited(packed[1], change))


def test_a_file_is_never_replaced_by_accident(tmp_path):
    path = tmp_path / "b"
    save_archive(path, b"one", force=False)
    with pytest.raises(RefusedError, match="exists already"):
        save_archive(path, b"two", force=False)
    assert path.read_bytes() == b"one"
    save_archive(path, b"two", force=True)
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_a_failing_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(fd):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Exception, match=f"Cannot write {tmp_path}/b: No space left"):
        save_archive(tmp_path / "b", b"one", force=False)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_by_the_time_of_the_last_step_is_kept(tmp_path, monkeypatch):
    path, link = tmp_path / "b", os.link

    def late(source, target):
        path.write_bytes(b"theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(Exception, match="Cannot write .*: File exists"):
        save_archive(path, b"ours", force=False)
    assert path.read_bytes() == b"theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]
