"""Journals and images survive being kept."""

from pathlib import Path

from tests.crash import journal
from tests.crash.journal import (
    Acknowledged,
    Died,
    Event,
    Flush,
    Flushed,
    GoneBad,
    MediaError,
    Seen,
    Synced,
    Write,
    Written,
)

EVENTS: list[Event] = [
    GoneBad(0, 8, 2, True),
    Write(1, 0, 5, b"a" * 1024, False),
    MediaError(0, (8, 9), ((1, 7),)),
    Write(2, 1, 7, b"b" * 512, True),
    Written(2),
    Written(1),
    Flush(3, 0),
    Flushed(3),
    Acknowledged(1, 1, 1 << 32, True, 0),
    Synced(1, 0),
    Seen(1, -1, 5),
    Died(2),
]


def test_a_journal_reads_back_as_it_was(tmp_path: Path) -> None:
    journal.save(tmp_path / "journal", EVENTS)
    assert journal.load(tmp_path / "journal") == EVENTS


def test_an_image_reads_back_as_it_was(tmp_path: Path) -> None:
    image = {0: b"x" * 512, 4711: b"y" * 512}
    journal.save_image(tmp_path / "disk", image)
    assert journal.load_image(tmp_path / "disk") == image


def test_marks_are_behind_flushes_and_fua_writes_only() -> None:
    assert journal.marks(EVENTS) == [5, 8]


def test_peaks_are_before_the_first_of_several_answers() -> None:
    assert journal.peaks(EVENTS) == [4, 7]
