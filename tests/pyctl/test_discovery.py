import time
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pyctl import assembly, blockdev, discovery, identity
from pyctl.assembly import Wishes
from pyctl.format import (
    BLOCK_SIZE,
    REPLICAS,
    Reason,
    SpareState,
    open_exclusively,
    slot_sector,
    take_survey,
)
from pyctl.format.membership import Change, commit
from pyctl.foundset import Running, SetState, Standing
from pyctl.identity import Evidence
from pyctl.setconfig import SetConfig
from tests.pyctl.fakes import FakeDevice

UUID = uuid.UUID("11111111-2222-4333-8444-555555555555")
OTHER = uuid.UUID("21111111-2222-4333-8444-555555555555")


@pytest.fixture
def make(disks):
    """Makes a set: gives paths of main and spares."""

    def call(*spares, set_uuid=UUID, hardware=None, main=204800):
        paths = disks(*(spares or (65536, 65536)), main=main)
        disks.hardware[paths[0]] = hardware if hardware is not None else {"wwid": f"n.{set_uuid}"}
        todo = assembly.plan("d", paths[0], paths[1:], Wishes(set_uuid=set_uuid))
        assembly.execute(todo, FakeDevice(exists=False), lambda: None)
        return paths

    call.disks = disks
    return call


def look(disks, *, without=(), running=None, configs=None, everything=False):
    here = [device for path, device in disks.devices.items() if path not in without]
    return discovery.discover(running or {}, configs or {}, devices=here, everything=everything)


def one_set(disks, **rest):
    (one,) = look(disks, **rest).sets
    return one


def copy_blocks(source, target, sectors=65536):
    Path(target).write_bytes(Path(source).read_bytes()[: sectors * 512])


def leave_out(paths, index, state=SpareState.MISSING):
    """The spares are started without one of them."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_exclusively(path, write=True)) for path in paths]
        seen = take_survey(opened)
        rows = list(seen.reference.spares)
        rows[index] = replace(rows[index], state=state)
        change = Change(replace(seen.reference, spares=tuple(rows)), Reason.SPARE_MISSING, index)
        commit(seen, change, seen.current, [])


def replace_main(paths, text):
    """The spares belong to another main device from now on."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_exclusively(path, write=True)) for path in paths]
        seen = take_survey(opened)
        change = Change(replace(seen.reference, identity=text), Reason.MAIN_REPLACED, 0)
        commit(seen, change, seen.current, [])


def test_a_complete_set(make):
    main, *spares = make()
    one = one_set(make.disks)
    assert (one.state, one.uuid, one.problems) == (SetState.READY, UUID, [])
    assert (one.main.device.path, one.main.evidence) == (main, Evidence.HARDWARE)
    assert [member.device.path for member in one.members] == spares
    assert {member.standing for member in one.members} == {Standing.IN_SYNC}


def test_nothing_at_all(disks):
    disks(65536)
    assert look(disks).sets == []


def test_a_missing_spare_is_named_with_when_it_was_in_sync(make):
    main, first, second = make()
    one = one_set(make.disks, without=[second])
    assert one.state == SetState.INCOMPLETE
    (problem,) = one.problems
    assert "Spare 1" in problem.text
    assert f"{time.gmtime().tm_year}-" in problem.text
    assert f"--degraded NAME {main} {first}" in problem.hint


def test_a_spare_that_was_left_out_is_stale_and_no_obstacle(make):
    _, *spares = make()
    leave_out(spares[:1], 1)
    one = one_set(make.disks)
    assert one.state == SetState.READY
    assert [member.standing for member in one.members] == [Standing.IN_SYNC, Standing.STALE]
    assert "is stale: it was missing, and was in sync until event 1" in one.problems[0].text


def test_a_spare_that_has_left_is_no_member(make):
    _, *spares = make()
    leave_out(spares[:1], 1, SpareState.LEFT)
    one = one_set(make.disks)
    assert one.state == SetState.READY
    assert [member.standing for member in one.members] == [Standing.IN_SYNC, Standing.FORMER]
    assert one.spares == [one.members[0].device]


def test_the_stale_one_alone_is_incomplete(make):
    _, *spares = make()
    leave_out(spares[:1], 1)
    one = one_set(make.disks, without=spares[:1])
    # it does not know that it was left out
    assert one.state == SetState.INCOMPLETE


def test_spares_that_lived_apart_are_not_joined(make):
    _, *spares = make()
    leave_out(spares[:1], 1)
    leave_out(spares[1:], 0)
    one = one_set(make.disks)
    assert one.state == SetState.BROKEN
    assert "each started without the other" in one.problems[0].text


@pytest.mark.parametrize("longer", [0, 8, 4096])
def test_a_main_device_that_has_replaced_another_is_found(make, longer):
    _, *spares = make()
    (new, _) = make.disks(8192, main=204800 + longer)
    make.disks.hardware[new] = {"wwid": "n.new"}
    replace_main(spares, identity.of_replacement(make.disks.devices[new], 204800))
    one = one_set(make.disks)
    assert (one.state, one.main.device.path) == (SetState.READY, new)


def test_a_copy_of_a_spare_is_an_obstacle(make):
    _, first, _ = make()
    (copy, _) = make.disks(8192, main=65536)
    copy_blocks(first, copy)
    one = one_set(make.disks)
    assert one.state == SetState.BROKEN
    assert first in one.problems[0].text
    assert copy in one.problems[0].text


def test_paths_of_a_multipath_device_are_not_copies(make, monkeypatch):
    _, first, _ = make()
    (top, _) = make.disks(8192, main=65536)
    copy_blocks(first, top)
    above = make.disks.devices[top].name
    monkeypatch.setattr(blockdev, "holders", lambda device: [above] if device.path == first else [])
    one = one_set(make.disks)
    assert one.state == SetState.READY
    assert top in [member.device.path for member in one.members]


def test_the_first_copy_is_enough_and_so_is_the_last(make):
    _, first, second = make()
    for path, lost in ((first, range(1, REPLICAS)), (second, range(REPLICAS - 1))):
        with open(path, "r+b") as file:
            for copy in lost:
                file.seek(slot_sector(copy) * 512)
                file.write(bytes(BLOCK_SIZE))
    assert one_set(make.disks).state == SetState.READY


def test_traces_without_a_whole_superblock_are_told(make):
    _, first, _ = make()
    with open(first, "r+b") as file:
        for copy in range(REPLICAS):
            file.seek(slot_sector(copy) * 512 + 100)
            file.write(b"\xff")
    found = look(make.disks)
    assert [seen.device.path for seen in found.devices if seen.damaged] == [first]
    assert found.sets[0].state == SetState.INCOMPLETE


def test_a_device_that_cannot_be_opened_stops_nothing(make):
    make()
    (gone, _) = make.disks(8192)
    Path(gone).unlink()
    found = look(make.disks)
    assert found.sets[0].state == SetState.READY
    assert [seen.why for seen in found.devices if seen.device.path == gone] == [
        f"Cannot open {gone}: No such file or directory"
    ]


def test_a_suspended_device_is_not_asked(make, monkeypatch):
    paths = make()
    silent = make.disks.devices[paths[2]]
    monkeypatch.setattr(
        blockdev.BlockDevice, "suspended", property(lambda device: device == silent)
    )
    found = look(make.disks)
    assert "suspended" in next(seen.why for seen in found.devices if seen.device == silent)
    assert found.sets[0].state == SetState.INCOMPLETE


def test_no_main(make):
    main, *_ = make()
    make.disks.hardware[main] = {"wwid": "another"}
    one = one_set(make.disks)
    assert one.state == SetState.NO_MAIN
    assert f"{main} has this size, but its world-wide identifier is another" in one.problems[0].text
    assert one_set(make.disks, without=[main]).state == SetState.NO_MAIN


def test_size_alone_makes_no_main(make):
    main, *_ = make(hardware={})
    one = one_set(make.disks)
    assert one.state == SetState.NO_MAIN
    assert f"{main} has this size, but nothing tells that it is the one" in one.problems[0].text


def test_two_that_are_alike_are_ambiguous(make):
    main, *_ = make(hardware={"fsuuid": "F"})
    (copy, _) = make.disks(8192)
    make.disks.hardware[copy] = {"fsuuid": "F"}
    one = one_set(make.disks)
    assert one.state == SetState.AMBIGUOUS
    assert main in one.problems[0].text
    assert copy in one.problems[0].text
    assert one_set(make.disks, without=[copy]).state == SetState.READY


def test_hardware_beats_a_copied_file_system(make):
    main, *_ = make(hardware={"serial": "S", "fsuuid": "F"})
    (copy, _) = make.disks(8192)
    make.disks.hardware[copy] = {"fsuuid": "F"}
    one = one_set(make.disks)
    assert (one.state, one.main.device.path) == (SetState.READY, main)


def test_a_snapshot_of_main_is_not_main(make):
    make(hardware={"fsuuid": "F"})
    (snapshot, _) = make.disks(8192)
    make.disks.hardware[snapshot] = {"fsuuid": "F", "dmuuid": "LVM-x"}
    assert one_set(make.disks).state == SetState.READY


def test_two_sets_find_their_own(make):
    mains = [make(set_uuid=UUID)[0], make(set_uuid=OTHER)[0]]
    found = look(make.disks)
    assert [one.main.device.path for one in found.sets] == mains
    assert [one.state for one in found.sets] == [SetState.READY] * 2


def test_a_running_set_is_told_and_its_main_not_searched(make):
    main, *spares = make(hardware={})
    numbers = [make.disks.devices[path].number for path in (main, *spares)]
    running = Running("srv", numbers[0], tuple(numbers[1:2]))
    one = one_set(make.disks, running={UUID: running})
    assert one.state == SetState.RUNNING
    assert [member.in_use for member in one.members] == [True, False]
    assert "the running set does not use it" in one.problems[0].text


def test_a_running_set_without_a_readable_spare_is_told(disks):
    disks(65536)
    found = look(disks, running={UUID: Running("srv", "7:0", ("7:1",))})
    assert list(found.unseen) == [UUID]


def test_everything_says_what_else_is_there(make, monkeypatch):
    main, *_ = make()
    monkeypatch.setattr(
        discovery.probe,
        "blkid",
        lambda path: {"TYPE": "ext4", "UUID": "F"} if path == main else {},
    )
    said = {seen.device.path: seen.contents for seen in look(make.disks, everything=True).devices}
    assert said.pop(main) == "ext4 F"
    assert set(said.values()) == {""}


def test_whether_anything_is_on_the_spares_only(make):
    _, *spares = make()
    assert not discovery.holds_data(one_set(make.disks))
    from pyctl.format import Entry, EntryKind, Leaf

    with ExitStack() as stack:
        for path in spares:
            opened = stack.enter_context(open_exclusively(path, write=True))
            superblock = take_survey([opened]).reference
            leaf = Leaf(0, seq=5, entries={0: Entry(EntryKind.REMAP, 7, 20000, 0)})
            for replica in range(REPLICAS):
                opened.write(superblock.leaf_sector(0, replica), leaf.encode(UUID))
    assert discovery.holds_data(one_set(make.disks))


def test_the_name_comes_from_what_is_remembered(make):
    make()
    config = SetConfig(UUID, "srv", True, 204800, 512, "")
    one = one_set(make.disks, configs={UUID: config})
    assert one.config == config
