"""Another main device: what is refused, how a copy is followed, and what is put back."""

from dataclasses import dataclass, field, replace

import pytest

from pyctl import replacement
from pyctl.blockdev import BlockDevice
from pyctl.control import Control, CopyStatus
from pyctl.dm import TargetLine
from pyctl.errors import DmError, MediaError, PyctlError, RefusedError
from pyctl.probe import Signature
from pyctl.table import RemapTable
from tests.pyctl.fakes import FakeDevice

STATUS = "state={} copied={} total=2048 lost=0 rate=0 reason={} at=7 id=0 sectors=0"
TABLE = RemapTable(2048, "8:0", ("8:16",), ("set", "11111111-2222-4333-8444-555555555555"))
NEW = BlockDevice(
    path="/dev/new",
    name="new",
    disk="new",
    major=8,
    minor=32,
    sectors=4096,
    lbs=512,
    read_only=False,
)


@dataclass
class Live(FakeDevice):
    """A device whose table can be reloaded; `answers` are those of the message `copy`."""

    answers: list = field(default_factory=list)
    lines: list = field(default_factory=lambda: [TABLE.line()])
    loaded: list = field(default_factory=list)
    refuse: int = 0
    suspended: bool = False

    def info(self):
        return replace(super().info(), suspended=self.suspended)

    def table(self):
        return self.lines

    def load(self, table):
        self.loaded.append(str(table[0]))
        self.pending = table

    def suspend(self, *, noflush=False, skip_lockfs=False):
        self.suspended = True

    def resume(self, *, noflush=False, skip_lockfs=False):
        if self.refuse:
            self.refuse -= 1
            raise DmError("no.", errno=22, ioctl="RESUME")
        self.lines, self.suspended = self.pending, False

    def message(self, sector, *words):
        if words[0] != "copy":
            return super().message(sector, *words)
        self.sent.append(words)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def new(monkeypatch):
    """A disk, NEW, that nobody uses and that is blank."""
    found = {"device": NEW, "signatures": []}

    def find(path):
        if path != NEW.path:
            raise PyctlError("no such device.")
        return found["device"]

    monkeypatch.setattr(BlockDevice, "find", staticmethod(find))
    monkeypatch.setattr(BlockDevice, "hardware", lambda self: {"serial": "N1"})
    monkeypatch.setattr(replacement, "_check_unused", lambda new: None)
    monkeypatch.setattr("pyctl.probe.signatures", lambda path: found["signatures"])
    return found


def control(*answers, **state):
    return Control(Live(answers=[STATUS.format(*one) for one in answers], **state))


def test_a_plan_names_the_new_disk_in_the_table(new):
    todo = replacement.plan(control(("off", 0, "-")), "/dev/new", rate=100)
    line = str(todo.copying().line())
    assert "copy_to /dev/new" in line
    assert "copy_rate 100" in line
    assert todo.load
    assert not todo.done
    assert str(todo.replaced().line()).startswith("0 2048 remap /dev/new 8:16 2 set ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sectors": 2047}, "too small"),
        ({"lbs": 4096}, "logical blocks of 4096"),
        ({"read_only": True}, "read-only"),
        ({"minor": 16}, "is a spare"),
    ],
)
def test_a_disk_that_does_not_fit_is_refused(new, change, words):
    new["device"] = replace(NEW, **change)
    with pytest.raises(RefusedError, match=words):
        replacement.plan(control(("off", 0, "-")), "/dev/new")


def test_a_disk_that_carries_something_needs_force(new):
    new["signatures"] = [Signature("ext4", 1080, "", "")]
    with pytest.raises(RefusedError, match="ext4"):
        replacement.plan(control(("off", 0, "-")), "/dev/new")
    todo = replacement.plan(control(("off", 0, "-")), "/dev/new", force=True)
    assert todo.wipe == ("ext4 at byte 1080",)


def test_a_disk_that_was_begun_is_known_again(new):
    new["signatures"] = [Signature("ext4", 1080, "", "")]
    number = replacement._id(NEW)
    asked = control(("off", 0, "-"))
    asked.device.answers = [
        asked.device.answers[0].replace("id=0 sectors=0", f"id={number} sectors=4096")
    ]
    assert replacement.plan(asked, "/dev/new").wipe == ()


def test_a_copy_to_another_disk_is_not_touched(new):
    live = control(("running", 5, "-"))
    live.device.lines = [TABLE.with_options(copy_to="8:48").line()]
    with pytest.raises(RefusedError, match="another disk"):
        replacement.plan(live, "/dev/new")


@pytest.mark.parametrize(("key", "load", "done"), [("main", False, True), ("copy", False, False)])
def test_what_was_done_is_not_done_again(new, key, load, done):
    live = control(("running", 5, "-"))
    table = replace(TABLE, main="8:32") if key == "main" else TABLE.with_options(copy_to="8:32")
    live.device.lines = [table.line()]
    todo = replacement.plan(live, "/dev/new")
    assert (todo.load, todo.done) == (load, done)


def test_a_copy_is_followed_to_its_end():
    seen = []
    live = control(("running", 0, "-"), ("running", 1024, "-"), ("copied", 2048, "-"))
    state = replacement.copy(live, lambda *step: seen.append(step), lambda seconds: None)
    assert state.state == "copied"
    assert seen == [(0, 1), (0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("state", "reason", "error", "words"),
    [
        ("failed", "write", MediaError, "does not take a write .sector 7."),
        ("failed", "verify", MediaError, "something else"),
        ("paused", "main-dead", MediaError, "waits at sector 7"),
        ("paused", "-", PyctlError, "Somebody else"),
        ("off", "-", PyctlError, "Somebody else"),
    ],
)
def test_a_copy_that_ends_otherwise_says_why(state, reason, error, words):
    with pytest.raises(error, match=words):
        replacement.copy(control((state, 5, reason)), None, lambda seconds: None)


def test_a_table_that_is_not_taken_is_replaced_by_the_old_one():
    live = control(("off", 0, "-"), refuse=1)
    with pytest.raises(DmError, match="no"):
        live.reload(replace(TABLE, main="8:32"))
    assert [line.split()[3] for line in live.device.loaded] == ["8:32", "8:0"]
    assert not live.device.suspended


def test_abort_takes_the_disk_out():
    live = control(("off", 0, "-"))
    assert not replacement.abort(live)
    live.device.lines = [TABLE.with_options(copy_to="8:32", copy_id="5", copy_rate="0").line()]
    assert replacement.abort(live)
    assert live.device.sent == [("copy", "abort")]
    assert live.device.lines == [TABLE.line()]


def test_an_answer_that_makes_no_sense_is_an_error():
    with pytest.raises(PyctlError, match="Cannot understand"):
        CopyStatus.parse("state=off copied=many")


def test_options_of_a_table_can_be_changed():
    table = TABLE.with_options(copy_to="/dev/x", retries="3")
    assert table.option("copy_to") == "/dev/x"
    assert table.option("nothing") is None
    assert table.with_options(copy_to=None, retries=None) == TABLE
    with pytest.raises(PyctlError, match="white space"):
        TABLE.with_options(copy_to="/dev/a b").line()
    assert isinstance(table.line(), TargetLine)
