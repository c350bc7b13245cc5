import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.errors import UsageError
from pyctl.probes import layout, planning, program
from pyctl.probes.frames import Device

ONE = Device("one", "252:0", 1 << 20, 1 << 14, 64)
TWO = Device("two", "253:7", 100_000, 2048, 49)
SOURCE = "".join(source.read_text() for source in program.SOURCES)


def defined(name):
    return int(re.search(rf"^#define {name} (\d+)$", SOURCE, re.MULTILINE)[1])


def test_both_sides_have_the_same_sizes():
    assert defined("WAYS") == layout._WAYS
    assert program.GROUPS * defined("WAYS") == 65536
    assert f"#define STALE_NS {layout.STALE_NS}ULL\n" in SOURCE
    assert defined("LATENCY_SLOTS") == layout.LATENCY_SLOTS
    assert defined("DEPTH_SLOTS") == layout.DEPTH_SLOTS
    assert defined("LOSSES") == layout.LOSSES
    assert layout.slot_bounds(1)[0] == 1 << defined("FIRST_SLOT_BITS")


def test_both_sides_have_the_same_numbers():
    def words(first):
        return re.search(rf"enum {{ ({first}[^}}]*) }};", SOURCE)[1].split(", ")

    assert words("ERROR") == [what.name for what in layout.What]
    assert words("NO_ROOM") == [loss.name for loss in layout.Loss]
    assert words("READ_IO")[:3] == [f"{kind.upper()}_IO" for kind in layout.KINDS]


# The fields of a structure of maps.c: names, C types and lengths, in their order.
def fields(name):
    body = re.search(rf"^struct {name} {{\n(.*?)^}};", SOURCE, re.DOTALL | re.MULTILINE)[1]
    found = re.findall(r"^\t(struct \w+|\w+) (\w+)(?:\[(.*)\])?;$", body, re.MULTILINE)
    known = {"": 1, "KINDS": 3, "LATENCY_SLOTS": 32, "DEPTH_SLOTS": 16}
    known |= {"WAYS": 4, "3": 3}
    assert found
    return [(kind, field, known[length]) for kind, field, length in found]


def test_both_sides_have_the_same_counters():
    *sums, (_, _, slots) = fields("sums")
    assert [field for _, field, _ in sums] == ["ios", "sectors", "ns", "sequential"]
    (_, first, kinds), *rest = fields("counters")
    assert (first, kinds) == ("of", len(layout.KINDS))
    assert [field for _, field, _ in rest] == ["gaps", "depth"]
    values = kinds * (len(sums) + slots) + sum(length for _, _, length in rest)
    assert values * 8 == layout.COUNTERS.size


def test_both_sides_have_the_same_flights():
    sizes = {"u64": 8, "u32": 4, "u8": 1}
    ends = {}
    at = 0
    for kind, field, length in fields("flight"):
        ends[field] = at
        at += sizes[kind] * length
    assert [(kind, length) for kind, _, length in fields("group")] == [
        ("u64", 4),
        ("struct flight", 4),
    ]
    assert layout.GROUP.size == 4 * (8 + at)
    values = layout.GROUP.unpack(bytes(32) + b"".join(bytes([way + 1]) * at for way in range(4)))
    assert values[5::2] == (1, 2, 3, 4)
    marked = bytearray(layout.GROUP.size)
    marked[32 + ends["began"]], marked[32 + ends["device"]] = 7, 9
    assert layout.GROUP.unpack(bytes(marked))[4:6] == (7, 9)


def test_regions_follow_each_other_each_device_with_one_more():
    assert program.bases([ONE, TWO]) == [0, 65, 115]


def test_devices_by_their_numbers_and_those_of_partitions():
    cases = program.place_cases([ONE, TWO], [["252:0", "252:1"], ["253:7"]])
    first, second = cases.split("return 1;")[:2]
    assert first.startswith(f"case {252 << 20}: case {252 << 20 | 1}: ")
    assert "p->device = 0ULL; p->base = 0ULL; p->regions = 65ULL; p->shift = 14ULL;" in first
    assert f"case {253 << 20 | 7}: " in second
    assert "p->device = 1ULL; p->base = 65ULL; p->regions = 50ULL; p->shift = 11ULL;" in second


def test_only_what_is_needed_is_compiled():
    plain = program.text([ONE], [["252:0"]], {"BIO_OPF": 16}, with_module=False)
    assert "#define BIO_OPF 16\n" in plain
    assert "#define DM_REMAP" not in plain
    assert "#define BY_REQUESTS" not in plain
    both = program.text([ONE], [["252:0"]], {}, by_requests=True, with_module=True)
    assert "#define DM_REMAP 1\n" in both
    assert "#define BY_REQUESTS 1\n" in both


def test_a_kernel_without_headers_has_the_names_that_never_changed():
    assert program.status_names("0.0")[10] == "ioerr"


@given(st.integers(1, 2**40))
def test_a_device_has_about_a_thousand_regions(sectors):
    size = planning.region_sectors(sectors)
    assert size >= 2048
    assert size & size - 1 == 0
    assert -(-sectors // size) <= 1024
    assert size == 2048 or sectors // size >= 512


@pytest.mark.parametrize("wanted", [1, 4, 12, 2049])
def test_a_region_is_a_power_of_two(wanted):
    with pytest.raises(UsageError, match="power of two"):
        planning.region_sectors(1 << 20, wanted)
