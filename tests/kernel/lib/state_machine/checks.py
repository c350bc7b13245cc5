"""What the device shows and gives, compared with the model."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

from pyctl.errors import DmError
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.metadata import DATA_START
from tests.kernel.lib.remap import Remap, Status
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import QuickRemap
from tests.kernel.lib.state_machine.bench import SPARES, UNITS, Bench
from tests.kernel.lib.state_machine.model import ON_SPARE, Model, ModelError, Row, Seen

# Units that are looked at after each step.
SAMPLE = 3


def of_the_table(stats: Mapping[str, int]) -> dict[str, int]:
    """Those counters that stand still while nothing but data is written."""
    names = ("commits", "mirrors", "remaps", "lost", "unknown", "mending")
    return {name: n for name, n in stats.items() if name in names or name.startswith("spare")}


class Checks:
    """A device on its disks, and the model of it."""

    bench: Bench
    # What came of the steps.
    outcomes: ClassVar[Counter[str]]
    dm: QuickRemap
    model: Model
    # The number of the last write, the unit that was looked at last, and the commits so far.
    version: int
    sampled: int
    commits: int
    # Whether the table says that main is to be copied to another disk.
    copying: bool

    def sample(self) -> None:
        """Some units give what they must; those whose faults nobody has met yet are left alone."""
        for _ in range(SAMPLE):
            self.sampled = (self.sampled + 11) % UNITS
            if self.model.settled(self.sampled):
                self.look(range(self.sampled, self.sampled + 1))

    def check_write(self, units: range, *, observe: bool = True) -> None:
        """Write units; that may fail only when nothing can take them."""
        self.version += 1
        self.model.write(units)
        success = True
        try:
            self.dm.write(self.sectors(units)[0], self.bench.data.make(units, self.version))
        except OSError:
            if not self.model.may_fail:
                raise
            success = False
        self.outcomes["(write failed)"] += not success
        self.model.wrote(units, self.version, success=success)
        if observe:
            self.observe()

    def check_read(self, units: range) -> None:
        """Read units, and see what that has changed."""
        must_work = self.model.read(units)
        self.outcomes["(read failed)"] += not must_work
        self.look(units, must_work=must_work)
        self.observe()

    def look(self, units: range, *, must_work: bool | None = None) -> None:
        """Read units: all of their data, or an error."""
        if must_work is None:
            must_work = all(self.model.readable(number) for number in units)
        try:
            found = self.dm.read(*self.sectors(units))
        except OSError:
            if must_work and all(map(self.model.certain, units)):
                raise
            return
        if not must_work:
            raise ModelError(f"units {units} can be read, and their data is gone: {found[:48]!r}")
        size = self.bench.unit * SECTOR
        for i, number in enumerate(units):
            data = found[i * size : (i + 1) * size]
            self.model.found(number, self.bench.data.version(number, data))

    def check_message(self, reply: str, *words: object) -> bool:
        """Send a message; did it succeed? It may fail only when it can't be carried out.

        An empty reply is any.
        """
        success = True
        try:
            said = self.dm.message(*words)
        except DmError:
            if not self.model.may_fail:
                raise
            success = False
        else:
            assert not reply or self.model.may_fail or said == reply, said
        name = " ".join(map(str, words[: 1 + (words[0] == "spare")]))
        self.outcomes[f"({name} failed)"] += not success
        if success and words[:2] == ("spare", "drop"):
            self.model.dropped(int(str(words[2])))
        self.observe()
        return success

    def observe(self, *, may_fail: bool = False) -> None:
        """Compare what the device shows with the model."""
        status, stats, remaps = self.steady()
        seen = self.seen(status.mode == "fail", stats, remaps)
        kinds = [row.kind for row in seen.rows.values()]
        on_spare = [row for row in seen.rows.values() if row.kind in ON_SPARE]
        assert status.used == len(on_spare)
        assert status.manual == sum(row.manual for row in on_spare)
        assert status.lost == len(kinds) - kinds.count("remap")
        assert stats["unknown"] == kinds.count("unknown")
        assert status.breaker == "closed"
        assert stats["mirrors"] == sum(row.second is not None for row in seen.rows.values())
        self.check_copy(status.fields)
        if may_fail:
            self.model.allow_failure()
        self.model.end(seen)

    def steady(self) -> tuple[Status, dict[str, int], list[Remap]]:
        """What the device shows when no worker changes anything any more."""
        while True:
            wait_until(lambda: not self.dm.stats()["mending"], "all copies are made", 30)
            stats = self.dm.stats()
            status, remaps = self.dm.status_fields(), self.dm.remaps()
            if of_the_table(self.dm.stats()) == of_the_table(stats):
                return status, stats, remaps

    def check_copy(self, fields: Mapping[str, str]) -> None:
        """A copy of main that is whole stays so, unless the new disk doesn't take something."""
        if self.model.failed:
            return
        assert int(fields["redundancy"]) == self.model.redundancy
        state = fields.get("copy", "off").partition(":")[0]
        if self.model.copied and self.copying and state != "copied":
            assert state == "failed" and self.model.new_bad, state
            self.model.copied = False
            self.outcomes["(copy failed)"] += 1

    def seen(self, failed: bool, stats: dict[str, int], remaps: list[Remap]) -> Seen:
        """What the device shows."""
        rows = {}
        for remap in remaps:
            number = (remap.sector - self.bench.first) // self.bench.unit
            assert 0 <= number < UNITS
            row = Row(remap.kind, remap.manual)
            if remap.spare_sector is not None:
                assert remap.spare is not None
                place = remap.spare_sector // self.bench.unit - self.bench.first_place
                row = dataclasses.replace(row, spare=remap.spare, place=place)
            if remap.second is not None and remap.second_sector is not None:
                second = remap.second_sector // self.bench.unit - self.bench.first_place
                row = dataclasses.replace(row, second=(remap.second, second))
            rows[number] = row
        free = {i: stats[f"spare{i}_free"] for i in range(SPARES) if f"spare{i}_free" in stats}
        committed = stats["commits"] > self.commits
        self.commits = stats["commits"]
        return Seen(rows, frozenset(free), free, failed, committed)

    def sectors(self, units: range) -> tuple[int, int]:
        """Where units are on the device: first sector and number of sectors."""
        return self.bench.first + units.start * self.bench.unit, len(units) * self.bench.unit

    def place(self, place: int) -> tuple[int, int]:
        """Where a place is on its spare."""
        return DATA_START + place * self.bench.unit, self.bench.unit
