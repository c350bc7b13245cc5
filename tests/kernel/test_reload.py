"""Many reloads under load: one live set goes from table to table. Trap 22."""

import errno
import random
import threading
from functools import partial
from pathlib import Path

import pytest

from pyctl.errors import DmError
from pyctl.format import Entry
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.metadata import Metadata
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.scribbling import Scribbling
from tests.kernel.lib.setup import Disks, QuickRemap, patient

AREA = 2000
# Sectors of the area that are bad from the beginning, and those that may become so.
EARLY = range(0, AREA, 40)
LATE = range(20, AREA, 40)


def _users() -> int:
    """Tables that the module has."""
    return int(Path("/sys/module/dm_remap/refcnt").read_text())


def _stir(dm: QuickRemap, main: NullBlk, stop: threading.Event) -> None:
    """Sectors move to the spare and back, and some go bad when they are on the spare."""
    rng = random.Random(23)
    late = list(LATE)
    while not stop.is_set():
        if late and rng.random() < 0.2 and _moved(dm, "remap", late[-1], 1):
            main.add_bad(late.pop())
        _moved(dm, rng.choice(("remap", "unremap")), rng.randrange(AREA - 16), 16)


def _moved(dm: QuickRemap, *words: object) -> bool:
    """Send a message; False when the device is suspended, where nothing can be moved."""
    try:
        dm.message(*words)
    except DmError as error:
        if error.errno != errno.EAGAIN:
            raise
        return False
    return True


@pytest.mark.timeout(600)
def test_trap_22_a_thousand_reloads_under_load(two: Disks, reloads: int) -> None:
    """The old table goes after the new one has come, and the set must not go with it.

    Mistakes: count no reference for the new table, and have the old table's end forget the new one.
    Seen to fail with tests/mistakes/22_reference_not_taken.patch and
    22_new_table_is_forgotten.patch.
    """
    main, spare = two
    idle = _users()
    for sector in EARLY:
        main.add_bad(sector)
    with QuickRemap(main, spare, opts=patient()) as dm:
        load = Scribbling(dm, AREA, tuple(range(1, 9)))
        uuid = dm.message("ping")
        stir = partial(_stir, dm, main, load.stop)
        with Background(load.run) as writer, Background(stir) as mover:
            try:
                for number in range(reloads):
                    dm.load(dm.target(patient()))
                    dm.suspend(noflush=number % 2 == 0)
                    dm.resume()
                    assert writer.running() and mover.running()
                wait_until(lambda: dm.status_fields().auto > 10, "writes have failed")
            finally:
                load.stop.set()
        assert dm.message("ping") == uuid
        stats = dm.stats()
        assert stats["manual_remaps"] > 0 and stats["unremaps"] > 0
        assert load.done > reloads // 10 and len(load.newest) > AREA // 10
        load.check_all()
        # Events still find the table that is live.
        event = dm.event_nr
        dm.message("remap", AREA)
        wait_until(lambda: dm.event_nr > event, "an event")
        assert _users() == idle + 1
        dm.remove()
        assert _users() == idle
        _the_next_set_is_read_anew(dm, spare)
        dm.__enter__()
        assert AREA not in dm.remapped()
        load.check_all()


def _the_next_set_is_read_anew(dm: QuickRemap, spare: NullBlk) -> None:
    """Take the entry of AREA out of the table: a set that still lived would not notice."""

    def drop(entries: dict[int, Entry]) -> None:
        for slot, entry in list(entries.items()):
            if entry.main_unit == AREA:
                del entries[slot]

    metadata = Metadata(spare)
    for number in range(metadata.superblock().nr_leaves):
        leaf = metadata.leaf(number)
        if any(entry.main_unit == AREA for entry in leaf.entries.values()):
            metadata.change_leaf(drop, number)
            return
    raise AssertionError("the entry isn't in the table")
