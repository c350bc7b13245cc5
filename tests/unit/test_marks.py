from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pure import ffi, lib

ALL = 0xFFFFFFFF
MASKS = st.sampled_from([0, 1, 2, 3, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF)
LOOKS = st.fixed_dictionaries(
    {
        "errors": st.sampled_from([0, 0, 0, 1, 7, 70000, 0xFFFFFFFF]),
        "retries": st.sampled_from([0, 0, 0, 1, 7, 0xFFFFFFFF]),
        "slow": st.just(0) | MASKS,
        "judged": st.just(ALL) | MASKS,
        "usual": st.sampled_from([0, 1, 800, 60000, 0xFFFFFFFF]),
        "blank": st.booleans(),
        "pass": st.integers(0, 0xFFFFFFFF),
    }
)
KEYS = st.integers(0, 12) | st.integers(0, (1 << 60))


def make(room):
    # exactly the memory that is asked for, so that a sanitizer sees one mark too many
    memory = ffi.new("struct dmr_mark[]", room) if room else ffi.NULL
    m = ffi.new("struct dmr_marks *")
    lib.dmr_marks_init(m, memory, room)
    return m, memory


def look(m, key, **found):
    found = {"judged": ALL} | found
    return lib.dmr_marks_look(m, key, ffi.new("struct dmr_look *", found))


@dataclass
class Mark:
    """What a mark must hold, by the words of the header."""

    errors: int = 0
    retries: int = 0
    blanks: int = 0
    slows: int = 0
    slow: int = 0
    marginal: int = 0

    def look(self, found):
        def count(old, new):
            return min(old // 2 + new, 0xFFFF)

        self.errors = count(self.errors, found["errors"])
        self.retries = count(self.retries, found["retries"])
        self.blanks = count(self.blanks, int(found["blank"]))
        for piece in range(32):
            bit = 1 << piece
            if not found["judged"] & bit:
                continue
            now, before = found["slow"] & bit, self.slow & bit
            self.marginal = self.marginal & ~bit | now & before
            self.slow = self.slow & ~bit | now
        slow = found["slow"] & found["judged"]
        if slow or found["judged"] == ALL:
            self.slows = count(self.slows, int(slow != 0))

    def empty(self):
        return not any(vars(self).values())


def same(mark, expected):
    return all(getattr(mark, name) == value for name, value in vars(expected).items())


@settings(max_examples=300)
@given(st.lists(st.tuples(KEYS, LOOKS), max_size=60))
def test_against_plain_python(looks):
    m, _memory = make(64)
    model = {}
    for key, found in looks:
        got = look(m, key, **found)
        model.setdefault(key, Mark()).look(found)
        if model[key].empty():
            del model[key]
        assert (got == ffi.NULL) == (key not in model)
        assert [m.mark[i].key for i in range(m.n)] == sorted(model)
        for one, expected in model.items():
            assert same(lib.dmr_marks_find(m, one), expected)
            assert lib.dmr_mark_weight(lib.dmr_marks_find(m, one))
            assert expected.marginal & ~expected.slow == 0


@given(st.integers(0, 5), st.lists(st.tuples(KEYS, LOOKS), max_size=80))
def test_there_are_never_more_than_there_is_room_for(room, looks):
    m, _memory = make(room)
    for key, found in looks:
        weights = sorted(lib.dmr_mark_weight(m.mark + i) for i in range(m.n))
        known, dropped = lib.dmr_marks_find(m, key) != ffi.NULL, m.dropped
        got = look(m, key, **found)
        assert m.n <= room
        keys = [m.mark[i].key for i in range(m.n)]
        assert keys == sorted(set(keys))
        if m.dropped > dropped:
            assert not known and m.n == room
            # the lightest has gone, or the new one was lighter still
            if got != ffi.NULL:
                assert lib.dmr_mark_weight(got) > weights[0]


def test_a_region_with_nothing_to_tell_costs_nothing():
    m, _memory = make(4)
    assert look(m, 5, usual=800) == ffi.NULL
    assert m.n == 0


def test_what_is_not_found_again_is_forgotten():
    m, _memory = make(4)
    look(m, 5, errors=100, usual=800)
    passes = 0
    while lib.dmr_marks_find(m, 5) != ffi.NULL:
        look(m, 5, usual=800)
        passes += 1
    assert passes == 7


def test_a_piece_is_marginal_when_it_is_slow_twice_in_a_row():
    m, _memory = make(4)
    assert look(m, 5, slow=0b0011, usual=60000).marginal == 0
    assert look(m, 5, slow=0b0110, usual=60000).marginal == 0b0010
    assert look(m, 5, slow=0b0000, usual=800) == ffi.NULL
    assert look(m, 5, slow=0b0110, usual=60000).marginal == 0


def test_a_look_changes_nothing_of_what_it_cannot_judge():
    m, _memory = make(4)
    look(m, 5, slow=0b0011, usual=60000)
    mark = look(m, 5, slow=0, judged=0, errors=1)
    assert (mark.slow, mark.marginal, mark.slows, mark.errors) == (0b0011, 0, 1, 1)
    mark = look(m, 5, slow=0b0011, judged=0b0001)
    assert (mark.slow, mark.marginal) == (0b0011, 0b0001)
    mark = look(m, 5, slow=0, judged=0b0010)
    assert (mark.slow, mark.marginal) == (0b0001, 0b0001)


def test_what_is_usual_is_what_it_was_while_all_was_well():
    m, _memory = make(4)
    assert look(m, 5, slow=1, usual=60000).usual == 0
    assert look(m, 5, judged=0, usual=800, errors=1).usual == 800
    assert look(m, 5, slow=1, usual=60000).usual == 800


def test_pieces_that_were_moved_are_forgotten():
    m, _memory = make(4)
    look(m, 5, slow=0b0111, usual=60000)
    look(m, 5, slow=0b0111, usual=60000)
    lib.dmr_marks_clear(m, 5, 0b0011)
    mark = lib.dmr_marks_find(m, 5)
    assert (mark.slow, mark.marginal) == (0b0100, 0b0100)
    lib.dmr_marks_clear(m, 5, 0b0100)
    assert lib.dmr_marks_find(m, 5) == ffi.NULL
    lib.dmr_marks_clear(m, 6, 1)


@given(st.lists(KEYS, unique=True, max_size=30), st.integers(0, 40))
def test_more_memory(keys, extra):
    m, memory = make(len(keys))
    for key in keys:
        look(m, key, errors=key % 5 + 1)
    before = [(m.mark[i].key, m.mark[i].errors) for i in range(m.n)]
    larger = ffi.new("struct dmr_mark[]", len(keys) + extra)
    old = lib.dmr_marks_move(m, larger, len(keys) + extra)
    assert old == memory
    assert [(m.mark[i].key, m.mark[i].errors) for i in range(m.n)] == before
    assert m.room == len(keys) + extra


@given(st.lists(KEYS, max_size=40), KEYS)
def test_the_first_mark_behind_a_key(keys, key):
    m, _memory = make(64)
    for one in keys:
        look(m, one, errors=1)
    ordered = sorted(set(keys))
    assert lib.dmr_marks_from(m, key) == sum(one < key for one in ordered)


@pytest.mark.parametrize(
    ("us", "usual", "near", "slow"),
    [
        (50_000, 0, 0, False),
        (50_001, 0, 0, True),
        (20_001, 100, 100, True),
        (20_000, 100, 100, False),
        (40_001, 10_000, 100, True),
        (40_000, 10_000, 100, False),
        (40_001, 100, 10_000, True),
        (50_001, 40_000, 40_000, True),
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, True),
    ],
)
def test_what_is_slow(us, usual, near, slow):
    assert lib.dmr_read_is_slow(us, usual, near) == slow


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=200), st.data())
def test_the_usual_stays_within_what_was_seen(values, data):
    usual = 0
    for value in values:
        usual = lib.dmr_usual(usual, value)
        assert 1 <= usual <= 0xFFFFFFFF
    assert max(min(values), 1) <= usual <= max(1, *values)
    # it comes to what goes on for long
    level = data.draw(st.integers(100, 1_000_000))
    for _ in range(400):
        usual = lib.dmr_usual(usual, level)
    assert usual == level


def test_a_single_slow_read_changes_little():
    assert lib.dmr_usual(1000, 1_000_000) < 1400


@given(MASKS)
def test_counting_pieces(mask):
    assert lib.dmr_pieces_count(mask) == mask.bit_count()


def test_a_mark_is_small():
    assert ffi.sizeof("struct dmr_mark") == 32
