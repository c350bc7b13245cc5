"""AgentX messages: what is said can be read, and what can't be read is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.snmp.wire import (
    HEADER,
    LONGEST,
    Answer,
    Error,
    Header,
    Kind,
    Range,
    Request,
    Type,
    Varbind,
    WireError,
    answer_body,
    message,
    register_body,
)

numbers = st.integers(0, 2**32 - 1)
oids = st.lists(numbers, min_size=2, max_size=20).map(tuple)
kinds = st.sampled_from([Kind.GET, Kind.GET_NEXT, Kind.GET_BULK])


# As RFC 2741 5.1 has it, without the short form.
def plain(oid, include):
    return struct.pack(f"!BBBB{len(oid)}L", len(oid), 0, include, 0, *oid)


@given(kinds, st.lists(st.tuples(oids, oids, st.booleans()), max_size=4), st.booleans())
def test_requests(kind, asked, context):
    body = b"".join(plain(start, include) + plain(end, 0) for start, end, include in asked)
    once = times = 0
    if kind is Kind.GET_BULK:
        once, times = 1, 7
        body = struct.pack("!HH", once, times) + body
    if context:
        body = struct.pack("!L", 3) + b"abc\0" + body
    header = Header(kind, 16 | 8 * context, 1, 2, 3, len(body))
    found = Request.parse(header, body)
    assert found.ranges == tuple(Range(start, end, include) for start, end, include in asked)
    if kind is Kind.GET_BULK:
        assert (found.once, found.times) == (1, 7)


@given(kinds, st.binary(max_size=60), st.sampled_from([16, 24]))
def test_nothing_that_comes_is_worse_than_an_error(kind, body, flags):
    try:
        Request.parse(Header(kind, flags, 1, 2, 3, len(body)), body)
    except WireError as error:
        assert "AgentX" in error.message


@given(numbers, numbers, numbers, st.binary(max_size=40).filter(lambda one: len(one) % 4 == 0))
def test_headers(session, transaction, packet, body):
    said = message(Kind.PING, body, session=session, transaction=transaction, packet=packet)
    found = Header.parse(said[:HEADER])
    assert found == Header(Kind.PING, 16, session, transaction, packet, len(body))
    assert said[HEADER:] == body


@pytest.mark.parametrize(
    "wrong",
    [
        struct.pack("!BBBBLLLL", 2, 13, 16, 0, 1, 2, 3, 0),
        struct.pack("!BBBBLLLL", 1, 13, 0, 0, 1, 2, 3, 0),
        struct.pack("!BBBBLLLL", 1, 13, 16, 0, 1, 2, 3, LONGEST + 4),
        struct.pack("!BBBBLLLL", 1, 13, 16, 0, 1, 2, 3, 3),
    ],
)
def test_what_is_no_header(wrong):
    with pytest.raises(WireError, match="no AgentX"):
        Header.parse(wrong)


def test_values():
    """Byte by byte, as RFC 2741 5.4 has them."""
    name = (1, 3, 6, 1, 4, 1, 7)
    head = bytes([2, 4, 0, 0]) + struct.pack("!LL", 1, 7)
    for kind, value, data in (
        (Type.INTEGER, 2, struct.pack("!l", 2)),
        (Type.GAUGE, 2**32 - 1, b"\xff" * 4),
        (Type.COUNTER64, 2**40, struct.pack("!Q", 2**40)),
        (Type.OCTETS, "ä1".encode(), struct.pack("!L", 3) + b"\xc3\xa41\0"),
        (Type.OCTETS, b"", bytes(4)),
        (Type.OBJECT_ID, name, head),
        (Type.END_OF_VIEW, None, b""),
    ):
        assert Varbind(name, kind, value).encode() == struct.pack("!HH", kind, 0) + head + data
    assert register_body(name) == bytes([5, 127, 0, 0]) + head


def test_answers():
    assert Answer.parse(answer_body(Error.NOT_WRITABLE, index=1)) == Answer(17)
    with pytest.raises(WireError, match="too early"):
        Answer.parse(b"1234")
