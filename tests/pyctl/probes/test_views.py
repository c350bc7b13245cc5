from hypothesis import given
from hypothesis import strategies as st

from pyctl.output import Rows
from pyctl.probes import views
from pyctl.probes.frames import Header, Part
from pyctl.probes.layout import What, slot_bounds
from pyctl.probes.views import Summary, percentile
from tests.pyctl.probes.made import DEVICE, HEADER, frame, frames, reads


def errors(number, status=10):
    part = reads(number)
    part.faults[What.ERROR, 0, status] = number
    return part


@given(st.lists(frames, max_size=4), st.lists(frames, max_size=4))
def test_frames_add_up_in_any_order(one, other):
    forward, backward = Summary.of(HEADER, one + other), Summary.of(HEADER, other[::-1] + one[::-1])
    assert forward.parts == backward.parts
    assert forward.losses == backward.losses
    assert forward.seconds == backward.seconds


def test_adding_leaves_frames_alone():
    first = frame(r1=reads(2))
    Summary.of(HEADER, [first, frame(r1=reads(3))])
    assert first == frame(r1=reads(2))


@given(st.lists(st.integers(0, 9), min_size=32, max_size=32), st.floats(0.01, 1))
def test_a_percentile_is_an_upper_bound(slots, share):
    bound = percentile(slots, share)
    if bound is None:
        assert not any(slots)
        return
    below = [slots[slot] for slot in range(32) if slot_bounds(slot)[1] <= bound]
    assert sum(below) >= sum(slots) * share
    assert sum(below[:-1]) < sum(slots) * share


def test_what_failed_comes_first_then_what_took_longest():
    summary = Summary.of(HEADER, [frame(r1=reads(5), r2=reads(9), r3=errors(1), r64=reads(1))])
    rows = views.top_rows(summary, 3).rows
    assert [row[1] for row in rows] == ["all", "3: 24 MiB", "2: 16 MiB", "1: 8 MiB"]
    assert [row[2] for row in rows] == [16, 1, 9, 5]
    assert [row[10] for row in rows] == [1, 1, 0, 0]
    last = views.top_data(summary, 10)["devices"][0]["regions"][-1]
    assert (last["region"], "begin" in last) == (64, False)


def test_the_figures_of_a_line():
    summary = Summary.of(HEADER, [frame(2.0, r1=reads(4, slot=11, sectors=64, sequential=3))])
    assert views.top_rows(summary, 0).rows == [
        [DEVICE.name, "all", 4, 0, 64, "1.049", "-", "2.097", "75", 0, 0, 0, 0]
    ]


def test_a_rate_is_that_of_the_time_that_was_looked_at():
    some, all_ = frame(2.0, r1=reads(4, sectors=64)), frame(2.0)
    some.looked = 0.5
    summary = Summary.of(HEADER, [some, some])
    assert (summary.seconds, summary.looked) == (4.0, 1.0)
    assert views.top_rows(summary, 0).rows[0][4] == 256
    assert views.top_data(Summary.of(HEADER, [some, all_]), 0)["looked"] == 2.5


def test_data_for_programs_names_what_went_wrong():
    part = errors(2, 7)
    part.faults |= {(What.RETRY, 0, 99): 1, (What.INNER_ERROR, 1, 5): 3, (What.REMAP, 2, 2): 1}
    (device,) = views.top_data(Summary.of(HEADER, [frame(r5=part)]), 1)["devices"]
    assert [
        (each["what"], each["io"], each["name"], each["count"]) for each in device["faults"]
    ] == [
        ("error", "read", "medium", 2),
        ("retry", "read", "status 99", 1),
        ("inner_error", "write", "EIO", 3),
        ("remap", "other", "lost", 1),
    ]
    (region,) = device["regions"]
    assert (region["begin"], region["length"]) == (5 << 14, 1 << 14)


def test_histograms():
    summary = Summary.of(HEADER, [frame(r1=reads(4, slot=2), r2=reads(1, slot=4))])
    lines = views.hist_text(summary).splitlines()
    assert lines[0] == "disk: reads, latency"
    assert lines[1].split() == ["2.05", "us", "..", "4.1", "us", "4", "#" * 40]
    assert lines[2].split() == ["4.1", "us", "..", "8.19", "us", "0"]
    assert lines[3].split() == ["8.19", "us", "..", "16.4", "us", "1", "#" * 10]
    (whole,) = views.hist_data(summary)
    assert whole["read_latency"] == [[2048, 4096, 4], [8192, 16384, 1]]
    (region,) = views.hist_data(summary, [2])
    assert (region["region"], region["read_latency"]) == (2, [[8192, 16384, 1]])
    assert "region" not in whole
    assert views.hist_text(summary, [3]) == "There was no I/O."


def test_histograms_of_counters_say_that_there_are_none():
    header = Header((DEVICE,), "counters", "why", "6.12", 0, 1)
    assert "no distribution" in views.hist_text(Summary.of(header))


def test_faults_are_below_the_histograms():
    text = views.hist_text(Summary.of(HEADER, [frame(r1=errors(2))]))
    assert "disk: errors, retries, remaps\n       error read           2 ioerr" in text


def test_what_was_not_counted_is_said():
    lossy = frame()
    lossy.losses = [{"no_room": 2, "unknown": 5}]
    summary = Summary.of(HEADER, [lossy, lossy])
    assert views.losses_text(summary) == "disk: not counted: 4 for lack of room."
    assert views.losses_text(Summary.of(HEADER, [frame()])) == ""


def test_nothing_at_all():
    rows = views.top_rows(Summary.of(HEADER), 5)
    assert isinstance(rows, Rows)
    assert len(rows.rows) == 1
    assert Summary.of(HEADER).device(0) == Part()
