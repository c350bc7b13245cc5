import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from pyctl import discovery
from pyctl.errors import DmError
from pyctl.foundset import SetState
from pyctl.setconfig import SetConfig, default_name
from pyctl.starting import Done, Starter, config_of, running_sets
from tests.pyctl.fakes import UUID as RUNNING
from tests.pyctl.fakes import FakeDevice, FakeKernel
from tests.pyctl.test_discovery import OTHER, UUID, look, make

__all__ = ["make"]

NAME = default_name(UUID)


@pytest.fixture
def kernel():
    return FakeKernel([])


@pytest.fixture
def start(make, kernel, registry, tmp_path):
    made = {}

    def open_device(name):
        return made.setdefault(name, FakeDevice(name, exists=False))

    def call(wanted=None, *, without=(), **rest):
        known = registry.known()
        rest.setdefault("auto_file", tmp_path / "auto_discovery")
        starter = Starter(open_device, lambda: None, registry, known, **rest)
        return starter.start(look(make.disks, without=without, configs=known.sets), wanted)

    call.made = made
    return call


def test_complete_sets_are_started_and_remembered(make, start, registry):
    main, *spares = make()
    (done,) = start()
    assert (done.done, done.name, done.why) == (Done.STARTED, NAME, "")
    ((table, dm_uuid),) = start.made[NAME].created
    assert table == [f"0 204800 remap {main} {spares[0]} {spares[1]} 2 set {UUID}"]
    assert dm_uuid == f"DMREMAP-{UUID.hex}"
    assert registry.known().sets[UUID].name == NAME
    assert registry.known().sets[UUID].identity == f"wwid=n.{UUID}"


def test_the_name_survives(make, start, registry):
    make()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    assert [one.name for one in start()] == ["srv"]
    assert start.made["srv"].created


def test_nothing_is_started_degraded_or_formatted(make, start):
    _, first, second = make()
    before = Path(first).read_bytes()
    (done,) = start(without=[second])
    assert done.done == Done.FAILED
    assert done.why.startswith("Incomplete. Spare 1")
    assert start.made == {}
    assert Path(first).read_bytes() == before


def test_one_that_fails_does_not_keep_the_others(make, start):
    make(set_uuid=UUID)
    make(set_uuid=OTHER)
    start.made[NAME] = FakeDevice(NAME, exists=False, fail={"create": DmError("no.", errno=5)})
    results = {one.set_uuid: one.done for one in start()}
    assert results == {UUID: Done.FAILED, OTHER: Done.STARTED}


def test_only_what_is_wanted(make, start):
    make(set_uuid=UUID)
    make(set_uuid=OTHER)
    assert [one.set_uuid for one in start([OTHER])] == [OTHER]


def test_a_set_that_is_nowhere(make, start):
    (done,) = start([OTHER])
    assert (done.done, done.set_uuid) == (Done.FAILED, OTHER)
    assert "No device carries" in done.why


def test_by_itself_only_what_is_known(make, start, registry):
    make()
    (done,) = start([UUID], by_itself=True)
    assert done.done == Done.LEFT
    assert "does not know it" in done.why
    # nothing is on its spares only, so its main is as good as any disk
    assert not (registry.run / "sets.d").exists()
    start([UUID])
    start.made.clear()
    (done,) = start([UUID], by_itself=True)
    assert done.done == Done.STARTED


def test_an_unknown_set_with_data_has_its_main_hidden(make, start, registry, monkeypatch):
    make()
    monkeypatch.setattr(discovery, "holds_data", lambda one: True)
    start([UUID], by_itself=True)
    text = (registry.run / "sets.d" / f"{UUID}.conf").read_text()
    assert f"identity=wwid=n.{UUID}\n" in text
    assert registry.known().sets == {}


def test_auto_no_is_left_to_its_name(make, start, registry):
    make()
    registry.remember(SetConfig(UUID, "srv", False, 204800, 512, ""))
    assert [one.done for one in start(by_itself=True)] == [Done.LEFT]
    (done,) = start()
    assert "auto=no" in done.why
    assert [one.done for one in start([UUID])] == [Done.STARTED]


def test_stopped_by_hand(make, start, registry):
    make()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    registry.mark_stopped(UUID, stopped=True)
    (done,) = start(by_itself=True)
    assert (done.done, "stopped by hand" in done.why) == (Done.LEFT, True)
    assert [one.done for one in start()] == [Done.STARTED]
    assert not registry.is_stopped(UUID)


@pytest.mark.parametrize(("text", "done"), [("0\n", Done.LEFT), ("1\n", Done.STARTED)])
def test_auto_discovery(make, start, registry, tmp_path, text, done):
    make()
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    (tmp_path / "auto").write_text(text)
    assert [one.done for one in start(by_itself=True, auto_file=tmp_path / "auto")] == [done]
    start.made.clear()
    assert [one.done for one in start(auto_file=tmp_path / "auto")] == [Done.STARTED]


def test_a_broken_file_stops_its_set_only(make, start, registry):
    make(set_uuid=UUID)
    make(set_uuid=OTHER)
    registry.remember(SetConfig(UUID, "srv", True, 204800, 512, ""))
    path = registry.etc / "sets.d" / f"{UUID}.conf"
    path.write_text(path.read_text().replace("auto=yes", "auto=perhaps"))
    outcomes = {one.set_uuid: one for one in start()}
    assert outcomes[UUID].done == Done.LEFT
    assert ".conf:3: auto= is yes or no" in outcomes[UUID].why
    assert outcomes[OTHER].done == Done.STARTED


def test_a_name_that_is_taken(make, start, registry):
    make()
    registry.remember(SetConfig(OTHER, NAME, True, 204800, 512, ""))
    (done,) = start([UUID])
    assert (done.done, f"belongs to the set {OTHER}" in done.why) == (Done.FAILED, True)
    assert not start.made.get(NAME, FakeDevice(created=[])).created


def test_no_remember(make, start, registry):
    make()
    assert [one.done for one in start(remember=False)] == [Done.STARTED]
    assert registry.known().sets == {}


def test_that_it_is_not_remembered_is_no_failure(make, start, registry):
    make()
    registry.etc.mkdir(parents=True)
    (registry.etc / "sets.d").write_text("in the way")
    (done,) = start()
    assert done.done == Done.STARTED
    assert "It is not remembered" in done.warnings[-1]


def test_running_sets_are_read_from_their_tables():
    kernel = FakeKernel(
        [FakeDevice("a"), FakeDevice("b", kind="linear"), FakeDevice("c", exists=False)]
    )
    found = running_sets(kernel.list_devices, kernel.open_device)
    assert list(found) == [uuid.UUID(RUNNING)]
    assert found[uuid.UUID(RUNNING)].spares == ("7:1", "7:2")


def test_what_is_remembered_follows_main(make):
    main, *_ = make(hardware={"wwid": "W", "fsuuid": "old"})
    make.disks.hardware[main] = {"wwid": "W", "fsuuid": "new"}
    (one,) = look(make.disks).sets
    assert one.state == SetState.READY
    assert config_of(one, "srv") == SetConfig(UUID, "srv", True, 204800, 512, "wwid=W fsuuid=new")
    assert config_of(replace(one, main_identity={}), "x").identity == "wwid=W fsuuid=old"
