"""docs/format.md tells of every byte, and its dumps are what the code writes."""

import re
import uuid
from pathlib import Path

import pytest

from pyctl.format import (
    BLOCK_SIZE,
    COUNTERS,
    Entry,
    EntryFlag,
    EntryKind,
    FormatCode,
    Generation,
    Leaf,
    Noted,
    Reason,
    Sample,
    Scanned,
    SpareDesc,
    SpareState,
    State,
    Superblock,
    explain,
)

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs/format.md").read_text()
PARTS = ("block", "format", "records")
SOURCE = "".join((ROOT / f"kernel/dm-remap-{part}.c").read_text() for part in PARTS)

SET = uuid.UUID("5e7c0de0-1111-4111-8111-111111111111")
ONE = uuid.UUID("5ba4e000-2222-4222-8222-222222222222")
TWO = uuid.UUID("5ba4e000-3333-4333-8333-333333333333")
SUPERBLOCK = Superblock(
    set_uuid=SET,
    spare_uuid=ONE,
    main_sectors=204800,
    main_lbs=512,
    max_remaps=32004,
    nr_leaves=127,
    spare_idx=0,
    unit_shift=0,
    overflow=(0,) * 5,
    spares=(
        SpareDesc(ONE, 65536, 3, SpareState.IN_SYNC),
        SpareDesc(TWO, 65536, 2, SpareState.FAILED),
    ),
    identity="wwid=naa.5000c500a1b2c3d4 serial=ZA1234",
    events=3,
    created=1_700_000_000,
    updated=1_700_000_600,
    generation=2,
)
LEAF = Leaf(
    0,
    seq=3,
    events=3,
    entries={
        0: Entry(EntryKind.REMAP, 1000, 10240, 0),
        1: Entry(EntryKind.REMAP, 1001, 10241, 0, EntryFlag.UNKNOWN),
        2: Entry(EntryKind.LOST, 5000),
        3: Entry(EntryKind.BAD, 0, 10242, 0),
        4: Entry(EntryKind.REMAP, 77, 20000, 1, EntryFlag.MANUAL),
    },
)
GENERATION = Generation.of(SUPERBLOCK, Reason.SPARE_FAILED, spare_idx=1, remaps=3, lost=1, bad=1)
STATE = State(
    seq=7,
    time=1_700_000_600,
    clean=True,
    counters={"fast_reads": 1000, "fast_writes": 500, "write_errors": 4},
    samples=(Sample(0, 0x12345678), Sample(2, None)),
    scan=Scanned(
        running=True,
        pattern=2,
        number=4,
        place=1000,
        seed=0x1122334455667788,
        began=1_700_000_000,
        since=1_699_900_000,
        ended=1_699_900_000,
        slow=2,
        found=1,
        noted=(Noted(0, 700, slow=0b11), Noted(1, 9, errors=1)),
    ),
)
BLOCKS = {
    "Superblock": SUPERBLOCK.encode(1),
    "Leaf": LEAF.encode(SET),
    "Generation record": GENERATION.encode(SET),
    "State block": STATE.encode(SET),
}
# the prefix of the offsets in the source, and what is not in the block's own table
PREFIXES = {
    "Superblock": ("SB_", {"SB_SPARE_ROW"}),
    "Leaf": ("LEAF_", set()),
    "Generation record": ("GEN_", set()),
    "State block": ("STATE_", set()),
}


def section(title: str) -> str:
    return DOC.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[tuple[int, int]]:
    """Offset and length of each row of the first table of a section."""
    table = re.findall(r"^\| (\d+) \| (\d+) \|", text.split("\n### ", 1)[0], re.MULTILINE)
    return [(int(offset), int(length)) for offset, length in table]


def hexdump(block: bytes) -> str:
    """As `hexdump -C` prints it."""
    lines: list[str] = []
    before = b""
    for offset in range(0, len(block), 16):
        line = block[offset : offset + 16]
        if line == before:
            if lines[-1] != "*":
                lines.append("*")
            continue
        before = line
        left, right = line[:8].hex(" "), line[8:].hex(" ")
        text = "".join(chr(c) if 32 <= c < 127 else "." for c in line)
        lines.append(f"{offset:08x}  {left}  {right}  |{text}|")
    return "\n".join([*lines, f"{len(block):08x}"])


@pytest.mark.parametrize("title", BLOCKS)
def test_every_byte_is_described_once(title):
    found = rows(section(title))
    assert [offset for offset, _ in found] == [
        sum(length for _, length in found[:i]) for i in range(len(found))
    ]
    assert sum(length for _, length in found) == BLOCK_SIZE


@pytest.mark.parametrize("title", BLOCKS)
def test_offsets_are_those_of_the_code(title):
    prefix, elsewhere = PREFIXES[title]
    enum = re.findall(rf"^\t({prefix}\w+) = (\d+),$", SOURCE, re.MULTILINE)
    in_code = {int(offset) for name, offset in enum if name not in elsewhere}
    assert in_code
    assert in_code <= {offset for offset, _ in rows(section(title))}


@pytest.mark.parametrize("title", BLOCKS)
def test_dumps_are_what_the_code_writes(title):
    assert f"```\n{hexdump(BLOCKS[title])}\n```" in section(title)


def test_dumped_blocks_are_valid():
    assert Superblock.decode(BLOCKS["Superblock"], 1, 65536).generation == 2
    assert Leaf.decode(BLOCKS["Leaf"], SUPERBLOCK, 0) == LEAF
    code, generation = Generation.try_decode(BLOCKS["Generation record"], SET, 2)
    assert (code, generation) == (FormatCode.OK, GENERATION)
    assert State.try_decode(BLOCKS["State block"], SET, 1)[0] == FormatCode.OK


def test_all_words_are_explained():
    refusals = set(FormatCode) - {FormatCode.OK, FormatCode.UNREADABLE}
    for words in (
        *(explain(code) for code in refusals),
        *(reason.word for reason in Reason),
        *COUNTERS,
    ):
        assert words in DOC, words
