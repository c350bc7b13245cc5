import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.badblocks import Extent, ListError, ddrescue, numbered
from pyctl.run import run
from tests.pyctl.badblocks.lists import extents_of, lines, placed, sector_set, sets

# As ddrescue writes it: every status, a comment behind a line.
MAP = """\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue -d /dev/sdb disk.img disk.map
# Start time:   2026-11-20 09:37:44
# Current time: 2026-11-20 09:38:19
# Copying non-tried blocks... Pass 1 (forwards)
# current_pos  current_status  current_pass
0x00120000     ?               1
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000200  -   # the worst of them
0x00117200  0x00001000  /
0x00118200  0x00007E00  *
0x00120000  0x00048000  ?
"""


def test_a_map():
    blocks = list(ddrescue.parse(lines(MAP)))
    assert [block.status for block in blocks] == list("+-/*?")
    assert blocks[-1].start + blocks[-1].length == 0x168000
    assert list(ddrescue.bad(blocks)) == [Extent(0x117000, 512, 10)]
    assert [e.line for e in ddrescue.bad(blocks, {"-", *ddrescue.ALSO.values()})] == [
        10,
        11,
        12,
        13,
    ]


def test_numbers_are_written_as_in_c():
    blocks = list(ddrescue.parse(lines("0 + 1\n0 1024 +\n02000 0X200 -\n1536 0 -\n")))
    assert [(b.start, b.length) for b in blocks] == [(0, 1024), (1024, 512), (1536, 0)]


def test_a_log_file_of_an_old_version_has_no_pass():
    assert len(list(ddrescue.parse(lines("0x0 +\n0x0 0x200 -\n")))) == 1


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("0x0 0x200 -\n", 1, "is not the status line"),
        ("0x0 X 1\n", 1, "is not the status line"),
        ("0x0 + one\n", 1, "is not the status line"),
        ("0x0 + 1\n0x0 0x200\n", 2, "is not a block"),
        ("0x0 + 1\n0x0 0x200 F\n", 2, "is not a block"),
        ("0x0 + 1\n0x0 -5 -\n", 2, "is not a block"),
        ("0x0 + 1\n09 5 -\n", 2, "is not a block"),
        ("0x0 + 1\n0x0 0x200 - -\n", 2, "is not a block"),
        ("0x0 + 1\n# x\n0x0 0x200 +\n0x300 0x200 -\n", 4, "ends at 0x200"),
        ("0x0 + 1\n0x0 0x200 +\n0x100 0x200 -\n", 3, "do not overlap"),
        ("0x0 + 1\n0x7fffffffffffffff 1 -\n", 2, "beyond any device"),
        ("0x0 + 1\n0x8000000000000000 1 -\n", 2, "is not a block"),
        ("# only comments\n", 0, "no status line"),
        ("", 0, "no status line"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, line, problem):
    with pytest.raises(ListError, match=problem) as caught:
        list(ddrescue.parse(lines(text)))
    assert caught.value.line == line


def test_the_text():
    written = ddrescue.write([(1024, 512)], 512, 4096, 8192, "pyctl export d")
    assert "".join(written) == (
        "# Mapfile. Created by pyctl of dm-remap\n"
        "# Command line: pyctl export d\n"
        "# current_pos  current_status  current_pass\n"
        "0x00001000     +               1\n"
        "#      pos        size  status\n"
        "0x00000000  0x00000200  ?\n"
        "0x00000200  0x00000200  +\n"
        "0x00000400  0x00000200  -\n"
        "0x00000600  0x00000A00  +\n"
        "0x00001000  0x00001000  ?\n"
    )


@given(sets(most=5000), st.integers(0, 9), st.integers(0, 9))
def test_what_was_written_is_read_again_and_covers_the_disk(sectors, before, behind):
    first, end = before * 512, (before + 6000) * 512
    extents = [(start + first, length) for start, length in extents_of(sectors)]
    text = "".join(ddrescue.write(extents, first, end, end + behind * 512, "x"))
    blocks = list(ddrescue.parse(lines(text)))
    assert blocks[0].start == 0
    assert blocks[-1].start + blocks[-1].length == end + behind * 512
    shifted = sector_set((start + before, stop + before) for start, stop in sectors)
    assert placed(ddrescue.bad(blocks)) == shifted
    # nothing outside is called finished
    for block in blocks:
        assert (block.status == "?") == (block.start < first or block.start >= end)


def test_ddrescue_itself_reads_what_we_write(tmp_path):
    path = tmp_path / "map"
    path.write_text("".join(ddrescue.write([(1024, 1024), (4096, 512)], 0, 8192, 9728, "x")))
    assert run(["ddrescuelog", "-l", "-", path]).split() == ["2", "3", "8"]
    assert run(["ddrescuelog", "-l", "?", path]).split() == ["16", "17", "18"]


def test_we_read_what_ddrescue_itself_writes(tmp_path):
    disk, path = tmp_path / "disk", tmp_path / "map"
    disk.write_bytes(bytes(5 * 512 + 100))
    run(["ddrescue", "-q", disk, tmp_path / "copy", path])
    with path.open() as file:
        (block,) = ddrescue.parse(numbered(file))
    assert block[:3] == (0, 2660, "+")
