"""The failing disk, made of the kernel's own targets over a healthy one.

    dying       linear segments: good ones to the disk, bad ones to the two devices below
    write-bad   delay (of 0 ms): reads and flushes to the disk, writes to `dead`
    weak        delay (of 0 ms): writes and flushes to the disk, reads to `moody`
    moody       flakey: works for a second, fails everything for the next, and so on
    dead        error: fails everything

Reads and writes need ways of their own: flakey alone would fail flushes as well, and not every
kernel's flakey can fail reads only. Nothing is ever lost for good here: a weak place can be read
every other second, a write-bad one always, with what was last written to it successfully.
"""

from tests.demo.faults import ErrorMap, Kind
from tests.demo.run import attempt, run

PREFIX = "dmr-demo-"
_PARTS = ("dying", "weak", "write-bad", "moody", "dead")

# Less than the default patience of dm-remap: 6 retries from 20 ms on, doubling, make 1.26 s.
_WORKS_SECONDS = 1
_FAILS_SECONDS = 1


class DyingDisk:
    """The stack of devices. It stays when the object goes: remove() takes it away."""

    path = f"/dev/mapper/{PREFIX}dying"

    def __init__(self, disk: str, seed: int) -> None:
        self._disk = disk
        sectors = int(run("blockdev", "--getsz", disk))
        self.map = ErrorMap(seed, sectors)
        self.step = 0

    def create(self, step: int) -> None:
        """Make the devices, worn to this step."""
        sectors, disk = self.map.sectors, self._disk
        self.step = step
        _create("dead", f"0 {sectors} error")
        _create("moody", f"0 {sectors} flakey {disk} 0 {_WORKS_SECONDS} {_FAILS_SECONDS}")
        _create("write-bad", f"0 {sectors} delay {disk} 0 0 {_node('dead')} 0 0 {disk} 0 0")
        _create("weak", f"0 {sectors} delay {_node('moody')} 0 0 {disk} 0 0 {disk} 0 0")
        _create("dying", self._table())

    def wear(self) -> None:
        """Go one step further, while the disk is in use."""
        self.step += 1
        name = PREFIX + "dying"
        run("dmsetup", "load", name, stdin=self._table())
        # What is above is not to be frozen: disks don't announce that they die.
        run("dmsetup", "suspend", "--nolockfs", name)
        run("dmsetup", "resume", name)

    def _table(self) -> str:
        devices: dict[Kind, str] = {"write-bad": _node("write-bad"), "weak": _node("weak")}
        return self.map.table(self.step, self._disk, devices)


def remove() -> None:
    """Remove what there is of the stack."""
    for part in _PARTS:
        attempt("dmsetup", "remove", "--retry", PREFIX + part)


def _node(part: str) -> str:
    return f"/dev/mapper/{PREFIX}{part}"


def _create(part: str, table: str) -> None:
    run("dmsetup", "create", PREFIX + part, stdin=table)
