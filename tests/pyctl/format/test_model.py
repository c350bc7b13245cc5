import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyctl.format._native import lib

from pyctl.errors import FormatError
from pyctl.format import (
    BLOCK_SIZE,
    Entry,
    EntryFlag,
    EntryKind,
    FormatCode,
    Leaf,
    MainGeometry,
    Superblock,
    crc32c,
    explain,
    plan_set,
    slot_sector,
)
from pyctl.format.build import declarations

MAIN = MainGeometry(204800, 512, "wwid=naa.5000 serial=S1")


def one(**change):
    return dataclasses.replace(plan_set(MAIN, [65536, 65536], now=1000)[1], **change)


def test_crc_of_the_standard_vector():
    assert crc32c(b"123456789") == 0xE3069283


def test_every_code_of_the_header_is_known():
    names = {n.removeprefix("DMR_FMT_") for n in dir(lib) if n.startswith("DMR_FMT_")}
    assert names - {"NR_ERRORS"} == set(FormatCode.__members__)


def test_every_kind_of_the_header_is_known():
    names = {n.removeprefix("DMR_KIND_") for n in dir(lib) if n.startswith("DMR_KIND_")}
    assert names - {"NR"} == set(EntryKind.__members__)
    flags = EntryFlag.UNKNOWN | EntryFlag.MANUAL
    assert int(flags) == lib.DMR_ENTRY_FLAGS_KNOWN


@pytest.mark.parametrize("copy", range(5))
def test_superblock_round_trip(copy):
    superblock = one(copy_idx=copy)
    assert Superblock.decode(superblock.encode(copy), copy, 65536) == superblock


@pytest.mark.parametrize("copy", [-1, 5, 2**40])
def test_a_copy_that_cannot_be_is_refused(copy):
    for use in (one().encode, slot_sector, lambda c: Superblock.decode(bytes(BLOCK_SIZE), c, 8)):
        with pytest.raises(FormatError, match="There is no"):
            use(copy)


def test_a_refusal_has_the_kernels_words():
    block = bytearray(one().encode(0))
    block[100] ^= 1
    with pytest.raises(FormatError, match="copy 0 was refused: checksum mismatch"):
        Superblock.decode(bytes(block), 0, 65536)


@given(st.binary(max_size=5000).filter(lambda block: len(block) != BLOCK_SIZE))
def test_a_block_of_another_size_is_refused(block):
    with pytest.raises(FormatError, match="4096 bytes"):
        Superblock.decode(block, 0, 8)
    with pytest.raises(FormatError, match="4096 bytes"):
        Leaf.decode(block, one(), 0)


def remap_entries():
    return st.builds(
        Entry,
        st.just(EntryKind.REMAP),
        st.integers(0, MAIN.sectors - 1),
        st.integers(10240, 65535),
        st.integers(0, 1),
        st.sampled_from([EntryFlag(0), EntryFlag.MANUAL, EntryFlag.UNKNOWN | EntryFlag.MANUAL]),
    ) | st.builds(Entry, st.just(EntryKind.LOST), st.integers(0, MAIN.sectors - 1))


@given(
    st.dictionaries(st.integers(0, 251), remap_entries(), max_size=40),
    st.integers(1, lib.DMR_MAX_NUMBER),
    st.integers(0, 2**64 - 1),
)
def test_leaf_round_trip(entries, seq, events):
    superblock, leaf = one(), Leaf(5, seq, events, entries)
    assert Leaf.decode(leaf.encode(superblock.set_uuid), superblock, 5) == leaf


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(EntryKind.REMAP, MAIN.sectors, 10240), "beyond the main device"),
        (Entry(EntryKind.REMAP, 0, 10239), "outside the data area"),
        (Entry(EntryKind.REMAP, 0, 65536), "outside the data area"),
        (Entry(EntryKind.REMAP, 0, 10240, 2), "not in the set"),
    ],
)
def test_an_entry_out_of_bounds_is_refused(entry, words):
    superblock = one()
    block = Leaf(0, entries={7: entry}).encode(superblock.set_uuid)
    with pytest.raises(FormatError, match=f"Entry 7 of leaf 0 was refused: .*{words}"):
        Leaf.decode(block, superblock, 0)


def test_explain_has_words():
    assert explain(FormatCode.BLANK).startswith("blank")


HEADER = """
/* words */
#ifndef X_H
#define X_H
#include <linux/types.h>
#define X_LEN 16
#define X_MASK ((1U << 3) - 1)
#define X_OF(a) ((a) >> 8)
struct x { u8 uuid[X_LEN]; /* bytes */ };
int x_get(const struct x *x);
static inline int x_one(const struct x *x)
{
	if (x) { return 1; }
	return 0;
}
#endif
"""


def test_declarations_are_taken_from_a_header():
    text = declarations(HEADER)
    assert "#define X_LEN ...\n#define X_MASK ...\n" in text
    assert "X_OF" not in text
    assert "X_H" not in text
    assert "u8 uuid[...];" in text
    assert "int x_get(const struct x *x);" in text
    assert "int x_one(const struct x *x);" in text
    assert "return" not in text
