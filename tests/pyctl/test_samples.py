import random

import pytest

from pyctl.errors import MediaError
from pyctl.format import (
    NR_SAMPLES,
    Entry,
    EntryKind,
    MainGeometry,
    Sample,
    State,
    open_for_reading,
    plan_set,
    sample_unit,
)
from pyctl.samples import compare, raw_crc


@pytest.fixture(params=[512, 4096])
def main(request, images):
    (path,) = images(204800)
    path.write_bytes(random.Random(1).randbytes(204800 * 512))
    superblock = plan_set(MainGeometry(204800), [65536], unit_bytes=request.param)[0]
    return path, superblock


def taken(path, superblock, *, clean=True):
    data, size = path.read_bytes(), superblock.unit_bytes
    units = [sample_unit(superblock, number) for number in range(NR_SAMPLES)]
    samples = tuple(Sample(unit, raw_crc(data[unit * size :][:size])) for unit in units)
    return State(1, 5, clean, samples=samples)


def compared(path, superblock, state, entries=()):
    with open_for_reading(path) as opened:
        return compare(opened, superblock, state, entries)


def change(path, superblock, *numbers):
    with path.open("r+b") as file:
        for number in numbers:
            file.seek(sample_unit(superblock, number) * superblock.unit_bytes)
            file.write(b"changed")


def test_a_main_that_is_as_it_was(main):
    path, superblock = main
    found = compared(path, superblock, taken(path, superblock))
    units = {sample_unit(superblock, number) for number in range(NR_SAMPLES)}
    assert (found.compared, found.telling, found.differ) == (len(units), len(units), 0)
    assert found.clean


def test_changes_are_counted_by_unit(main):
    path, superblock = main
    state = taken(path, superblock, clean=False)
    change(path, superblock, 9, 20)
    found = compared(path, superblock, state)
    assert (found.differ, found.clean) == (2, False)


def test_what_is_remapped_now_is_not_compared(main):
    path, superblock = main
    state = taken(path, superblock)
    change(path, superblock, 9, 20, 21)
    elsewhere = [
        Entry(EntryKind.REMAP, sample_unit(superblock, 9), 10300),
        Entry(EntryKind.LOST, sample_unit(superblock, 20)),
        Entry(EntryKind.BAD, 0, 10301),
    ]
    assert compared(path, superblock, state, elsewhere).differ == 1


def test_blank_units_tell_nothing(main):
    path, superblock = main
    path.write_bytes(bytes(204800 * 512))
    state = taken(path, superblock)
    found = compared(path, superblock, state)
    assert found.telling == found.differ == 0 < found.compared
    change(path, superblock, 9)
    assert compared(path, superblock, state).telling == 1


def test_what_could_not_be_taken_or_cannot_be_read_is_left_out(main, monkeypatch):
    path, superblock = main
    state = State(1, samples=(Sample(0, None), Sample(1 << 40, 5)))
    assert compared(path, superblock, state).compared == 0
    with open_for_reading(path) as opened:

        def fail(self, sector, length):
            raise MediaError("no")

        monkeypatch.setattr(type(opened), "read", fail)
        assert compare(opened, superblock, taken(path, superblock), ()).compared == 0
