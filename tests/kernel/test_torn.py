"""Power goes while metadata is being written: old or new, never lost, never mixed."""

import random

from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.dm import DmDevice, Linear
from tests.kernel.lib.faults import Delay
from tests.kernel.lib.metadata import ALL_COPIES, Metadata
from tests.kernel.lib.run import run
from tests.kernel.lib.setup import Disks, QuickRemap, failing_write, pattern
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
            torn = b"".join(
                (new if i in sectors else old)[i * SECTOR : (i + 1) * SECTOR] for i in range(8)
            )
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
    """The sectors of a block that are new after a torn write: cut anywhere, and out of order."""
    rng = random.Random(15)
    return [set(range(cut)) for cut in range(9)] + [set(rng.sample(range(8), 4))]


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
