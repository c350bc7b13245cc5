"""What comes from a socket is read whole or refused, whatever it is."""

import contextlib
import errno
import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.errors import (
    ExitCode,
    NoKernelError,
    NotFoundError,
    PermissionDeniedError,
    PyctlError,
    UsageError,
    exit_code,
)
from pyctl.netlink.events import Gap, Happening, Numbers
from pyctl.netlink.numbers import Cmd, EntryState, Finding, News, Reason
from pyctl.netlink.sets import Entry, Mark, SetInfo
from pyctl.netlink.wire import WireError, advise, packets
from tests.pyctl.netlink import messages

DONE, ERROR = 3, 2


def read(data):
    return list(packets(data, messages.FAMILY))


def test_an_event():
    (packet,) = read(messages.event(5, News.REMAP, spare=2, sector=800, sectors=8, manual=1))
    one = Happening.of(packet.values)
    assert (one.seq, one.kind, one.spare, one.sector, one.sectors) == (5, News.REMAP, 2, 800, 8)
    assert (one.set, one.device, one.time, one.detail) == (
        UUID(bytes=messages.UUID),
        (254, 3),
        5.0,
        True,
    )
    assert one.json() == {
        "seq": 5,
        "time": 5.0,
        "event": "remap",
        "count": 1,
        "set": str(one.set),
        "device": "254:3",
        "spare": 2,
        "sector": 800,
        "sectors": 8,
        "detail": True,
    }


def test_details():
    (packet,) = read(messages.event(1, News.MEMBERS, spare=1, reason=int(Reason.SPARE_ADDED)))
    assert Happening.of(packet.values).told == "spare-added"
    (packet,) = read(messages.event(1, News.FINDING, finding=int(Finding.SLOW)))
    assert Happening.of(packet.values).detail is Finding.SLOW
    # of a newer kernel
    (packet,) = read(messages.event(1, News.FINDING, finding=99))
    assert Happening.of(packet.values).detail is None
    (packet,) = read(messages.event(1, 4711))
    assert Happening.of(packet.values) is None


def test_several_messages_and_their_end():
    entry = {"DMR_A_SECTOR": 8, "DMR_A_SECTORS": 8, "DMR_A_ENTRY": 0, "DMR_A_MANUAL": 0}
    place = {"DMR_A_SPARE": 1, "DMR_A_SPARE_SECTOR": 9000}
    data = messages.family(Cmd.REMAPS, entry | place, seq=3, flags=2)
    data += messages.message(struct.pack("=i", -errno.ENODEV), kind=DONE, seq=3)
    first, last = read(data)
    assert Entry.of(first.values) == Entry(8, 8, EntryState.REMAP, False, (1, 9000), None)
    assert (last.error, last.seq) == (errno.ENODEV, 3)


@pytest.mark.parametrize("capped", [True, False])
def test_an_error_with_its_sentence(capped):
    asked = b"" if capped else messages.attribute(1, b"what was asked")
    request = struct.pack("=IHHII", 16 + len(asked), messages.FAMILY, 5, 9, 0) + asked
    text = messages.attribute(1, b"there is no such set\0")
    body = struct.pack("=i", -errno.ENODEV) + request + text
    flags = 0x200 | (0x100 if capped else 0)
    (packet,) = read(messages.message(body, kind=ERROR, flags=flags, seq=9))
    assert (packet.error, packet.text) == (errno.ENODEV, "there is no such set")


def test_attributes_of_a_newer_kernel_are_left_out():
    body = struct.pack("=BBH", int(Cmd.GET), 1, 0) + messages.attribute(900, b"news")
    (packet,) = read(messages.message(body))
    assert packet.values == {}


@pytest.mark.parametrize(
    "body",
    [
        messages.attribute(messages.NUMBERS["DMR_A_SEQ"], b"1234"),
        messages.attribute(messages.NUMBERS["DMR_A_SPARE"], b"12345678"),
        messages.attribute(messages.NUMBERS["DMR_A_NAME"], b"no end"),
        struct.pack("=HH", 3, 1),
        struct.pack("=HH", 400, 1),
        b"\1",
    ],
)
def test_what_is_not_whole_is_refused(body):
    with pytest.raises(WireError):
        read(messages.message(struct.pack("=BBH", int(Cmd.GET), 1, 0) + body))


def made(values):
    for make in (Happening.of, SetInfo.of, Entry.of, Mark.of):
        with contextlib.suppress(WireError):
            make(values)


NAMES = st.sampled_from(sorted(messages.NUMBERS.values()))
ATTRIBUTE = st.builds(messages.attribute, NAMES, st.binary(max_size=24))
FITTING = st.builds(
    lambda name, number: (
        messages.attributes({name: number})
        if dict(messages.ATTRIBUTES)[name] in messages.FORMS
        else b""
    ),
    st.sampled_from(sorted(messages.NUMBERS)),
    st.integers(0, 2**32 - 1),
)
MESSAGE = st.builds(
    lambda kind, cmd, parts, flags: messages.message(
        struct.pack("=BBH", cmd, 1, 0) + b"".join(parts), kind=kind, flags=flags
    ),
    st.sampled_from([messages.FAMILY, DONE, ERROR, 16, 1]),
    st.integers(0, 255),
    st.lists(ATTRIBUTE | FITTING, max_size=12),
    st.integers(0, 0xFFFF),
)


@given(st.binary(max_size=200) | MESSAGE | st.lists(MESSAGE, max_size=3).map(b"".join))
def test_hostile_bytes_end_in_packets_or_in_a_wire_error(data):
    with contextlib.suppress(WireError):
        for packet in packets(data, messages.FAMILY):
            made(packet.values)


@given(st.data())
def test_a_changed_event_ends_in_an_event_or_in_a_wire_error(data):
    whole = bytearray(messages.event(5, News.REMAP, spare=2, sector=800, sectors=8, manual=1))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for text in (bytes(whole), bytes(whole[:cut])):
        with contextlib.suppress(WireError):
            for packet in packets(text, messages.FAMILY):
                made(packet.values)


def happening(seq, *, instance=7, kind=News.REMAP, count=1):
    (packet,) = read(messages.event(seq, kind, instance=instance, count=count))
    return Happening.of(packet.values)


def test_numbers_tell_what_is_missing():
    numbers = Numbers()
    assert numbers.take(happening(10)) is None
    assert numbers.take(happening(11)) is None
    assert numbers.take(happening(15)).missed == 3
    # one that was known from a dump already
    numbers.begin(7, 20)
    assert numbers.take(happening(19)) is None
    assert numbers.take(happening(21)) is None
    assert numbers.take(happening(1, instance=8)) == Gap(0, "the module was loaded again")
    assert numbers.take(happening(2, instance=8)) is None
    assert numbers.take(happening(9, instance=8, kind=News.DROPPED, count=6)).missed == 6


def test_what_the_kernel_had_no_room_for_is_counted_once():
    numbers = Numbers()
    found = [
        numbers.take(one)
        for one in (
            happening(10),
            # 11 to 13 found no room, then there was some again
            happening(14),
            happening(15, kind=News.DROPPED, count=3),
            # and none after 15
            happening(20, kind=News.DROPPED, count=4),
        )
    ]
    assert [gap and gap.missed for gap in found] == [None, 3, None, 4]
    first = Numbers().take(happening(9, kind=News.DROPPED, count=6))
    assert first == Gap(6, "the kernel had no room")


@given(st.lists(st.integers(1, 60), unique=True, min_size=1).map(sorted))
def test_what_is_missing_is_all_that_was_not_heard(heard):
    numbers = Numbers()
    gaps = [numbers.take(happening(seq)) for seq in heard]
    assert sum(gap.missed for gap in gaps if gap) == heard[-1] - heard[0] + 1 - len(heard)


def test_pieces_of_a_region():
    mark = Mark(None, 2048, 2048, 90, 0, 0, 0, 0, 0, 0, 1)
    assert list(mark.pieces(0)) == []
    assert list(mark.pieces(0b1)) == [(2048, 64)]
    assert list(mark.pieces(0b1101)) == [(2048, 64), (2048 + 128, 128)]
    assert list(mark.pieces(0xFFFFFFFF)) == [(2048, 2048)]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EPERM, PermissionDeniedError, ExitCode.PERMISSION),
        (errno.ENODEV, NotFoundError, ExitCode.NOT_FOUND),
        (errno.EINVAL, UsageError, ExitCode.USAGE),
        (errno.EOPNOTSUPP, NoKernelError, ExitCode.NO_KERNEL),
        (errno.EXDEV, PyctlError, ExitCode.FAILED),
    ],
)
def test_advice(number, kind, code):
    error = advise(number, "Cannot see d", "so it is")
    assert type(error) is kind
    assert error.message == "Cannot see d: so it is."
    assert exit_code(error) == code
