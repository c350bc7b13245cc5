def test_ping(run):
    assert run("ping", "d").output.startswith("pong dm-remap 4.0.0 set=")


def test_stats_are_numbers_where_they_are(run, device):
    assert run("stats", "d", "--json").data == {
        "commits": 3,
        "retries": 12,
        "committed": 40,
        "commit_writes": 420,
        "last": "never",
        "writes_per_change": 10.5,
    }
    assert ("clear_stats",) not in device.sent
    assert "commits" in run("stats", "d", "--clear").output
    assert device.sent[-2:] == [("stats",), ("clear_stats",)]


def test_health(run):
    assert run("health", "d", "--json").data == {"health": 97, "lost": 0, "regions": []}


def test_save_and_restore(run):
    assert run("save", "d", "--json").data == {"name": "d", "events": 4}
    assert run("save", "d").output == "The metadata of d is saved (event 4).\n"
    assert run("restore", "d", "--json").data == {"name": "d", "leaves": 127, "repaired": 2}


def test_repair(run):
    assert run("repair", "d", "--json").data == {
        "name": "d",
        "leaves": 127,
        "superblocks": 10,
        "records": 3,
        "repaired": 4,
    }
    assert "4 copies repaired" in run("repair", "d").output
