import json
import sys

import pytest

from pyctl.errors import PyctlError
from pyctl.probes import kernel_counters, source
from pyctl.probes.frames import Frame
from pyctl.probes.kernel_counters import KernelCounters
from pyctl.probes.layout import What
from pyctl.probes.source import Worker
from tests.pyctl.probes.made import DEVICE, HEADER, frame, reads

FRAMES = [frame(r1=reads(2)), frame(r1=reads(3), r2=reads(4))]
STAT = "10 0 80 5 4 0 32 6 2 0 0 1 0 8 7 3 1"


def worker(program):
    """A worker that is the text of a Python program."""
    return Worker(["disk"], 0, 1.0, [sys.executable, "-c", program])


def says(*lines, then=""):
    return f"import sys\nsys.stdin.readline()\nfor line in {lines!r}: print(line)\n{then}"


def test_frames_until_the_end():
    running = worker(says(HEADER.line(), *(each.line() for each in FRAMES), '{"end": "x"}'))
    assert running.header == HEADER
    assert list(running.frames()) == FRAMES
    running.close()


def test_the_last_frame_has_all_that_was_not_fetched():
    wait = 'sys.stdout.flush(); sys.stdin.read(); print(\'{"end": "stopped"}\')'
    running = worker(says(HEADER.line(), *(each.line() for each in FRAMES), then=wait))
    last = running.finish()
    assert last.part(0, 1).counters.ios == [5, 0, 0]
    assert last.part(0, 2).counters.ios == [4, 0, 0]
    assert last.seconds == 2.0
    running.close()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; sys.exit('no luck')", "failed.*It said: no luck"),
        (says('{"failed": "The disk is gone.", "hint": "h"}'), "The disk is gone. h"),
        (says('{"unavailable": "No bcc."}'), "No bcc."),
        (says('{"end": "x"}'), "did not begin with a header"),
    ],
)
def test_a_worker_that_does_not_begin(program, message):
    with pytest.raises(PyctlError, match=message):
        worker(program)


def test_a_worker_that_ends_suddenly():
    running = worker(says(HEADER.line(), FRAMES[0].line(), then="sys.exit('oh')"))
    frames = running.frames()
    assert next(frames) == FRAMES[0]
    with pytest.raises(PyctlError, match="ended suddenly. It said: oh"):
        next(frames)
    running.close()


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_what_the_worker_is_asked_for(share):
    echo = "import sys\nsys.stderr.write(sys.stdin.readline())\nsys.exit(1)"
    with pytest.raises(PyctlError) as caught:
        Worker(["disk"], 8, 1.0, [sys.executable, "-c", echo], share=share)
    request = json.loads(str(caught.value).partition("It said: ")[2])
    whole = {"paths": ["disk"], "region_sectors": 8, "interval": 1.0}
    # What is the same as ever is not said.
    assert request == (whole if share == 1 else whole | {"share": share})


def test_an_abandoned_worker_ends():
    """Even one that still has much to say."""
    running = worker(says(HEADER.line(), then="while True: print('x' * 9999)"))
    running.close()
    assert running._process.returncode is not None


def test_without_bpf_there_are_the_kernels_counters(monkeypatch):
    monkeypatch.setattr(source.planning, "plan", lambda *_: (DEVICE,))
    monkeypatch.setattr(KernelCounters, "_look", lambda *_: ([0] * 17, {}))

    def no_worker(*_, **__):
        return worker(says('{"unavailable": "No headers."}'))

    monkeypatch.setattr(source, "Worker", no_worker)
    with source.opened(["disk"], 0, 1.0) as opened:
        assert (opened.header.source, opened.header.why) == ("counters", "No headers.")
    with source.opened(["disk"], 0, 1.0, bpf=False) as opened:
        assert "--no-bpf" in opened.header.why


def test_the_kernels_counters(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_counters, "SYS", tmp_path)
    stat = tmp_path / "dev/block" / DEVICE.number / "stat"
    stat.parent.mkdir(parents=True)
    stat.write_text(STAT)
    own = {"read_errors": 3, "retries": 4, "auto_remaps": 1, "manual_remaps": 2}
    counters = KernelCounters([DEVICE], 0.1, "why", own=lambda _: dict(own))
    assert (counters.header.source, counters.header.devices[0].regions) == ("counters", 1)
    assert counters.finish().parts == {}
    stat.write_text("13 0 104 9 5 0 40 8 3 0 0 2 0 16 9 4 2")
    own |= {"read_errors": 5, "retries": 4, "auto_remaps": 2, "manual_remaps": 5}
    found = counters.finish()
    assert isinstance(found, Frame)
    assert found.in_flight == [3]
    part = found.parts[0, 0]
    assert part.counters.ios == [3, 1, 1]
    assert part.counters.sectors == [24, 8, 8]
    assert part.counters.ns == [4_000_000, 2_000_000, 2_000_000]
    assert part.count(What.INNER_ERROR) == 2
    assert part.count(What.RETRY) == 0
    assert part.count(What.REMAP) == 4
