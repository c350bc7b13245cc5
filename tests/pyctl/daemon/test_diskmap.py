"""Where on a device something has happened, by pieces."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.control import Control, RemapEntry
from pyctl.daemon.diskmap import Cell, Found, Maps, cell_size, cells, look
from pyctl.errors import NotFoundError, PyctlError, RefusedError
from pyctl.scan import REGION_SECTORS as REGION
from pyctl.scan import Region
from tests.pyctl.daemon.machine import HELP, Machine, a_device


def region(sector, **changed):
    zero = dict.fromkeys(["errors", "retries", "slow", "marginal", "blanks", "usual_us"], 0)
    return Region(**{"spare": None, "sector": sector, "health": 100, **zero, **changed})


def entry(sector, sectors, state="remap"):
    return RemapEntry(sector, sectors, 0, 0, state, "auto")


@given(st.integers(1, 2**40), st.integers(1, 4096))
def test_there_are_never_more_cells_than_wanted(sectors, most):
    size = cell_size(sectors, most)
    assert size % REGION == 0
    assert -(-sectors // size) <= most
    # and no fewer than that takes
    assert size == REGION or -(-sectors // (size - REGION)) > most


runs = st.lists(
    st.tuples(st.integers(0, 90_000), st.integers(1, 9_000), st.sampled_from(["remap", "lost"])),
    max_size=20,
)


@given(runs, st.lists(st.integers(0, 48), max_size=20), st.integers(1, 100))
def test_nothing_is_told_twice_or_left_out(entries, regions, most):
    found = Found(
        100_000,
        tuple(region(one * REGION, errors=1, slow=2) for one in regions),
        tuple(entry(*one) for one in entries),
    )
    told = cells(found, most)
    assert sum(one.errors for one in told) == len(regions)
    assert sum(one.slow for one in told) == 2 * len(regions)
    for state, name in (("remap", "remapped"), ("lost", "lost")):
        count = sum(n for _, n, how in entries if how == state)
        assert sum(getattr(one, name) for one in told) == count
    assert [one.sector for one in told] == sorted({one.sector for one in told})
    for one in told:
        assert one.sector % cell_size(100_000, most) == 0
        assert one.sector + one.sectors <= 100_000
        touched = any(a < one.sector + one.sectors and one.sector < a + n for a, n, _ in entries)
        inside = any(one.sector <= a * REGION < one.sector + one.sectors for a in regions)
        assert touched or inside


def test_a_cell_is_as_bad_as_its_worst_region():
    found = Found(
        10 * REGION,
        (region(0, health=90, usual_us=5), region(REGION, health=30, usual_us=900)),
        (entry(2 * REGION - 8, 16, "unknown"),),
    )
    first, second = cells(found, 5)
    assert (first.sector, first.sectors, first.health, first.usual_us) == (0, 2 * REGION, 30, 900)
    # data that is not known is an error to readers, as lost data is
    assert (first.lost, second.lost, second.health) == (8, 8, 100)


def test_a_last_cell_that_is_shorter():
    (one,) = cells(Found(REGION + 8, (), (entry(REGION, 8),)), 2)
    assert one == Cell(sector=REGION, sectors=8, remapped=8)


@pytest.fixture
def machine(tmp_path):
    one = Machine(tmp_path)
    one.put("srv", a_device(regions=[["-", 2048, {"slow": 3}], [1, 0, {"errors": 1}]]))
    return one


def control(machine):
    return lambda name: Control(machine.open_device(name))


def test_what_a_device_says(machine):
    machine.change("srv", entries=[[8, 8, "remap"], [64, 8, "lost"]])
    found = look(control(machine)("srv"))
    assert found.sectors == 8192
    # of spares nothing is told here
    assert [(one.sector, one.slow) for one in found.regions] == [(2048, 3)]
    assert [(one.sector, one.state) for one in found.entries] == [(8, "remap"), (64, "lost")]
    assert found.scan.state == "waiting"


def test_without_a_scanner_the_table_is_told(machine):
    machine.change(
        "srv", entries=[[8, 8, "remap"]], commands=[one for one in HELP if one != "scan"]
    )
    found = look(control(machine)("srv"))
    assert (found.regions, found.scan, len(found.entries)) == ((), None, 1)


def test_a_device_is_asked_once_however_many_want_to_know(machine):
    asked = []

    def opening(name):
        asked.append(name)
        return control(machine)(name)

    async def many():
        maps = Maps(opening)
        return await asyncio.gather(*(maps.found("srv") for _ in range(20)))

    found = asyncio.run(many())
    assert len({id(one) for one in found}) == 1
    assert asked == ["srv"]


def test_a_device_that_does_not_answer(machine):
    held = threading.Event()
    asked = []

    def opening(name):
        asked.append(name)
        held.wait()
        raise PyctlError("it is odd.", hint="Mend it.")

    async def twice():
        maps = Maps(opening, patience=0.01)
        for _ in range(2):
            with pytest.raises(RefusedError, match="srv has not answered"):
                await maps.found("srv")
        # the one that hangs is not joined by another
        assert asked == ["srv"]
        held.set()
        patient = Maps(opening)
        with pytest.raises(RefusedError, match="cannot be asked: it is odd") as caught:
            await patient.found("srv")
        assert caught.value.hint == "Mend it."
        # a failure is no answer for the next one
        with pytest.raises(RefusedError):
            await patient.found("srv")
        assert len(asked) == 3

    asyncio.run(twice())


def test_a_device_that_has_gone(machine):
    machine.remove("srv")

    async def once():
        maps = Maps(control(machine))
        with pytest.raises(NotFoundError):
            await maps.found("srv")
        maps.forget([])
        assert maps._asked == {}

    asyncio.run(once())
