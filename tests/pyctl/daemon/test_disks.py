"""What the disks below a set tell: by a smartctl that says what it was told to say."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys

import pytest

from pyctl import blockdev
from pyctl.daemon import forecasting
from pyctl.daemon.diskhistory import DAYS, DiskHistory, condensed
from pyctl.daemon.disks import Below, Disks, ask, below
from pyctl.daemon.events import Kind
from pyctl.daemon.forecasting import Forecast, forecast
from pyctl.daemon.store import Store
from pyctl.errors import PyctlError
from pyctl.predict import smartctl
from pyctl.table import RemapTable
from tests.pyctl.daemon.policy.making import DAY, NOW, truth
from tests.pyctl.predict import documents

PATIENCE = 60
FORECAST = Forecast(0.08, "medium", 7, ("8 pending sectors (raises the risk)",))
PROGRAM = """#!/bin/sh
printf '%s\\n' "$*" >>{folder}/asked
for disk; do :; done
cat {folder}/${{disk##*/}} 2>/dev/null || {{ echo '{{"smartctl": {{"exit_status": 2,
"messages": [{{"string": "No such device."}}]}}}}'; exit 2; }}
"""
ASLEEP = {
    "smartctl": {"exit_status": 2, "messages": [{"string": "Device is in STANDBY mode, exit(2)"}]},
    "device": {"name": "/dev/sdx", "protocol": "ATA"},
}


class World:
    """Disks by the names of files, and the sets that are made of them."""

    def __init__(self, folder, store):
        self.folder = folder
        self.history = DiskHistory(store)
        self.said = []
        self.asked_for = []
        self.time = float(NOW)
        self.sets = {"srv": Below(("/x/sda",), ("/x/sdb",))}
        self.answer = FORECAST
        self.disks = Disks(
            lambda name: name,
            self.history,
            lambda what, **more: self.said.append((more["of"], more["why"])),
            lambda: self.time,
            0.001,
            find=self.find,
            predict=self.predict,
        )

    def find(self, name):
        if name not in self.sets:
            raise PyctlError(f"There is no {name}.")
        return self.sets[name]

    def predict(self, history):
        self.asked_for.append(history)
        if isinstance(self.answer, PyctlError):
            raise self.answer
        return self.answer

    def put(self, disk, document):
        (self.folder / disk).write_text(json.dumps(document))

    def rounds(self, count=1, *names):
        """So many looks at all disks; what is told by them."""

        async def run():
            for _ in range(count):
                await self.disks._round(names or ("srv",))

        asyncio.run(run())
        found = self.disks.take()
        self.disks.done(found)
        assert not self.disks.take()
        return found

    def asked(self):
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def world(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "smartctl"
    program.write_text(PROGRAM.format(folder=folder))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with Store(tmp_path / "db") as store:
        yield World(folder, store)


def drive(serial="S1", degrees=31, hours=12_345, **raws):
    numbers = {int(key[1:]): raw for key, raw in raws.items()}
    return documents.ata(
        numbers,
        serial_number=serial,
        model_name="ST4000DM000-1F2168",
        temperature={"current": degrees},
        power_on_time={"hours": hours},
    )


def test_the_hottest_disk_and_the_worst_of_main(world):
    world.put("sda", drive(degrees=40, a197=8))
    world.put("sdb", drive("S2", degrees=44))
    (one,) = world.rounds()
    assert (one.kind, one.device, one.source) == (Kind.READING, "srv", "smart")
    assert one.reading.model_dump(exclude_none=True) == {"temperature": 44, "prediction": 0.08}
    assert one.text == f"/x/sda: {FORECAST.words}"
    assert "8.0% within 7 days, confidence medium: 8 pending sectors" in FORECAST.words
    # a spare's own health is another condition
    assert len(world.asked_for) == 1
    assert world.asked()[0].startswith("-n standby -j -x /x/sd")
    assert truth("{prediction: {at-least: 0.02}}", one, now=one.time, device="srv") == "true"
    assert truth("{temperature: {above: 43}}", one, now=one.time, device="srv") == "true"
    assert not world.said


def test_a_disk_that_sleeps_is_not_known_and_not_complained_of(world):
    world.put("sda", ASLEEP)
    world.put("sdb", ASLEEP)
    assert world.rounds(3) == ()
    assert not world.said
    assert ask("/x/sda") is None
    world.put("sda", drive(degrees=22))
    (one,) = world.rounds()
    assert one.reading.temperature == 22


def test_what_cannot_be_asked_is_said_once(world):
    world.put("sdb", documents.nvme())
    (*_, one) = world.rounds(3)
    assert one.reading.model_dump(exclude_none=True) == {"temperature": 31}
    assert world.said == [("/x/sda", "smartctl could not ask /x/sda: No such device.")]


def test_without_smartctl_nothing_is_known_and_that_is_said_once(world, monkeypatch, tmp_path):
    (world.folder / "smartctl").unlink()
    monkeypatch.setattr("pyctl.run._SBIN", ())
    assert world.rounds(3) == ()
    assert [what for what, _ in world.said] == ["smartctl"]
    assert "Cannot start the program smartctl" in world.said[0][1]


def test_only_what_the_model_knows_is_predicted(world):
    world.put("sda", documents.nvme())
    (one, again) = world.rounds(2)
    assert one.reading.prediction is again.reading.prediction is None
    assert world.said[-1] == (
        "/x/sda: prediction",
        "the model knows the attributes of ATA drives only",
    )
    assert len([what for what, _ in world.said if "prediction" in what]) == 1


def test_without_the_packages_the_prediction_is_not_known(world):
    world.put("sda", drive())
    world.answer = PyctlError("LightGBM is not installed.")
    found = world.rounds(3)
    assert [one.reading.prediction for one in found] == [None] * 3
    assert [one.reading.temperature for one in found] == [31] * 3
    assert ("prediction", "LightGBM is not installed.") in world.said
    # a day later it may be there
    world.answer = FORECAST
    world.time += DAY
    (one,) = world.rounds()
    assert one.reading.prediction == 0.08
    assert len(world.asked_for) == 2


def test_it_is_predicted_again_when_there_is_something_new(world):
    world.put("sda", drive(hours=10))
    world.rounds(2)
    world.put("sda", drive(hours=11, degrees=39))
    assert world.rounds()[0].reading.prediction == 0.08
    assert len(world.asked_for) == 1
    world.put("sda", drive(hours=12, a197=8))
    world.rounds(2)
    assert len(world.asked_for) == 2
    world.time += DAY
    world.put("sda", drive(hours=36, a197=8))
    world.rounds(2)
    assert [len(history) for history in world.asked_for] == [1, 1, 2]
    last = [smartctl.parse(text) for text in world.asked_for[-1]]
    assert [one.hours for one in last] == [12, 36]
    assert [one.attributes[197].raw for one in last] == [8, 8]


def test_a_set_that_has_gone_and_a_disk_that_hangs_keep_no_other_waiting(world, monkeypatch):
    world.sets["new"] = Below(("/x/sdc",), ())
    world.put("sda", drive())
    world.put("sdc", drive("S3", degrees=50))
    program = world.folder / "smartctl"
    text = program.read_text()
    program.write_text(text.replace("for disk;", f"[ -e {world.folder}/go ] || case $* in *sdb)"
                                    " while [ ! -e {0}/go ]; do sleep 0.02; done;; esac\n"
                                    "for disk;".format(world.folder)))  # fmt: skip
    monkeypatch.setattr("pyctl.daemon.disks._PATIENCE", 0.2)

    async def run():
        async with asyncio.timeout(PATIENCE):
            while len({one.device for one in world.disks.take()}) < 2:
                await world.disks._round(["gone", "new", "srv"])
        (world.folder / "go").touch()
        await asyncio.wait(world.disks._asking.values())

    asyncio.run(run())
    told = world.disks.take()
    assert {(one.device, one.reading.temperature) for one in told} == {("new", 50), ("srv", 31)}
    assert ("gone", "There is no gone.") in world.said
    assert ("/x/sdb", "it does not answer") in world.said


def test_it_looks_again_and_again(world):
    world.put("sda", drive())

    async def run():
        task = asyncio.create_task(world.disks.watch(lambda: ["srv"]))
        async with asyncio.timeout(PATIENCE):
            while len(world.disks.take()) < 3:
                assert not task.done(), task.result()
                await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_the_history_has_the_last_word_of_each_day(world):
    history = world.history
    assert history.add("d", NOW, drive(a5=1))
    assert not history.add("d", NOW + 60, drive(a5=1, hours=12_346))
    assert history.add("d", NOW + 120, drive(a5=2))
    assert history.add("e", NOW, drive())
    for number in range(1, DAYS + 5):
        assert history.add("d", NOW + number * DAY, drive(a5=number))
    kept = [smartctl.parse(text) for text in history.of("d")]
    assert [one.attributes[5].raw for one in kept] == list(range(5, DAYS + 5))
    assert history.of("e") == []


def test_what_is_kept_says_what_is_needed():
    document = drive(a197=3) | {"ata_log": ["x" * 9000]}
    short = json.dumps(condensed(document))
    assert smartctl.parse(short) == smartctl.parse(json.dumps(document))
    assert len(short) < 3000
    assert condensed({"ata_smart_attributes": {"table": "?"}}) == {
        "ata_smart_attributes": {"table": []}
    }


def test_the_shipped_model_is_asked_in_a_process_of_its_own():
    days = [drive(hours=1000 + 24 * day, a5=max(0, day - 20), a197=8 * (day > 20), a187=day // 25)
            for day in range(30)]  # fmt: skip
    found = forecast([json.dumps(condensed(one)) for one in days])
    well = forecast([json.dumps(condensed(drive(hours=1000 + 24 * n))) for n in range(30)])
    assert 0 <= well.probability < found.probability <= 1
    assert found.days == 7
    assert found.confidence in ("low", "medium", "high")
    assert 1 <= len(found.reasons) <= 3


def test_the_daemon_imports_none_of_what_is_large():
    code = (
        "import sys, pyctl.daemon.main;"
        "print({'bcc', 'lightgbm', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_nobody_can_understand(monkeypatch):
    odd = '{"answers": [{"question": "fail7", "probability": "?"}]}'
    for said in ("{}", odd, '{"answers": 1}'):
        monkeypatch.setattr(forecasting, "run", lambda *_, said=said, **__: said)
        with pytest.raises(PyctlError, match="Cannot understand"):
            forecast(["x"])
    with pytest.raises(PyctlError):
        monkeypatch.undo()
        forecast([json.dumps(documents.nvme())])


class Listed:
    def __init__(self, table):
        self.found = table

    def table(self):
        return self.found


def test_the_whole_disks_below_a_set(tmp_path, monkeypatch):
    """Main is a RAID of two partitions, one spare a partition, one gone, one a path to nothing."""
    node = tmp_path / "dev/block"
    numbers = itertools.count()

    def put(name, number, *slaves, disk=None):
        here = tmp_path / "devices" / (f"{disk}/{name}" if disk else name)
        here.mkdir(parents=True)
        (here / "dev").write_text(f"{number}\n")
        (here / "size").write_text(f"{next(numbers)}\n")
        if disk:
            (here / "partition").write_text("1\n")
        for one in slaves:
            (here / "slaves" / one).mkdir(parents=True)
        for place, link in ((node, number), (tmp_path / "class/block", name)):
            place.mkdir(parents=True, exist_ok=True)
            (place / link).symlink_to(here)

    for letter, minor in (("a", 0), ("b", 16), ("c", 32)):
        put(f"sd{letter}", f"8:{minor}")
        put(f"sd{letter}1", f"8:{minor + 1}", disk=f"sd{letter}")
    put("md0", "9:0", "sda1", "sdb1", "sdz9")
    monkeypatch.setattr(blockdev, "SYS", tmp_path)
    table = RemapTable(8, "9:0", ("8:33", "8:99", "/nowhere/at/all", "-"))
    assert below(Listed(table)) == Below(("/dev/sda", "/dev/sdb"), ("/dev/sdc",))
