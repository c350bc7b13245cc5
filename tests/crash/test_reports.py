"""Records of the load, however the port cuts them."""

import struct

import pytest

from tests.crash.journal import Acknowledged, Event, Seen, Synced
from tests.crash.reports import Content, End, Parser

RECORDS = (
    struct.pack("<IiQIIQQ", 1, 0, 7, 2, 1, 99, 5)
    + struct.pack("<IiQIIQQ", 2, 0, 0, 0, 0, 0, 5)
    + struct.pack("<IiQIIQQ", 3, 84, 7, 1, 0, 12, 0)
    + struct.pack("<IiQIIQQ", 4, 0, 3, 1, 0, 0, 0)
    + b"d" * 512
    + struct.pack("<IiQIIQQ", 4, 5, 4, 1, 0, 0, 0)
    + struct.pack("<IiQIIQQ", 5, 0, 0, 0, 0, 0, 0)
)


@pytest.mark.parametrize("step", [1, 7, 40, 1000])
def test_records_are_found_whatever_the_pieces(step: int) -> None:
    parser = Parser(512)
    found: list[Event | Content | End] = []
    for at in range(0, len(RECORDS), step):
        found += parser.feed(RECORDS[at : at + step])
    assert found == [
        Acknowledged(5, 7, 99, True, 0),
        Acknowledged(5, 8, 99, True, 0),
        Synced(5, 0),
        Seen(7, -1, 84),
        Content(3, b"d" * 512, 0),
        Content(4, None, 5),
        End(),
    ]


def test_anything_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="kind 9"):
        list(Parser(512).feed(struct.pack("<IiQIIQQ", 9, 0, 0, 0, 0, 0, 0)))
