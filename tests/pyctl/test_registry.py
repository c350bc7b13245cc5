import os
import threading
import uuid
from dataclasses import replace

import pytest

from pyctl.errors import PyctlError, RefusedError
from pyctl.setconfig import SetConfig

UUID = uuid.UUID("11111111-2222-4333-8444-555555555555")
OTHER = uuid.UUID("21111111-2222-4333-8444-555555555555")
ONE = SetConfig(UUID, "srv", True, 204800, 512, "wwid=naa.1")


def test_nothing_is_known_at_first(registry):
    assert registry.known().sets == {}
    assert registry.take_pending() == set()
    assert not registry.is_stopped(UUID)
    assert not registry.forget(UUID)


def test_what_is_remembered_is_known(registry):
    registry.remember(ONE)
    assert registry.known().sets == {UUID: ONE}
    path = registry.etc / "sets.d" / f"{UUID}.conf"
    # udev's helper is root, but an administrator may look
    assert path.stat().st_mode & 0o777 == 0o644
    assert registry.forget(UUID)
    assert registry.known().sets == {}


def test_auto_stays_as_it_was_set_by_hand(registry):
    registry.remember(ONE)
    path = registry.etc / "sets.d" / f"{UUID}.conf"
    path.write_text(path.read_text().replace("auto=yes", "auto=no"))
    registry.remember(replace(ONE, name="new"))
    assert registry.known().sets[UUID] == replace(ONE, name="new", auto=False)


def test_a_name_belongs_to_one_set(registry):
    registry.remember(ONE)
    with pytest.raises(RefusedError, match=f"belongs to the set {UUID}"):
        registry.remember(replace(ONE, set_uuid=OTHER))
    registry.forget(UUID)
    registry.remember(replace(ONE, set_uuid=OTHER))


def test_a_broken_file_does_not_hide_the_others(registry):
    registry.remember(ONE)
    registry.remember(replace(ONE, set_uuid=OTHER, name="other"))
    (registry.etc / "sets.d" / f"{UUID}.conf").write_text("name=srv\n")
    known = registry.known()
    assert list(known.sets) == [OTHER]
    assert "no line `auto=`" in known.broken[UUID]


def test_an_interrupted_write_leaves_the_old_file(registry, monkeypatch):
    registry.remember(ONE)

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PyctlError, match="No space"):
        registry.remember(replace(ONE, name="new"))
    assert registry.known().sets == {UUID: ONE}
    assert [path.name for path in (registry.etc / "sets.d").iterdir()] == [f"{UUID}.conf"]


def test_seen_is_not_known_and_never_starts_by_itself(registry):
    assert registry.note_seen(ONE)
    assert not registry.note_seen(ONE)
    assert registry.known().sets == {}
    assert "auto=no" in (registry.run / "sets.d" / f"{UUID}.conf").read_text()
    registry.remember(ONE)
    assert registry.known().sets[UUID].auto
    assert not list((registry.run / "sets.d").iterdir())


def test_pending_is_taken_once(registry):
    folder = registry.run / "pending"
    folder.mkdir(parents=True)
    for name in ("all", str(UUID)):
        (folder / name).touch()
    assert registry.take_pending() == {"all", str(UUID)}
    assert registry.take_pending() == set()


def test_stopped_until_it_is_started(registry):
    registry.mark_stopped(UUID, stopped=True)
    assert registry.is_stopped(UUID)
    assert not registry.is_stopped(OTHER)
    registry.mark_stopped(UUID, stopped=False)
    registry.mark_stopped(UUID, stopped=False)
    assert not registry.is_stopped(UUID)


def test_one_at_a_time(registry):
    order = []

    def second():
        with registry.locked():
            order.append("second")

    with registry.locked():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
