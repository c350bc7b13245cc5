"""The model of a disk's cache: what may be left after a cut, and what must be."""

import random
from collections.abc import Callable, Sequence

import pytest

from tests.crash.journal import Event, Flush, Flushed, Write, Written
from tests.crash.media import Media, Survivors

DRAWS = 300


def _data(text: str) -> bytes:
    """Sectors of which each is filled with one of the letters."""
    return b"".join(letter.encode() * 512 for letter in text)


def _media(events: Sequence[Event], *, lying: bool = False, disks: int = 1) -> Media:
    media = Media([{} for _ in range(disks)], lying=lying)
    for event in events:
        media.feed(event)
    return media


def _outcomes(media: Media, sectors: int, disk: int = 0) -> set[str]:
    """Everything that chance makes of the first sectors; "." is a blank one."""
    found = set()
    for seed in range(DRAWS):
        data = media.draw(random.Random(seed)).read(disk, 0, sectors)
        found.add("".join(chr(data[at * 512] or ord(".")) for at in range(sectors)))
    return found


def test_what_was_not_flushed_may_be_there_or_not_or_in_part() -> None:
    media = _media([Write(1, 0, 0, _data("ab"), False), Written(1)])
    assert _outcomes(media, 2) == {"..", "a.", ".b", "ab"}


def test_two_writes_may_come_in_any_order() -> None:
    media = _media(
        [Write(1, 0, 0, _data("a"), False), Written(1), Write(2, 0, 0, _data("b"), False)]
    )
    assert _outcomes(media, 1) == {".", "a", "b"}


def test_a_fua_write_is_durable_once_it_is_answered_and_not_before() -> None:
    begun: list[Event] = [Write(1, 0, 0, _data("ab"), True)]
    assert _outcomes(_media(begun), 2) == {"..", "a.", ".b", "ab"}
    assert _outcomes(_media([*begun, Written(1)]), 2) == {"ab"}


def test_fua_of_one_write_makes_no_other_durable() -> None:
    media = _media(
        [
            Write(1, 0, 0, _data("a"), False),
            Written(1),
            Write(2, 0, 1, _data("b"), True),
            Written(2),
        ]
    )
    assert _outcomes(media, 2) == {".b", "ab"}


def test_an_older_version_never_comes_back_over_a_durable_one() -> None:
    media = _media(
        [
            Write(1, 0, 0, _data("aaa"), False),
            Written(1),
            Write(2, 0, 1, _data("b"), True),
            Written(2),
        ]
    )
    assert _outcomes(media, 3) == {".b.", "ab.", ".ba", "aba"}


def test_a_newer_version_may_replace_a_durable_one() -> None:
    media = _media(
        [Write(1, 0, 0, _data("a"), True), Write(2, 0, 0, _data("b"), False), Written(1)]
    )
    assert _outcomes(media, 1) == {"a", "b"}


def test_a_flush_covers_what_was_answered_before_it_came() -> None:
    media = _media(
        [
            Write(1, 0, 0, _data("a"), False),
            Written(1),
            Write(2, 0, 1, _data("b"), False),
            Flush(3, 0),
            Written(2),
            Write(4, 0, 2, _data("c"), False),
            Written(4),
            Flushed(3),
        ]
    )
    assert _outcomes(media, 3) == {"a..", "ab.", "a.c", "abc"}


def test_a_flush_that_is_not_answered_promises_nothing() -> None:
    media = _media([Write(1, 0, 0, _data("a"), False), Written(1), Flush(2, 0)])
    assert _outcomes(media, 1) == {".", "a"}


def test_a_flush_is_for_one_disk() -> None:
    media = _media(
        [
            Write(1, 0, 0, _data("a"), False),
            Written(1),
            Write(2, 1, 0, _data("b"), False),
            Written(2),
            Flush(3, 0),
            Flushed(3),
        ],
        disks=2,
    )
    assert _outcomes(media, 1, disk=0) == {"a"}
    assert _outcomes(media, 1, disk=1) == {".", "b"}


@pytest.mark.parametrize(
    "events",
    [
        [Write(1, 0, 0, _data("a"), True), Written(1)],
        [Write(1, 0, 0, _data("a"), False), Written(1), Flush(2, 0), Flushed(2)],
    ],
)
def test_a_disk_that_lies_may_lose_what_it_called_durable(events: list[Event]) -> None:
    assert _outcomes(_media(events), 1) == {"a"}
    assert _outcomes(_media(events, lying=True), 1) == {".", "a"}


def test_all_writes_in_flight_may_stop_at_the_same_point() -> None:
    """What tears every copy of a block that is written to several places at once."""
    copies = 5
    media = _media([Write(n, 0, 8 * n, _data("abcdefgh"), True) for n in range(copies)])
    torn = {"abcd" + "." * 4} & {
        text[8 * at : 8 * at + 8]
        for text in _outcomes(media, 8 * copies)
        for at in range(copies)
        if all(text[8 * k : 8 * k + 8] == text[:8] for k in range(copies))
    }
    assert torn


def test_the_same_seed_draws_the_same() -> None:
    media = _media([Write(n, 0, n, _data("x"), False) for n in range(50)])
    draw: Callable[[], Survivors] = lambda: media.draw(random.Random("7"))  # noqa: E731
    assert draw().images() == draw().images()
