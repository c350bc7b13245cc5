import json
from contextlib import ExitStack

from pyctl.errors import ExitCode
from pyctl.format import MainGeometry, format_set, open_exclusively, plan_set


def make(paths):
    superblocks = plan_set(
        MainGeometry(204800, 512, "serial=S1"), [path.stat().st_size // 512 for path in paths]
    )
    with ExitStack() as stack:
        format_set(
            [stack.enter_context(open_exclusively(path, write=True)) for path in paths], superblocks
        )
    return superblocks[0]


def test_dump_is_json(run, images):
    paths = images(65536, 65536)
    superblock = make(paths)
    result = run("metadata", "dump", *paths)
    data = json.loads(result.stdout)
    assert data["superblock"]["set_uuid"] == str(superblock.set_uuid)
    assert data["superblock"]["identity"] == "serial=S1"
    assert [spare["copies"] for spare in data["spares"]] == [["ok"] * 5] * 2
    assert data["leaves"] == {"read": 127, "highest_seq": 1}
    assert data["entries"] == data["problems"] == []
    assert "entries" not in json.loads(run("metadata", "dump", "--no-entries", *paths).stdout)


def test_dump_of_what_carries_nothing(run, images):
    (path,) = images(65536)
    result = run("metadata", "dump", path)
    assert result.exit_code == ExitCode.FAILED
    data = json.loads(result.stdout)
    assert data["spares"][0]["blank"] is True
    assert "no dm-remap metadata" in json.loads(result.stderr)["error"]["message"]
