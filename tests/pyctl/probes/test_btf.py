import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.errors import PyctlError
from pyctl.probes.btf import VMLINUX, Btf

STRUCT, INT, BITFIELDS = 4 << 24, 1 << 24, 1 << 31
NAMES = b"\0bio\0bi_opf\0bi_iter\0other\0"


def name(word):
    return NAMES.index(b"\0" + word + b"\0") + 1


def member(word, bits, kind=1):
    return struct.pack("<III", name(word), kind, bits)


def made(types, names=NAMES):
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    return header + types + names


INTEGER = struct.pack("<IIII", name(b"other"), INT, 4, 32)
BIO = struct.pack("<III", name(b"bio"), STRUCT | 2, 40) + member(b"bi_opf", 128)
BIO += member(b"bi_iter", 256)


def test_fields_of_a_struct():
    assert Btf(made(INTEGER + BIO)).offsets("bio", ["bi_iter", "bi_opf"]) == {
        "bi_opf": 16,
        "bi_iter": 32,
    }


def test_only_a_struct_of_this_name_counts():
    """The number of the name is found elsewhere, too: in another kind of type, and as a member."""
    integer = struct.pack("<IIII", name(b"bio"), INT, 4, 32)
    other = struct.pack("<III", name(b"other"), STRUCT | 1, 8) + member(b"bio", 64)
    assert Btf(made(integer + other + BIO)).offsets("bio", ["bi_opf"]) == {"bi_opf": 16}


def test_bit_fields():
    bio = struct.pack("<III", name(b"bio"), STRUCT | BITFIELDS | 1, 40)
    bio += member(b"bi_opf", 8 << 24 | 64)
    assert Btf(made(bio)).offsets("bio", ["bi_opf"]) == {"bi_opf": 8}


@pytest.mark.parametrize(("of", "field"), [("bio", "other"), ("bio", "none"), ("none", "bi_opf")])
def test_what_the_kernel_does_not_have(of, field):
    with pytest.raises(PyctlError):
        Btf(made(INTEGER + BIO)).offsets(of, [field])


@given(st.binary(max_size=64))
def test_nonsense_is_refused(data):
    with pytest.raises(PyctlError):
        Btf(data)


@given(st.data())
def test_a_cut_never_gives_another_answer(data):
    whole = INTEGER + BIO
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(PyctlError):
        Btf(made(whole[:length])).offsets("bio", ["bi_opf", "bi_iter"])


@pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel has no type information")
def test_the_running_kernel():
    found = Btf(Path(VMLINUX).read_bytes()).offsets("bio", ["bi_bdev", "bi_iter", "bi_next"])
    assert found["bi_next"] == 0 < found["bi_bdev"] < found["bi_iter"]
