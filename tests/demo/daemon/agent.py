"""The part of the show that runs in the VM: python -m tests.demo.daemon.agent

A disk under dm-remap gets bad sectors while an application works, and nobody gives an order: what
is done, the daemon does. It tells what happens in lines of JSON (tests.vm.events).
"""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyctl.daemon.audit import read, verify
from pyctl.daemon.client import Client
from pyctl.errors import PyctlError
from tests.demo import remapped
from tests.demo.daemon.application import work
from tests.demo.daemon.service import PATIENCE, Receiver, serving
from tests.demo.daemon.story import (
    BLOCK,
    FIRST_BAD,
    FULL_PERCENT,
    MAIN_MB,
    SPARE_MB,
    WANTED,
    Did,
    Outcome,
)
from tests.demo.run import ProgramError
from tests.kernel.lib.blockdev import BlockDevice, NullBlk
from tests.kernel.lib.retry import wait_until
from tests.vm.events import emit

_SECTORS = BLOCK // 512
# Where the default policy looks for spares: what udev does with the label of a partition.
_SHELF = Path("/dev/disk/by-partlabel/dm-remap-spare-1")


class _Set(BlockDevice):
    """The device that pyctl makes."""

    def __init__(self, disk: BlockDevice, spare: BlockDevice) -> None:
        emit("step", text=remapped.create(str(disk), [str(spare)]))
        self.path = Path(remapped.PATH)


def main() -> int:
    """Play the story and return the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="dmr-demo-daemon."))
    receiver = Receiver()
    try:
        with (
            _disk() as raw,
            _disk() as main_disk,
            _disk(SPARE_MB) as spare,
            _disk(SPARE_MB) as shelf,
        ):
            _label(shelf)
            try:
                _play(folder, receiver, raw, main_disk, _Set(main_disk, spare))
            finally:
                remapped.remove()
    except (ProgramError, PyctlError, TimeoutError) as error:
        log = folder / "log"
        emit("failed", message=f"{error}\n{log.read_text() if log.exists() else ''}")
        return 1
    finally:
        receiver.close()
        shutil.rmtree(folder)
    return 0


def _play(folder: Path, receiver: Receiver, raw: NullBlk, disk: NullBlk, dm: _Set) -> None:
    outcome = Outcome()
    with serving(folder, receiver) as daemon:
        client = daemon.client
        device = client.get("/v1/devices")[0]
        emit("step", text=f"dm-remapd watches {device['name']}: health {device['health']}")
        _day(outcome, raw, dm)
        first = 1000
        _spoil(first, FIRST_BAD, raw, disk)
        _day(outcome, raw, dm)
        _wait(client, "look-around-errors")
        room = device["capacity"] * FULL_PERCENT // 100
        _spoil(first + FIRST_BAD, room - FIRST_BAD, raw, disk)
        _day(outcome, raw, dm)
        _wait(client, "more-room")
        _day(outcome, raw, dm)
        wait_until(lambda: len(receiver.got) >= 2, "people are told", PATIENCE)
        _tell(client, outcome)
    outcome.messages = len(receiver.got)
    _audit(folder, outcome)
    emit("over", outcome=asdict(outcome))


def _disk(size_mb: int = MAIN_MB) -> contextlib.AbstractContextManager[NullBlk]:
    return NullBlk(size_mb, BLOCK)


def _label(disk: NullBlk) -> None:
    _SHELF.parent.mkdir(parents=True, exist_ok=True)
    _SHELF.unlink(missing_ok=True)
    _SHELF.symlink_to(disk.path)


def _spoil(block: int, blocks: int, *disks: NullBlk) -> None:
    emit("wear", text=f"{blocks} blocks of the disk go bad, from block {block} on")
    for disk in disks:
        disk.add_bad(block * _SECTORS, blocks * _SECTORS)


def _day(outcome: Outcome, raw: NullBlk, dm: _Set) -> None:
    version = len(outcome.raw)
    for name, disk, days in (("raw disk", raw, outcome.raw), ("dm-remap", dm, outcome.remap)):
        days.append(work(disk, version))
        emit("day", disk=name, **asdict(days[-1]))


# Until a rule has done all that it should.
def _wait(client: Client, rule: str) -> None:
    kinds = {kind for name, kind, _ in WANTED if name == rule}

    def done() -> bool:
        return kinds <= {
            one.kind for one in _did(client) if (one.rule, one.state) == (rule, "done")
        }

    wait_until(done, f"the rule {rule} has acted", PATIENCE)


def _did(client: Client) -> list[Did]:
    return [
        Did(one["who"].removeprefix("policy:"), one["kind"], one["state"], one["why"])
        for one in reversed(client.get("/v1/actions"))
    ]


def _tell(client: Client, outcome: Outcome) -> None:
    # what is under way is seen to its end
    wait_until(
        lambda: all(one.state in ("done", "failed", "undone") for one in _did(client)),
        "all actions have ended",
        PATIENCE,
    )
    outcome.did = _did(client)
    outcome.alerts = [one["key"].partition("/")[0] for one in client.get("/v1/alerts")]
    wait_until(lambda: len(_device(client)["spares"]) > 1, "the new spare is seen", PATIENCE)
    device = _device(client)
    outcome.spares, outcome.lost = len(device["spares"]), device["lost"]
    for decision in reversed(client.get("/v1/decisions")):
        emit("decision", **{key: decision[key] for key in ("rule", "verdict", "why", "steps")})
    for rule in ("no-room", "data-lost"):
        found = client.get("/v1/explain", rule=rule, device=remapped.NAME)
        emit("explain", rule=rule, verdict=found["verdict"], why=found["why"])


def _device(client: Client) -> Any:
    return client.get(f"/v1/devices/{remapped.NAME}")


def _audit(folder: Path, outcome: Outcome) -> None:
    log = folder / "state/audit"
    found = verify(log)
    outcome.problems = [str(one) for one in found.problems]
    records = read(log)
    outcome.records = len(records)
    for one in records:
        emit("record", time=one["time"], who=one["who"], what=one["what"], why=one["why"])
    # somebody makes it look as if no spare had been added
    forged = folder / "forged"
    shutil.copytree(log, forged)
    text = (forged / "audit.jsonl").read_text()
    (forged / "audit.jsonl").write_text(text.replace("spare-add done", "spare-add lost", 1))
    outcome.forgery_found = "spare-add done" in text and bool(verify(forged).problems)


if __name__ == "__main__":
    sys.exit(main())
