"""`pyctl spare redundancy`, against a fake kernel."""

from pathlib import Path

import pytest

from pyctl.dm import TargetLine
from pyctl.errors import ExitCode, PyctlError
from tests.pyctl.fakes import FakeDevice, FakeKernel


class Redundant(FakeDevice):
    """A device that keeps so many copies, and has `below` blocks with fewer."""

    copies = 1
    below = 0

    def status(self, *, flush=False):
        (line,) = super().status(flush=flush)
        more = f" redundancy={self.copies} below={self.below}"
        return [TargetLine(line.start, line.length, line.kind, line.params + more)]

    def _set(self, key, value):
        assert key == "redundancy"
        self.copies = int(value)
        self.below = 3 if value == "2" else 0
        return f"{key}={value}\n"


@pytest.fixture
def device():
    return Redundant()


def test_it_is_shown_and_changed(run, device):
    assert run("spare", "redundancy", "d", "--json").data == {"redundancy": 1, "below": 0}
    assert "1 spare" in run("spare", "redundancy", "d").stdout
    raised = run("spare", "redundancy", "d", "2")
    assert "2 spares, 3 blocks on fewer" in raised.stdout
    assert ("set", "redundancy", "2") in device.sent
    assert run("spare", "redundancy", "d", "--json").data == {"redundancy": 2, "below": 3}


def test_only_one_and_two_are_taken(run, device):
    assert run("spare", "redundancy", "d", "3").exit_code == 2
    assert device.sent == []


def test_an_older_module_is_told_apart(run, device):
    device.status = lambda *, flush=False: FakeDevice.status(device, flush=flush)
    with pytest.raises(PyctlError, match="how redundant"):
        from pyctl.control import Control
        from pyctl.pool import Pool

        Pool(Control(device)).redundancy()


@pytest.mark.parametrize("copies", ["1", "2"])
def test_a_set_is_created_with_a_redundancy(run, disks, copies):
    device = Redundant(exists=False)
    paths = disks(65536, 65536)
    words = ["create", "d", *paths, f"--redundancy={copies}"]
    assert run(*words, "--dry-run", kernel=FakeKernel([device])).exit_code == 0
    assert not device.sent
    assert run(*words, kernel=FakeKernel([device])).exit_code == 0
    assert ("set", "redundancy", copies) in device.sent


def test_two_copies_need_two_spares_before_anything_is_written(run, disks):
    device = Redundant(exists=False)
    paths = disks(65536)
    result = run("create", "d", *paths, "--redundancy=2", kernel=FakeKernel([device]))
    assert result.exit_code == ExitCode.USAGE
    assert "needs 2 spares" in result.stderr
    assert not any(Path(paths[1]).read_bytes())
