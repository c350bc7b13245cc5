"""The tracepoints: what each tells, as docs/tracing.md says."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.lib.blockdev import BlockDevice, NullBlk
from tests.kernel.lib.remap import RemapDevice

EVENTS = Path("/sys/kernel/tracing/events/dm_remap")
TRACE = Path("/sys/kernel/tracing/trace")
DOC = Path(__file__).resolve().parents[2] / "docs/tracing.md"

READ, WRITE = 0, 1
REMAP, MANUAL = 1, 2
Event = dict[str, str]


@pytest.fixture
def traced() -> Iterator[None]:
    """All tracepoints are on."""
    TRACE.write_text("")
    (EVENTS / "enable").write_text("1")
    yield
    (EVENTS / "enable").write_text("0")


def events(name: str, dm: BlockDevice) -> list[Event]:
    """The fields of the events of a device, as the trace prints them."""
    found = re.findall(rf"dm_remap_{name}: (\d+,\d+) (.*)$", TRACE.read_text(), re.MULTILINE)
    return [
        dict(word.split("=") for word in words.split())
        for device, words in found
        if device == dm.number
    ]


@pytest.mark.usefixtures("traced")
def test_a_bio_and_where_it_goes(dm: RemapDevice, null_blk: NullBlk, spare: NullBlk) -> None:
    dm.write(100, bytes(1024))
    dm.message("remap", 100)
    TRACE.write_text("")
    dm.read(100, 2)
    # cut at the remapped sector
    spare_sector = next(iter(dm.remaps())).spare_sector
    assert [
        {key: event[key] for key in ("op", "sector", "nr_sectors", "to", "to_sector")}
        for event in events("map", dm)
    ] == [
        {
            "op": str(READ),
            "sector": str(sector),
            "nr_sectors": "1",
            "to": disk.number,
            "to_sector": str(there),
        }
        for sector, disk, there in ((100, spare, spare_sector), (101, null_blk, 101))
    ]


@pytest.mark.usefixtures("traced")
def test_an_error_its_remap_and_the_commit(dm: RemapDevice, null_blk: NullBlk) -> None:
    null_blk.add_bad(1000)
    dm.write(999, bytes(3 * 512))
    (error,) = events("error", dm)
    assert error == {
        "op": str(WRITE),
        "sector": "999",
        "nr_sectors": "3",
        "spare": "-1",
        "error": str(-errno.EIO),
    }
    (remap,) = events("remap", dm)
    assert (remap["sector"], remap["nr_sectors"]) == ("1000", "1")
    assert (int(remap["kind"]), int(remap["flags"], 16), remap["spare"]) == (REMAP, 0, "0")
    assert int(remap["spare_sector"]) == next(iter(dm.remaps())).spare_sector
    (commit,) = events("commit", dm)
    assert commit == {"changes": "1", "writes": "5", "error": "0"}


@pytest.mark.usefixtures("traced")
def test_ranges_that_move(dm: RemapDevice) -> None:
    dm.message("remap", 2000, 8)
    dm.message("unremap", 2000, 8)
    assert events("relocate", dm) == [
        {"sector": "2000", "nr_sectors": "8", "back": back, "error": "0"} for back in ("0", "1")
    ]
    kinds = [(event["sector"], int(event["kind"])) for event in events("remap", dm)]
    sectors = [str(sector) for sector in range(2000, 2008)]
    assert sorted(kinds) == sorted((sector, kind) for sector in sectors for kind in (0, REMAP))
    flags = {int(event["flags"], 16) for event in events("remap", dm) if event["kind"] == "1"}
    assert flags == {MANUAL}


def test_every_field_is_documented() -> None:
    """And nothing else: docs/tracing.md has a table row for each."""
    in_kernel = {
        (folder.name, field)
        for folder in EVENTS.iterdir()
        if folder.is_dir()
        for field in re.findall(r"field:\S+ (\w+);", (folder / "format").read_text())
        if not field.startswith("common_")
    }
    parts = re.split(r"^## `(\w+)`.*$", DOC.read_text(), flags=re.MULTILINE)[1:]
    documented = {
        (event, field)
        for event, text in zip(parts[::2], parts[1::2], strict=True)
        for field in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    }
    assert documented == in_kernel
