import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from pyctl.errors import CheckStatus, ExitCode, RefusedError
from pyctl.format import (
    Entry,
    EntryKind,
    Generation,
    Leaf,
    MainGeometry,
    Reason,
    SpareState,
    State,
    format_set,
    gen_sector,
    open_exclusively,
    plan_set,
    slot_sector,
    state_sector,
)


def make(paths):
    superblocks = plan_set(
        MainGeometry(204800, 512, "serial=S1"), [path.stat().st_size // 512 for path in paths]
    )
    with ExitStack() as stack:
        format_set(
            [stack.enter_context(open_exclusively(path, write=True)) for path in paths], superblocks
        )
    return superblocks[0]


def poke(path, sector, data):
    with path.open("r+b") as file:
        file.seek(sector * 512)
        file.write(data)


def put_remap(paths, superblock, seq=2, spare_unit=10300):
    entries = {0: Entry(EntryKind.REMAP, 5, spare_unit)}
    block = Leaf(0, seq, 1, entries).encode(superblock.set_uuid)
    for path in paths:
        for replica in range(5):
            poke(path, superblock.leaf_sector(0, replica), block)


def without_second(paths, superblock):
    rows = (superblock.spares[0], replace(superblock.spares[1], state=SpareState.MISSING))
    new = replace(superblock, spares=rows, events=2, generation=2)
    for copy in range(5):
        poke(paths[0], slot_sector(copy), new.encode(copy))
    for copy in range(2):
        record = Generation.of(new, Reason.SPARE_MISSING, spare_idx=1)
        poke(paths[0], gen_sector(2, copy), record.encode(new.set_uuid))


@pytest.fixture
def spares(images):
    paths = images(12800, 12800)
    return paths, make(paths)


def test_dump_is_json(run, spares):
    paths, superblock = spares
    put_remap(paths, superblock)
    state = State(1, 900, clean=True, counters={"retries": 4})
    poke(paths[0], state_sector(1), state.encode(superblock.set_uuid))
    result = run("metadata", "dump", *paths)
    data = json.loads(result.stdout)
    assert data["superblock"]["set_uuid"] == str(superblock.set_uuid)
    assert data["superblock"]["identity"] == "serial=S1"
    assert [spare["copies"] for spare in data["spares"]] == [["ok"] * 5] * 2
    assert data["leaves"] == {"read": 127, "highest_seq": 2}
    assert [(entry["main_unit"], entry["spare_unit"]) for entry in data["entries"]] == [(5, 10300)]
    assert data["problems"] == []
    assert [(one["number"], one["reason"]) for one in data["generations"]] == [(1, "created")]
    assert data["state"]["clean"] is True
    assert data["state"]["counters"]["retries"] == 4
    assert len(data["state"]["samples"]) == 24
    assert "entries" not in json.loads(run("metadata", "dump", "--no-entries", *paths).stdout)


def test_dump_of_what_carries_nothing(run, images):
    (path,) = images(65536)
    result = run("metadata", "dump", path)
    assert result.exit_code == ExitCode.FAILED
    data = json.loads(result.stdout)
    assert data["spares"][0]["blank"] is True
    assert "no dm-remap metadata" in json.loads(result.stderr)["error"]["message"]


def test_check_has_the_exit_status_of_fsck(run, spares):
    paths, superblock = spares
    result = run("metadata", "check", *paths)
    assert result.exit_code == CheckStatus.CLEAN == 0
    assert result.stdout.endswith(
        "The metadata is clean: 0 repaired, 0 repairable, 0 other errors, 0 notes.\n"
    )
    poke(paths[0], slot_sector(3), b"x")
    assert run("metadata", "check", *paths).exit_code == CheckStatus.LEFT == 4
    assert run("metadata", "repair", "--dry-run", *paths).exit_code == 4
    assert paths[0].read_bytes()[slot_sector(3) * 512] == ord("x")
    result = run("metadata", "check", "-y", *paths)
    assert result.exit_code == CheckStatus.REPAIRED == 1
    line = f"repaired: {paths[0]}, sector 4096: Superblock copy 3 is not valid: "
    assert line in result.stdout
    assert run("metadata", "repair", *paths).exit_code == 0
    for replica in range(5):
        for path in paths:
            poke(path, superblock.leaf_sector(0, replica), b"x")
    assert run("metadata", "repair", *paths).exit_code == 4


def test_check_in_json(run, spares):
    paths, _ = spares
    poke(paths[1], slot_sector(2), bytes(4096))
    data = run("metadata", "repair", "--json", *paths).data
    assert data["status"] == 1
    assert data["findings"] == [
        {
            "severity": "repairable",
            "repaired": True,
            "device": str(paths[1]),
            "block": "superblock copy 2",
            "sector": 2048,
            "message": "Superblock copy 2 is not valid: blank: nothing was ever written there.",
        }
    ]
    assert [row["superblocks"] for row in data["summary"]] == [5, 5]
    assert [row["leaf_copies"] for row in data["summary"]] == [635, 635]


def test_what_cannot_be_checked_is_status_8(run, images, tmp_path):
    (path,) = images(12800)
    for device in (path, tmp_path / "nothing", "/dev/null"):
        result = run("metadata", "check", device, "--json")
        assert result.exit_code == CheckStatus.NOT_CHECKED == 8
        assert json.loads(result.stderr)["error"]["name"] == "not_checked"


def test_a_device_in_use_is_read_with_a_note_and_never_written(run, spares, monkeypatch):
    paths, _ = spares

    def busy(path, *, write):
        raise RefusedError("busy")

    backup = paths[0].parent / "b"
    monkeypatch.setattr("pyctl.commands.metadata.access.open_exclusively", busy)
    result = run("metadata", "check", *paths)
    assert result.exit_code == 0
    assert "is in use: what was read may have been in motion" in result.stdout
    assert run("metadata", "backup", backup, *paths).exit_code == 0
    poke(paths[0], slot_sector(2), b"x")
    before = [path.read_bytes() for path in paths]
    result = run("metadata", "repair", *paths)
    assert result.exit_code == 8
    assert f"{paths[0]} is in use, so its metadata cannot be changed" in result.stderr
    for words in (["restore", backup], ["rollback", "1"]):
        result = run("metadata", *words, *paths, "--yes")
        assert result.exit_code == ExitCode.REFUSED
    assert [path.read_bytes() for path in paths] == before


def test_a_device_twice_is_refused(run, spares):
    result = run("metadata", "check", spares[0][0], spares[0][0])
    assert result.exit_code == 8
    assert "was given twice" in result.stderr


def test_backup_and_restore(run, spares, tmp_path):
    paths, superblock = spares
    put_remap(paths, superblock)
    file = tmp_path / "backup"
    data = run("metadata", "backup", file, *paths, "--json").data
    assert (data["entries"], data["leaves"], data["lost_leaves"]) == (1, 127, [])
    result = run("metadata", "backup", file, *paths)
    assert result.exit_code == ExitCode.REFUSED
    assert run("metadata", "backup", "--force", file, *paths).exit_code == 0

    before = json.loads(run("metadata", "dump", *paths).stdout)
    poke(paths[0], 0, bytes(10240 * 512))
    damaged = paths[0].read_bytes()
    words = ["metadata", "restore", file, *paths, "--assign", f"{paths[0]}=0"]
    result = run(*words)
    assert result.exit_code == ExitCode.REFUSED
    assert "--trust-data" in result.stderr
    words.append("--trust-data")
    result = run(*words)
    assert result.exit_code == 0
    assert "Nothing was written; --yes does it." in result.stderr
    assert paths[0].read_bytes() == damaged
    data = run(*words, "--yes", "--json").data
    assert (data["written"], data["events"], data["leaves_from_file"]) == (True, 2, [])
    assert [device["superblock_from_file"] for device in data["devices"]] == [True, False]
    after = json.loads(run("metadata", "dump", *paths).stdout)
    assert after["entries"] == before["entries"]
    assert run("metadata", "check", *paths).exit_code == 0
    assert "Nothing is missing" in run("metadata", "restore", file, *paths, "--yes").stderr


def test_a_backup_of_a_damaged_set_says_so(run, spares, tmp_path):
    paths, superblock = spares
    for replica in range(5):
        for path in paths:
            poke(path, superblock.leaf_sector(9, replica), b"x")
    result = run("metadata", "backup", tmp_path / "b", *paths, "--json")
    assert result.exit_code == ExitCode.MEDIA
    assert result.data["lost_leaves"] == [9]


def test_a_running_set_is_read_until_it_stands_still(run, spares, tmp_path, monkeypatch):
    paths, superblock = spares
    seqs = iter(range(3, 99))

    def busy(path, *, write):
        raise RefusedError("busy")

    from pyctl.commands.metadata import archive

    survey = archive.take_survey
    moves = 2

    def moving(opened):
        seen = survey(opened)
        if next(seqs) - 3 < moves:
            put_remap(paths, superblock, seq=next(seqs))
        return seen

    monkeypatch.setattr("pyctl.commands.metadata.access.open_exclusively", busy)
    monkeypatch.setattr(archive, "take_survey", moving)
    data = run("metadata", "backup", tmp_path / "b", *paths, "--json").data
    assert data["entries"] == 1
    moves = 1000
    result = run("metadata", "backup", tmp_path / "c", *paths)
    assert result.exit_code == ExitCode.REFUSED
    assert "changes all the time" in result.stderr
    assert not (tmp_path / "c").exists()


def test_restore_refuses_what_carries_something_else(run, spares, tmp_path, monkeypatch):
    paths, _ = spares
    run("metadata", "backup", tmp_path / "b", *paths)
    poke(paths[0], 0, bytes(10240 * 512))
    monkeypatch.setattr("pyctl.probe.signatures", lambda path: ["ext4 at byte 1080"])
    words = ("metadata", "restore", tmp_path / "b", *paths, "--yes", "--trust-data")
    result = run(*words, "--assign", f"{paths[0]}=0")
    assert result.exit_code == ExitCode.REFUSED
    assert "carries ext4 at byte 1080" in result.stderr
    for wrong in ("x", "=", f"{paths[0]}=x", "=1"):
        assert run(*words, "--assign", wrong).exit_code == ExitCode.USAGE


def test_history_and_rollback(run, spares):
    paths, superblock = spares
    without_second(paths, superblock)
    data = run("metadata", "history", *paths, "--json").data
    assert [one["reason"] for one in data["generations"]] == ["created", "spare-missing"]
    assert data["generations"][1]["changes"] == [
        "spare 1 was left out: the set was started without it"
    ]
    text = run("metadata", "history", *paths).stdout
    assert "0:in_sync 1:missing" in text

    before = [path.read_bytes() for path in paths]
    result = run("metadata", "rollback", 1, *paths)
    assert result.exit_code == 0
    assert "Nothing was written; --yes does it." in result.stderr
    assert [path.read_bytes() for path in paths] == before
    data = run("metadata", "rollback", 1, *paths, "--yes", "--json").data
    assert (data["written"], data["events"], data["generation"]) == (True, 3, 3)
    assert [(one["now"], one["then"]) for one in data["devices"]] == [
        ("in_sync", "in_sync"),
        ("missing", "in_sync"),
    ]
    assert run("metadata", "check", *paths).exit_code == 0
    assert run("metadata", "rollback", 9, *paths).exit_code == ExitCode.NOT_FOUND


def test_identity(run, spares, images):
    paths, _ = spares
    main, other = images(204800, 204808)
    result = run("metadata", "identity", "--main", main, *paths, "--json")
    assert result.exit_code == 0
    fields = {row["field"]: row for row in result.data["fields"]}
    assert fields["sectors"]["verdict"] == "same"
    assert fields["serial number"] == {
        "field": "serial number",
        "remembered": "S1",
        "found": "-",
        "verdict": "not known",
    }
    assert fields["created at"]["verdict"] == "plausible"
    result = run("metadata", "identity", "--main", other, *paths)
    assert result.exit_code == ExitCode.REFUSED
    assert "main has 204808 sectors" in result.stderr
    result = run("metadata", "check", "--main", other, *paths)
    assert result.exit_code == CheckStatus.LEFT
    assert "differs from the main device of the set" in result.stdout
    assert run("metadata", "check", "--main", main, *paths).exit_code == 0
