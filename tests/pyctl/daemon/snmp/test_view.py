"""What follows what, against a plain search."""

from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.snmp.view import View
from pyctl.daemon.snmp.wire import Range, Request, Type, Varbind

oids = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)
trees = st.sets(oids, max_size=12)
END = (9,)


def view(tree, objects=()):
    return View([Varbind(one, Type.GAUGE, 1) for one in tree], objects)


def plain(tree, asked):
    after = [
        one for one in sorted(tree) if one > asked.start or (asked.include and one == asked.start)
    ]
    return after[0] if after and after[0] < asked.end else None


@given(trees, oids, oids, st.booleans())
def test_next(tree, start, end, include):
    asked = Range(start, end, include)
    found = view(tree).next(asked)
    wanted = plain(tree, asked)
    if wanted is None:
        assert found == Varbind(start, Type.END_OF_VIEW)
    else:
        assert found == Varbind(wanted, Type.GAUGE, 1)


@given(trees)
def test_a_walk_meets_all_in_order(tree):
    made, at, met = view(tree), (0,), []
    include = True
    while (found := made.next(Range(at, END, include))).type is not Type.END_OF_VIEW:
        met.append(found.oid)
        at, include = found.oid, False
    assert met == sorted(tree)


@given(trees, st.lists(oids, min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 5))
def test_bulk_is_many_times_next(tree, starts, once, times):
    ranges = tuple(Range(one, END, include=False) for one in starts)
    found = view(tree).bulk(Request(ranges, once, times))
    wanted = [plain(tree, one) for one in ranges[:once]]
    at = [one.start for one in ranges[once:]]
    for _ in range(times if at else 0):
        row = [plain(tree, Range(one, END, include=False)) for one in at]
        wanted += row
        if not any(row):
            break
        at = [new or old for new, old in zip(row, at, strict=True)]
    assert [None if one.type is Type.END_OF_VIEW else one.oid for one in found] == wanted


def test_a_single_value():
    made = view({(1, 2, 0)}, [(1, 2)])
    assert made.get((1, 2, 0)).value == 1
    assert made.get((1, 2, 7)).type is Type.NO_SUCH_INSTANCE
    assert made.get((1, 3, 0)).type is Type.NO_SUCH_OBJECT
