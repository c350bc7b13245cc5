"""Power goes while metadata is being written: old or new, never lost, never mixed."""

import random
from collections.abc import Iterator

import pytest

from tests.kernel.lib.blockdev import SECTOR, BlockDevice
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.metadata import ALL_COPIES, BLOCK_SECTORS, DATA_START, Metadata
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import Disks, QuickRemap, eio, failing_write, pattern
from tests.kernel.lib.tracing import WriteTrace


def test_trap_15_torn_leaf_is_old_or_new_never_lost(two: Disks) -> None:
    """Power goes while a leaf is being written: every write in flight is cut somewhere.

    The block layer's own trace says which replicas are in flight together and which are complete by
    then. Each of those moments is a crash: what was complete is new, what was in flight is cut at
    every 512 bytes, the rest is old. The table must then be the old or the new one, as a whole.

    Mistake: write all five replicas at once. Seen to fail with
    tests/mistakes/15_all_replicas_at_once.patch.
    """
    main, spare = two
    run("modprobe", "dm-delay")
    metadata = Metadata(spare)
    first, second, before = (pattern(10, seed=seed) for seed in (1, 2, 3))
    with DmDevice(Linear(spare, spare.sectors)) as below, QuickRemap(main, below) as dm:
        # The leaf is nearly full, so that the change is in its first sector and in the last ones.
        dm.message("remap", 1000, 215)
        dm.write(1000, first)
        dm.write(2000, before)
        old = metadata.block(0)
        # Now it takes its time: what is submitted together is in flight together.
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=100))
        with WriteTrace(below) as moments:
            failing_write(main, dm, 2000, second)
        new = metadata.block(0)
    few, many = set(range(1000, 1215)), {*range(1000, 1215), *range(2000, 2010)}
    places = {metadata.leaf_sector(replica): replica for replica in ALL_COPIES}
    crashes = _crashes(moments(), places)
    assert {replica for _, flight in crashes for replica in flight} == set(ALL_COPIES)
    outcomes = set()
    for complete, flight in crashes:
        for sectors in _cuts():
            torn = _torn(old, new, sectors)
            for replica in ALL_COPIES:
                whole = new if replica in complete else old
                metadata.put_block(torn if replica in flight else whole, replica)
            with QuickRemap(main, spare) as dm:
                remapped = dm.remapped()
                assert remapped in (few, many)
                assert dm.read(1000, 10) == first
                assert dm.read(2000, 10) == (before if remapped == few else second)
                outcomes.add(len(remapped))
            assert len(set(metadata.blocks())) == 1
    assert outcomes == {len(few), len(many)}


def _cuts() -> list[set[int]]:
    """The sectors of a block that are new after a torn write: its head, its tail, or some."""
    rng = random.Random(15)
    heads = [set(range(cut)) for cut in range(BLOCK_SECTORS + 1)]
    tails = [set(range(cut, BLOCK_SECTORS)) for cut in range(1, BLOCK_SECTORS)]
    return [*heads, *tails, set(rng.sample(range(BLOCK_SECTORS), 4))]


def _torn(old: bytes, new: bytes, sectors: set[int]) -> bytes:
    """A block of which some sectors are new."""
    return b"".join(
        (new if i in sectors else old)[i * SECTOR : (i + 1) * SECTOR] for i in range(BLOCK_SECTORS)
    )


def _crashes(
    moments: list[tuple[bool, int]], places: dict[int, int]
) -> list[tuple[set[int], set[int]]]:
    """The moments with most writes in flight: (replicas that are complete, replicas in flight)."""
    complete: set[int] = set()
    flight: set[int] = set()
    crashes = []
    growing = False
    for submitted, sector in moments:
        if sector not in places:
            continue
        if submitted:
            flight.add(places[sector])
        else:
            if growing:
                crashes.append((set(complete), set(flight)))
            flight.remove(places[sector])
            complete.add(places[sector])
        growing = submitted
    return crashes


class _Area:
    """The metadata area of a spare before and after something, and every crash in between."""

    def __init__(self, spare: BlockDevice, old: bytes) -> None:
        self.spare = spare
        self.old = old
        self.new = pread(spare, 0, DATA_START)

    def changed(self) -> dict[int, int]:
        """The first sectors of the blocks that have changed."""
        places = range(0, DATA_START, BLOCK_SECTORS)
        return {
            place: place
            for place in places
            if self._block(self.old, place) != self._block(self.new, place)
        }

    def crashes(self, moments: list[tuple[bool, int]]) -> Iterator[None]:
        """Put the spare into the state after each crash, and let the caller look at it."""
        for complete, flight in _crashes(moments, self.changed()):
            # All cuts are tried by tests/unit/test_torn.py.
            for sectors in _cuts()[::4]:
                pwrite(self.spare, 0, self.old)
                for place in complete:
                    pwrite(self.spare, place, self._block(self.new, place))
                for place in flight:
                    old, new = (self._block(area, place) for area in (self.old, self.new))
                    pwrite(self.spare, place, _torn(old, new, sectors))
                yield

    @staticmethod
    def _block(area: bytes, place: int) -> bytes:
        return area[place * SECTOR : (place + BLOCK_SECTORS) * SECTOR]


def test_trap_15_torn_superblocks_and_state_lose_nothing(two: Disks) -> None:
    """The same for `save`, which writes all superblocks and the state block."""
    main, spare = two
    run("modprobe", "dm-delay")
    metadata = Metadata(spare)
    data = pattern(10, seed=1)
    with DmDevice(Linear(spare, spare.sectors)) as below, QuickRemap(main, below) as dm:
        failing_write(main, dm, 2000, data)
        dm.message("save")
        old = pread(spare, 0, DATA_START)
        below.reload(Delay(spare, spare.sectors, read_ms=0, write_ms=50))
        with WriteTrace(below) as moments:
            dm.message("save")
        area = _Area(spare, old)
        events = metadata.superblock().events
    # Five superblocks and a state block.
    assert len(area.changed()) == 6
    outcomes = set()
    for _ in area.crashes(moments()):
        found = {sb.events for sb in metadata.superblocks() if sb}
        assert found and found <= {events - 1, events}
        outcomes.add(max(found))
        with QuickRemap(main, spare) as dm:
            assert dm.remapped() == set(range(2000, 2010))
            assert dm.read(2000, 10) == data
            assert int(dm.status_fields().fields["events"]) >= max(found)
            assert dm.stats()["write_errors"] == 10
        after = [sb.events if sb else None for sb in metadata.superblocks()]
        assert len(set(after)) == 1 and after[0] is not None
    assert outcomes == {events - 1, events}


@pytest.mark.timeout(240)
def test_trap_15_torn_change_of_membership_is_old_or_new(three: Disks) -> None:
    """A set starts without one of its spares: generation records, superblocks and state.

    After a crash the other spare is back. Before the change was durable nothing else was written,
    and both are in sync; afterwards the other one is stale.
    """
    main, *spares = three
    run("modprobe", "dm-delay")
    metadata = Metadata(spares[0])
    with QuickRemap(main, *spares) as dm:
        for sector in range(1000, 1004):
            failing_write(main, dm, sector, pattern(1, seed=sector))
        place = {entry.sector: entry.spare for entry in dm.remaps()}
        assert set(place.values()) == {0, 1}
    old, other = (pread(spare, 0, DATA_START) for spare in spares)
    with DmDevice(Delay(spares[0], spares[0].sectors, read_ms=0, write_ms=50)) as below:
        with WriteTrace(below) as moments:
            dm = QuickRemap(main, below, opts={"degraded": "yes"})
            dm.__enter__()
        area = _Area(spares[0], old)
        dm.remove()
    # Two copies of a generation record, five superblocks and a state block.
    assert len(area.changed()) == 8
    outcomes = set()
    for _ in area.crashes(moments()):
        pwrite(spares[1], 0, other)
        with QuickRemap(main, *spares) as dm:
            outcome = dm.status_fields().fields["spares"]
            outcomes.add(outcome)
            for sector, spare in place.items():
                if outcome == "1/2" and spare == 1:
                    assert eio(dm, sector)
                else:
                    assert dm.read(sector) == pattern(1, seed=sector)
        assert len({sb.events if sb else None for sb in metadata.superblocks()}) == 1
    assert outcomes == {"1/2", "2/2"}
