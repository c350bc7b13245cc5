"""Lists of offsets: what bench-io reads."""

from array import array
from pathlib import Path

import pytest

from pyctl.format import Entry, EntryKind
from tests.bench import offsets, slower

UNIT = 4096
MAIN_UNITS = 1000
ENTRIES = [
    Entry(EntryKind.REMAP, main_unit=7 * number, spare_unit=5000 + number) for number in range(100)
]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    folder = tmp_path_factory.mktemp("lists")
    made = offsets.make(ENTRIES, MAIN_UNITS, UNIT, folder)
    return {name: read(getattr(made, name)) for name in ("untouched", "remapped", "places")}


def read(path: Path) -> list[int]:
    """All numbers of a file; bench-io takes them for 64 bits in the order of the machine."""
    numbers = array("Q")
    numbers.frombytes(path.read_bytes())
    return list(numbers)


def test_lists_are_of_one_length_and_fill_sectors(lists: dict[str, list[int]]) -> None:
    assert {len(numbers) for numbers in lists.values()} == {offsets.COUNT}
    assert offsets.COUNT * 8 % 512 == 0


def test_untouched_units_are_of_main_and_not_remapped(lists: dict[str, list[int]]) -> None:
    remapped = {entry.main_unit * UNIT for entry in ENTRIES}

    assert not remapped & set(lists["untouched"])
    assert all(offset % UNIT == 0 and offset < MAIN_UNITS * UNIT for offset in lists["untouched"])


def test_places_are_where_the_remapped_units_are(lists: dict[str, list[int]]) -> None:
    where = {entry.main_unit * UNIT: entry.spare_unit * UNIT for entry in ENTRIES}

    assert [where[offset] for offset in lists["remapped"]] == lists["places"]
    # All of them are met, in no order.
    assert set(lists["remapped"]) == set(where)
    assert lists["remapped"] != sorted(lists["remapped"])


def test_a_main_device_that_is_remapped_as_a_whole_has_no_untouched_units(tmp_path: Path) -> None:
    all_units = [Entry(EntryKind.REMAP, main_unit=n, spare_unit=n) for n in range(10)]

    with pytest.raises(ValueError, match="Half of the main device"):
        offsets.make(all_units, 10, UNIT, tmp_path)


def test_the_slower_module_has_its_instructions_once_and_in_dmr_map() -> None:
    patch = slower.patch(40)
    added = [line for line in patch.splitlines() if line.startswith("+") and "+++" not in line]

    assert len(added) == 1
    assert ".rept 40; nop" in added[0]
    before = patch.partition(added[0])[0].splitlines()
    assert before[-1] == " {"
    assert any(line.startswith(" int dmr_map(") for line in before[-3:-1])
