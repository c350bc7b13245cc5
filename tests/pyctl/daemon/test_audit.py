"""The audit log: every tampering shows, and a crash is none."""

import csv
import hashlib
import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyctl.daemon import audit as module
from pyctl.daemon.audit import Anchor, Audit, AuditError, as_csv, check, deliver, read, verify
from pyctl.daemon.store import Store
from pyctl.errors import NotFoundError, PyctlError, RefusedError
from tests.pyctl.daemon.killing import KilledStore, folder, in_child, whole

ENTRIES = [
    {"time": "2026-11-21T10:00:00Z", "who": "root", "what": "scan planned", "why": "äöü \n \x00"},
    {"time": "2026-11-21T10:00:01Z", "who": "policy:r", "what": "x", "before": {"n": [1, 2.5]}},
    {"time": "2026-11-21T10:00:02Z", "who": "root", "what": "scan done", "after": None},
]


def written(place, entries=ENTRIES):
    """A log with these entries: the bytes of the log and of the head."""
    with Audit(place) as log:
        for entry in entries:
            log.append(entry)
    return (place / "audit.jsonl").read_bytes(), (place / "audit.head").read_bytes()


def test_what_was_written_is_read_and_verified(tmp_path):
    written(tmp_path)
    found = verify(tmp_path)
    assert (found.entries, found.unanchored, found.problems) == (3, 0, ())
    first, second, third = read(tmp_path)
    assert {key: first[key] for key in ENTRIES[0]} == ENTRIES[0]
    assert (first["number"], first["previous"]) == (1, "0" * 64)
    assert third["previous"] == second["hash"]
    assert found.hash == third["hash"]


def test_the_hash_is_what_the_documentation_says(tmp_path):
    log, _ = written(tmp_path)
    for line in log.splitlines():
        record = json.loads(line)
        value = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == value


def test_it_goes_on_after_a_restart(tmp_path):
    written(tmp_path)
    written(tmp_path)
    assert verify(tmp_path).entries == 6
    assert verify(tmp_path).problems == ()


def test_every_changed_byte_of_either_file_shows(tmp_path):
    log, head = written(tmp_path)
    assert not check(log, head).problems
    for data, other in ((log, False), (head, True)):
        for place in range(len(data)):
            for change in (0x01, 0x20, 0x80):
                bad = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
                found = check(log, bad) if other else check(bad, head)
                assert found.problems, (place, change)


def test_every_cut_of_either_file_shows(tmp_path):
    log, head = written(tmp_path)
    for length in range(len(log)):
        assert check(log[:length], head).problems, length
    for length in range(len(head)):
        assert check(log, head[:length]).problems, length


def test_every_removal_exchange_and_repetition_of_records_shows(tmp_path):
    log, head = written(tmp_path, ENTRIES + ENTRIES)
    lines = log.splitlines(keepends=True)
    for chosen in itertools.chain.from_iterable(
        itertools.permutations(lines, length) for length in range(len(lines) + 1)
    ):
        if list(chosen) != lines:
            assert check(b"".join(chosen), head).problems
    for number, line in enumerate(lines):
        assert check(b"".join([*lines[:number], line, *lines[number:]]), head).problems


@settings(max_examples=200)
@given(st.data())
def test_any_other_bytes_show(data):
    with folder() as name:
        log, head = written(Path(name))
    place = data.draw(st.integers(0, len(log)))
    length = data.draw(st.integers(0, len(log)))
    put = data.draw(st.binary(max_size=12) | st.sampled_from([b"\n", b"{}\n", b" ", log[:300]]))
    bad = log[:place] + put + log[place + length :]
    assume(bad != log)
    assert check(bad, head).problems


def test_a_record_made_by_somebody_who_knows_how_shows_without_the_head(tmp_path):
    """Hashes are no secret: who can write the log can go on with it, but not unseen."""
    log, head = written(tmp_path)
    with_more, new_head = written(tmp_path, ENTRIES[:1])
    assert check(with_more, head).unanchored == 1
    # but who writes the head, too, is seen only by what was noted elsewhere
    with folder() as name:
        forged = written(Path(name), ENTRIES[:1] * 4)
    assert not check(*forged).problems
    noted = [(3, verify(tmp_path).hash), (3, check(log, head).hash)]
    assert not check(with_more, new_head, noted[1:]).problems
    assert check(*forged, noted[1:]).problems
    assert check(log, head, [(9, "0" * 64)]).problems


@pytest.mark.parametrize("number", [0, 1])
def test_a_record_that_was_forged_with_a_right_hash_shows(tmp_path, number):
    """Who changes a record and computes its hash anew would have to do so with all that follow."""
    log, head = written(tmp_path)
    lines = log.splitlines(keepends=True)
    record = json.loads(lines[number])
    record["who"] = "nobody"
    record["hash"] = module._hash(record)
    lines[number] = module._canonical(record) + b"\n"
    found = check(b"".join(lines), head)
    assert found.problems[0].line == number + 2
    assert "does not follow" in found.problems[0].what


@pytest.mark.parametrize(
    "line",
    [
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"number":1}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\n",
        b'{"hash":"x","number":1,"previous":"' + b"0" * 64 + b'"}\n',
    ],
)
def test_a_hostile_log_is_a_problem_and_no_crash(tmp_path, line):
    _, head = written(tmp_path)
    assert check(line, head).problems
    assert check(line, line).problems


def test_posted_by_nobody(tmp_path):
    record = module._sealed({"posted": 5}, Anchor(), "", 0)
    log = module._canonical(record) + b"\n"
    assert "posted" in check(log, Anchor().line()).problems[0].what


def test_an_entry_is_written_once(tmp_path):
    with Audit(tmp_path) as log:
        assert log.append(ENTRIES[0], store="a", post=5)
        assert log.append(ENTRIES[0])
        assert not log.append(ENTRIES[0], store="a", post=5)
        assert not log.append(ENTRIES[0], store="a", post=4)
        # another store counts anew
        assert log.append(ENTRIES[0], store="b", post=1)
    with Audit(tmp_path) as log:
        assert not log.append(ENTRIES[0], store="b", post=1)
        assert log.append(ENTRIES[0], store="b", post=2)
    assert verify(tmp_path).entries == 4
    assert not verify(tmp_path).problems


def test_a_crash_before_the_head_was_written_is_no_tampering(tmp_path):
    _, head = written(tmp_path, ENTRIES[:1])
    written(tmp_path, ENTRIES[1:])
    (tmp_path / "audit.head").write_bytes(head)
    assert verify(tmp_path).unanchored == 2
    assert not verify(tmp_path).problems
    Audit(tmp_path).close()
    assert verify(tmp_path).unanchored == 0


def test_a_record_that_was_cut_by_a_crash_is_taken_away_and_that_is_told(tmp_path):
    old, head = written(tmp_path, ENTRIES[:1])
    new, _ = written(tmp_path, ENTRIES[1:2])
    for length in range(len(old) + 1, len(new)):
        (tmp_path / "audit.jsonl").write_bytes(new[:length])
        (tmp_path / "audit.head").write_bytes(head)
        assert verify(tmp_path).problems
        Audit(tmp_path, clock=lambda: 0).close()
        found = verify(tmp_path)
        assert (found.entries, found.problems) == (2, ())
        last = read(tmp_path)[-1]
        assert last["what"] == "a record that a crash had cut was removed"
        assert str(length - len(old)) in last["why"]


def damage(place, name, change):
    file = place / name
    data = change(file.read_bytes())
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("audit.jsonl", lambda data: data[:-1]),
        ("audit.jsonl", lambda data: b""),
        ("audit.jsonl", lambda data: None),
        ("audit.jsonl", lambda data: data[:-3] + b"x" + data[-2:]),
        ("audit.jsonl", lambda data: data + b"{}\n"),
        ("audit.head", lambda data: None),
        ("audit.head", lambda data: data[:-1]),
        ("audit.head", lambda data: data.replace(b'"number":3', b'"number":2')),
    ],
)
def test_the_daemon_does_not_go_on_with_a_log_that_was_changed(tmp_path, name, change):
    written(tmp_path)
    damage(tmp_path, name, change)
    with pytest.raises((AuditError, NotFoundError)):
        Audit(tmp_path)
    with pytest.raises((AuditError, NotFoundError)):
        Audit(tmp_path)


def test_long_records_are_found_again(tmp_path):
    written(tmp_path, [{"what": "x" * 300_000}, {"what": "y" * 70_000}])
    written(tmp_path, [{"what": "z"}])
    assert verify(tmp_path).entries == 3


def test_only_one_process_has_it(tmp_path):
    with Audit(tmp_path), pytest.raises(RefusedError, match="in use"):
        Audit(tmp_path)


def test_what_cannot_be_written_is_not_there(tmp_path, monkeypatch):
    with Audit(tmp_path) as log:
        log.append(ENTRIES[0])

        def half(fd, data):
            real(fd, data[:20])
            raise OSError(28, "No space left on device")

        real = module._write
        monkeypatch.setattr(module, "_write", half)
        with pytest.raises(PyctlError, match="No space left"):
            log.append(ENTRIES[1])
        monkeypatch.undo()
        assert verify(tmp_path).problems == ()
        log.append(ENTRIES[2])
    assert [one["what"] for one in read(tmp_path)] == ["scan planned", "scan done"]
    assert not verify(tmp_path).problems


def test_a_head_that_cannot_be_written_breaks_no_chain(tmp_path, monkeypatch):
    with Audit(tmp_path) as log:

        def fail(*_, **__):
            raise PyctlError("No space.")

        monkeypatch.setattr(module, "write_whole", fail)
        with pytest.raises(PyctlError):
            log.append(ENTRIES[0], store="a", post=1)
        monkeypatch.undo()
        # it is there, and is not written twice
        assert not log.append(ENTRIES[0], store="a", post=1)
        log.append(ENTRIES[1], store="a", post=2)
    assert verify(tmp_path).entries == 2
    assert not verify(tmp_path).problems


def test_a_crash_while_several_are_written_loses_none_and_doubles_none(tmp_path):
    """Whatever of them is on the medium: what is handed in again is written once."""
    waiting = list(enumerate(ENTRIES, 1))
    with Audit(tmp_path) as log:
        assert len(log.extend(waiting, store="a")) == len(ENTRIES)
        assert log.extend(waiting, store="a") == []
    whole = (tmp_path / "audit.jsonl").read_bytes()
    told = [one["what"] for one in read(tmp_path)]
    for cut in range(len(whole)):
        (tmp_path / "audit.jsonl").write_bytes(whole[:cut])
        (tmp_path / "audit.head").write_bytes(Anchor().line())
        with Audit(tmp_path, lambda: 0.0) as log:
            log.extend(waiting, store="a")
        records = [one["what"] for one in read(tmp_path) if one["who"] != "dm-remapd"]
        assert records == told
        assert not verify(tmp_path).problems


class KilledAudit(Audit):
    """Passes points around the write of the head."""

    def _set_anchor(self, anchor):
        KilledStore.killer.point()
        super()._set_anchor(anchor)
        KilledStore.killer.point()


@settings(max_examples=25)
@given(st.lists(st.integers(0, 30), max_size=6))
def test_every_entry_is_in_the_log_once_whatever_is_killed(kills):
    """From the transaction that posts it to the log: exactly once, and in order."""
    with folder() as name:
        place = Path(name)
        Store(place / "db").close()
        Audit(place).close()

        def job(killer):
            with KilledStore(place / "db") as store, KilledAudit(place) as log:
                deliver(store, log)
                done = store.rows("SELECT count(*) FROM decisions")[0][0]
                for number in range(done, 5):
                    with store.transaction():
                        store.execute(
                            "INSERT INTO decisions (time, rule, device, verdict, body)"
                            " VALUES (0, '', '', '', '{}')"
                        )
                        store.post({"what": f"{number}"})
                    deliver(store, log)

        for at in kills:
            in_child(job, at)
        whole(job)
        assert [one["what"] for one in read(place)] == list("01234")
        assert verify(place).problems == ()


def test_csv_is_whole_and_harms_no_spreadsheet():
    rows = list(csv.reader(io.StringIO(as_csv([{**ENTRIES[1], "why": '=1+1, "x"\n'}]))))
    assert rows[0][:4] == ["number", "time", "who", "what"]
    assert rows[1][rows[0].index("why")] == '\'=1+1, "x"\n'
    assert rows[1][rows[0].index("before")] == '{"n": [1, 2.5]}'


def test_an_anchor_is_read_as_it_was_written():
    anchor = Anchor(7, "ab" * 32, 900, "store", 5)
    assert Anchor.parse(anchor.line()) == anchor
    for bad in (b"", b"{}\n", b"7\n", b'{"number":7}\n', anchor.line().replace(b"900", b'"9"')):
        with pytest.raises(ValueError, match="."):
            Anchor.parse(bad)
