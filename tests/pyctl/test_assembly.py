import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pyctl import assembly, probe
from pyctl.assembly import Wishes, execute, plan
from pyctl.errors import (
    DmError,
    ExitCode,
    NoKernelError,
    RefusedError,
    RunError,
    UsageError,
    exit_code,
)
from pyctl.format import (
    MIN_SPARE_SECTORS,
    Reason,
    Sample,
    SpareState,
    State,
    check_set,
    open_for_reading,
    read_set,
    read_spare,
    sample_unit,
    slot_sector,
    state_sector,
    take_survey,
)
from pyctl.samples import raw_crc
from tests.pyctl.fakes import FakeDevice

UUID = uuid.UUID("11111111-2222-4333-8444-555555555555")


def start(main, spares, wishes=None, device=None, name="d"):
    device = device or FakeDevice(exists=False)
    todo = plan(name, main, spares, wishes or Wishes())
    execute(todo, device, lambda: None)
    return todo, device


def test_empty_spares_are_formatted(disks):
    main, *spares = disks(65536, 65536)
    disks.hardware[main] = {"wwid": "naa.1", "fsuuid": "F"}
    todo, device = start(main, spares, Wishes(set_uuid=UUID))
    line = f"0 204800 remap {main} {spares[0]} {spares[1]} 2 set {UUID}"
    assert device.created == [([line], "DMREMAP-11111111222243338444555555555555")]
    found = read_set(spares)
    assert found.problems == []
    assert found.superblock.set_uuid == UUID == todo.set_uuid
    assert found.superblock.main_sectors == 204800
    assert found.superblock.identity == "wwid=naa.1 fsuuid=F"


def test_nothing_is_ever_written_to_main(disks):
    main, spare = disks(65536)
    content = bytes(range(256)) * (204800 * 2)
    with open(main, "r+b") as file:
        file.write(content)
    start(main, [spare])
    with open(main, "rb") as file:
        assert file.read() == content


def test_planning_writes_nothing(disks):
    main, spare = disks(65536)
    todo = plan("d", main, [spare], Wishes(set_uuid=UUID))
    assert str(todo.table) == f"0 204800 remap {main} {spare} 2 set {UUID}"
    assert read_spare(spare).blank


def test_options_go_into_the_table(disks):
    main, spare = disks(65536)
    todo = plan("d", main, [spare], Wishes(set_uuid=UUID, options=("retries", "3")))
    assert str(todo.table).endswith(f" 4 set {UUID} retries 3")


def test_a_second_create_assembles(disks):
    main, *spares = disks(65536, 65536)
    first, _ = start(main, spares)
    before = [read_spare(spare) for spare in spares]
    todo, device = start(main, list(reversed(spares)), Wishes(force=True))
    assert todo.format == ()
    assert todo.set_uuid == first.set_uuid
    assert [read_spare(spare) for spare in spares] == before
    assert f" {spares[1]} {spares[0]} 2 set {first.set_uuid}" in device.created[0][0][0]


def test_reformat_makes_a_new_set_of_the_same_devices(disks):
    main, spare = disks(65536)
    first, _ = start(main, [spare])
    todo, _ = start(main, [spare], Wishes(reformat=True))
    assert todo.set_uuid != first.set_uuid
    assert read_set([spare]).superblock.set_uuid == todo.set_uuid
    assert "the dm-remap set" in todo.warnings[0]


def test_a_file_system_on_a_spare_is_refused_by_name(disks):
    main, spare = disks(65536)
    with open(spare, "r+b") as file:
        # the magic and the version of an ext2 superblock
        file.seek(1024)
        file.write(
            (16).to_bytes(4, "little")
            + (256).to_bytes(4, "little")
            + bytes(48)
            + b"\x53\xef\1\0\1\0"
            + bytes(14)
            + b"\1\0\0\0"
        )
    with pytest.raises(RefusedError, match=f"{spare} carries ext2 at byte 1080") as caught:
        plan("d", main, [spare], Wishes())
    assert exit_code(caught.value) == ExitCode.REFUSED
    assert "--force" in caught.value.hint
    todo, _ = start(main, [spare], Wishes(force=True))
    assert "will be destroyed" in todo.warnings[0]
    assert probe.signatures(spare) == []
    assert read_set([spare]).problems == []


def test_unknown_data_on_a_spare_is_refused(disks):
    main, spare = disks(65536)
    with open(spare, "r+b") as file:
        file.seek(3 << 20)
        file.write(b"x")
    with pytest.raises(RefusedError, match="data of an unknown kind in its first 5 MiB"):
        plan("d", main, [spare], Wishes())


def test_damaged_metadata_is_refused(disks):
    main, spare = disks(65536)
    start(main, [spare])
    for copy in range(5):
        with open(spare, "r+b") as file:
            file.seek(slot_sector(copy) * 512 + 200)
            file.write(b"x")
    with pytest.raises(RefusedError, match="damaged metadata of a dm-remap set"):
        plan("d", main, [spare], Wishes())


def test_a_blank_spare_beside_a_formatted_one_is_refused(disks):
    main, a, b = disks(65536, 65536)
    start(main, [a])
    with pytest.raises(RefusedError, match=f"{b} carries no whole dm-remap metadata \\(blank"):
        plan("d", main, [a, b], Wishes())


def test_spares_of_two_sets_are_refused(disks):
    main, a, b = disks(65536, 65536)
    start(main, [a])
    start(main, [b])
    with pytest.raises(RefusedError, match="the spares belong to different sets"):
        plan("d", main, [a, b], Wishes())


def test_another_main_is_explained_field_by_field(disks):
    main, spare = disks(65536)
    disks.hardware[main] = {"wwid": "naa.1", "serial": "S1"}
    start(main, [spare])
    (other,) = disks(main=204808, lbs=4096)
    disks.hardware[other] = {"wwid": "naa.2", "serial": "S2"}
    with pytest.raises(RefusedError) as caught:
        plan("d", other, [spare], Wishes(may_format=False))
    for words in (
        "main has 204808 sectors, the spares belong to a main device of 204800",
        "main has logical blocks of 4096 bytes, the spares belong to a main device with 512",
        "world-wide identifier is naa.2, the spares remember naa.1",
        "serial number is S2, the spares remember S1",
        "--force-main",
    ):
        assert words in caught.value.message
    # --force formats what belongs to somebody else
    assert plan("d", other, [spare], Wishes(force=True)).format


def test_force_main_accepts_another_identity_but_no_other_size(disks):
    main, spare = disks(65536)
    disks.hardware[main] = {"wwid": "naa.1"}
    start(main, [spare])
    disks.hardware[main] = {"wwid": "naa.2"}
    with pytest.raises(RefusedError, match="main is another device"):
        plan("d", main, [spare], Wishes())
    todo = plan("d", main, [spare], Wishes(force_main=True))
    assert "naa.2" in todo.warnings[0]
    (other,) = disks(main=1000)
    with pytest.raises(RefusedError, match="main has 1000 sectors"):
        plan("d", other, [spare], Wishes(force_main=True))


def test_a_changed_file_system_is_only_a_warning(disks):
    main, spare = disks(65536)
    disks.hardware[main] = {"fsuuid": "F"}
    start(main, [spare])
    disks.hardware[main] = {"fsuuid": "G"}
    todo = plan("d", main, [spare], Wishes())
    assert todo.format == ()
    assert todo.warnings == ["main has changed: its file system's UUID is G, the spares remember F"]


def test_what_has_changed_softly_is_told_once(disks):
    main, *spares = disks(65536, 65536)
    disks.hardware[main] = {"fsuuid": "F", "serial": "S"}
    start(main, spares)
    disks.hardware[main] = {"fsuuid": "G", "fstype": "ext4"}
    before = [read_spare(spare) for spare in spares]
    assert plan("d", main, spares, Wishes()).remember == "serial=S fsuuid=G fstype=ext4"
    assert [read_spare(spare) for spare in spares] == before
    start(main, spares)
    with ExitStack() as stack:
        seen = take_survey([stack.enter_context(open_for_reading(spare)) for spare in spares])
    assert check_set(seen) == []
    assert seen.reference.identity == "serial=S fsuuid=G fstype=ext4"
    assert (seen.reference.events, seen.reference.generation) == (2, 2)
    assert [one.reason for one in seen.generations()] == [Reason.CREATED, Reason.IDENTITY]
    todo = plan("d", main, spares, Wishes())
    assert (todo.warnings, todo.remember) == ([], None)


def test_an_accepted_main_is_remembered_and_the_kernel_is_told(disks):
    main, spare = disks(65536)
    disks.hardware[main] = {"wwid": "naa.1"}
    start(main, [spare])
    disks.hardware[main] = {"wwid": "naa.2"}
    todo, _ = start(main, [spare], Wishes(force_main=True))
    assert str(todo.table).endswith(f" 4 set {todo.set_uuid} accept_main yes")
    assert read_set([spare]).superblock.identity == "wwid=naa.2"
    todo, _ = start(main, [spare])
    assert "accept_main" not in str(todo.table)


def test_what_the_kernel_refuses_anyhow_is_not_written_to(disks):
    main, spare = disks(65536)
    start(main, [spare])
    superblock = read_spare(spare).superblock
    with open(spare, "r+b") as file:
        for replica in range(5):
            file.seek(superblock.leaf_sector(0, replica) * 512)
            file.write(bytes(4096))
    disks.hardware[main] = {"fsuuid": "G"}
    before = Path(spare).read_bytes()
    start(main, [spare])
    assert Path(spare).read_bytes() == before


def test_a_refusal_has_a_table_of_fields(disks):
    main, spare = disks(65536)
    disks.hardware[main] = {"wwid": "naa.1"}
    start(main, [spare])
    disks.hardware[main] = {"wwid": "naa.2"}
    with pytest.raises(RefusedError) as caught:
        plan("d", main, [spare], Wishes())
    rows = {row["field"]: row for row in caught.value.details}
    assert rows["world-wide identifier"] == {
        "field": "world-wide identifier",
        "remembered": "naa.1",
        "found": "naa.2",
        "verdict": "differs: refused",
    }
    assert rows["sectors"]["verdict"] == "same"


def test_a_main_whose_content_changed_after_an_orderly_stop_is_refused(disks):
    main, spare = disks(65536)
    start(main, [spare])
    superblock = read_spare(spare).superblock
    blank = Sample(sample_unit(superblock, 9), raw_crc(bytes(512)))
    state = State(1, 5, clean=True, samples=(blank,))
    with open(spare, "r+b") as file:
        file.seek(state_sector(1) * 512)
        file.write(state.encode(superblock.set_uuid))
    assert plan("d", main, [spare], Wishes()).warnings == []
    with open(main, "r+b") as file:
        file.seek(blank.unit * 512)
        file.write(b"changed")
    with pytest.raises(RefusedError, match="1 of 1 samples of its content differ"):
        plan("d", main, [spare], Wishes())
    todo = plan("d", main, [spare], Wishes(force_main=True))
    assert "accept_main yes" in str(todo.table)


def test_a_missing_spare_needs_degraded(disks):
    main, *spares = disks(65536, 65536)
    first, _ = start(main, spares)
    with pytest.raises(RefusedError, match="1 of the set's 2 spares are missing .*--degraded"):
        plan("d", main, spares[:1], Wishes())
    todo = plan("d", main, spares[:1], Wishes(degraded=True))
    assert str(todo.table).endswith(f" 4 set {first.set_uuid} degraded yes")
    assert "are missing" in todo.warnings[0]


def write_superblock(path, superblock):
    with open(path, "r+b") as file:
        for copy in range(5):
            file.seek(slot_sector(copy) * 512)
            file.write(superblock.encode(copy))


def test_a_stale_spare_is_told_and_may_be_left_out(disks):
    main, *spares = disks(65536, 65536)
    start(main, spares)
    newest = read_spare(spares[0]).superblock
    rows = (newest.spares[0], replace(newest.spares[1], state=SpareState.FAILED))
    write_superblock(spares[0], replace(newest, events=9, spares=rows))
    todo = plan("d", main, spares, Wishes())
    assert f"{spares[1]} is stale and is not used" in todo.warnings[0]
    todo = plan("d", main, spares[:1], Wishes())
    assert "degraded" not in str(todo.table)
    # alone, it does not know that it is stale; but that another spare is missing
    with pytest.raises(RefusedError, match="are missing"):
        plan("d", main, spares[1:], Wishes())


def test_the_same_spare_twice_under_two_names_is_refused(disks):
    main, a, b = disks(65536, 65536)
    start(main, [a])
    with open(a, "rb") as source, open(b, "r+b") as copy:
        copy.write(source.read())
    with pytest.raises(RefusedError, match="copies of each other"):
        plan("d", main, [a, b], Wishes())


def test_another_set_than_the_one_asked_for_is_refused(disks):
    main, spare = disks(65536)
    start(main, [spare])
    with pytest.raises(RefusedError, match=f"not to {UUID}"):
        plan("d", main, [spare], Wishes(set_uuid=UUID))


def test_assemble_never_formats(disks):
    main, spare = disks(65536)
    with pytest.raises(RefusedError, match="carries no whole dm-remap metadata"):
        plan("d", main, [spare], Wishes(may_format=False, force=True))


def test_impossible_devices_are_refused(disks):
    main, small, good = disks(MIN_SPARE_SECTORS - 1, 65536)
    with pytest.raises(RefusedError, match="too small for a spare"):
        plan("d", main, [small], Wishes())
    with pytest.raises(RefusedError, match="the same device, given twice"):
        plan("d", main, [main], Wishes())
    with pytest.raises(RefusedError, match="the same device, given twice"):
        plan("d", main, [good, good], Wishes())
    with pytest.raises(UsageError, match="At least one spare"):
        plan("d", main, [], Wishes())
    disks.devices[good] = replace(disks.devices[good], read_only=True)
    with pytest.raises(RefusedError, match="is read-only"):
        plan("d", main, [good], Wishes())
    disks.devices[good] = replace(disks.devices[good], read_only=False, lbs=8192)
    with pytest.raises(RefusedError, match="8192 bytes"):
        plan("d", main, [good], Wishes())


def test_large_blocks_make_large_units(disks):
    main, spare = disks(65536, main=204807)
    disks.devices[spare] = replace(disks.devices[spare], lbs=4096)
    todo, _ = start(main, [spare])
    assert todo.unit_bytes == 4096
    assert str(todo.table).startswith("0 204800 remap ")


def test_a_device_in_use_is_refused_with_its_user(disks, monkeypatch):
    main, spare = disks(65536)

    def busy(path, *, write):
        raise RefusedError("busy")

    monkeypatch.setattr(assembly, "open_exclusively", busy)
    monkeypatch.setattr(assembly, "users", lambda device: ["/dev/d0 is mounted on /srv"])
    with pytest.raises(RefusedError, match=f"{main} is in use: /dev/d0 is mounted on /srv"):
        plan("d", main, [spare], Wishes())


def test_without_the_target_nothing_is_written(disks):
    main, spare = disks(65536)
    todo = plan("d", main, [spare], Wishes())

    def missing():
        raise NoKernelError("no target")

    with pytest.raises(NoKernelError):
        execute(todo, FakeDevice(exists=False), missing)
    assert read_spare(spare).blank


def test_a_taken_name_is_refused_before_anything_is_written(disks):
    main, spare = disks(65536)
    todo = plan("d", main, [spare], Wishes())
    with pytest.raises(RefusedError, match="a device-mapper device d already"):
        execute(todo, FakeDevice(), lambda: None)
    assert read_spare(spare).blank


def test_the_kernel_log_explains_a_failed_start(disks, monkeypatch):
    class Log:
        def lines(self):
            return ["device-mapper: remap: 254:0: wrong main device"]

    monkeypatch.setattr(assembly, "KernelLog", Log)
    main, spare = disks(65536)
    device = FakeDevice(exists=False)
    device.fail["create"] = DmError("RESUME of d failed.", errno=22, ioctl="RESUME", device="d")
    with pytest.raises(DmError, match="RESUME of d failed. The kernel says: .*wrong main") as got:
        start(main, [spare], device=device)
    assert (got.value.errno, got.value.ioctl, got.value.device) == (22, "RESUME", "d")


def test_a_set_that_runs_already_is_refused(disks):
    main, spare = disks(65536)
    device = FakeDevice(exists=False)
    device.fail["create"] = DmError("busy.", errno=16, ioctl="CREATE", device="d")
    with pytest.raises(RefusedError, match="probably running already"):
        start(main, [spare], device=device)


def test_a_probe_that_fails_stops_everything(disks, monkeypatch):
    def fail(path):
        raise RunError("wipefs ended with status 1.", returncode=1)

    main, spare = disks(65536)
    monkeypatch.setattr(probe, "signatures", fail)
    with pytest.raises(RunError):
        plan("d", main, [spare], Wishes())
    assert read_spare(spare).blank
