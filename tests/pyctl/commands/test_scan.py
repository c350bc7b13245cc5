"""`pyctl scan`, against a device that answers as the kernel module does."""

import errno
from dataclasses import dataclass, field

import pytest

from pyctl.control import Control
from pyctl.errors import DmError, ExitCode, MediaError, PyctlError, RefusedError
from pyctl.scan import Scan, ScanStatus
from tests.pyctl.fakes import FakeDevice

STATUS = (
    "state={state} reason={reason} pattern=staggered pass=3 percent={percent} done={done}"
    " total=204800 rate=10240 left=4000 errors=2 rescued=1 slow=1 blanks=0 relocated=8 regions=3"
    " candidates=64 last=1763712000 next=0 health=91 novelty=7"
)
REGION = "health=70 errors=3 retries=0 slow=1 marginal=1 blanks=0 usual_us=700 pass=3 novelty=7"


@dataclass
class Scanned(FakeDevice):
    """A device with a scan; `steps` are the percents that it says in turn while it runs."""

    state: str = "waiting"
    reason: str = "-"
    steps: list = field(default_factory=lambda: [100])
    regions: list = field(default_factory=list)
    candidates: list = field(default_factory=list)
    page: int = 2
    options: dict = field(
        default_factory=lambda: {"relocate": "ask", "scan_rate": "0", "scan_share": "1"}
    )

    def _set(self, key, value):
        self.options[key] = value
        return f"{key}={value}\n"

    def _get(self, key):
        return f"{key}={self.options[key]}\n"

    def _scan(self, word, *words):
        if word in ("regions", "candidates"):
            return self._list(getattr(self, word), *words)
        running = self.state in ("running", "paused")
        if word == "start" and running:
            raise DmError("no.", errno=errno.EALREADY, ioctl="TARGET_MSG")
        if word in ("stop", "pause", "resume") and not running:
            raise DmError("no.", errno=errno.ENOENT, ioctl="TARGET_MSG")
        self.state = {
            "start": "running",
            "stop": "waiting",
            "pause": "paused",
            "resume": "running",
        }.get(word, self.state)
        percent = self.steps[0]
        if word == "status" and len(self.steps) > 1:
            self.steps.pop(0)
        elif word == "status" and self.state == "running" and percent == 100:
            self.state = "waiting"
        return STATUS.format(
            state=self.state, reason=self.reason, percent=percent, done=2048 * percent
        )

    # Rows are (key, line); a page ends with the key of the next one.
    def _list(self, rows, start):
        rows = [row for row in rows if row[0] >= int(start)]
        page, rest = rows[: self.page], rows[self.page :]
        last = f"next={rest[0][0]}" if rest else "end"
        return "\n".join([*(line for _, line in page), last]) + "\n"


@pytest.fixture
def device():
    return Scanned()


def test_a_scan_is_started(run, device):
    assert run("scan", "start", "d").stdout == "A staggered scan of d has begun.\n"
    assert device.sent == [("scan", "start")]
    again = run("scan", "start", "d")
    assert again.exit_code == ExitCode.REFUSED
    assert "already" in again.stderr and "pyctl scan status d" in again.stderr


@pytest.mark.parametrize("pattern", ["sequential", "random", "staggered", "focused"])
def test_in_an_order(run, device, pattern):
    run("scan", "start", "d", "--pattern", pattern)
    assert device.sent == [("scan", "start", pattern)]


def test_only_known_words_are_sent(run, device):
    assert run("scan", "start", "d", "--pattern", "everywhere").exit_code == ExitCode.USAGE
    assert run("scan", "settings", "d", "--relocate", "never").exit_code == ExitCode.USAGE
    assert run("scan", "settings", "d", "--share", "0").exit_code == ExitCode.USAGE
    assert device.sent == []


def test_waiting_for_its_end(run, device, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    device.steps = [10, 60, 100]
    over = run("scan", "start", "d", "--wait")
    assert over.exit_code == 0
    assert (
        "2 blocks cannot be read, 1 could be read again, 1 piece of 32 KiB is slow" in over.stdout
    )
    device.state, device.steps = "waiting", [100]
    assert run("scan", "start", "d", "--wait", "--json").data["percent"] == 100


def test_progress_is_told_in_mib(device):
    device.state, device.steps = "running", [10, 60, 100]
    told = []
    over = Scan(Control(device)).wait(lambda *step: told.append(step), sleep=lambda seconds: None)
    assert told[:3] == [(10, 100), (60, 100), (100, 100)]
    assert over.state == "waiting"


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [
        ("paused", "main-dead", MediaError),
        ("paused", "something-new", MediaError),
        ("paused", "-", RefusedError),
        ("waiting", "-", RefusedError),
    ],
)
def test_waiting_for_what_does_not_go_on(device, state, reason, error):
    device.state, device.reason, device.steps = state, reason, [40]
    with pytest.raises(error) as ended:
        Scan(Control(device)).wait(sleep=lambda seconds: None)
    assert "40 %" in ended.value.message


def test_stop_pause_and_resume(run, device):
    for verb in ("stop", "pause", "resume"):
        none = run("scan", verb, "d")
        assert none.exit_code == ExitCode.REFUSED
        assert "No scan of d is under way." in none.stderr
    device.steps = [40]
    run("scan", "start", "d")
    assert run("scan", "pause", "d").stdout == "The scan of d waits at 40 %.\n"
    assert run("scan", "resume", "d", "--json").data["state"] == "running"
    assert run("scan", "stop", "d").stdout == "The scan of d has ended at 40 %.\n"


def test_another_error_is_passed_on(run, device):
    device.fail["scan"] = errno.EIO
    for verb in ("start", "stop", "status"):
        assert run("scan", verb, "d").exit_code not in (0, ExitCode.REFUSED)


def test_the_status(run, device):
    device.state, device.steps = "running", [25, 25]
    text = run("scan", "status", "d").stdout
    for words in ("25 % (25 of 100 MiB)", "10.0 MiB/s", "1 h 6 min", "64 sectors", "2025-11-21"):
        assert words in text, words
    data = run("scan", "status", "d", "--json").data
    assert (data["name"], data["number"], data["rate"], data["left"]) == ("d", 3, 10240, 4000)
    assert "pass" not in data


def test_why_it_waits(run, device):
    device.state, device.reason, device.steps = "paused", "main-dead", [25]
    assert "answers nothing any more" in run("scan", "status", "d").stdout


@pytest.mark.parametrize("reply", ["", "state=running", STATUS.replace("pass=3", "pass=x")])
def test_a_reply_that_cannot_be_understood(reply):
    with pytest.raises(PyctlError, match="what the scan says"):
        ScanStatus.parse(reply)


def test_candidates(run, device):
    assert "Nothing is slow" in run("scan", "candidates", "d").stdout
    device.candidates = [(sector, f"{sector} 64") for sector in range(0, 10240, 2048)]
    data = run("scan", "candidates", "d", "--json").data
    assert data == [{"sector": sector, "sectors": 64} for sector in range(0, 10240, 2048)]
    # three pages of two
    assert [words[2] for words in device.sent[1:]] == ["0", "4096", "8192"]
    assert "8192" in run("scan", "candidates", "d").stdout


def test_regions(run, device):
    assert "nothing to tell" in run("scan", "regions", "d").stdout
    device.regions = [
        (5, f"- 10240 {REGION}"),
        (1 << 56, f"0 10240 {REGION}"),
        (1 << 56 | 9, f"0 28672 {REGION}"),
    ]
    data = run("scan", "regions", "d", "--json").data
    assert [(each["spare"], each["sector"]) for each in data] == [
        (None, 10240),
        (0, 10240),
        (0, 28672),
    ]
    assert data[0]["health"] == 70 and data[0]["usual_us"] == 700
    text = run("scan", "regions", "d").stdout
    assert "main" in text and "spare 0" in text


@pytest.mark.parametrize("page", ["1 2\nnext=0\n", "1 2\nnext=x\n", "1 2\n", "", "1 x\nend\n"])
def test_a_list_that_cannot_be_understood(device, page):
    device._list = lambda rows, start: page
    with pytest.raises(PyctlError, match="Cannot understand"):
        Scan(Control(device)).candidates()


@pytest.mark.parametrize("line", ["-", "- x " + REGION, "- 5 health=70"])
def test_a_region_that_cannot_be_understood(device, line):
    device._list = lambda rows, start: line + "\nend\n"
    with pytest.raises(PyctlError, match="Cannot understand a region"):
        Scan(Control(device)).regions()


def test_settings(run, device):
    assert run("scan", "settings", "d", "--json").data == {
        "name": "d",
        "relocate": "ask",
        "rate": 0,
        "share": 1,
    }
    assert not any(words[0] == "set" for words in device.sent)
    text = run("scan", "settings", "d", "--relocate", "half", "--rate", "20", "--share", "5").stdout
    assert device.options == {"relocate": "half", "scan_rate": "20480", "scan_share": "5"}
    for words in ("half", "20 MiB/s", "5 %"):
        assert words in text
    device._get = lambda key: "nothing\n"
    with pytest.raises(PyctlError, match="how the scan is set"):
        Scan(Control(device)).settings()
