"""Every sector of the load says where it belongs."""

from tests.crash import pattern
from tests.crash.pattern import Sector


def test_a_sector_tells_what_it_is() -> None:
    sector = Sector(unit=7, version=5 << 32 | 9, run=1234, index=3)
    data = sector.encode()
    assert len(data) == 512
    assert pattern.decode(data) == sector


def test_a_changed_byte_anywhere_shows() -> None:
    data = bytearray(Sector(7, 9, 1234, 3).encode())
    for at in range(512):
        data[at] ^= 1
        assert pattern.decode(bytes(data)) is None
        data[at] ^= 1


def test_blank_and_foreign_sectors_are_nothing() -> None:
    assert pattern.decode(bytes(512)) is None
    assert pattern.decode(b"\xff" * 512) is None


def test_a_unit_has_all_its_sectors() -> None:
    data = pattern.encode_unit(7, 9, 1234, 8)
    parts = [pattern.decode(data[at : at + 512]) for at in range(0, len(data), 512)]
    assert parts == [Sector(7, 9, 1234, index) for index in range(8)]
