"""What is lost, from a dump: as ranges, as many as are wanted, whatever changes meanwhile."""

import pytest

from pyctl.errors import NotFoundError
from pyctl.netlink.numbers import Cmd, EntryState
from pyctl.netlink.sets import Kernel
from pyctl.netlink.wire import InterruptedDumpError
from tests.pyctl.netlink.fakes import SET

LOST, UNKNOWN, REMAP = EntryState.LOST, EntryState.UNKNOWN, EntryState.REMAP


class Dumped:
    """A socket whose dump has these entries, of 8 sectors each, and ends so."""

    def __init__(self, entries, end=None):
        self.entries = entries
        self.end = end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def dump(self, cmd, values, _):
        assert (cmd, values) == (Cmd.REMAPS, {"DMR_A_SET": SET.bytes})
        for sector, state in self.entries:
            yield {
                "DMR_A_SECTOR": sector,
                "DMR_A_SECTORS": 8,
                "DMR_A_ENTRY": int(state),
                "DMR_A_MANUAL": 0,
            }
        if self.end:
            raise self.end


ENTRIES = [(0, LOST), (8, UNKNOWN), (16, REMAP), (24, LOST), (40, LOST), (48, LOST)]


@pytest.mark.parametrize(
    ("most", "found"),
    [
        (8, [(0, 16, 2), (24, 8, 1), (40, 16, 2)]),
        (2, [(0, 16, 2), (24, 8, 1)]),
        (0, []),
    ],
)
def test_ranges(most, found):
    assert Kernel(lambda: Dumped(ENTRIES)).lost(SET, most) == found


def test_what_changes_meanwhile_is_told_by_events():
    dumped = Dumped(ENTRIES[:1], InterruptedDumpError("changed"))
    assert Kernel(lambda: dumped).lost(SET, 8) == [(0, 8, 1)]


def test_any_other_end_is_an_error():
    dumped = Dumped(ENTRIES, NotFoundError("gone"))
    with pytest.raises(NotFoundError):
        Kernel(lambda: dumped).lost(SET, 8)
