"""The steps, done: each is a method, which tells the model, does it, and has it checked."""

import itertools
import threading
from collections.abc import Iterable

import pytest

from pyctl.errors import DmError
from pyctl.format import BLOCK_SIZE, slot_sector
from tests.kernel.lib.background import Background
from tests.kernel.lib.blockdev import SECTOR
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.metadata import ALL_COPIES
from tests.kernel.lib.pool import number_of
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.state_machine.bench import PLACES, SPARES, UNITS
from tests.kernel.lib.state_machine.checks import Checks
from tests.kernel.lib.state_machine.model import HOME, ON_SPARE, REMAP, Model

# With more bad places at a time one write may meet so many that it gives up.
MOST_SPOILED = 5
# The sectors of a copy of the metadata that are in use: a superblock and the first leaves.
SLOT_PART = 32 * BLOCK_SIZE // SECTOR


def units_from(first: int, count: int) -> range:
    """At most so many units from one on."""
    return range(first, min(first + count, UNITS))


class Actions(Checks):
    """What can be done to a set. Nothing is done where it makes no sense."""

    # The spares that the table lists, in this order.
    listed: list[int]

    def set_up(self) -> None:
        """Make everything as new: healthy disks, and a set with all spares."""
        self.bench.renew()
        self.model = Model(UNITS, [frozenset(PLACES)] * SPARES)
        self.version = 0
        self.sampled = 0
        self.listed = list(range(SPARES))
        self.copying = False
        self.dm = self.bench.device(self.listed)
        self.dm.__enter__()
        self.commits = 0
        self.model.begin()
        self.observe()

    # --- I/O ---

    def write(self, first: int, count: int) -> None:
        self.check_write(units_from(first, count))

    def read(self, first: int, count: int) -> None:
        self.check_read(units_from(first, count))

    def flush(self) -> None:
        self.model.begin()
        whole = all(spare.used and not spare.dead for spare in self.model.spares)
        try:
            with DirectFile(self.dm) as file:
                file.fsync()
        except OSError:
            if whole and not self.model.failed:
                raise
        # A spare that is gone may have taken something into its cache.
        self.observe(may_fail=not whole)

    def write_while_suspended(self, first: int, count: int, noflush: bool) -> None:
        units = units_from(first, count)
        self.dm.suspend(noflush=noflush)
        try:
            with pytest.raises(DmError):
                self.dm.message("remap", *self.sectors(units))
            writer = Background(lambda: self.check_write(units, observe=False))
            writer.__enter__()
        finally:
            self.dm.resume()
        writer.join()
        self.observe()

    # --- Faults ---

    def main_goes_bad(self, first: int, count: int, reads: bool) -> None:
        units = units_from(first, count)
        self.bench.main.add_bad(*self.sectors(units), reads=reads)
        self.model.main_bad |= dict.fromkeys(units, reads)

    def main_gets_well(self, first: int, count: int) -> None:
        units = units_from(first, count)
        self.bench.main.remove_bad(*self.sectors(units))
        for number in units:
            self.model.main_bad.pop(number, None)

    def place_goes_bad(self, spare: int, place: int, reads: bool) -> None:
        if self.model.spoiled >= MOST_SPOILED:
            return
        self.bench.spares[spare].add_bad(*self.place(place), reads=reads)
        self.model.spoil_place(spare, place, reads=reads)

    def place_in_use_goes_bad(self, number: int, reads: bool) -> None:
        rows = [unit.row for unit in self.model.units if unit.row.kind in ON_SPARE]
        if rows:
            row = rows[number % len(rows)]
            self.place_goes_bad(row.spare, row.place, reads)

    def places_get_well(self, spare: int) -> None:
        bad = self.model.spares[spare].bad
        while bad:
            place, _ = bad.popitem()
            first, count = self.place(place)
            for sector in range(first, first + count):
                self.bench.spares[spare].bad.pop(sector, None)
        self.refresh(spare)

    def spare_dies(self, spare: int, last: bool) -> None:
        """A spare is dead; the last one that works is so less often."""
        others = [s for i, s in enumerate(self.model.spares) if i != spare]
        if not last and not any(other.used and not other.dead for other in others):
            return
        self.bench.spares[spare].fail()
        self.model.spares[spare].dead = True

    def spare_works_again(self, spare: int) -> None:
        self.model.spares[spare].dead = False
        self.refresh(spare)
        # A set that has failed does no more.
        if self.model.failed and self.startable():
            self.restart(self.usable(range(SPARES)))

    def refresh(self, spare: int) -> None:
        """Have a spare be as the model says."""
        if not self.model.spares[spare].dead:
            self.bench.spares[spare].recover()

    def metadata_goes_bad(self, spare: int, copies: set[int]) -> None:
        """Some copies of the table and the superblock, of five."""
        if self.model.spares[spare].torn:
            return
        for copy in copies:
            self.bench.spares[spare].bad |= dict.fromkeys(self.slot(copy), True)
        self.model.spares[spare].torn = bool(copies)
        self.refresh(spare)

    def metadata_gets_well(self, spare: int) -> None:
        for copy in ALL_COPIES:
            for sector in self.slot(copy):
                self.bench.spares[spare].bad.pop(sector, None)
        self.model.spares[spare].torn = False
        self.refresh(spare)

    def slot(self, copy: int) -> range:
        """Sectors of a copy of the metadata, a part of them that is always in use."""
        return range(slot_sector(copy), slot_sector(copy) + SLOT_PART)

    # --- Messages ---

    def remap(self, first: int, count: int) -> None:
        units = units_from(first, count)
        self.check_message(self.model.remap(units), "remap", *self.sectors(units))

    def unremap(self, first: int, count: int) -> None:
        units = units_from(first, count)
        self.check_message(self.model.unremap(units, "unremapped"), "unremap", *self.sectors(units))

    def move_under_writes(self, first: int, count: int) -> None:
        """Units move to spares, or back, while they are written; no fault is in their way."""
        units = self.healthy_from(first, count)
        if not units:
            return
        home = self.model.units[units.start].row.kind == REMAP
        word = "unremap" if home else "remap"
        reply = self.model.unremap(units, "unremapped") if home else self.model.remap(units)
        if self.model.may_fail:
            return
        moved = threading.Event()

        def write() -> None:
            # Not once more when they have moved: that would hide a write that was lost.
            for number in itertools.cycle(units):
                if moved.is_set():
                    return
                one = range(number, number + 1)
                self.version += 1
                self.dm.write(self.sectors(one)[0], self.bench.data.make(one, self.version))
                self.model.wrote(one, self.version, success=True)

        with Background(write):
            try:
                self.check_message(reply, word, *self.sectors(units))
            finally:
                moved.set()
        self.look(units, must_work=True)

    def healthy_from(self, first: int, count: int) -> range:
        """At most so many units, all of them healthy, from the first one that is."""
        start = next(filter(self.healthy, range(first, UNITS)), UNITS)
        found = itertools.takewhile(self.healthy, units_from(start, count))
        return range(start, start + len(list(found)))

    def healthy(self, number: int) -> bool:
        """Whether a unit can be read and written, where it is and on main."""
        row = self.model.units[number].row
        if number in self.model.main_bad or row.kind not in (HOME, REMAP):
            return False
        return self.model.at_once(number) and all(map(self.model.copy_writes, row.places))

    def clear(self) -> None:
        self.check_message(self.model.unremap(range(UNITS), "cleared"), "clear")

    def verify(self, first: int, count: int) -> None:
        units = units_from(first, count)
        self.check_message(self.model.verify(units), "verify", *self.sectors(units))

    def metadata(self, word: str) -> None:
        self.model.begin()
        self.check_message("", word)

    # --- The pool ---

    def join(self, spare: int) -> None:
        """A stale spare is brought up to date, or one that has left comes back."""
        away = [i for i in range(SPARES) if not self.model.spares[i].used]
        if not away:
            return
        spare = away[spare % len(away)]
        state = self.model.spares[spare]
        if not state.member and (state.dead or state.torn):
            return
        if spare not in self.listed:
            self.listed = [*self.listed, spare]
            self.reload(noflush=False)
        # It has kept its power; and what is on one that has left can go.
        how = "trust" if state.member else "force"
        self.model.join(spare, self.bench.all_places)
        device = number_of(self.bench.spares[spare])
        self.check_message(f"row={spare}", "spare", "join", device, how)

    def drain(self, spare: int, on: bool) -> None:
        if not self.model.spares[spare].member:
            return
        self.model.begin()
        self.model.spares[spare].draining = on
        self.check_message("", "spare", "drain", spare, "on" if on else "off")

    def evacuate(self, spare: int) -> None:
        """All units are moved off a spare."""
        if not self.model.spares[spare].member:
            return
        self.model.begin()
        self.model.spares[spare].draining = True
        self.check_message("", "spare", "drain", spare, "on")
        stay = self.model.evacuate(spare)
        moved = len(self.model.units_on(spare)) - len(stay)
        words = f"moved={moved} left={len(stay)} failed={len(stay)} end=1"
        self.check_message(words, "spare", "migrate", spare, "any", 2 * UNITS)

    def migrate(self, spare: int, other: int, count: int) -> None:
        """Some units are moved from one spare to another."""
        members = self.model.spares
        if spare == other or not members[spare].member or not members[other].used:
            return
        if not self.model.spares[spare].used:
            return
        self.model.migrate(spare, other)
        self.check_message("", "spare", "migrate", spare, other, count)

    def drop(self, spare: int, lose: bool) -> None:
        """A spare leaves; what is on it is refused to go or given up."""
        if not all(member.member for member in self.model.spares):
            return
        refused = self.model.drop(spare, lose=lose)
        words = ("spare", "drop", spare, *["lose"] * lose)
        if refused:
            with pytest.raises(DmError):
                self.dm.message(*words)
            self.observe()
            return
        lost = len(self.model.lost_with(spare))
        if self.check_message(f"row={spare} lost={lost}", *words):
            self.listed = [i for i in self.listed if i != spare]
            self.reload(noflush=False)

    def allocation(self, policy: str, spare: int, tier: int) -> None:
        """Where new units go makes no difference to what can be read."""
        self.model.begin()
        self.check_message(f"allocation={policy}", "set", "allocation", policy)
        if self.model.spares[spare].member:
            self.model.begin()
            self.check_message(f"row={spare} tier={tier}", "spare", "tier", spare, tier)

    def redundancy(self, copies: int) -> None:
        """Have one or two copies of everything."""
        before = self.model.redundancy
        self.model.begin()
        self.model.redundancy = copies
        if not self.check_message("", "set", "redundancy", copies):
            self.model.redundancy = before

    # --- Another main ---

    def copy_main(self) -> None:
        """Everything is copied to another disk, which is kept up to date from then on."""
        if self.copying or not self.durable():
            return
        if self.bench.other_main.bad:
            self.bench.other_main.heal()
        self.model.new_bad = {}
        self.copying = True
        self.reload(noflush=False)
        if not self.durable():
            return
        self.model.copy_main()
        self.dm.message("copy", "start")
        wait_until(lambda: self.copy_state() != "running", "all is copied", 60)
        assert self.copy_state() == "copied", self.dm.message("copy", "status")
        self.observe()
        self.model.copied = True

    def new_main_goes_bad(self, first: int, count: int, reads: bool) -> None:
        """The disk that main is copied to: whoever writes there costs the copy, and no more."""
        if not self.copying:
            return
        units = units_from(first, count)
        self.bench.other_main.add_bad(*self.sectors(units), reads=reads)
        self.model.new_bad |= dict.fromkeys(units, reads)

    def exchange_main(self) -> None:
        """The disk that all was copied to becomes main; a copy that has failed is given up."""
        if not self.copying or not self.durable():
            return
        self.copying = False
        if self.model.copied:
            self.dm.message("copy", "complete", "serial=other")
            self.bench.exchange_main()
            self.dm.main = self.bench.main
            self.model.exchange_main()
            self.outcomes["(main exchanged)"] += 1
        else:
            self.dm.message("copy", "abort")
        self.reload(noflush=False)

    def durable(self) -> bool:
        """Whether metadata can be written."""
        return not self.model.failed and any(map(self.model.answers, range(SPARES)))

    def copy_state(self) -> str:
        """What the copy of main is doing, in a word; off when there is none."""
        return self.dm.status_fields().fields.get("copy", "off").partition(":")[0]

    # --- Tables ---

    def reload(self, noflush: bool) -> None:
        self.dm.spares = tuple(self.bench.spares[i] for i in self.listed)
        options = self.bench.options(copying=self.copying)
        self.dm.reload(self.dm.target(options), noflush=noflush)
        self.model.begin()
        self.observe()

    def stop_and_start(self, order: list[int], left_out: set[int], keep_copy: bool) -> None:
        if not self.startable():
            return
        alive = self.usable(order)
        current = [i for i in alive if self.model.spares[i].current]
        if len(current) > 1:
            alive = [i for i in alive if i not in left_out]
        self.restart(alive, keep_copy=keep_copy)

    def usable(self, order: Iterable[int]) -> list[int]:
        """The spares that a table can list: those that work, and have not left."""
        spares = self.model.spares
        return [i for i in order if spares[i].member and not spares[i].dead]

    def startable(self) -> bool:
        """Whether there is a spare that a set can start with."""
        return any(spare.current and not spare.dead for spare in self.model.spares)

    def restart(self, listed: list[int], *, keep_copy: bool = False) -> None:
        """Stop the set, and start it with some spares; it must be told when one is missing."""
        whole = self.durable() and not self.model.new_bad
        spares = self.model.spares
        away = [spares[i] for i in range(SPARES) if spares[i].current and i not in listed]
        # The last words on a copy are written to all spares: one that is dead may be missed then.
        told = self.copying and all(spare.dead for spare in away)
        self.dm.remove()
        self.copying &= keep_copy
        missing = bool(away) and self.is_refused(listed, may_start=told)
        self.dm = self.bench.device(listed, degraded=missing, copying=self.copying)
        self.dm.__enter__()
        self.outcomes["(start degraded)"] += missing
        self.listed = listed
        self.commits = 0
        if self.model.failed:
            # Nobody knows which was written down last.
            self.model.redundancy = int(self.dm.status_fields().fields["redundancy"])
        self.model.start(listed)
        copied = self.copying and self.copy_state() == "copied"
        if self.copying and self.model.copied and whole and not missing:
            assert copied, self.dm.message("copy", "status")
        self.outcomes["(copy kept)"] += copied
        self.model.copied &= copied
        self.observe()

    def is_refused(self, listed: list[int], *, may_start: bool) -> bool:
        """Whether a set must be told that a spare is missing."""
        device = self.bench.device(listed, copying=self.copying)
        try:
            device.__enter__()
        except DmError:
            return True
        device.remove()
        assert may_start, "it starts, although a spare is missing that may hold newer remaps"
        return False
