"""What must be readable: a model of a set, its disks and their faults.

It knows nothing of how dm-remap works, only what it promises. The caller tells it what it is about
to do, is told what must come of it, and hands over what was seen. Units count from the first one of
the model; places are spare units.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

# Where a unit is: on main; on a spare; on a spare that has no data for it; or on main, which could
# not give it.
HOME, REMAP, UNKNOWN, LOST = "home", "remap", "unknown", "lost"
ON_SPARE = (REMAP, UNKNOWN)


class ModelError(AssertionError):
    """The device has done what it must not."""


# A spare, and a place on it.
Place = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """What the device says of a unit; `second` is where its second copy is."""

    kind: str = HOME
    manual: bool = False
    spare: int = -1
    place: int = -1
    second: Place | None = None

    @property
    def first(self) -> Place:
        """Where its first copy is, or would be."""
        return self.spare, self.place

    @property
    def places(self) -> tuple[Place, ...]:
        """What it takes of the spares, that of the first copy first."""
        if self.kind not in ON_SPARE:
            return ()
        return (self.first, self.second) if self.second else (self.first,)


@dataclass
class Unit:
    """A unit of main."""

    # Numbers of the writes whose data a read may give: more than one after a write that failed.
    versions: set[int]
    row: Row = Row()
    # What main holds is older than what is lost.
    forgotten: bool = False


@dataclass
class Spare:
    """A spare disk as it is."""

    dead: bool = False
    # Places that take no writes, and whether they can't be read either.
    bad: dict[int, bool] = field(default_factory=dict)
    # Whether the running set uses it.
    used: bool = True
    # Whether a set that starts must believe it: it has missed no change.
    current: bool = True
    # Whether it is a member at all.
    member: bool = True
    # New units should not go there.
    draining: bool = False
    # Whether some copies of its metadata can't be read or written.
    torn: bool = False

    def reads(self, place: int) -> bool:
        """Whether a place can be read."""
        return not self.dead and not self.bad.get(place, False)

    def writes(self, place: int) -> bool:
        """Whether a place can be written."""
        return not self.dead and place not in self.bad


@dataclass(frozen=True)
class Seen:
    """What a device shows after a step."""

    rows: Mapping[int, Row]  # of the units that are not at home
    used: frozenset[int]  # spares in use
    free: Mapping[int, int]  # free places of each spare in use
    failed: bool
    committed: bool  # metadata was written in this step


# What may be seen of a unit after a step: kinds, and the origin where that is known.
Outcome = tuple[str, bool]


class Model:
    """Units, spares, and what is expected of the step that is under way."""

    def __init__(self, units: int, spares: Iterable[frozenset[int]]) -> None:
        # Places that can hold data, of each spare.
        self.places = list(spares)
        self.units = [Unit({0}) for _ in range(units)]
        self.spares = [Spare() for _ in self.places]
        # On how many spares everything should be.
        self.redundancy = 1
        # Units of main that take no writes, and whether they can't be read either.
        self.main_bad: dict[int, bool] = {}
        # The same of the disk that main is copied to; and whether all is there.
        self.new_bad: dict[int, bool] = {}
        self.copied = False
        self.failed = False
        # Bad places that were met: they are never used again.
        self.retired: list[set[int]] = [set() for _ in self.places]
        self._spoiled: list[set[int]] = [set() for _ in self.places]
        self._expected: dict[int, set[Outcome]] = {}
        self._may_fail = False
        # Of the step: the spare that may be in use afterwards, the one that units move off, and
        # those that no unit may go to.
        self._joining: int | None = None
        self._emptied: int | None = None
        self._avoid: set[int] = set()

    # --- Faults ---

    def spoil_place(self, spare: int, place: int, *, reads: bool) -> None:
        """A place fails from now on."""
        self.spares[spare].bad[place] = reads
        self._spoiled[spare].add(place)

    @property
    def spoiled(self) -> int:
        """How many places have ever been bad."""
        return sum(map(len, self._spoiled))

    # --- What a unit is like ---

    def main_reads(self, unit: int) -> bool:
        """Whether main can be read there."""
        return not self.main_bad.get(unit, False)

    def new_reads(self, unit: int) -> bool:
        """Whether the copy of main has the unit, if it was at home, and can be read there."""
        return self.copied and not self.new_bad.get(unit, False)

    def answers(self, spare: int) -> bool:
        """Whether a spare is in use and alive."""
        return self.spares[spare].used and not self.spares[spare].dead

    def copy_reads(self, copy: Place) -> bool:
        """Whether a copy on a spare can be read."""
        spare, place = copy
        return self.spares[spare].used and self.spares[spare].reads(place)

    def copy_writes(self, copy: Place) -> bool:
        """Whether a copy on a spare can be written."""
        spare, place = copy
        return self.spares[spare].used and self.spares[spare].writes(place)

    def at_once(self, unit: int) -> bool:
        """Whether a unit can be read from where the device looks first."""
        state = self.units[unit]
        if state.row.kind in (HOME, LOST):
            return self.main_reads(unit) and not state.forgotten
        return state.row.kind == REMAP and self.copy_reads(state.row.first)

    def readable(self, unit: int) -> bool:
        """Whether a read of a unit must give its data; otherwise it must fail."""
        row = self.units[unit].row
        if self.at_once(unit):
            return True
        if row.kind == HOME:
            return self.new_reads(unit)
        return row.kind == REMAP and any(map(self.copy_reads, row.places))

    def certain(self, unit: int) -> bool:
        """Whether that is so whatever happens: a set that has failed may look no further."""
        return self.at_once(unit) or not self.readable(unit) or not self.failed

    def settled(self, unit: int) -> bool:
        """Whether a read of it changes nothing: it is readable, or known not to be."""
        row = self.units[unit].row
        if self.at_once(unit) or row.kind in (LOST, UNKNOWN) or self.failed:
            return True
        return row.kind == REMAP and not any(self.spares[spare].used for spare, _ in row.places)

    # --- Steps: what is expected of them ---

    def begin(self) -> None:
        """A step that changes no unit, unless something else is said."""
        self._expected = {
            number: {(unit.row.kind, unit.row.manual)} for number, unit in enumerate(self.units)
        }
        alive = [spare for spare in self.spares if spare.used and not spare.dead]
        self._may_fail = self.failed or not alive
        self._joining = self._emptied = None
        self._avoid = set()

    @property
    def may_fail(self) -> bool:
        """Whether the step may fail: the set has failed, or has no spare that could be written."""
        return self._may_fail

    def allow_failure(self) -> None:
        """The set may fail in this step."""
        self._may_fail = True

    def read(self, units: range) -> bool:
        """Units are read; whether that must succeed, else it must fail."""
        self.begin()
        unsettled = [number for number in units if not self.settled(number)]
        rescued = [n for n in unsettled if self.units[n].row.kind == HOME and self.new_reads(n)]
        for number in unsettled:
            row = self.units[number].row
            if number in rescued:
                self._expect(number, REMAP, manual=False)
            elif row.kind == HOME:
                self._expect(number, LOST, row.manual)
            # Nothing is lost with a spare that is dead or away: it may come back.
            elif not self.readable(number) and all(self.answers(s) for s, _ in row.places):
                self._expect(number, UNKNOWN, row.manual)
        if self._may_fail:
            self._keep_too(unsettled)
        if not self._fits(len(rescued)):
            self._keep_too(rescued)
        return all(self.readable(number) for number in units)

    def write(self, units: range) -> None:
        """Units are written."""
        self.begin()
        to_place = sum(self._write_unit(number) for number in units)
        self._need(to_place, units)

    def _write_unit(self, number: int) -> bool:
        """Expect a write of a unit; whether it needs a new place."""
        row = self.units[number].row
        if row.kind in (HOME, LOST):
            if number in self.main_bad:
                self._expect(number, REMAP, manual=False)
                return True
            self._expect(number, HOME, manual=False)
            return False
        works = any(map(self.copy_writes, row.places))
        self._expect(number, REMAP, row.manual and (works or row.second is not None))
        return not works

    def wrote(self, units: range, version: int, *, success: bool) -> None:
        """How a write ended."""
        for number in units:
            self.units[number].versions.add(version)
            if success:
                self.units[number].versions = {version}

    def remap(self, units: range) -> str:
        """Units are moved to spares on request; the reply."""
        self.begin()
        done = lost = already = 0
        for number in units:
            unit = self.units[number]
            if unit.row.kind in ON_SPARE:
                already += 1
                continue
            readable = self.readable(number)
            self._expect(number, REMAP if readable else UNKNOWN, manual=True)
            done += 1
            lost += not readable
        self._need(done, units)
        return f"remapped={done} lost={lost} already={already}"

    def unremap(self, units: range, word: str) -> str:
        """Units are moved back to main; the reply, which begins with a word."""
        self.begin()
        done = kept = lost = 0
        for number in units:
            row = self.units[number].row
            if row.kind == HOME:
                continue
            spare = self.spares[row.spare]
            if row.kind == LOST or not spare.used:
                kept += 1
            elif row.kind == UNKNOWN:
                self._expect(number, LOST, manual=False)
                lost += 1
            elif spare.reads(row.place) and number not in self.main_bad:
                self._expect(number, HOME, manual=False)
                done += 1
            else:
                kept += 1
        if self._may_fail:
            self._keep_too(units)
        return f"{word}={done} kept={kept} lost={lost}"

    def verify(self, units: range) -> str:
        """Units are read from their spares; the reply."""
        self.begin()
        rows = [(number, self.units[number].row) for number in units]
        there = [number for number, row in rows if row.kind != HOME]
        good = [n for n, row in rows if row.kind == REMAP and all(map(self.copy_reads, row.places))]
        return f"verified={len(there)} errors={len(there) - len(good)}"

    def _expect(self, number: int, kind: str, manual: bool) -> None:
        self._expected[number] = {(kind, manual)}

    def _need(self, places: int, units: range) -> None:
        """So many units need a place: is there room?"""
        draining = self._draining()
        if self._fits(places, draining):
            self._avoid = draining
        elif not self._fits(places):
            self._may_fail = True
        if self._may_fail:
            self._keep_too(units)

    def _draining(self) -> set[int]:
        return {number for number, spare in enumerate(self.spares) if spare.draining}

    def _fits(self, units: int, avoid: AbstractSet[int] = frozenset()) -> bool:
        """Whether there is room for so many units in any case.

        Second copies may have been given theirs before, those of other units, too.
        """
        if units and self.redundancy == 2:
            rows = [unit.row for unit in self.units if unit.row.kind == REMAP]
            units *= 2
            units += sum(not (r.second and all(map(self.copy_writes, r.places))) for r in rows)
        return units <= self.room(avoid)

    def _keep_too(self, units: Iterable[int]) -> None:
        """They may stay as they are, too."""
        for number in units:
            row = self.units[number].row
            self._expected[number].add((row.kind, row.manual))

    def room(self, avoid: AbstractSet[int] = frozenset()) -> int:
        """Good places that nobody has, on spares that can be written, but for some spares."""
        taken = {place for unit in self.units for place in unit.row.places}
        return sum(
            1
            for number, spare in enumerate(self.spares)
            if spare.used and not spare.dead and number not in avoid
            for place in self.places[number]
            if place not in self._spoiled[number]
            and place not in self.retired[number]
            and (number, place) not in taken
        )

    def units_on(self, spare: int) -> list[int]:
        """The units of which a spare has a copy."""
        on_it = [any(s == spare for s, _ in unit.row.places) for unit in self.units]
        return [number for number, there in enumerate(on_it) if there]

    def lost_with(self, spare: int) -> list[int]:
        """The units that are lost when what is on a spare is given up."""
        rows = [(number, self.units[number].row) for number in self.units_on(spare)]
        return [
            number
            for number, row in rows
            if row.spare == spare
            and not (row.kind == REMAP and row.second and self.copy_reads(row.second))
        ]

    def join(self, number: int, size: int) -> None:
        """A disk becomes a member, or a stale one current; a new one has places 0 to `size`."""
        self.begin()
        spare = self.spares[number]
        if not spare.member:
            self.places[number] = frozenset(range(size))
            self.retired[number].clear()
        self._joining = number
        if spare.torn or spare.dead:
            self._may_fail = True

    def evacuate(self, number: int) -> list[int]:
        """All units are moved off a spare; those that must stay because they can't be read."""
        self.begin()
        self.spares[number].draining = True
        units = self.units_on(number)
        stay = [n for n in units if self.units[n].row.kind == REMAP and not self.readable(n)]
        draining = self._draining()
        if not (self._fits(len(units) - len(stay), draining) and self.spares[number].used):
            self._may_fail = True
        self._emptied = number
        self._avoid = draining
        return stay

    def migrate(self, number: int, to: int) -> None:
        """Some units are moved off a spare to another."""
        self.begin()
        self._emptied = number
        self._avoid = set(range(len(self.spares))) - {to}
        # It may be full.
        self._may_fail = True

    def drop(self, number: int, *, lose: bool) -> bool:
        """A spare leaves; whether it must be refused."""
        self.begin()
        in_use = [i for i, spare in enumerate(self.spares) if spare.used]
        units = self.units_on(number)
        if in_use == [number] or (units and not lose):
            return True
        for unit in self.lost_with(number):
            self._expect(unit, LOST, manual=False)
        # The others may be found dead, and then it is the last one.
        if all(self.spares[i].dead for i in in_use if i != number):
            self._may_fail = True
        if self._may_fail:
            self._keep_too(range(len(self.units)))
        return False

    def dropped(self, number: int) -> None:
        """It has left."""
        spare = self.spares[number]
        spare.member = spare.used = spare.current = spare.draining = False

    def start(self, listed: Iterable[int]) -> None:
        """A set starts with some spares: those that it can't believe are left alone for good."""
        chosen = set(listed)
        for number, spare in enumerate(self.spares):
            spare.current = spare.used = spare.current and number in chosen
            # What a set that has failed was told last is not on any spare.
            spare.draining = spare.draining and not self.failed
        self.failed = False
        self.begin()

    # --- Another main ---

    def copy_main(self) -> None:
        """Everything is copied to another disk; what main can't give is lost, and known to be."""
        self.begin()
        for number, unit in enumerate(self.units):
            if unit.row.kind in (HOME, LOST) and not unit.forgotten:
                self._expect(number, HOME if self.main_reads(number) else LOST, manual=False)

    def exchange_main(self) -> None:
        """The other disk is main now. It has nothing in place of what is lost."""
        self.begin()
        for unit in self.units:
            unit.forgotten |= unit.row.kind == LOST
        self.main_bad, self.new_bad, self.copied = self.new_bad, {}, False

    # --- What was seen ---

    def found(self, number: int, version: int) -> None:
        """A read has given the data of a write."""
        unit = self.units[number]
        if version not in unit.versions:
            raise ModelError(
                f"unit {number} has the data of write {version}; it must be of"
                f" {' or '.join(map(str, sorted(unit.versions)))}"
            )
        unit.versions = {version}

    def end(self, seen: Seen) -> None:
        """The step has ended: is what is seen what was expected? Then it is what is."""
        if seen.failed and not (self.failed or self._may_fail):
            raise ModelError("the set has failed for no reason")
        self.failed = seen.failed
        self._end_spares(seen)
        for number, unit in enumerate(self.units):
            self._end_unit(number, unit, seen.rows.get(number, Row()))
        places = [place for unit in self.units for place in unit.row.places]
        if len(set(places)) != len(places):
            raise ModelError(f"a place is used twice: {sorted(places)}")
        if not seen.failed:
            self._end_room(seen)
            self._end_redundancy()

    def _end_spares(self, seen: Seen) -> None:
        for number, spare in enumerate(self.spares):
            used = number in seen.used
            if used and not spare.used:
                if number != self._joining:
                    raise ModelError(f"spare {number} is used again")
                spare.member = spare.current = True
                spare.draining = False
            if spare.used and not used and not spare.dead:
                raise ModelError(f"spare {number} is well and was taken out of use")
            if used and spare.dead and seen.committed and not seen.failed:
                raise ModelError(f"spare {number} is dead and was not taken out of use")
            spare.used = used
            # Of a set that has failed nothing more is written down.
            if not seen.failed:
                spare.current = spare.current and used

    def _end_unit(self, number: int, unit: Unit, row: Row) -> None:
        expected = self._expected[number]
        if (row.kind, row.manual) not in expected:
            raise ModelError(f"unit {number} is {row}, was {unit.row}; expected: {expected}")
        if row.kind in ON_SPARE:
            self._end_place(number, unit, row)
        if row.kind == LOST and unit.row.kind in ON_SPARE:
            unit.forgotten = True
        elif row.kind != LOST:
            unit.forgotten = False
        unit.row = row

    def _end_place(self, number: int, unit: Unit, row: Row) -> None:
        old = unit.row
        for spare, place in row.places:
            if place not in self.places[spare]:
                raise ModelError(f"unit {number} is at {row}, where no data can be")
            if (spare, place) in old.places:
                continue
            if place in self.retired[spare]:
                raise ModelError(f"unit {number} is at {row}, a place that was given up")
            if row.kind == REMAP and not self.spares[spare].writes(place):
                raise ModelError(f"unit {number} is at {row}, which takes no writes")
        if row.first not in old.places and row.spare in self._avoid:
            raise ModelError(f"unit {number} is at {row}, on a spare that is being emptied")
        if row.second and row.second not in old.places and row.second[0] in self._draining():
            raise ModelError(f"unit {number} is at {row}, its second copy being on the way out")
        if row.second and (row.kind != REMAP or row.second[0] == row.spare):
            raise ModelError(f"unit {number} is at {row}, which is no second copy")
        # It was moved off because it was bad.
        moved = old.kind in ON_SPARE and row.first != old.first
        if moved and self.spares[old.spare].used and old.spare != self._emptied:
            self.retired[old.spare].add(old.place)

    def _end_redundancy(self) -> None:
        """Every unit that can be read has the copies that it should have, if there is room."""
        for number, unit in enumerate(self.units):
            row = unit.row
            # What could not be read before can't have been copied.
            spoiled = row.place in self._spoiled[row.spare] if row.kind == REMAP else True
            if spoiled or not self.copy_reads(row.first):
                continue
            if self.redundancy == 1 and row.second:
                raise ModelError(f"unit {number} is at {row}, and one copy should do")
            if self.redundancy == 2 and not row.second and self.room(self._no_second(row.spare)):
                raise ModelError(f"unit {number} is at {row}, and there is room for another copy")
            if row.second and not self.spares[row.second[0]].used:
                raise ModelError(f"unit {number} is at {row}, the other copy being away")

    def _no_second(self, first: int) -> set[int]:
        """Spares that no second copy may go to."""
        return self._draining() | {first}

    def _end_room(self, seen: Seen) -> None:
        """Nothing is leaked: places are free, taken, or have once been bad."""
        for number in seen.used:
            taken = len(self.units_on(number))
            gone = len(self.places[number]) - seen.free[number] - taken
            if not 0 <= gone <= len(self._spoiled[number]):
                raise ModelError(
                    f"of {len(self.places[number])} places of spare {number} {taken} are taken"
                    f" and {seen.free[number]} free; {len(self._spoiled[number])} were ever bad"
                )


@dataclass(frozen=True)
class Data:
    """The data of units: each says which unit and which write it is of."""

    bytes_per_unit: int

    def make(self, units: range, version: int) -> bytes:
        """What a write of units writes."""
        return b"".join(self._one(unit, version) for unit in units)

    def version(self, unit: int, data: bytes) -> int:
        """Of which write a unit's data is; raises ModelError if it is of none."""
        words = data[:32].split()
        if len(words) == 4 and words[1].isdigit() and words[3].isdigit():
            version = int(words[3])
            if data == self._one(unit, version):
                return version
        raise ModelError(f"unit {unit} has what nobody wrote there: {data[:48]!r}")

    def _one(self, unit: int, version: int) -> bytes:
        text = b"unit %d write %d" % (unit, version)
        return text.ljust(32) * (self.bytes_per_unit // 32)
