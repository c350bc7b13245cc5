import fcntl
import os
import time
from pathlib import Path

import pytest

from pyctl.errors import MediaError
from pyctl.patience import Answer, ask_all


def test_answers_come_in_order():
    jobs = [lambda n=n: bytes([n]) * n for n in range(100)]
    assert ask_all(jobs, 10) == [Answer(bytes([n]) * n) for n in range(100)]


def test_an_answer_may_be_long():
    assert ask_all([lambda: b"x" * 1_000_000], 10) == [Answer(b"x" * 1_000_000)]


def test_errors_are_told():
    def media():
        raise MediaError("It cannot be read.")

    def system():
        raise OSError(5, "Input/output error")

    def dead():
        os._exit(1)

    def mistake():
        raise ValueError

    answers = ask_all([media, system, dead, mistake, lambda: b"fine"], 10)
    assert answers[0] == Answer(why="It cannot be read")
    assert "Input/output error" in answers[1].why
    assert answers[2].why == answers[3].why == "whoever asked it died"
    assert answers[4] == Answer(b"fine")


def test_silence_has_an_end_and_stops_nobody_else():
    started = time.monotonic()
    answers = ask_all([lambda: time.sleep(60) or b"", lambda: b"fine"], 0.5)
    assert time.monotonic() - started < 5
    assert answers == [Answer(why="it did not answer within 0.5 s"), Answer(b"fine")]


def test_a_crowd_of_silent_ones_is_waited_for_together():
    started = time.monotonic()
    answers = ask_all([lambda: time.sleep(60) or b""] * 30, 0.5)
    assert time.monotonic() - started < 5
    assert {answer.why for answer in answers} == {"it did not answer within 0.5 s"}


def test_one_that_hangs_holds_no_lock_and_no_pipe(tmp_path):
    """It is left behind where nothing ends it: then nothing of ours may stay with it."""
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (answer,) = ask_all([lambda: " ".join(sorted(os.listdir("/proc/self/fd"))).encode()], 10)
        inside = [int(fd) for fd in answer.data.split()]
    # the pipe to us, and the folder that is being listed: neither the lock nor our output
    assert len(inside) == 2


def test_nothing_to_ask():
    assert ask_all([], 1) == []


@pytest.mark.parametrize("count", [1, 33, 64])
def test_no_descriptor_and_no_child_is_left(count):
    before = os.listdir("/proc/self/fd"), children()
    ask_all([lambda: b""] * count, 10)
    assert (os.listdir("/proc/self/fd"), children()) == before


def children():
    """Our child processes, also those that have ended and wait for it to be noticed."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}
