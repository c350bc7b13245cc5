"""The store: numbers of events, gaps, bounds, versions, and kills."""

import itertools
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.events import MAX_SEQ, Event
from pyctl.daemon.store import MIGRATIONS, Bounds, Gap, Store, StoreError
from pyctl.errors import PyctlError, RefusedError
from tests.pyctl.daemon.killing import KilledStore, folder, in_child
from tests.pyctl.daemon.policy.making import NOW, event, looks, policy, reading, rule


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


def numbered(*numbers, source="k", **more):
    return [event("remap", NOW, source=source, seq=n, **more) for n in numbers]


def test_events_come_back_as_they_were(store):
    told = [reading(NOW, health=9, spare_full_in="never"), *numbered(7), event("lost", NOW + 9)]
    assert store.add_events(told).new == tuple(told)
    assert list(store.events()) == told
    assert list(store.events(since=NOW + 1)) == told[-1:]


def test_what_is_missing_is_noticed_and_may_come_late(store):
    assert store.add_events(numbered(10, 11)).gaps == ()
    assert store.add_events(numbered(15)).gaps == (Gap("k", 12, 14),)
    heard = store.add_events(numbered(13, 13, 11, 9))
    assert [one.seq for one in heard.new] == [13]
    assert heard.known == 3
    assert store.gaps() == [Gap("k", 12, 12), Gap("k", 14, 14)]
    store.add_events(numbered(3, source="other"))
    store.close_gaps("k")
    assert store.gaps() == []


def test_numbers_of_64_bits(store):
    store.add_events(numbered(0, 2**63 - 1, MAX_SEQ - 1, MAX_SEQ))
    assert store.gaps() == [Gap("k", 1, 2**63 - 2), Gap("k", 2**63, MAX_SEQ - 2)]
    assert [one.seq for one in list(store.events())] == [0, 2**63 - 1, MAX_SEQ - 1, MAX_SEQ]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=12))
def test_numbers_against_a_model(batches):
    """Every number is taken once, and the gaps are what has not come since the first."""
    came, first = set(), None
    with folder() as name, Store(Path(name) / "db") as store:
        for batch in batches:
            new = []
            for number in batch:
                first = number if first is None else first
                if number >= first and number not in came:
                    came.add(number)
                    new.append(number)
            assert [one.seq for one in store.add_events(numbered(*batch)).new] == new
            missing = {n for gap in store.gaps() for n in range(gap.first, gap.last + 1)}
            assert missing == set(range(first or 0, max(came, default=-1) + 1)) - came


def test_gaps_are_bounded(store):
    store.add_events(numbered(*range(0, 1200, 2)))
    found = store.gaps()
    assert len(found) <= 257
    # what did not come is within a gap, though some that came are, too
    assert {n for gap in found for n in range(gap.first, gap.last + 1)} >= set(range(1, 1199, 2))


def test_a_decision_is_kept_with_what_it_saw(store):
    found, _ = looks(policy(rule("{health: {below: 50}}")), (NOW, [reading(health=1)]))
    number = store.add_decision(found[0][0])
    assert list(store.decisions()) == [{"id": number, **found[0][0].plain()}]


def test_the_oldest_go_and_the_file_stays_small(path):
    with Store(path, Bounds(events=1000)) as store:
        for batch in range(60):
            told = [event("remap", NOW + batch, text="x" * 200) for _ in range(500)]
            store.add_events(told)
        store.prune()
        kept = list(store.events())
        assert len(kept) == 1000
        assert kept[0].time == NOW + 58
        # of 30,000 events with 300 bytes; twice the bound, and the log
        assert path.stat().st_size < 1_500_000
        assert path.with_name(path.name + "-wal").stat().st_size <= 5_000_000


def test_a_second_one_is_refused(store, path):
    with pytest.raises(RefusedError, match="in use by another process"):
        Store(path)


def test_all_or_nothing(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.add_events([event("lost")])
        1 / 0  # noqa: B018
    assert list(store.events()) == []


def old(path, version):
    """A store of an earlier version, with an event in it."""
    with sqlite3.connect(path) as db:
        for statement in itertools.chain(*MIGRATIONS[:version]):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(
            "INSERT INTO events (source, seq, time, device, kind, body) VALUES ('', NULL, 5, 'd',"
            " 'lost', ?)",
            (event("lost", 5).line(),),
        )
    db.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_an_old_store_is_brought_up_to_date(path, version):
    old(path, version)
    with Store(path) as store:
        assert store.version == len(MIGRATIONS)
        assert list(store.events()) == [event("lost", 5)]
        assert store.rows("SELECT * FROM alerts") == []


def test_a_newer_store_is_refused_and_not_touched(path):
    old(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RefusedError, match="schema 99"):
        Store(path)
    # and it is not locked any more
    with pytest.raises(RefusedError, match="schema 99"):
        Store(path)


def test_a_kill_during_a_migration_is_no_harm(path, tmp_path):
    for at in itertools.count():
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        old(path, 1)
        killed = in_child(lambda _: KilledStore(path).close(), at)
        with Store(path) as store:
            assert store.version == len(MIGRATIONS)
            assert list(store.events()) == [event("lost", 5)]
        if not killed:
            break
    assert at >= 2


def test_a_damaged_store_is_told(path):
    with Store(path) as store:
        store.add_events(numbered(*range(500)))
    damaged = bytearray(path.read_bytes())
    damaged[4096 : 4096 * 5] = os.urandom(4096 * 4)
    path.write_bytes(damaged)
    with pytest.raises(PyctlError, match="damaged|malformed") as caught:
        Store(path)
    assert "Move it away" in caught.value.hint
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.write_bytes(b"not SQLite at all" * 500)
    with pytest.raises(StoreError, match="not a database"):
        Store(path)


def test_a_store_that_cannot_be_there(tmp_path):
    with pytest.raises(StoreError):
        Store(tmp_path / "none" / "store.db")


def test_a_full_disk_is_an_error_and_not_half_a_change(store):
    store.add_events(numbered(1))
    pages = store.rows("PRAGMA page_count")[0][0]
    store.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full") as caught:
        store.add_events([event("lost", text="x" * 4000) for _ in range(50)])
    assert "Make room" in caught.value.hint
    assert [one.seq for one in list(store.events())] == [1]
    store.execute("PRAGMA max_page_count = 100000")
    store.add_events(numbered(2))
    assert [one.seq for one in list(store.events())] == [1, 2]


def test_a_kill_between_commits_loses_nothing_that_was_told(path, tmp_path):
    told = tmp_path / "told"

    def job(killer):
        with KilledStore(path) as store, told.open("a") as file:
            for number in range(1, 8):
                store.add_events(numbered(number))
                file.write(f"{number}\n")
                file.flush()
                killer.point()

    for at in range(8):
        in_child(job, at)
        said = {int(line) for line in told.read_text().split()} if told.exists() else set()
        with Store(path) as store:
            kept = [one.seq for one in list(store.events())]
            assert set(kept) >= said
            assert kept == list(range(1, len(kept) + 1))
            assert store.gaps() == []


def test_an_event_is_read_as_it_was_written_by_an_older_version():
    assert Event.model_validate_json('{"time":5,"kind":"lost","device":"d"}') == event("lost", 5)


def test_how_devices_are_is_kept(tmp_path):
    with Store(tmp_path / "db") as store:
        store.see({"a": "1", "b": "1"})
        store.see({"b": "2"})
    with Store(tmp_path / "db") as store:
        assert store.seen() == {"a": "1", "b": "2"}


def test_readings_don_t_push_out_what_happened(tmp_path):
    with Store(tmp_path / "db", Bounds(events=50, readings=10)) as store:
        store.add_events([event("write-error")])
        for number in range(300):
            store.add_events([reading(NOW + number, health=number % 100)])
            if number % 20 == 0:
                store.prune()
        store.prune()
        kinds = [one.kind for one in store.events()]
        assert kinds == ["write-error"] + ["reading"] * 10
        # the newest are kept
        assert max(one.time for one in store.events()) == NOW + 299
